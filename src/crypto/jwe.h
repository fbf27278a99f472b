/*
 * Decrypting a JWE (RFC 7516) whose form has been judged.
 *
 * Every function of this file clears OpenSSL's error queue on entry and exit.
 */
#ifndef KMS_CRYPTO_JWE_H
#define KMS_CRYPTO_JWE_H

#include <stdbool.h>
#include <stddef.h>

#include "crypto/jwe_algorithm.h"
#include "crypto/key_pair.h"
#include "crypto/status.h"

#define KMS_JWE_PARTY_MAX	64	/* bytes of "apu" and of "apv" */

/* Bytes that belong to the caller. */
typedef struct KmsJweBytes
{
	const unsigned char *at;
	size_t		len;
} KmsJweBytes;

/*
 * A JWE, decoded.  The pieces have the sizes that "alg", "enc" and the key
 * require: crypto/jwe_judge makes sure of that.
 */
typedef struct KmsJwe
{
	KmsJweAlg	alg;
	KmsJweEnc	enc;
	KmsJweBytes encrypted_key;	/* empty for direct agreement */
	KmsJweBytes iv;
	KmsJweBytes ciphertext;
	KmsJweBytes tag;
	KmsJweBytes aad;			/* as authenticated: the protected header as
								 * it was sent and, of the JSON form, a dot
								 * and "aad" as it was sent */

	/* of ECDH-ES */
	unsigned char epk_x[KMS_COORDINATE_SIZE];
	unsigned char epk_y[KMS_COORDINATE_SIZE];	/* P-256 only */
	unsigned char apu[KMS_JWE_PARTY_MAX];
	unsigned char apv[KMS_JWE_PARTY_MAX];
	size_t		apu_len;
	size_t		apv_len;
} KmsJwe;

/*
 * Decrypt.  "key" has the type of "alg".  "out" holds jwe->ciphertext.len
 * bytes.  The first use of "alg" prepares a context, which the key keeps.
 *
 * Each cryptographic failure gives KMS_REJECTED, and takes the same path: the
 * time depends only on "alg", "enc" and lengths.  The library's own failures
 * are told apart only afterwards.  On any outcome but KMS_OK, "out" is wiped
 * and *out_len is 0.  An ephemeral key that is not on the curve or is of small
 * order gives KMS_BAD_FORMAT, because it is public.
 *
 * A piece of the wrong size, which kms_jwe_judge would have refused, gives
 * KMS_BAD_FORMAT, and an "alg" of another type of key, or a key without its
 * private half, KMS_BAD_KEY.
 */
extern KmsStatus kms_jwe_decrypt(KmsKeyPair *key, const KmsJwe *jwe,
								 unsigned char *out, size_t *out_len);

/*
 * Do the same with an RSA key, if its private operation on the encrypted key
 * was done elsewhere.  "padded" is its result (kms_rsa_oaep_decode), which the
 * caller wipes.
 */
extern KmsStatus kms_jwe_decrypt_padded(KmsKeyPair *key, const KmsJwe *jwe,
										const unsigned char *padded,
										unsigned char *out, size_t *out_len);

#endif							/* KMS_CRYPTO_JWE_H */
