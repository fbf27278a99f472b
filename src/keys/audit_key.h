/*
 * Signing the trail, and telling whether a key of its signatures is ours.
 */
#ifndef KMS_KEYS_AUDIT_KEY_H
#define KMS_KEYS_AUDIT_KEY_H

#include "crypto/key_id.h"
#include "crypto/signature.h"

/*
 * The key to sign with now: the newest one that opens.  If there is none it
 * is made, in the current transaction.  "signing_key_id" holds
 * KMS_KEY_ID_MAX + 1 bytes.  KMS_NO_MASTER_KEY if none can be opened or made.
 */
extern KmsStatus kms_audit_key_current(char *signing_key_id);

/*
 * Sign some bytes with it; "signature" holds KMS_SIGNATURE_SIZE bytes.
 * KMS_KEY_NOT_FOUND: it is gone; KMS_NO_MASTER_KEY and others if it does not
 * open.
 */
extern KmsStatus kms_audit_key_sign(const char *signing_key_id, const void *data,
									size_t len, unsigned char *signature);

/*
 * The public key (KMS_SIGNATURE_PUBLIC_SIZE bytes) with this id, if it is
 * authentic.  KMS_KEY_NOT_FOUND: there is no such row; KMS_NOT_AUTHENTIC:
 * it was changed; KMS_OTHER_MASTER_KEY, KMS_NO_MASTER_KEY: nobody can tell
 * here.
 */
extern KmsStatus kms_audit_key_public(const char *signing_key_id,
									  unsigned char *public_key);

/* The public key that was looked up last; begins zeroed. */
typedef struct KmsAuditPublic
{
	char		id[KMS_KEY_ID_MAX + 1];
	KmsStatus	status;			/* of kms_audit_key_public */
	unsigned char public_key[KMS_SIGNATURE_PUBLIC_SIZE];
} KmsAuditPublic;

/*
 * Whether this is a signature of these bytes by that key of ours.
 * KMS_NOT_AUTHENTIC if not, or if the key was changed; else as
 * kms_audit_key_public if that does not give the key.
 */
extern KmsStatus kms_audit_key_verify(KmsAuditPublic *last,
									  const char *signing_key_id,
									  const void *data, size_t len,
									  const unsigned char *signature);

/*
 * The public key with this id as its row has it, in PEM, palloc'd: whether it
 * is authentic is for the reader to find out.  NULL if its row is gone, or if
 * what it holds is not a public key.
 */
extern char *kms_audit_key_pem(const char *signing_key_id);

#endif							/* KMS_KEYS_AUDIT_KEY_H */
