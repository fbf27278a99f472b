/*
 * RSA-OAEP (RFC 8017, 7.1).
 */
#ifndef KMS_CRYPTO_RSA_OAEP_H
#define KMS_CRYPTO_RSA_OAEP_H

#include "crypto/digest.h"
#include "crypto/key_pair.h"

typedef struct KmsOaep
{
	KmsDigest	digest;			/* of the label, and the default of mgf1 */
	KmsDigest	mgf1;			/* KMS_DIGEST_NONE for the same as digest */
	const unsigned char *label;
	size_t		label_len;		/* bytes; 0 for the empty label */
} KmsOaep;

/* Return the longest plaintext in bytes: block size - 2 * digest size - 2. */
extern size_t kms_rsa_oaep_max_plaintext(const KmsKeyPair *key, KmsDigest digest);

/*
 * Encrypt one block (RFC 8017, 7.1.1).  "out" must hold
 * kms_key_pair_block_size(key) bytes.  On failure it is wiped and *out_len is
 * 0: KMS_TOO_LONG if "in" does not fit, KMS_BAD_KEY if the key is not RSA.
 * The first use of a pair of digests prepares a context, which the key keeps.
 */
extern KmsStatus kms_rsa_oaep_encrypt(KmsKeyPair *key, const KmsOaep *oaep,
									  const unsigned char *in, size_t in_len,
									  unsigned char *out, size_t *out_len);

/*
 * Decrypt one RSA-OAEP block (RFC 8017, 7.1.2).
 *
 * "out" must hold kms_key_pair_block_size(key) bytes.  On any outcome but
 * KMS_OK it is wiped and *out_len is 0.  A wrong length gives KMS_BAD_LENGTH.
 * Every other undecryptable input gives KMS_REJECTED: a caller must not be
 * able to tell why.
 *
 * Errors that are not caused by the ciphertext are distinguished: a failed
 * set-up, a public key or one that is not RSA (KMS_BAD_KEY), and a random
 * number generator that does not work (KMS_NO_MEMORY if the secure heap is
 * full, otherwise KMS_FAILED).
 */
extern KmsStatus kms_rsa_oaep_decrypt(KmsKeyPair *key, const KmsOaep *oaep,
									  const unsigned char *in, size_t in_len,
									  unsigned char *out, size_t *out_len);

/*
 * Decrypt one block that should contain "size" bytes.  If it does not open, or
 * has another length inside, write "instead", which has as many bytes.
 * Neither the status nor the time shows which one was written, or whether the
 * random number generator failed (kms_secure_heap_why_rejected): the caller
 * must find out by what the bytes are good for.
 *
 * On any outcome but KMS_OK, "out" is wiped: KMS_BAD_LENGTH if "in" does not
 * have the length of a block, KMS_BAD_KEY as above, or a failed set-up.
 */
extern KmsStatus kms_rsa_oaep_decrypt_or(KmsKeyPair *key, const KmsOaep *oaep,
										 const unsigned char *in, size_t in_len,
										 const unsigned char *instead,
										 size_t size, unsigned char *out);

/*
 * Do the second step of these two: take off the padding of a block on which
 * the private operation was done elsewhere (crypto/lanes).  "padded" has the
 * length of a block; the caller wipes it.
 */
extern KmsStatus kms_rsa_oaep_decode(const KmsKeyPair *key,
									 const KmsOaep *oaep,
									 const unsigned char *padded,
									 unsigned char *out, size_t *out_len);
extern KmsStatus kms_rsa_oaep_decode_or(const KmsKeyPair *key,
										const KmsOaep *oaep,
										const unsigned char *padded,
										const unsigned char *instead,
										size_t size, unsigned char *out);

/*
 * Encrypt a random block and decrypt it.  Return KMS_FAILED if the result
 * differs.
 */
extern KmsStatus kms_rsa_oaep_check_pair(KmsKeyPair *key);

#endif							/* KMS_CRYPTO_RSA_OAEP_H */
