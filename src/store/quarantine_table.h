/* kms.event_quarantine: events that could not be inserted into kms.event. */
#ifndef KMS_STORE_QUARANTINE_TABLE_H
#define KMS_STORE_QUARANTINE_TABLE_H

#include "store/event_table.h"

/*
 * Insert an event that could not be inserted elsewhere (its bytes in the ring,
 * or its row of the outbox in JSON) under the next ticket, with the error.
 */
extern void kms_quarantine_table_insert(KmsTrail *trail, const void *data,
										size_t len, const char *error);

/* Do the same as kms_event_table_blank, in this table. */
extern bool kms_quarantine_table_blank(int64 epoch, int64 ticket,
									   const unsigned char *proof, size_t len);

#endif							/* KMS_STORE_QUARANTINE_TABLE_H */
