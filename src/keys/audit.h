/*
 * Whether the trail is what was written: the chain of its rows, from where it
 * begins to where it ends.
 */
#ifndef KMS_KEYS_AUDIT_H
#define KMS_KEYS_AUDIT_H

#include "crypto/chain.h"

/* Where the trail ended once, as kms_audit_head() told it. */
typedef struct KmsAuditHead
{
	int64		ticket;
	unsigned char hash[KMS_CHAIN_SIZE];
} KmsAuditHead;

#define KMS_AUDIT_HEAD_SIZE (20 + 1 + 2 * KMS_CHAIN_SIZE + 1)	/* bytes, with NUL */

typedef struct KmsAuditReport
{
	const char *finding;		/* NULL: intact; else what is wrong first */
	int64		bad_epoch;		/* of the row in question */
	int64		bad_ticket;
	int64		events;			/* rows that were found good */
	int64		first_ticket;	/* of those; 0: there is none */
	int64		last_ticket;
	int64		signed_ticket;	/* last one under a good signature; 0: none */
} KmsAuditReport;

/*
 * Where the trail ends under the active snapshot: "<ticket>:<64 hex digits>";
 * of an empty one "0:" and zeros.  "out" holds KMS_AUDIT_HEAD_SIZE bytes.
 */
extern void kms_audit_head(char *out);

/* Read what kms_audit_head gave; false if it is not of that form. */
extern bool kms_audit_head_read(const char *value, KmsAuditHead *head);

/*
 * Verify the trail as the active snapshot sees it and, if a head is given,
 * that this was once its end.  Reads every row; raises what reading may
 * raise, also a cancel.
 */
extern void kms_audit_verify(const KmsAuditHead *head, KmsAuditReport *report);

#endif							/* KMS_KEYS_AUDIT_H */
