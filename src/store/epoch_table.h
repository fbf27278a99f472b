/*
 * Rows of kms.event_epoch, one for each ring that ever fed the trail.
 */
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
	TimestampTz started_at;		/* or took over again */
	int64		position;		/* every event before it has been dealt with */
	int64		last_ticket;
	int64		counted;		/* number of the last counts (tally.h) written */
	TimestampTz handed_over_at; /* nothing is behind the position; 0: there
								 * may be */
	unsigned char hash[KMS_CHAIN_SIZE]; /* of the row with the last ticket;
										 * zero if it is none */
	ItemPointerData tid;		/* where it was read */
} KmsEpochRow;

/* Of a row as it was read. */
extern void kms_epoch_table_read(KmsEpochRow *epoch, HeapTuple tuple, TupleDesc desc);

/*
 * Where the trail ends: the newest row with a ticket below "limit".  Sees what
 * is committed and what this transaction has done, whatever snapshot it has.
 * False and zero if there is none.
 */
extern bool kms_epoch_table_end(KmsEpochRow *end, int64 limit);

/* The same for the row of one epoch. */
extern bool kms_epoch_table_find(KmsEpochRow *epoch, int64 number);

extern void kms_epoch_table_insert(const KmsEpochRow *epoch);

/*
 * Write all back to the row of that epoch, if it is there, and when an event was
 * left out.  Of these two times 0 is: as before.
 */
extern void kms_epoch_table_update(const KmsEpochRow *epoch, TimestampTz left_out_at);

#endif							/* KMS_STORE_EPOCH_TABLE_H */
