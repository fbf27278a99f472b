/*
 * The algorithms of a JWE that are supported (RFC 7518, 4 and 5): "alg", which
 * gives the content encryption key (CEK), and "enc", which encrypts the
 * content with it.
 */
#ifndef KMS_CRYPTO_JWE_ALGORITHM_H
#define KMS_CRYPTO_JWE_ALGORITHM_H

#include <stddef.h>

#include "crypto/digest.h"
#include "crypto/key_algorithm.h"

typedef enum KmsJweAlg
{
	KMS_JWE_ALG_NONE = 0,
	KMS_RSA_OAEP,				/* "RSA-OAEP": SHA-1 and MGF1 with SHA-1 */
	KMS_RSA_OAEP_256,
	KMS_RSA_OAEP_384,
	KMS_RSA_OAEP_512,
	KMS_ECDH_ES,				/* direct: the agreed key is the CEK */
	KMS_ECDH_ES_A128KW,
	KMS_ECDH_ES_A192KW,
	KMS_ECDH_ES_A256KW
} KmsJweAlg;

typedef enum KmsJweEnc
{
	KMS_JWE_ENC_NONE = 0,
	KMS_A128GCM,
	KMS_A192GCM,
	KMS_A256GCM,
	KMS_A128CBC_HS256,
	KMS_A192CBC_HS384,
	KMS_A256CBC_HS512
} KmsJweEnc;

#define KMS_JWE_CEK_MAX 64		/* bytes */
#define KMS_JWE_TAG_MAX 32		/* bytes */
#define KMS_JWE_IV_MAX	16		/* bytes */
#define KMS_JWE_NAME_MAX 16		/* bytes of a name without its NUL */

/*
 * Return the algorithm with this name of "len" bytes ("RSA-OAEP-256",
 * "A256GCM"; case matters), or NONE.
 */
extern KmsJweAlg kms_jwe_algorithm_alg_by_name(const char *name, size_t len);
extern KmsJweEnc kms_jwe_algorithm_enc_by_name(const char *name, size_t len);

/* Return the name as above, or NULL for NONE. */
extern const char *kms_jwe_algorithm_alg_name(KmsJweAlg alg);
extern const char *kms_jwe_algorithm_enc_name(KmsJweEnc enc);

/*
 * Return whether "alg" is for keys of this type; the digest of RSA-OAEP, for
 * OAEP and MGF1, or NONE for ECDH-ES; and the length of the AES key that wraps
 * the CEK in bytes, or 0 if none does.
 */
extern bool kms_jwe_algorithm_fits(KmsJweAlg alg, KmsKeyType type);
extern KmsDigest kms_jwe_algorithm_digest(KmsJweAlg alg);
extern size_t kms_jwe_algorithm_wrapping_size(KmsJweAlg alg);

/*
 * Return AlgorithmID and the length in bytes of the key that ECDH-ES derives
 * (RFC 7518, 4.6.2): the CEK, or the key that wraps it.
 */
extern const char *kms_jwe_algorithm_derived_name(KmsJweAlg alg, KmsJweEnc enc);
extern size_t kms_jwe_algorithm_derived_size(KmsJweAlg alg, KmsJweEnc enc);

/* Return the length of the CEK, the IV and the tag in bytes. */
extern size_t kms_jwe_algorithm_cek_size(KmsJweEnc enc);
extern size_t kms_jwe_algorithm_iv_size(KmsJweEnc enc);
extern size_t kms_jwe_algorithm_tag_size(KmsJweEnc enc);

/* Return whether "enc" is AES-CBC with HMAC (RFC 7518, 5.2). */
extern bool kms_jwe_algorithm_is_cbc(KmsJweEnc enc);

#endif							/* KMS_CRYPTO_JWE_ALGORITHM_H */
