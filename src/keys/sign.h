/*
 * Signing the trail at intervals, and deleting its old rows so that it begins
 * at a signed start.  docs/design/trail-chain.md has the text that is signed.
 */
#ifndef KMS_KEYS_SIGN_H
#define KMS_KEYS_SIGN_H

#include "keys/audit_key.h"
#include "store/checkpoint_table.h"
#include "store/event_table.h"

/* Return the signed text of a checkpoint, palloc'd. */
extern char *kms_sign_message(const KmsCheckpoint *checkpoint);

/* Verify the signature of a checkpoint, as kms_audit_key_verify does. */
extern KmsStatus kms_sign_verify(const KmsCheckpoint *checkpoint,
								 KmsAuditPublic *last);

/* A checkpoint as it leaves the database; see kms_audit_checkpoints(). */
typedef struct KmsSigned
{
	int64		ticket;
	const char *kind;			/* "acceptance", "checkpoint" or "start" */
	TimestampTz signed_at;
	const char *message;		/* the text that is signed */
	text	   *signature;		/* in base64 */
	const char *public_key;		/* PEM; NULL if the key is gone */
} KmsSigned;

typedef void (*KmsSignedVisitor) (const KmsSigned *checkpoint, void *arg);

/*
 * Call "visit" for each checkpoint after a ticket, in order.  Its argument,
 * and all memory that it allocates, is freed when it returns.
 */
extern void kms_sign_visit(int64 after, KmsSignedVisitor visit, void *arg);

#define KMS_MARKS 64

/* A row that the writer has written, and that is to be signed. */
typedef struct KmsMark
{
	int64		ticket;
	int64		epoch;
	unsigned char hash[KMS_CHAIN_SIZE];
} KmsMark;

/* The writer's memory between rounds.  Begins zeroed. */
typedef struct KmsSigning
{
	bool		known;			/* the next three fields have been read */
	int64		ticket;			/* last signed ticket */
	unsigned char hash[KMS_CHAIN_SIZE]; /* hash of its row */
	TimestampTz signed_at;
	TimestampTz tried_at;		/* last attempt, if it failed; 0: it did not */
	TimestampTz able_since;		/* since when the server has run with the
								 * master key, as its writers know; 0: it does
								 * not have it */
	int64		marked;			/* last ticket with a mark */
	int64		span;			/* tickets from a mark to the next */
	int			marks;
	KmsMark		mark[KMS_MARKS];
} KmsSigning;

/*
 * Remember hashes of the trail that the writer has just committed.  So only
 * rows that it has written itself are signed, and never a hash from the
 * tables.
 */
extern void kms_sign_note(KmsSigning *signing, const KmsTrail *trail);

/* Return whether a signature is due.  Needs no transaction. */
extern bool kms_sign_is_due(const KmsSigning *signing,
							const KmsTrail *trail);

/*
 * Sign what is due, in the current transaction, which must hold the lock of
 * the trail.  Return true if there is more.  "trail" is the trail as it was
 * last closed.  "anchored" is the last ticket that is known to be signed, 0 if
 * none is.
 */
extern bool kms_sign_checkpoint(KmsSigning *signing, const KmsTrail *trail,
								int64 anchored);

/*
 * Sign the last row as a gap that follows the row "after".  Raise an error if
 * that is not possible.
 */
extern void kms_sign_accept(KmsSigning *signing, const KmsTrail *trail,
							int64 after);

/*
 * Delete a batch of events that are older than kms.event_retention at "due": a
 * prefix of about "limit" rows that ends at a checkpoint.  Sign the new start.
 * Events later than "latest" are from the future (keys/clock.h).  Return the
 * number of rows deleted, 0 without a master key.  *skipped is the number of
 * rows that could not be deleted, because other transactions hold them.
 */
extern int64 kms_sign_retire(int limit, TimestampTz due,
							 TimestampTz latest, int64 *skipped);

#endif							/* KMS_KEYS_SIGN_H */
