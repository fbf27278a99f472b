#include "postgres.h"

#include "keys/seal.h"
#include "keys/wrapping.h"
#include "shmem/master.h"

static void of_pool(const KmsPoolKey *pool, const unsigned char *public_hash,
					KmsWrapContext *context);
static KmsStatus fill_public(const KmsRsaKey *key, KmsKeySecret *secret,
							 unsigned char *public_hash);
static KmsStatus wrap(const KmsWrapContext *context, const KmsRsaKey *key,
					  KmsKeySecret *secret);

void
kms_wrapping_of_row(const KmsKeyRow *row, const unsigned char *public_hash,
					KmsWrapContext *context)
{
	context->purpose = KMS_PURPOSE_KEY;
	context->key_id = row->key_id;
	context->device_id = kms_seal_utf8(row->device_id);
	context->algorithm = row->algorithm;
	context->created_at = row->created_at;
	memcpy(context->public_hash, public_hash, KMS_SHA256_SIZE);
}

static void
of_pool(const KmsPoolKey *pool, const unsigned char *public_hash,
		KmsWrapContext *context)
{
	context->purpose = KMS_PURPOSE_POOL;
	context->key_id = pool->id;
	context->device_id = pool->home;
	context->algorithm = pool->algorithm;
	context->created_at = pool->created_at;
	memcpy(context->public_hash, public_hash, KMS_SHA256_SIZE);
}

KmsStatus
kms_wrapping_wrap(const KmsKeyRow *row, const KmsRsaKey *key,
				  KmsKeySecret *secret, KmsFault *fault)
{
	unsigned char public_hash[KMS_SHA256_SIZE];
	KmsWrapContext context;
	KmsStatus	status;

	status = fill_public(key, secret, public_hash);
	if (status != KMS_OK)
		return kms_fault(fault, status);
	kms_wrapping_of_row(row, public_hash, &context);
	return kms_fault(fault, wrap(&context, key, secret));
}

KmsStatus
kms_wrapping_wrap_pool(KmsPoolKey *pool, const KmsRsaKey *key)
{
	unsigned char public_hash[KMS_SHA256_SIZE];
	KmsWrapContext context;
	KmsStatus	status;

	status = fill_public(key, &pool->secret, public_hash);
	if (status != KMS_OK)
		return status;
	of_pool(pool, public_hash, &context);
	return wrap(&context, key, &pool->secret);
}

KmsStatus
kms_wrapping_rewrap(const KmsPoolKey *pool, const KmsKeyRow *row,
					KmsKeySecret *secret)
{
	unsigned char der[KMS_WRAPPED_MAX];
	unsigned char public_hash[KMS_SHA256_SIZE];
	KmsWrapContext from;
	KmsWrapContext to;
	KmsMasterKey master;
	size_t		der_len;
	KmsStatus	status;

	secret->public_len = pool->secret.public_len;
	memcpy(secret->public_key, pool->secret.public_key, secret->public_len);
	if (!kms_sha256(secret->public_key, secret->public_len, public_hash))
		return KMS_FAILED;
	of_pool(pool, public_hash, &from);
	kms_wrapping_of_row(row, public_hash, &to);

	/* may raise, so before anything secret is in this frame */
	status = kms_master_get(NULL, &master);
	if (status != KMS_OK)
		return status;
	status = kms_unwrap(&master, &from, pool->secret.wrapped_key,
						pool->secret.wrapped_len, der, &der_len);
	if (status == KMS_OK)
		status = kms_wrap(&master, &to, der, der_len, secret->wrapped_key,
						  &secret->wrapped_len);
	explicit_bzero(&master, sizeof(master));
	explicit_bzero(der, sizeof(der));
	return status;
}

static KmsStatus
fill_public(const KmsRsaKey *key, KmsKeySecret *secret,
			unsigned char *public_hash)
{
	KmsStatus	status;

	status = kms_rsa_public_der(key, secret->public_key,
								sizeof(secret->public_key),
								&secret->public_len);
	if (status == KMS_OK &&
		!kms_sha256(secret->public_key, secret->public_len, public_hash))
		status = KMS_FAILED;
	return status;
}

static KmsStatus
wrap(const KmsWrapContext *context, const KmsRsaKey *key, KmsKeySecret *secret)
{
	unsigned char der[KMS_RSA_MAX_PRIVATE];
	KmsMasterKey master;
	size_t		der_len;
	KmsStatus	status;

	/* may raise, so before anything secret is in this frame */
	status = kms_master_get(NULL, &master);
	if (status != KMS_OK)
		return status;
	status = kms_rsa_private_der(key, der, sizeof(der), &der_len);
	if (status == KMS_OK)
		status = kms_wrap(&master, context, der, der_len,
						  secret->wrapped_key, &secret->wrapped_len);
	explicit_bzero(&master, sizeof(master));
	explicit_bzero(der, sizeof(der));
	return status;
}
