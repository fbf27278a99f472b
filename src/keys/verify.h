/* Verifying the trail: the chain of its rows, from its start to its end. */
#ifndef KMS_KEYS_VERIFY_H
#define KMS_KEYS_VERIFY_H

#include "crypto/chain.h"
#include "pg/fault.h"

/* An earlier end of the trail, as kms_audit_head() returned it. */
typedef struct KmsVerifyHead
{
	int64		ticket;
	unsigned char hash[KMS_CHAIN_SIZE];
} KmsVerifyHead;

/* bytes, with NUL */
#define KMS_AUDIT_HEAD_SIZE (20 + 1 + 2 * KMS_CHAIN_SIZE + 1)

typedef struct KmsVerifyReport
{
	const char *finding;		/* what is wrong first, NULL: intact */
	int64		bad_epoch;		/* of the bad row */
	int64		bad_ticket;
	int64		events;			/* number of good rows */
	int64		first_ticket;	/* of the good rows; 0: none */
	int64		last_ticket;
	int64		signed_ticket;	/* last one under a good signature; 0: none */
	unsigned char signed_hash[KMS_CHAIN_SIZE];	/* hash of its row */
	bool		anchored;		/* compared with its anchor (continuity.h) */
} KmsVerifyReport;

/*
 * Return the end of the trail under the active snapshot: "<ticket>:<64 hex
 * digits>", or "0:" and zeros if it is empty.  "out" must hold
 * KMS_AUDIT_HEAD_SIZE bytes.
 */
extern void kms_verify_head(char *out);

/*
 * Parse a head.  Return false if it does not have the form that
 * kms_audit_head() returns.
 */
extern bool kms_verify_head_read(const char *value, KmsVerifyHead *head);

/*
 * Verify the trail as the active snapshot sees it.  If a head is given, verify
 * that it was once the end of the trail.  Then compare the tables as they are
 * now with the anchor.  Reads every row.  An error of reading, such as a
 * cancel, is raised.
 */
extern void kms_verify_trail(const KmsVerifyHead *head, KmsVerifyReport *report);

#endif							/* KMS_KEYS_VERIFY_H */
