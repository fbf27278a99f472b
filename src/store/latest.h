/*
 * What the tables of the trail hold now, of what is committed and of this
 * transaction itself, whatever snapshot it has.
 */
#ifndef KMS_STORE_LATEST_H
#define KMS_STORE_LATEST_H

#include "store/checkpoint_table.h"

/*
 * Whether the row with this ticket is there, with this hash, and of this epoch
 * (0: any).
 */
extern bool kms_latest_row(int64 ticket, const unsigned char *hash,
						   int64 epoch);

/* Whether there is a row with a higher one. */
extern bool kms_latest_row_behind(int64 ticket);

/*
 * A ticket from this one on with "free" numbers behind it that no row has: the
 * last of the rows that come, or a random one farther behind if they are many.
 * A single row may be at the end of all numbers.
 */
extern int64 kms_latest_run(int64 ticket, int64 free);

/* Whether this hash of that ticket is signed. */
extern bool kms_latest_signature(int64 ticket, const unsigned char *hash);

/*
 * The last checkpoint or acceptance up to a ticket; false and all zero if there
 * is none.  One beyond the end of the trail is nobody's work but a forger's.
 */
extern bool kms_latest_checkpoint(int64 upto, KmsCheckpoint *checkpoint);

/* The signed start; false and all zero if there is none. */
extern bool kms_latest_start(KmsCheckpoint *start);

/* Whether a change waits in the outbox. */
extern bool kms_latest_outbox(void);

#endif							/* KMS_STORE_LATEST_H */
