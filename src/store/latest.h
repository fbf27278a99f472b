/*
 * The current rows of the trail: those that are committed, and those of this
 * transaction, whatever its snapshot.
 */
#ifndef KMS_STORE_LATEST_H
#define KMS_STORE_LATEST_H

#include "store/checkpoint_table.h"

/*
 * Return whether there is a row with this ticket and this hash, of this epoch
 * (0: any).
 */
extern bool kms_latest_row(int64 ticket, const unsigned char *hash,
						   int64 epoch);

/* Return whether there is a row with a higher ticket. */
extern bool kms_latest_row_behind(int64 ticket);

/*
 * Return a ticket, from this one on, behind which "free" numbers are not
 * taken: that of the last row, or a random one farther behind if there are
 * many rows.  A single row may be at the end of all numbers.
 */
extern int64 kms_latest_run(int64 ticket, int64 free);

/* Return whether this hash of this ticket is signed. */
extern bool kms_latest_signature(int64 ticket, const unsigned char *hash);

/*
 * Find the last checkpoint or acceptance up to a ticket.  Return false, with
 * all zero, if there is none.  A checkpoint beyond the end of the trail is
 * forged.
 */
extern bool kms_latest_checkpoint(int64 upto, KmsCheckpoint *checkpoint);

/* Find the signed start.  Return false, with all zero, if there is none. */
extern bool kms_latest_start(KmsCheckpoint *start);

/* Return whether a change waits in the outbox. */
extern bool kms_latest_outbox(void);

#endif							/* KMS_STORE_LATEST_H */
