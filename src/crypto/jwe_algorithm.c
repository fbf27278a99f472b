#include <string.h>

#include "crypto/jwe_algorithm.h"

typedef struct AlgRow
{
	const char *name;
	KmsDigest	digest;			/* of RSA-OAEP; NONE: ECDH-ES */
	size_t		wrapping_size;	/* bytes */
} AlgRow;

typedef struct EncRow
{
	const char *name;
	size_t		cek_size;		/* bytes, as the others */
	size_t		iv_size;
	size_t		tag_size;
} EncRow;

static const AlgRow algs[] = {
	[KMS_JWE_ALG_NONE] = {NULL, KMS_DIGEST_NONE, 0},
	[KMS_RSA_OAEP] = {"RSA-OAEP", KMS_SHA1, 0},
	[KMS_RSA_OAEP_256] = {"RSA-OAEP-256", KMS_SHA256, 0},
	[KMS_RSA_OAEP_384] = {"RSA-OAEP-384", KMS_SHA384, 0},
	[KMS_RSA_OAEP_512] = {"RSA-OAEP-512", KMS_SHA512, 0},
	[KMS_ECDH_ES] = {"ECDH-ES", KMS_DIGEST_NONE, 0},
	[KMS_ECDH_ES_A128KW] = {"ECDH-ES+A128KW", KMS_DIGEST_NONE, 16},
	[KMS_ECDH_ES_A192KW] = {"ECDH-ES+A192KW", KMS_DIGEST_NONE, 24},
	[KMS_ECDH_ES_A256KW] = {"ECDH-ES+A256KW", KMS_DIGEST_NONE, 32},
};

static const EncRow encs[] = {
	[KMS_JWE_ENC_NONE] = {NULL, 0, 0, 0},
	[KMS_A128GCM] = {"A128GCM", 16, 12, 16},
	[KMS_A192GCM] = {"A192GCM", 24, 12, 16},
	[KMS_A256GCM] = {"A256GCM", 32, 12, 16},
	[KMS_A128CBC_HS256] = {"A128CBC-HS256", 32, 16, 16},
	[KMS_A192CBC_HS384] = {"A192CBC-HS384", 48, 16, 24},
	[KMS_A256CBC_HS512] = {"A256CBC-HS512", 64, 16, 32},
};

#define ALGS ((int) (sizeof(algs) / sizeof(algs[0])))
#define ENCS ((int) (sizeof(encs) / sizeof(encs[0])))

static bool is_name(const char *name, const char *given, size_t len);

KmsJweAlg
kms_jwe_algorithm_alg_by_name(const char *name, size_t len)
{
	int			i;

	for (i = KMS_JWE_ALG_NONE + 1; i < ALGS; i++)
	{
		if (is_name(algs[i].name, name, len))
			return (KmsJweAlg) i;
	}
	return KMS_JWE_ALG_NONE;
}

KmsJweEnc
kms_jwe_algorithm_enc_by_name(const char *name, size_t len)
{
	int			i;

	for (i = KMS_JWE_ENC_NONE + 1; i < ENCS; i++)
	{
		if (is_name(encs[i].name, name, len))
			return (KmsJweEnc) i;
	}
	return KMS_JWE_ENC_NONE;
}

static bool
is_name(const char *name, const char *given, size_t len)
{
	return strlen(name) == len && memcmp(name, given, len) == 0;
}

const char *
kms_jwe_algorithm_alg_name(KmsJweAlg alg)
{
	return algs[alg].name;
}

const char *
kms_jwe_algorithm_enc_name(KmsJweEnc enc)
{
	return encs[enc].name;
}

bool
kms_jwe_algorithm_fits(KmsJweAlg alg, KmsKeyType type)
{
	if (alg == KMS_JWE_ALG_NONE || type == KMS_TYPE_NONE)
		return false;
	return (algs[alg].digest != KMS_DIGEST_NONE) == (type == KMS_TYPE_RSA);
}

KmsDigest
kms_jwe_algorithm_digest(KmsJweAlg alg)
{
	return algs[alg].digest;
}

size_t
kms_jwe_algorithm_wrapping_size(KmsJweAlg alg)
{
	return algs[alg].wrapping_size;
}

const char *
kms_jwe_algorithm_derived_name(KmsJweAlg alg, KmsJweEnc enc)
{
	return algs[alg].wrapping_size > 0 ? algs[alg].name : encs[enc].name;
}

size_t
kms_jwe_algorithm_derived_size(KmsJweAlg alg, KmsJweEnc enc)
{
	return algs[alg].wrapping_size > 0 ? algs[alg].wrapping_size :
		encs[enc].cek_size;
}

size_t
kms_jwe_algorithm_cek_size(KmsJweEnc enc)
{
	return encs[enc].cek_size;
}

size_t
kms_jwe_algorithm_iv_size(KmsJweEnc enc)
{
	return encs[enc].iv_size;
}

size_t
kms_jwe_algorithm_tag_size(KmsJweEnc enc)
{
	return encs[enc].tag_size;
}

bool
kms_jwe_algorithm_is_cbc(KmsJweEnc enc)
{
	return enc >= KMS_A128CBC_HS256;
}
