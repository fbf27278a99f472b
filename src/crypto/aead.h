/*
 * Encryption of the content of a JWE (RFC 7518, 5): AES-GCM, and AES-CBC with
 * HMAC.
 */
#ifndef KMS_CRYPTO_AEAD_H
#define KMS_CRYPTO_AEAD_H

#include "crypto/jwe_algorithm.h"
#include "crypto/status.h"

/*
 * Algorithm, key and IV, in the sizes of "enc", and additional data.  No two
 * contents may have the same key and IV: crypto/jwe_encrypt draws both.
 */
typedef struct KmsAead
{
	KmsJweEnc	enc;
	const unsigned char *cek;
	const unsigned char *iv;
	const unsigned char *aad;
	size_t		aad_len;
} KmsAead;

/*
 * Return the length of the ciphertext of "len" bytes, or 0 if they are too
 * many.
 */
extern size_t kms_aead_ciphertext_size(KmsJweEnc enc, size_t len);

/*
 * Encrypt.  "out" must hold kms_aead_ciphertext_size() bytes, "tag" the size
 * that "enc" has.  On failure both are wiped and *out_len is 0: KMS_TOO_LONG
 * above 2 GB, otherwise the library's.
 */
extern KmsStatus kms_aead_encrypt(const KmsAead *aead,
								  const unsigned char *in, size_t in_len,
								  unsigned char *out, size_t *out_len,
								  unsigned char *tag);

/*
 * Decrypt.  "out" must hold in_len bytes, and on any outcome but KMS_OK it is
 * wiped and *out_len is 0.  Content that is not authentic gives KMS_REJECTED,
 * in a time that depends only on "enc" and the lengths.  AES-CBC decrypts
 * nothing before the HMAC is compared.
 */
extern KmsStatus kms_aead_decrypt(const KmsAead *aead,
								  const unsigned char *in, size_t in_len,
								  const unsigned char *tag,
								  unsigned char *out, size_t *out_len);

#endif							/* KMS_CRYPTO_AEAD_H */
