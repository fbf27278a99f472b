#include "postgres.h"

#include "utils/timestamp.h"

#include "keys/admit.h"

#include "keys/opened.h"
#include "keys/renewal.h"
#include "shmem/master.h"
#include "store/key_table.h"
#include "store/problem.h"

#define READ_ATTEMPTS 5

static KmsStatus find(KmsCall *call, const char *key_id,
					  const char *device_id, KmsKey *key, KmsFault *fault);
static KmsStatus admit(KmsKey *key, KmsUse use, KmsKeySecret *secret,
					   KmsSecretDigests *digests, KmsFault *fault);
static KmsStatus judge_state(KmsKeyState state, KmsUse use);
static bool can_authenticate(const KmsKey *key);
static bool master_key_is_there(const KmsKeySecret *secret);

KmsStatus
kms_admit_private(KmsCall *call, const char *key_id, const char *device_id,
				  KmsUse use, KmsKey *key, KmsKeyPair **private_key,
				  KmsFault *fault)
{
	do
	{
		KmsStatus	status;

		status = find(call, key_id, device_id, key, fault);
		if (status != KMS_OK)
			return status;
		*private_key = kms_admit_judge(key, use) == KMS_OK ? kms_opened_get(&key->row)
			: NULL;
		if (*private_key == NULL)
		{
			KmsKeySecret *secret = palloc(sizeof(KmsKeySecret));
			KmsSecretDigests digests;

			status = admit(key, use, secret, &digests, fault);
			if (status == KMS_OK)
				status = kms_opened_open(&key->row, secret, &digests,
										 private_key, fault);
			pfree(secret);
			if (status != KMS_OK)
				return status;
		}

		/*
		 * If the call waited for room, the key may have changed: judge it
		 * again.
		 */
	} while (call != NULL && kms_call_make_room(call));
	return kms_fault(fault, KMS_OK);
}

KmsStatus
kms_admit_public(KmsCall *call, const char *key_id, const char *device_id,
				 KmsUse use, KmsKey *key, KmsKeySecret *secret,
				 KmsFault *fault)
{
	KmsSecretDigests digests;
	KmsStatus	status = find(call, key_id, device_id, key, fault);

	if (status == KMS_OK)
		status = admit(key, use, secret, &digests, fault);
	return status;
}

KmsStatus
kms_admit_seen(const KmsKey *seen, KmsUse use, KmsKey *key,
			   KmsKeySecret *secret, KmsFault *fault)
{
	KmsSecretDigests digests;

	*key = *seen;
	return admit(key, use, secret, &digests, fault);
}

KmsStatus
kms_admit_find(const char *key_id, const char *device_id, KmsKey *key,
			   KmsFault *fault)
{
	/*
	 * If the id is not found, name it in the error only if it has the form of
	 * ids made here.  Any other text may be a secret that was passed by
	 * mistake.  If another device has the key, the error is the same, because
	 * it must not tell that there is such a key.
	 */
	fault->key_id = kms_key_id_made(key_id) ? key_id : NULL;
	if (!kms_key_table_read(key_id, key) ||
		(device_id != NULL && strcmp(device_id, key->row.device_id) != 0))
		return kms_fault(fault, KMS_KEY_NOT_FOUND);
	fault->key_id = key_id;
	return kms_fault(fault, KMS_OK);
}

static KmsStatus
find(KmsCall *call, const char *key_id, const char *device_id, KmsKey *key,
	 KmsFault *fault)
{
	KmsStatus	status = kms_admit_find(key_id, device_id, key, fault);

	if (status == KMS_OK && call != NULL)
		kms_call_found(call, key->row.key_id, key->row.device_id);
	return status;
}

/*
 * Judge and authenticate a key that was read.  If the row and its secret were
 * read before and after a change, they do not match: read the row again.
 */
static KmsStatus
admit(KmsKey *key, KmsUse use, KmsKeySecret *secret,
	  KmsSecretDigests *digests, KmsFault *fault)
{
	int			attempt;

	for (attempt = 0; attempt < READ_ATTEMPTS; attempt++)
	{
		KmsStatus	judged = kms_admit_judge(key, use);
		bool		hands_out = judged == KMS_OK && use != KMS_USE_TELL;
		KmsKey		before;
		KmsStatus	status;

		if (!hands_out &&
			(judged == KMS_KEY_NOT_FOUND || !can_authenticate(key)))
			return kms_fault(fault, judged);
		status = kms_admit_locked(&key->row, secret, digests, fault);
		if (status != KMS_NOT_AUTHENTIC && !hands_out)
			return kms_fault(fault, judged);

		/*
		 * Authentication may have waited for the master key: judge the expiry
		 * again.
		 */
		if (status == KMS_OK)
			return kms_fault(fault, kms_admit_judge(key, use));
		if (status != KMS_NOT_AUTHENTIC)
			return status;

		before = *key;
		if (!kms_key_table_read(before.row.key_id, key) ||
			strcmp(before.row.device_id, key->row.device_id) != 0)
			return kms_fault(fault, KMS_KEY_NOT_FOUND);
		if (memcmp(&before, key, sizeof(before)) == 0)
			break;
	}
	return kms_fault(fault, KMS_NOT_AUTHENTIC);
}

KmsStatus
kms_admit_locked(const KmsKeyRow *row, KmsKeySecret *secret,
				 KmsSecretDigests *digests, KmsFault *fault)
{
	KmsStatus	status = KMS_NOT_AUTHENTIC;

	if (kms_secret_table_read(row->key_id, secret))
		status = kms_key_seal_digests(secret, digests);
	if (status == KMS_OK)
		status = kms_key_seal_check(row, digests, fault);
	return kms_fault(fault, status);
}

KmsStatus
kms_admit_judge(const KmsKey *key, KmsUse use)
{
	KmsStatus	status;

	if (use == KMS_USE_TELL || use == KMS_USE_CHECK)
		return KMS_OK;
	status = judge_state(kms_key_state(key), use);
	if (status == KMS_KEY_DEPRECATED && kms_renewal_was_done(&key->row))
		status = KMS_OK;
	if (status == KMS_OK && use != KMS_USE_RECOVER &&
		key->row.expires_at <= GetCurrentTimestamp())
		status = use == KMS_USE_ISSUE ? KMS_KEY_NOT_FOUND : KMS_KEY_EXPIRED;
	return status;
}

static KmsStatus
judge_state(KmsKeyState state, KmsUse use)
{
	if (use == KMS_USE_ISSUE)
		return state == KMS_STATE_ACTIVE ? KMS_OK : KMS_KEY_NOT_FOUND;
	switch (state)
	{
		case KMS_STATE_ACTIVE:
			return KMS_OK;
		case KMS_STATE_DEPRECATED:
			return use == KMS_USE_ENCRYPT ? KMS_KEY_DEPRECATED : KMS_OK;
		case KMS_STATE_DISABLED:
			return use == KMS_USE_RECOVER ? KMS_OK : KMS_KEY_DISABLED;
		case KMS_STATE_REVOKED:
			return use == KMS_USE_RECOVER ? KMS_OK : KMS_KEY_REVOKED;
		case KMS_STATE_PENDING_DELETION:
			return use == KMS_USE_RECOVER ? KMS_OK : KMS_KEY_PENDING_DELETION;
		default:
			return KMS_NOT_AUTHENTIC;
	}
}

bool
kms_admit_is_refusal(KmsStatus status)
{
	switch (status)
	{
		case KMS_KEY_EXPIRED:
		case KMS_KEY_DEPRECATED:
		case KMS_KEY_DISABLED:
		case KMS_KEY_REVOKED:
		case KMS_KEY_PENDING_DELETION:
			return true;
		default:
			return false;
	}
}

/*
 * Return whether the key can be authenticated: there is a master key, and the
 * row has a seal or is in a state that requires one.
 */
static bool
can_authenticate(const KmsKey *key)
{
	return kms_master_generation() != 0 &&
		(key->row.sealed || !kms_admit_denies(key));
}

bool
kms_admit_denies(const KmsKey *key)
{
	KmsKeyState state = kms_key_state(key);

	return state == KMS_STATE_DISABLED || state == KMS_STATE_REVOKED ||
		state == KMS_STATE_PENDING_DELETION;
}

bool
kms_admit_is_problematic(const KmsKey *key)
{
	return strcmp(key->row.state_reason, KMS_PROBLEM_REASON) == 0 &&
		key->row.state != KMS_STATE_REVOKED &&
		key->row.prior_state != KMS_STATE_REVOKED;
}

KmsStatus
kms_admit_state(const char *key_id, const char **state, KmsFault *fault)
{
	KmsKeySecret *secret = palloc(sizeof(KmsKeySecret));
	KmsKey		key;
	KmsKeyState found;
	KmsStatus	status;

	status = kms_admit_public(NULL, key_id, NULL, KMS_USE_TELL, &key, secret,
							  fault);
	pfree(secret);
	if (status != KMS_OK)
		return status;
	found = kms_key_state(&key);
	if ((found == KMS_STATE_ACTIVE || found == KMS_STATE_DEPRECATED) &&
		key.row.expires_at <= GetCurrentTimestamp())
		*state = "expired";
	else
		*state = kms_key_state_name(found);
	return status;
}

bool
kms_admit_is_valid(const char *key_id)
{
	KmsKeySecret *secret = palloc(sizeof(KmsKeySecret));
	KmsFault	ignored = {0};
	KmsKey		key;
	bool		valid;

	valid = kms_admit_public(NULL, key_id, NULL, KMS_USE_DECRYPT, &key,
							 secret, &ignored) == KMS_OK &&
		master_key_is_there(secret);
	pfree(secret);
	return valid;
}

static bool
master_key_is_there(const KmsKeySecret *secret)
{
	const unsigned char *id = kms_wrap_master_key_id(secret->wrapped_key,
													 secret->wrapped_len);
	KmsMasterKey master;
	KmsStatus	status;

	if (id == NULL)
		return false;
	status = kms_master_get(id, &master);
	explicit_bzero(&master, sizeof(master));
	return status == KMS_OK;
}
