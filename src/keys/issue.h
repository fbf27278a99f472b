/* Issuing keys: return a device's key, make one, rotate. */
#ifndef KMS_KEYS_ISSUE_H
#define KMS_KEYS_ISSUE_H

#include "keys/call.h"
#include "keys/kind.h"
#include "keys/new_key.h"
#include "pg/fault.h"

/* The arguments of a call, with their shape checked. */
typedef struct KmsIssueRequest
{
	const char *device_id;
	const char *app_version;	/* NULL: unknown */
	KmsKind		named;			/* properties that the key must have */
} KmsIssueRequest;

/* How much of kms.keygen_limit a device has used. */
typedef struct KmsRateLimit
{
	int			used;
	int			allowed;
	TimestampTz next_at;		/* 0: now */
} KmsRateLimit;

/*
 * Issue the device's newest valid key that has the named properties.  If it is
 * due to be renewed, try to make the next one of its kind; if there is none,
 * make one.  kms_issue_rotate makes one in any case and deprecates all others.
 * If a key was made, the call is recorded as a change.
 */
extern KmsStatus kms_issue(KmsCall *call, const KmsIssueRequest *request,
						   KmsIssued *issued, KmsFault *fault);
extern KmsStatus kms_issue_rotate(KmsCall *call, const KmsIssueRequest *request,
								  KmsIssued *issued, KmsFault *fault);

/* Fill *limit for a device, without a lock. */
extern void kms_issue_rate_limit(const char *device_id, KmsRateLimit *limit);

#endif							/* KMS_KEYS_ISSUE_H */
