/*
 * The Concat KDF of ECDH-ES (RFC 7518, 4.6.2; NIST SP 800-56A, 5.8.1) with
 * SHA-256.
 */
#ifndef KMS_CRYPTO_CONCAT_KDF_H
#define KMS_CRYPTO_CONCAT_KDF_H

#include <stdbool.h>
#include <stddef.h>

/* The input besides the secret.  "apu" and "apv" may be empty. */
typedef struct KmsConcatInfo
{
	const char *algorithm;		/* AlgorithmID */
	const unsigned char *apu;
	size_t		apu_len;		/* bytes, at most 64 */
	const unsigned char *apv;
	size_t		apv_len;		/* bytes, at most 64 */
} KmsConcatInfo;

/*
 * Derive "out_len" bytes, whose number goes into the derivation, from a secret
 * of at most 64 bytes.  Return false if the library fails or an input is too
 * long; "out" is then wiped.
 */
extern bool kms_concat_kdf(const unsigned char *secret, size_t secret_len,
						   const KmsConcatInfo *info, unsigned char *out,
						   size_t out_len);

#endif							/* KMS_CRYPTO_CONCAT_KDF_H */
