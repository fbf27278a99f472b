#include "postgres.h"

#include "utils/timestamp.h"

#include "keys/new_key.h"

#include "keys/create.h"
#include "keys/pool.h"
#include "keys/renewal.h"
#include "pg/settings.h"

static KmsStatus generate(const KmsNewKey *new, KmsKeyRow *row,
						  KmsKeySecret *secret, KmsFault *fault);
static KmsStatus fill_row(const KmsNewKey *new, KmsKeyRow *row);

KmsStatus
kms_new_key_make(const KmsNewKey *new, KmsIssued *issued, KmsFault *fault)
{
	KmsKeySecret *secret;
	KmsKeyRow	row;
	KmsStatus	status;
	bool		ready;

	/* everything that may raise an error comes before there is a key */
	status = kms_create_prepare(new->device_id, new->app_version, fault);
	if (status != KMS_OK)
		return status;
	secret = palloc(sizeof(KmsKeySecret));
	status = kms_fault(fault, fill_row(new, &row));
	if (status == KMS_OK)
		status = kms_pool_take(new->kind.algorithm, &row, secret, &ready, fault);
	if (status == KMS_OK)
		status = ready ? kms_create_insert_sealed(&row, secret, fault) :
			generate(new, &row, secret, fault);
	if (status == KMS_OK && !ready)
		kms_pool_missed(new->kind.algorithm);
	if (status == KMS_OK)
		status = kms_new_key_describe(&row, secret, false, issued, fault);
	pfree(secret);
	return status;
}

/*
 * Generating takes a while, so fill the row again: its times are those of the
 * key.
 */
static KmsStatus
generate(const KmsNewKey *new, KmsKeyRow *row, KmsKeySecret *secret,
		 KmsFault *fault)
{
	KmsKeyPair *key;
	KmsStatus	status = KMS_INTERRUPTED;

	if (new->effort == KMS_EFFORT_FULL)
		status = kms_create_generate(new->kind.algorithm, &key);
	else if (new->effort == KMS_EFFORT_AT_ONCE ||
			 kms_key_algorithm_type(new->kind.algorithm) != KMS_TYPE_RSA)
		status = kms_create_try_generate(new->kind.algorithm, &key);
	if (status != KMS_OK)
		return kms_fault(fault, status);
	status = fill_row(new, row);
	if (status != KMS_OK)
	{
		kms_key_pair_free(key);
		return kms_fault(fault, status);
	}
	return kms_create_key(row, key, secret, fault);
}

/* Fill a new row, except for its seal. */
static KmsStatus
fill_row(const KmsNewKey *new, KmsKeyRow *row)
{
	memset(row, 0, sizeof(*row));
	row->created_at = GetCurrentTimestamp();
	row->expires_at = row->created_at + kms_key_lifetime * USECS_PER_SEC;
	row->state_changed_at = row->created_at;
	row->state = KMS_STATE_ACTIVE;
	row->row_version = 1;
	kms_kind_fill(&new->kind, row);
	strlcpy(row->origin, new->origin, sizeof(row->origin));
	strlcpy(row->device_id, new->device_id, sizeof(row->device_id));
	if (new->app_version != NULL)
	{
		row->has_app_version = true;
		strlcpy(row->app_version, new->app_version,
				sizeof(row->app_version));
	}
	return kms_create_key_id(row->created_at, row->key_id);
}

KmsStatus
kms_new_key_describe(const KmsKeyRow *row, const KmsKeySecret *secret,
					 bool reused, KmsIssued *issued, KmsFault *fault)
{
	strlcpy(issued->key_id, row->key_id, sizeof(issued->key_id));
	strlcpy(issued->algorithm, row->algorithm, sizeof(issued->algorithm));
	strlcpy(issued->oaep_hash, row->oaep_hash, sizeof(issued->oaep_hash));
	strlcpy(issued->mgf1_hash, row->mgf1_hash, sizeof(issued->mgf1_hash));
	issued->expires_at = row->expires_at;
	issued->renew_at = kms_renewal_at(row->key_id, row->created_at,
									  row->expires_at);
	issued->reused = reused;
	return kms_fault(fault, kms_key_pair_public_pem(secret->public_key,
													secret->public_len,
													issued->public_pem,
													sizeof(issued->public_pem)));
}
