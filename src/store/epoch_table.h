/* kms.event_epoch: a row for each ring that ever fed the trail. */
#ifndef KMS_STORE_EPOCH_TABLE_H
#define KMS_STORE_EPOCH_TABLE_H

#include "access/htup.h"
#include "access/tupdesc.h"
#include "crypto/chain.h"
#include "datatype/timestamp.h"
#include "storage/itemptr.h"

typedef struct KmsEpochRow
{
	int64		epoch;
	TimestampTz started_at;		/* or when it took over again */
	int64		position;		/* all events before it are processed */
	int64		last_ticket;
	int64		counted;		/* number of the last counts (tally.h) */
	TimestampTz handed_over_at; /* no event is behind the position; 0: there
								 * may be one */
	unsigned char hash[KMS_CHAIN_SIZE]; /* of the row with the last ticket,
										 * zero if there is none */
	ItemPointerData tid;		/* where the row was read */
} KmsEpochRow;

/* Fill *epoch from a tuple. */
extern void kms_epoch_table_read(KmsEpochRow *epoch, HeapTuple tuple, TupleDesc desc);

/*
 * Find the end of the trail: the newest row with a ticket below "limit".  Sees
 * what is committed and what this transaction has done, whatever its snapshot.
 * Return false, with *end zeroed, if there is none.
 */
extern bool kms_epoch_table_end(KmsEpochRow *end, int64 limit);

/* Do the same for the row of one epoch. */
extern bool kms_epoch_table_find(KmsEpochRow *epoch, int64 number);

/* Insert the row of a new epoch. */
extern void kms_epoch_table_insert(const KmsEpochRow *epoch);

/*
 * Update the row of this epoch, if it exists.  "left_out_at" is when an event
 * was last left out.  If this time or started_at is 0, its column is not
 * changed.
 */
extern void kms_epoch_table_update(const KmsEpochRow *epoch, TimestampTz left_out_at);

#endif							/* KMS_STORE_EPOCH_TABLE_H */
