/* Issuing keys: return a device's key, make one, rotate. */
#ifndef KMS_KEYS_ISSUE_H
#define KMS_KEYS_ISSUE_H

#include "crypto/rsa_key.h"
#include "keys/call.h"
#include "pg/fault.h"
#include "store/key.h"

/* The arguments of a call, with their shape checked. */
typedef struct KmsIssueRequest
{
	const char *device_id;
	const char *app_version;	/* NULL: unknown */
	int			bits;			/* 0: kms.key_bits */
} KmsIssueRequest;

/* The key that a device gets. */
typedef struct KmsIssued
{
	char		key_id[KMS_KEY_ID_MAX + 1];
	char		algorithm[32];
	char		oaep_hash[16];
	char		public_pem[KMS_RSA_MAX_PEM];
	TimestampTz expires_at;
	bool		reused;
} KmsIssued;

/* How much of kms.keygen_limit a device has used. */
typedef struct KmsRateLimit
{
	int			used;
	int			allowed;
	TimestampTz next_at;		/* 0: now */
} KmsRateLimit;

/*
 * Issue the device's valid key, or make one if it has none.  kms_issue_rotate
 * makes one in any case and deprecates the others.  If a key was made, the
 * call is recorded as a change.
 */
extern KmsStatus kms_issue(KmsCall *call, const KmsIssueRequest *request,
						   KmsIssued *issued, KmsFault *fault);
extern KmsStatus kms_issue_rotate(KmsCall *call, const KmsIssueRequest *request,
								  KmsIssued *issued, KmsFault *fault);

/* Fill *limit for a device, without a lock. */
extern void kms_issue_rate_limit(const char *device_id, KmsRateLimit *limit);

/* Return 2048 for "RSA-2048" and so on; 0 for anything else. */
extern int	kms_issue_bits(const char *algorithm);

#endif							/* KMS_KEYS_ISSUE_H */
