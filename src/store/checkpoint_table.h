/*
 * kms.event_checkpoint: the only SQL for this table, and what retention
 * deletes of the trail.
 *
 * A checkpoint has the hash that a row of the trail had when it was signed.  A
 * start has the hash of the last row that retention has deleted; the trail
 * begins behind it.  An acceptance has the hash of a gap that follows the row
 * with the ticket "previous".  The owner has accepted that nothing is known
 * about the rows between the two.
 */
#ifndef KMS_STORE_CHECKPOINT_TABLE_H
#define KMS_STORE_CHECKPOINT_TABLE_H

#include "crypto/chain.h"
#include "crypto/key_id.h"
#include "crypto/signature.h"
#include "datatype/timestamp.h"
#include "nodes/pg_list.h"

/*
 * In the order of their names, by which rows with the same ticket are sorted.
 */
typedef enum KmsCheckpointKind
{
	KMS_CHECKPOINT_ACCEPTANCE,
	KMS_CHECKPOINT_ROW,
	KMS_CHECKPOINT_START
} KmsCheckpointKind;

typedef struct KmsCheckpoint
{
	int64		ticket;
	KmsCheckpointKind kind;
	int64		epoch;			/* of the row with that ticket */
	unsigned char hash[KMS_CHAIN_SIZE]; /* hash of that row */
	int64		previous;		/* ticket of the checkpoint or start before
								 * it, 0: none */
	TimestampTz signed_at;
	TimestampTz able_since;		/* since when the server was able to sign */
	char		signing_key_id[KMS_SERVICE_ID_MAX + 1];
	unsigned char signature[KMS_SIGNATURE_SIZE];
} KmsCheckpoint;

/*
 * Columns of a row, in order.  A value without the right form is read as zero
 * bytes.
 */
#define KMS_CHECKPOINT_COLUMNS 9

/* Return "acceptance", "checkpoint" or "start". */
extern const char *kms_checkpoint_table_kind_name(KmsCheckpointKind kind);

/* Fill *checkpoint from the columns of a row. */
extern void kms_checkpoint_table_read(const Datum *values, const bool *isnull,
									  KmsCheckpoint *checkpoint);

/*
 * Return a list of KmsCheckpoint of all kinds with tickets after this one, in
 * order.
 */
extern List *kms_checkpoint_table_after(int64 ticket);

/*
 * Return the "limit" checkpoints that were signed last, but not later than
 * "upto"; newest first.
 */
extern List *kms_checkpoint_table_newest(TimestampTz upto, int limit);

/*
 * Return at most ten checkpoints, signed before "signed_before", that may
 * become the next start: the last ones within "span" tickets of the start or,
 * if there are none, the first ones after that.  Each was signed with one of
 * these keys (a list of C strings).
 */
extern List *kms_checkpoint_table_candidates(int64 start, int64 span,
											 TimestampTz signed_before,
											 List *signing_key_ids);

/*
 * Fill in the epoch and the hash of the row of the trail with this ticket.
 * Return false if there is no such row, or if it has no hash.
 */
extern bool kms_checkpoint_table_fill(int64 ticket, KmsCheckpoint *checkpoint);

/*
 * Take the lock on the table that an insert needs.  Return false if it is not
 * free.
 */
extern bool kms_checkpoint_table_try_lock(void);

/*
 * Insert a checkpoint, and replace a row that somebody else put in its place.
 */
extern void kms_checkpoint_table_insert(const KmsCheckpoint *checkpoint);

/* Delete all checkpoints, of whatever kind, between these two tickets. */
extern void kms_checkpoint_table_clear(int64 after, int64 before);

/*
 * Return the number of rows whose signature was made more than "seconds"
 * seconds after they were recorded, although the server could have signed them
 * all that time.
 */
extern int64 kms_checkpoint_table_late(int seconds);

/*
 * Take the lock for trimming the trail, until the end of the transaction.
 * Return false if another session has it.
 */
extern bool kms_checkpoint_table_lock_start(void);

/*
 * Delete the rows of the trail after the last start and up to this one, and
 * the checkpoints before it.  Return the number of rows of the trail.  If
 * another transaction holds some of them, delete nothing, and set *busy to
 * their number.
 */
extern int64 kms_checkpoint_table_trim(int64 after, int64 upto, int64 *busy);

/* Return when the first event after this ticket occurred; 0: there is none. */
extern TimestampTz kms_checkpoint_table_oldest_event(int64 after);

/*
 * Return when the row with the highest ticket was signed, whatever its kind,
 * and set *ticket.  Its signature is not verified.  0: there is none.
 */
extern TimestampTz kms_checkpoint_table_last(int64 *ticket);

/* Return the highest ticket in kms.event; 0: it is empty. */
extern int64 kms_checkpoint_table_newest_row(void);

/*
 * Return the first ticket, after one and up to another, of an event that
 * occurred between two times, both included; PG_INT64_MAX if there is none.
 */
extern int64 kms_checkpoint_table_first_event(int64 after, int64 upto,
											  TimestampTz earliest,
											  TimestampTz latest);

#endif							/* KMS_STORE_CHECKPOINT_TABLE_H */
