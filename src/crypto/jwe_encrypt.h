/*
 * Making a JWE (RFC 7516, 5.1), in two steps, because the protected header
 * contains the ephemeral key, and is authenticated with the content.
 */
#ifndef KMS_CRYPTO_JWE_ENCRYPT_H
#define KMS_CRYPTO_JWE_ENCRYPT_H

#include "crypto/jwe.h"

/*
 * A JWE that is being made.  All but the CEK is public; the lengths of "epk_x"
 * and, for P-256, "epk_y" are fixed.
 */
typedef struct KmsJweDraft
{
	KmsJweAlg	alg;
	KmsJweEnc	enc;
	unsigned char cek[KMS_JWE_CEK_MAX];
	unsigned char encrypted_key[KMS_RSA_MAX_BLOCK];
	size_t		encrypted_key_len;	/* bytes; 0 for direct agreement */
	unsigned char iv[KMS_JWE_IV_MAX];
	size_t		iv_len;
	unsigned char tag[KMS_JWE_TAG_MAX]; /* set by the second step */
	size_t		tag_len;
	unsigned char epk_x[KMS_COORDINATE_SIZE];	/* ECDH-ES */
	unsigned char epk_y[KMS_COORDINATE_SIZE];	/* P-256 only */
} KmsJweDraft;

/*
 * First step: draw the CEK, the IV and the ephemeral key, and encrypt the CEK
 * for "key", of which the public half suffices.  "apu" and "apv" are empty.
 * KMS_BAD_KEY if "alg" is for another type of key, or "enc" is none.  On
 * failure *draft is wiped.
 *
 * The draft contains a secret until the second step.  Nothing may raise an
 * error before that, or the draft must be wiped.
 */
extern KmsStatus kms_jwe_encrypt_begin(KmsKeyPair *key, KmsJweAlg alg,
									   KmsJweEnc enc, KmsJweDraft *draft);

/*
 * Second step: encrypt the content.  "aad" is the protected header as it will
 * be sent, in base64url.  "out" must hold kms_aead_ciphertext_size() bytes.
 * The CEK is wiped on any outcome; on failure "out" is wiped too and *out_len
 * is 0: KMS_TOO_LONG above 2 GB.
 */
extern KmsStatus kms_jwe_encrypt_finish(KmsJweDraft *draft,
										const unsigned char *aad, size_t aad_len,
										const unsigned char *in, size_t in_len,
										unsigned char *out, size_t *out_len);

#endif							/* KMS_CRYPTO_JWE_ENCRYPT_H */
