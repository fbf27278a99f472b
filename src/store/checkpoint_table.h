/*
 * kms.event_checkpoint: the only SQL for it, and what retention deletes of
 * the trail.
 *
 * A checkpoint says what the hash of a row of the trail was when it was
 * signed.  A start says the same of the last row that retention has deleted:
 * the trail begins behind it.  An acceptance says it of a gap that follows
 * from the row with the ticket "previous": its owner has accepted that nothing
 * is known of what is between the two.
 */
#ifndef KMS_STORE_CHECKPOINT_TABLE_H
#define KMS_STORE_CHECKPOINT_TABLE_H

#include "crypto/chain.h"
#include "crypto/key_id.h"
#include "crypto/signature.h"
#include "datatype/timestamp.h"
#include "nodes/pg_list.h"

/* In the order of their names, which that of rows with one ticket is. */
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
	unsigned char hash[KMS_CHAIN_SIZE]; /* and its hash */
	int64		previous;		/* ticket of the checkpoint (or start) before
								 * it, 0: there was none */
	TimestampTz signed_at;
	TimestampTz able_since;		/* when it was signed, the server had been
								 * able to sign since then */
	char		signing_key_id[KMS_KEY_ID_MAX + 1];
	unsigned char signature[KMS_SIGNATURE_SIZE];
} KmsCheckpoint;

/* The columns of a row, in order; what has not its form becomes zero bytes. */
#define KMS_CHECKPOINT_COLUMNS 9

/* "acceptance", "checkpoint" or "start". */
extern const char *kms_checkpoint_table_kind_name(KmsCheckpointKind kind);

extern void kms_checkpoint_table_read(const Datum *values, const bool *isnull,
									  KmsCheckpoint *checkpoint);

/* A list of KmsCheckpoint, of all kinds, after a ticket and in their order. */
extern List *kms_checkpoint_table_after(int64 ticket);

/* The "limit" that were signed last, not later than "upto"; newest first. */
extern List *kms_checkpoint_table_newest(TimestampTz upto, int limit);

/*
 * Those of a time before "signed_before" that may be the next start, at most
 * ten: the last ones within "span" tickets of the start, or if there are none
 * the first ones after that.  Only those that one of these keys has signed
 * (a list of C strings).
 */
extern List *kms_checkpoint_table_candidates(int64 start, int64 span,
											 TimestampTz signed_before,
											 List *signing_key_ids);

/*
 * Epoch and hash of the row of the trail with this ticket; false if there is
 * none, or one without a hash.
 */
extern bool kms_checkpoint_table_fill(int64 ticket, KmsCheckpoint *checkpoint);

/* Take the lock of the table that an insert needs; false if it has to wait. */
extern bool kms_checkpoint_table_try_lock(void);

/* Takes the place of what somebody else has put there. */
extern void kms_checkpoint_table_insert(const KmsCheckpoint *checkpoint);

/* Delete those of tickets between these two, of whatever kind. */
extern void kms_checkpoint_table_clear(int64 after, int64 before);

/*
 * How many rows are under a signature that was made more than so many seconds
 * after they were recorded, though the server could have signed all that time.
 */
extern int64 kms_checkpoint_table_late(int seconds);

/*
 * Who trims the trail holds this until the end of the transaction; false if
 * another does.
 */
extern bool kms_checkpoint_table_lock_start(void);

/*
 * Delete the rows of the trail after the last start and up to this one, and
 * the checkpoints before it; returns how many rows of the trail.  If another
 * transaction has one of them nothing is deleted, and *busy is their number.
 */
extern int64 kms_checkpoint_table_trim(int64 after, int64 upto, int64 *busy);

/* Return when the first event after this ticket occurred; 0: there is none. */
extern TimestampTz kms_checkpoint_table_oldest_event(int64 after);

/* Return the highest ticket in kms.event; 0: it is empty. */
extern int64 kms_checkpoint_table_newest_row(void);

/*
 * The first ticket, after one and up to another, of an event that occurred
 * between two times, both included; PG_INT64_MAX if there is none.
 */
extern int64 kms_checkpoint_table_first_event(int64 after, int64 upto,
											  TimestampTz earliest,
											  TimestampTz latest);

#endif							/* KMS_STORE_CHECKPOINT_TABLE_H */
