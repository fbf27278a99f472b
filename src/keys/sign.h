/*
 * Signing the trail at intervals, and deleting what is old of it so that it
 * begins at a signed start.
 *
 * What is signed is a short text, so that it can be verified outside:
 *
 *	kms audit checkpoint v1
 *	epoch: 5521403394221
 *	ticket: 30000
 *	hash: 64 lower-case hex digits
 *	previous: 20000
 *	signed at: 2026-11-22T08:00:00.000000Z
 *	able since: 2026-11-21T17:30:00.000000Z
 *	key: aud_0123456789abcdef01234567
 *
 * with a line feed after each line; of a start the first line is "kms audit
 * start v1", of an acceptance "kms audit acceptance v1".
 */
#ifndef KMS_KEYS_SIGN_H
#define KMS_KEYS_SIGN_H

#include "keys/audit_key.h"
#include "store/checkpoint_table.h"
#include "store/event_table.h"

/* The text of a checkpoint, palloc'd. */
extern char *kms_sign_message(const KmsCheckpoint *checkpoint);

/* As kms_audit_key_verify, of its text. */
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
 * Show the visitor each checkpoint after a ticket, in their order.  What it
 * is shown, and all that it allocates, goes when it returns.
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

/* What the writer remembers between rounds; begins zeroed. */
typedef struct KmsSigning
{
	bool		known;			/* the next three have been read */
	int64		ticket;			/* the last that is signed */
	unsigned char hash[KMS_CHAIN_SIZE]; /* and its hash */
	TimestampTz signed_at;
	TimestampTz tried_at;		/* in vain, 0: not so */
	TimestampTz able_since;		/* the server runs and has the master key, as
								 * its writers know; 0: it has not */
	int64		marked;			/* the last ticket that got a mark */
	int64		span;			/* tickets from a mark to the next */
	int			marks;
	KmsMark		mark[KMS_MARKS];
} KmsSigning;

/*
 * The writer has committed the trail as it is: remember some of its hashes, so
 * that only what it has written itself is signed, and not what tables say.
 */
extern void kms_sign_note(KmsSigning *signing, const KmsTrail *trail);

/* Whether something is to be signed now; takes no transaction. */
extern bool kms_sign_is_due(const KmsSigning *signing,
							const KmsTrail *trail);

/*
 * Sign what is due, in the current transaction, of whom no other writes the
 * trail; true if there is more.  The trail is as it was closed last;
 * "anchored" is the last ticket that is known to be signed, 0 if none is.
 */
extern bool kms_sign_checkpoint(KmsSigning *signing, const KmsTrail *trail,
								int64 anchored);

/*
 * Sign the last row as a gap that follows from the row "after", and raise
 * unless that can be done.
 */
extern void kms_sign_accept(KmsSigning *signing, const KmsTrail *trail,
							int64 after);

/*
 * Delete a batch of the trail that is older than kms.event_retention at "due",
 * where what is later than "latest" is from the future (keys/clock.h): a
 * prefix that ends at a checkpoint, about "limit" rows, and sign the start
 * anew.  Returns how many rows it deleted; nothing without a master key.
 * *skipped is how many could not be, for others have them.
 */
extern int64 kms_sign_retire(int limit, TimestampTz due,
							 TimestampTz latest, int64 *skipped);

#endif							/* KMS_KEYS_SIGN_H */
