/*
 * Peppers and audit keys are wrapped under the current master key, with their
 * own id as key id and without a device.  They belong to no month
 * (keys/month_key.h).
 */
#include "postgres.h"

#include "utils/timestamp.h"

#include "keys/service_key.h"

#include "crypto/secret_hash.h"
#include "shmem/master.h"

typedef struct Kind
{
	const char *name;
	const char *purpose;
	const char *algorithm;
	const char *loss;			/* hint if the row is gone or was changed */
} Kind;

static const Kind kinds[] = {
	[KMS_PEPPER] = {
		"pepper", KMS_PURPOSE_PEPPER, "HMAC-SHA256",
		"Restore its row of kms.pepper from a backup; without it no hash that was made with it can be verified. If no hash names it, delete the row."
	},
	[KMS_AUDIT_KEY] = {
		"audit key", KMS_PURPOSE_AUDIT, "Ed25519",
		"Restore its row of kms.audit_key from a backup; without it, only a copy of its public key authenticates what it signed."
	}
};

static KmsStatus make_secret(KmsServiceKey *key, unsigned char *secret);
static KmsStatus fill_context(const KmsServiceKey *key,
							  KmsWrapContext *context);
static bool is_to_be_moved(const KmsServiceKey *key);
static KmsStatus rewrap(KmsServiceKey *key);

KmsStatus
kms_service_key_make(KmsServiceKeyKind kind, KmsServiceKey *key)
{
	unsigned char secret[KMS_SERVICE_KEY_SIZE];
	KmsWrapContext context;
	KmsMasterKey master;
	KmsStatus	status;

	/* this may raise an error, so nothing secret may be in this frame yet */
	status = kms_master_get(NULL, &master);
	if (status != KMS_OK)
		return status;
	memset(key, 0, sizeof(*key));
	key->kind = kind;
	key->created_at = GetCurrentTimestamp();
	status = make_secret(key, secret);
	if (status == KMS_OK)
		status = fill_context(key, &context);
	if (status == KMS_OK)
		status = kms_wrap(&master, &context, secret, sizeof(secret),
						  key->wrapped, &key->wrapped_len);
	explicit_bzero(&master, sizeof(master));
	explicit_bzero(secret, sizeof(secret));
	if (status == KMS_OK)
		kms_service_key_table_insert(key);
	return status;
}

static KmsStatus
make_secret(KmsServiceKey *key, unsigned char *secret)
{
	KmsStatus	status;

	if (key->kind == KMS_PEPPER)
		return kms_secret_hash_make_pepper(key->id, secret);
	status = kms_key_id_make_prefixed("aud_", key->id);
	if (status == KMS_OK)
		status = kms_signature_make(secret, key->public_key);
	if (status == KMS_OK)
		key->public_len = KMS_SIGNATURE_PUBLIC_SIZE;
	return status;
}

KmsStatus
kms_service_key_open(const KmsServiceKey *key, unsigned char *secret,
					 KmsFault *fault)
{
	const unsigned char *id = kms_wrap_master_key_id(key->wrapped,
													 key->wrapped_len);
	char		master_id[2 * KMS_MASTER_KEY_ID_SIZE + 1];
	KmsWrapContext context;
	KmsMasterKey master;
	size_t		len;
	KmsStatus	status;

	if (id == NULL)
		return kms_service_key_fault(KMS_NOT_AUTHENTIC, key->kind, key->id,
									 "does not authenticate", fault);
	status = fill_context(key, &context);
	if (status != KMS_OK)
		return kms_fault(fault, status);
	status = kms_master_get(id, &master);
	if (status == KMS_OTHER_MASTER_KEY)
	{
		kms_master_key_id_text(id, master_id);
		memcpy(fault->master_key_id, id, sizeof(fault->master_key_id));
		return kms_service_key_fault(status, key->kind, key->id,
									 psprintf("was wrapped under master key \"%s\", which this server does not have",
											  master_id), fault);
	}
	if (status != KMS_OK)
		return kms_fault(fault, status);
	status = kms_wrap_open(&master, &context, key->wrapped, key->wrapped_len,
						   secret, &len);
	explicit_bzero(&master, sizeof(master));
	if (status == KMS_NOT_AUTHENTIC)
		return kms_service_key_fault(status, key->kind, key->id,
									 "does not authenticate", fault);
	return kms_fault(fault, status);
}

KmsStatus
kms_service_key_fault(KmsStatus status, KmsServiceKeyKind kind,
					  const char *id, const char *what, KmsFault *fault)
{
	if (id != NULL)
		fault->message = psprintf("stored %s \"%s\" %s", kinds[kind].name, id,
								  what);
	else
		fault->message = psprintf("stored %s %s", kinds[kind].name, what);
	if (status == KMS_NOT_AUTHENTIC || status == KMS_NO_PEPPER)
		fault->hint = kinds[kind].loss;
	return kms_fault(fault, status);
}

int
kms_service_key_rewrap(KmsServiceKeyKind kind, bool wait, int *busy,
					   int *refused)
{
	int			count = 0;
	ListCell   *cell;

	*busy = 0;
	*refused = 0;
	foreach(cell, kms_service_key_table_all(kind))
	{
		KmsServiceKey *key = lfirst(cell);

		if (!is_to_be_moved(key))
			continue;
		if (!kms_service_key_table_lock_row(key, wait))
			(*busy)++;
		else if (kms_service_key_table_read(kind, key->id, key) &&
				 is_to_be_moved(key))
		{
			if (rewrap(key) == KMS_OK)
			{
				kms_service_key_table_replace(key);
				count++;
			}
			else
				(*refused)++;
		}
	}
	return count;
}

static bool
is_to_be_moved(const KmsServiceKey *key)
{
	const unsigned char *id = kms_wrap_master_key_id(key->wrapped,
													 key->wrapped_len);
	KmsMasterStatus *status = palloc(sizeof(KmsMasterStatus));
	int			place;

	kms_master_status(status);
	place = id == NULL ? -1 : kms_master_place(status, id);
	pfree(status);
	return place > 0;
}

static KmsStatus
rewrap(KmsServiceKey *key)
{
	unsigned char secret[KMS_SERVICE_KEY_SIZE];
	KmsFault	fault = {0};
	KmsWrapContext context;
	KmsMasterKey master;
	KmsStatus	status;

	status = kms_service_key_open(key, secret, &fault);
	if (status != KMS_OK)
		return status;
	status = fill_context(key, &context);
	if (status == KMS_OK)
		status = kms_master_get_now(NULL, &master);
	if (status == KMS_OK)
		status = kms_wrap(&master, &context, secret, sizeof(secret),
						  key->wrapped, &key->wrapped_len);
	explicit_bzero(&master, sizeof(master));
	explicit_bzero(secret, sizeof(secret));
	return status;
}

/* Must not raise errors. */
static KmsStatus
fill_context(const KmsServiceKey *key, KmsWrapContext *context)
{
	memset(context, 0, sizeof(*context));
	context->purpose = kinds[key->kind].purpose;
	context->key_id = key->id;
	context->device_id = "";
	context->algorithm = kinds[key->kind].algorithm;
	context->created_at = key->created_at;
	if (key->kind == KMS_AUDIT_KEY &&
		!kms_sha256(key->public_key, key->public_len, context->public_hash))
		return KMS_FAILED;
	return KMS_OK;
}
