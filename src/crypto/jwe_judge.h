/*
 * Judging a JWE: whether its algorithms are supported, and whether each part
 * has the form and the length that they and the key require (RFC 7518).
 *
 * Only the form is judged: nothing is authenticated or decrypted.
 */
#ifndef KMS_CRYPTO_JWE_JUDGE_H
#define KMS_CRYPTO_JWE_JUDGE_H

#include "crypto/jwe.h"
#include "crypto/jwe_form.h"

/*
 * Judge what does not depend on the key, and fill form->alg and form->enc.
 * The protected header has been added.  Return KMS_OK, or KMS_BAD_FORMAT with
 * *problem filled.
 */
extern KmsStatus kms_jwe_judge_form(KmsJweForm *form, KmsJweProblem *problem);

/*
 * Return the size in bytes of the buffer that kms_jwe_judge_key() needs, which
 * is at most that of the text.
 */
extern size_t kms_jwe_judge_size(const KmsJweForm *form);

/*
 * Judge the rest, and fill *jwe, which points into the form and into "buffer".
 * kms_jwe_judge_form() has accepted the form.  "block" is the length of an RSA
 * key's modulus in bytes, and is ignored for the other types.  Return KMS_OK,
 * or KMS_BAD_FORMAT with *problem filled.
 */
extern KmsStatus kms_jwe_judge_key(const KmsJweForm *form, KmsKeyType type,
								   size_t block, unsigned char *buffer,
								   KmsJwe *jwe, KmsJweProblem *problem);

#endif							/* KMS_CRYPTO_JWE_JUDGE_H */
