/*
 * kms.event_outbox: successful changes, written by the changing transaction
 * and moved to the trail by the writer.
 */
#ifndef KMS_STORE_OUTBOX_TABLE_H
#define KMS_STORE_OUTBOX_TABLE_H

#include "store/event_table.h"

/* Insert an event, in the transaction of its change. */
extern void kms_outbox_table_insert(const KmsEvent *event);

/*
 * Blank the personal data in the rows of a device.  Return the number of rows.
 */
extern int64 kms_outbox_table_blank(const char *device_id);

/* Return when the oldest change in it occurred; 0: it is empty. */
extern TimestampTz kms_outbox_table_oldest(void);

/*
 * Move the oldest rows, at most "limit", to the trail.  "events", which has
 * room for so many, receives them.  Return their number.
 */
extern int	kms_outbox_table_move(KmsTrail *trail, KmsEvent *events,
								  int limit);

/* Quarantine the oldest row.  Return false if there is none. */
extern bool kms_outbox_table_quarantine(KmsTrail *trail, const char *error);

#endif							/* KMS_STORE_OUTBOX_TABLE_H */
