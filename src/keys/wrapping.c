#include "postgres.h"

#include "keys/wrapping.h"

#include "keys/key_seal.h"
#include "keys/month_key.h"

static void of_pool(const KmsPoolKey *pool, const unsigned char *public_hash,
					KmsWrapContext *context);
static KmsStatus rewrap(const KmsMasterKey *old_master,
						const KmsWrapContext *from, const KmsKeySecret *old,
						const KmsMasterKey *new_master,
						const KmsWrapContext *to, KmsKeySecret *new);
static KmsStatus fill_public(const KmsKeyPair *key, KmsKeySecret *secret,
							 unsigned char *public_hash);
static KmsStatus wrap(const KmsWrapContext *context, const KmsKeyPair *key,
					  KmsKeySecret *secret);

void
kms_wrapping_of_row(const KmsKeyRow *row, const unsigned char *public_hash,
					KmsWrapContext *context)
{
	context->purpose = KMS_PURPOSE_KEY;
	context->key_id = row->key_id;
	context->device_id = kms_key_seal_utf8(row->device_id);
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
kms_wrapping_wrap(const KmsKeyRow *row, const KmsKeyPair *key,
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
kms_wrapping_wrap_pool(KmsPoolKey *pool, const KmsKeyPair *key)
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
kms_wrapping_from_pool(const KmsPoolKey *pool, const KmsKeyRow *row,
					   KmsKeySecret *secret)
{
	unsigned char public_hash[KMS_SHA256_SIZE];
	KmsWrapContext from;
	KmsWrapContext to;
	KmsMasterKey master;
	KmsStatus	status;

	if (!kms_sha256(pool->secret.public_key, pool->secret.public_len,
					public_hash))
		return KMS_FAILED;
	of_pool(pool, public_hash, &from);
	kms_wrapping_of_row(row, public_hash, &to);

	status = kms_month_key_for_new(&master);
	if (status == KMS_OK)
		status = rewrap(&master, &from, &pool->secret, &master, &to, secret);
	explicit_bzero(&master, sizeof(master));
	return status;
}

KmsStatus
kms_wrapping_rewrap_row(const KmsKeyRow *row, const KmsKeySecret *old,
						bool is_new, KmsKeySecret *new, KmsFault *fault)
{
	const unsigned char *id = kms_wrap_master_key_id(old->wrapped_key,
													 old->wrapped_len);
	unsigned char public_hash[KMS_SHA256_SIZE];
	KmsWrapContext context;
	KmsMasterKey old_master;
	KmsMasterKey new_master;
	KmsStatus	status;

	if (id == NULL)
		return kms_fault(fault, KMS_NOT_AUTHENTIC);
	if (!kms_sha256(old->public_key, old->public_len, public_hash))
		return kms_fault(fault, KMS_FAILED);
	kms_wrapping_of_row(row, public_hash, &context);

	status = is_new ? kms_month_key_for_new(&new_master)
		: kms_month_key_for_old(row->created_at, &new_master);
	if (status == KMS_OK &&
		memcmp(id, new_master.id, KMS_MASTER_KEY_ID_SIZE) == 0)
		status = KMS_UNCHANGED;
	if (status == KMS_OK)
	{
		status = kms_master_get_now(id, &old_master);
		if (status == KMS_OK)
			status = rewrap(&old_master, &context, old, &new_master, &context,
							new);
		explicit_bzero(&old_master, sizeof(old_master));
	}
	explicit_bzero(&new_master, sizeof(new_master));
	if (status == KMS_OTHER_MASTER_KEY)
		memcpy(fault->master_key_id, id, sizeof(fault->master_key_id));
	return kms_fault(fault, status);
}

static KmsStatus
rewrap(const KmsMasterKey *old_master, const KmsWrapContext *from,
	   const KmsKeySecret *old, const KmsMasterKey *new_master,
	   const KmsWrapContext *to, KmsKeySecret *new)
{
	unsigned char der[KMS_WRAPPED_MAX];
	size_t		der_len;
	KmsStatus	status;

	new->public_len = old->public_len;
	memcpy(new->public_key, old->public_key, old->public_len);
	status = kms_wrap_open(old_master, from, old->wrapped_key, old->wrapped_len,
						   der, &der_len);
	if (status == KMS_OK)
		status = kms_wrap(new_master, to, der, der_len, new->wrapped_key,
						  &new->wrapped_len);
	explicit_bzero(der, sizeof(der));
	return status;
}

static KmsStatus
fill_public(const KmsKeyPair *key, KmsKeySecret *secret,
			unsigned char *public_hash)
{
	KmsStatus	status;

	status = kms_key_pair_public_der(key, secret->public_key,
									 sizeof(secret->public_key),
									 &secret->public_len);
	if (status == KMS_OK &&
		!kms_sha256(secret->public_key, secret->public_len, public_hash))
		status = KMS_FAILED;
	return status;
}

static KmsStatus
wrap(const KmsWrapContext *context, const KmsKeyPair *key, KmsKeySecret *secret)
{
	unsigned char der[KMS_KEY_PAIR_MAX_PRIVATE];
	KmsMasterKey master;
	size_t		der_len;
	KmsStatus	status;

	status = kms_month_key_for_new(&master);
	if (status != KMS_OK)
		return status;
	status = kms_key_pair_private_der(key, der, sizeof(der), &der_len);
	if (status == KMS_OK)
		status = kms_wrap(&master, context, der, der_len,
						  secret->wrapped_key, &secret->wrapped_len);
	explicit_bzero(&master, sizeof(master));
	explicit_bzero(der, sizeof(der));
	return status;
}
