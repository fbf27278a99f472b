/*
 * Audit keys: sign the trail, and tell whether a signature is by one of our
 * keys.
 */
#ifndef KMS_KEYS_AUDIT_KEY_H
#define KMS_KEYS_AUDIT_KEY_H

#include "crypto/key_id.h"
#include "crypto/signature.h"

/*
 * Return the id of the newest audit key that opens in "signing_key_id", which
 * must hold KMS_SERVICE_ID_MAX + 1 bytes.  If no key opens, make one in the
 * current transaction.  Return KMS_NO_MASTER_KEY if no key can be opened or
 * made.
 */
extern KmsStatus kms_audit_key_current(char *signing_key_id);

/*
 * Sign "len" bytes with an audit key.  "signature" must hold
 * KMS_SIGNATURE_SIZE bytes.  Return KMS_KEY_NOT_FOUND if the key has been
 * deleted, and KMS_NO_MASTER_KEY or another status if it does not open.
 */
extern KmsStatus kms_audit_key_sign(const char *signing_key_id, const void *data,
									size_t len, unsigned char *signature);

/*
 * Return the public key with this id in "public_key", which must hold
 * KMS_SIGNATURE_PUBLIC_SIZE bytes, if it is authentic.  Return
 * KMS_KEY_NOT_FOUND if it has no row, KMS_NOT_AUTHENTIC if the row was
 * changed, and KMS_OTHER_MASTER_KEY or KMS_NO_MASTER_KEY if this server cannot
 * tell.
 */
extern KmsStatus kms_audit_key_public(const char *signing_key_id,
									  unsigned char *public_key);

/* The public key that was looked up last.  Zero it before the first use. */
typedef struct KmsAuditPublic
{
	char		id[KMS_SERVICE_ID_MAX + 1];
	KmsStatus	status;			/* result of kms_audit_key_public */
	unsigned char public_key[KMS_SIGNATURE_PUBLIC_SIZE];
} KmsAuditPublic;

/*
 * Return KMS_OK if the signature over these bytes was made by this audit key
 * of ours, and KMS_NOT_AUTHENTIC if it was not or if the key's row was
 * changed.  Otherwise return the status of kms_audit_key_public.  *last caches
 * the public key.
 */
extern KmsStatus kms_audit_key_verify(KmsAuditPublic *last,
									  const char *signing_key_id,
									  const void *data, size_t len,
									  const unsigned char *signature);

/*
 * Return the public key with this id in PEM, palloc'd.  Return NULL if it has
 * no row, or if the row does not contain a public key.  The row is not
 * authenticated; that is left to the reader.
 */
extern char *kms_audit_key_pem(const char *signing_key_id);

#endif							/* KMS_KEYS_AUDIT_KEY_H */
