/*
 * Whether the trail is what was written: the chain of its rows, from where it
 * begins to where it ends.
 */
#ifndef KMS_KEYS_VERIFY_H
#define KMS_KEYS_VERIFY_H

#include "crypto/chain.h"
#include "pg/fault.h"

/* Where the trail ended once, as kms_audit_head() told it. */
typedef struct KmsVerifyHead
{
	int64		ticket;
	unsigned char hash[KMS_CHAIN_SIZE];
} KmsVerifyHead;

#define KMS_AUDIT_HEAD_SIZE (20 + 1 + 2 * KMS_CHAIN_SIZE + 1)	/* bytes, with NUL */

typedef struct KmsVerifyReport
{
	const char *finding;		/* NULL: intact; else what is wrong first */
	int64		bad_epoch;		/* of the row in question */
	int64		bad_ticket;
	int64		events;			/* rows that were found good */
	int64		first_ticket;	/* of those; 0: there is none */
	int64		last_ticket;
	int64		signed_ticket;	/* last one under a good signature; 0: none */
	unsigned char signed_hash[KMS_CHAIN_SIZE];	/* of that row */
	bool		anchored;		/* compared with its anchor (continuity.h) */
} KmsVerifyReport;

/*
 * Where the trail ends under the active snapshot: "<ticket>:<64 hex digits>";
 * of an empty one "0:" and zeros.  "out" holds KMS_AUDIT_HEAD_SIZE bytes.
 */
extern void kms_verify_head(char *out);

/* Read what kms_audit_head gave; false if it is not of that form. */
extern bool kms_verify_head_read(const char *value, KmsVerifyHead *head);

/*
 * Verify the trail as the active snapshot sees it and, if a head is given,
 * that this was once its end; then what is there now with its anchor.  Reads
 * every row; raises what reading may raise, also a cancel.
 */
extern void kms_verify_trail(const KmsVerifyHead *head, KmsVerifyReport *report);

/*
 * If the trail is not intact: put a gap behind it, signed, that follows from
 * the last row that is known to be good, so that it is intact again.  *ticket
 * is that of the gap.  KMS_INVALID_ARGUMENT with 55000 if it is intact, or
 * there is no writer to do it; KMS_NO_MASTER_KEY.
 */
extern KmsStatus kms_verify_accept(const char *reason, int64 *ticket,
								   KmsFault *fault);

#endif							/* KMS_KEYS_VERIFY_H */
