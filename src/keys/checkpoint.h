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
 *	key: aud_0123456789abcdef01234567
 *
 * with a line feed after each line; of a start the first line is "kms audit
 * start v1".
 */
#ifndef KMS_KEYS_CHECKPOINT_H
#define KMS_KEYS_CHECKPOINT_H

#include "keys/audit_key.h"
#include "store/checkpoint.h"
#include "store/trail.h"

/* The text of a checkpoint, palloc'd. */
extern char *kms_checkpoint_message(const KmsCheckpoint *checkpoint);

/* As kms_audit_key_verify, of its text. */
extern KmsStatus kms_checkpoint_verify(const KmsCheckpoint *checkpoint,
									   KmsAuditPublic *last);

/* What the writer remembers between rounds; begins zeroed. */
typedef struct KmsSigning
{
	bool		known;			/* the two below have been read */
	int64		ticket;			/* the last that is signed */
	TimestampTz signed_at;
	TimestampTz tried_at;		/* in vain, 0: not so */
} KmsSigning;

/* Whether something is to be signed now; takes no transaction. */
extern bool kms_checkpoint_is_due(const KmsSigning *signing,
								  const KmsTrail *trail);

/*
 * Sign what is due, in the current transaction, of whom no other writes the
 * trail; true if there is more.  The trail is as it was closed last.
 */
extern bool kms_checkpoint_sign(KmsSigning *signing, const KmsTrail *trail);

/*
 * Delete a batch of the trail that is older than kms.event_retention: a
 * prefix that ends at a checkpoint, about "limit" rows, and sign the start
 * anew.  Returns how many rows it deleted; nothing without a master key.
 * *skipped is how many could not be, for others have them.
 */
extern int64 kms_checkpoint_retire(int limit, int64 *skipped);

#endif							/* KMS_KEYS_CHECKPOINT_H */
