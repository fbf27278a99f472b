/*
 * kms.event_quarantine: what could not be inserted into kms.event.
 */
#ifndef KMS_STORE_QUARANTINE_TABLE_H
#define KMS_STORE_QUARANTINE_TABLE_H

#include "store/event_table.h"

/*
 * Insert what could not be inserted elsewhere (the bytes of an event of the
 * ring, or a row of the outbox in JSON) under the next ticket, and why.
 */
extern void kms_quarantine_table_insert(KmsTrail *trail, const void *data,
										size_t len, const char *error);

/* As kms_event_table_blank. */
extern bool kms_quarantine_table_blank(int64 epoch, int64 ticket,
									   const unsigned char *proof, size_t len);

#endif							/* KMS_STORE_QUARANTINE_TABLE_H */
