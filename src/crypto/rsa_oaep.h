/*
 * RSA-OAEP (RFC 8017, 7.1).
 */
#ifndef KMS_CRYPTO_RSA_OAEP_H
#define KMS_CRYPTO_RSA_OAEP_H

#include "crypto/digest.h"
#include "crypto/rsa_key.h"

typedef struct KmsOaep
{
	KmsDigest	digest;			/* of the label, and the default of mgf1 */
	KmsDigest	mgf1;			/* KMS_DIGEST_NONE for the same as digest */
	const unsigned char *label;
	size_t		label_len;		/* bytes; 0 for the empty label */
} KmsOaep;

/* Return the longest plaintext in bytes: block size - 2 * digest size - 2. */
extern size_t kms_rsa_oaep_max_plaintext(const KmsRsaKey *key, KmsDigest digest);

/*
 * Encrypt one block (RFC 8017, 7.1.1).  "out" must hold
 * kms_rsa_key_block_size(key) bytes.  On failure it is wiped and *out_len is
 * 0: KMS_TOO_LONG if "in" does not fit.  The first use of a pair of digests
 * prepares a context, which the key keeps.
 */
extern KmsStatus kms_rsa_oaep_encrypt(KmsRsaKey *key, const KmsOaep *oaep,
									  const unsigned char *in, size_t in_len,
									  unsigned char *out, size_t *out_len);

/*
 * Decrypt one RSA-OAEP block (RFC 8017, 7.1.2).
 *
 * "out" must hold kms_rsa_key_block_size(key) bytes.  On any outcome but
 * KMS_OK it is wiped and *out_len is 0.  A wrong length gives KMS_BAD_LENGTH.
 * Every other undecryptable input gives KMS_REJECTED: a caller must not be
 * able to tell why.
 *
 * Errors that are not caused by the ciphertext are distinguished: a failed
 * set-up, a public key (KMS_BAD_KEY), and a random number generator that does
 * not work (KMS_NO_MEMORY if the secure heap is full, otherwise KMS_FAILED).
 */
extern KmsStatus kms_rsa_oaep_decrypt(KmsRsaKey *key, const KmsOaep *oaep,
									  const unsigned char *in, size_t in_len,
									  unsigned char *out, size_t *out_len);

/*
 * Encrypt a random block and decrypt it.  Return KMS_FAILED if the result
 * differs.
 */
extern KmsStatus kms_rsa_oaep_check_pair(KmsRsaKey *key);

#endif							/* KMS_CRYPTO_RSA_OAEP_H */
