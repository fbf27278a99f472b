#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/evp.h>

#include "crypto/ec_generate.h"

#include "crypto/algorithm.h"
#include "crypto/ec_key.h"
#include "crypto/ecdh.h"
#include "crypto/key_pair_struct.h"
#include "crypto/secure_heap.h"

static KmsStatus agree_with(KmsKeyPair *key, const KmsKeyPair *other,
							unsigned char *secret);

KmsStatus
kms_ec_generate(KmsKeyType type, KmsKeyPair **key)
{
	KmsStatus	status;

	status = kms_ec_generate_ephemeral(type, key);
	if (status == KMS_OK)
		status = kms_ec_generate_check_pair(*key);
	if (status != KMS_OK)
	{
		kms_key_pair_free(*key);
		*key = NULL;
	}
	return status;
}

KmsStatus
kms_ec_generate_ephemeral(KmsKeyType type, KmsKeyPair **key)
{
	EVP_PKEY   *pkey = NULL;
	KmsStatus	status = KMS_BAD_KEY;

	ERR_clear_error();
	*key = NULL;
	if (type == KMS_TYPE_EC_P256)
		pkey = EVP_PKEY_Q_keygen(NULL, NULL, "EC", "P-256");
	else if (type == KMS_TYPE_X25519)
	{
		status = KMS_NO_X25519;
		if (kms_algorithm_x25519() == NULL)
			goto done;
		pkey = EVP_PKEY_Q_keygen(NULL, NULL, "X25519");
	}
	else
		goto done;
	if (pkey == NULL)
	{
		status = kms_secure_heap_is_full(2 * KMS_COORDINATE_SIZE) ?
			KMS_NO_MEMORY : KMS_FAILED;
		goto done;
	}

	*key = kms_key_pair_new(pkey, type, true);
	status = *key != NULL ? KMS_OK : KMS_NO_MEMORY;
	if (*key != NULL)
		pkey = NULL;

done:
	EVP_PKEY_free(pkey);
	ERR_clear_error();
	return status;
}

/*
 * A wrong public half would go unnoticed until a device has encrypted for it.
 */
KmsStatus
kms_ec_generate_check_pair(KmsKeyPair *key)
{
	unsigned char ours[KMS_ECDH_SIZE];
	unsigned char theirs[KMS_ECDH_SIZE];
	KmsKeyPair *other;
	KmsStatus	status;

	status = kms_ec_generate_ephemeral(key->type, &other);
	if (status == KMS_OK)
		status = agree_with(key, other, ours);
	if (status == KMS_OK)
		status = agree_with(other, key, theirs);
	if (status == KMS_OK && CRYPTO_memcmp(ours, theirs, sizeof(ours)) != 0)
		status = KMS_FAILED;
	kms_key_pair_free(other);
	OPENSSL_cleanse(ours, sizeof(ours));
	OPENSSL_cleanse(theirs, sizeof(theirs));
	ERR_clear_error();
	return status;
}

static KmsStatus
agree_with(KmsKeyPair *key, const KmsKeyPair *other, unsigned char *secret)
{
	unsigned char point[KMS_EC_KEY_MAX_POINT];

	if (!kms_ec_key_point(other->pkey, other->type, point))
		return KMS_FAILED;
	return kms_ecdh_agree(key, point, point + KMS_COORDINATE_SIZE, secret);
}
