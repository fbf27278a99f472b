/*
 * Hashing secrets and comparing with hashes.
 *
 * Peppers.  A hash is made with the newest pepper and names it.  There is only
 * one, unless rows of another database were imported.  If the caller's own
 * transaction made the pepper, a ROLLBACK would delete it.  The hash may have
 * been sent to another server or written to a log by then, and could never be
 * verified again.  So maintenance makes the pepper in a transaction of its
 * own, in the first round that finds none.  A call that comes earlier asks for
 * such a round and waits.  Only if that is impossible (kms.maintenance is off,
 * the extension is not committed yet) does the call make the pepper itself.  A
 * lock held until the end of the transaction ensures that only one is made.
 *
 * If the pepper that a well-formed hash names is missing or does not open,
 * raise an error.  Otherwise everybody would be told that the PIN is wrong.
 *
 * Time.  A verification always does the same work: it finds the key, decrypts
 * with it, and runs crypt once.  If the ciphertext is unusable, it decrypts a
 * block of zeros or an empty JWE.  If the hash is unusable, crypt runs at the
 * cost of our own hashes.
 *
 * Order.  All steps that may raise an error come before the pepper is
 * unwrapped.  From then on nothing raises until pepper and plaintext are
 * wiped.
 */
#include "postgres.h"

#include "access/xlog.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "storage/latch.h"
#include "utils/timestamp.h"

#include "keys/secret.h"

#include "keys/service_key.h"
#include "pg/fault.h"
#include "pg/settings.h"
#include "pg/wait_event.h"
#include "shmem/lockout.h"
#include "shmem/master.h"
#include "shmem/shared.h"

#define PEPPER_PATIENCE_MS	5000	/* for maintenance to make the pepper */
#define PEPPER_POLL_MS		20

static KmsStatus await_pepper(KmsServiceKey *row, KmsFault *fault);
static bool can_ask_maintenance(void);
static bool ask_maintenance(KmsServiceKey *row);
static KmsStatus hash_opened(KmsCall *call, const KmsCipherOpened *opened,
							 const KmsCipherRequest *request,
							 const KmsServiceKey *row, char *hash,
							 KmsFault *fault);
static KmsStatus verify(KmsCall *call, const KmsSecretAttempt *attempt,
						KmsFault *fault);
static KmsStatus compare(const KmsCipherOpened *opened,
						 const KmsSecretAttempt *attempt, bool usable,
						 const unsigned char *pepper, unsigned char *plain);

KmsStatus
kms_secret_hash(KmsCall *call, const KmsCipherRequest *request, char *hash,
				KmsFault *fault)
{
	KmsCipherOpened opened;
	KmsServiceKey row;
	KmsStatus	status;

	status = kms_cipher_open(call, request, false, &opened, fault);
	if (status == KMS_OK && !kms_service_key_table_newest(KMS_PEPPER, &row))
	{
		/* the key may have changed during the wait, so open it again */
		status = await_pepper(&row, fault);
		if (status == KMS_OK)
			status = kms_cipher_open(call, request, false, &opened, fault);
	}
	if (status == KMS_OK)
		status = kms_cipher_check(request, &opened, fault);
	if (status == KMS_OK)
		status = hash_opened(call, &opened, request, &row, hash, fault);
	return status;
}

static KmsStatus
await_pepper(KmsServiceKey *row, KmsFault *fault)
{
	PreventCommandDuringRecovery("kms_hash_secret() without a pepper");
	if (can_ask_maintenance())
	{
		if (ask_maintenance(row))
			return kms_fault(fault, KMS_OK);
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("there is no pepper yet"),
				 errhint("Maintenance makes it, and has not come to it: see kms_check(), or run SELECT * FROM kms_maintain()."),
				 KMS_HIDE_STATEMENT));
	}
	PreventCommandIfReadOnly("kms_hash_secret() without a pepper");
	(void) kms_service_key_table_lock(KMS_PEPPER, true);
	if (kms_service_key_table_newest(KMS_PEPPER, row))
		return kms_fault(fault, KMS_OK);
	return kms_fault(fault, kms_service_key_make(KMS_PEPPER, row));
}

static bool
can_ask_maintenance(void)
{
	return kms_maintenance && kms_master_generation() != 0 &&
		!kms_call_is_installing() && kms_shared_database() != NULL;
}

/* Return false if maintenance does not make a pepper in time. */
static bool
ask_maintenance(KmsServiceKey *row)
{
	TimestampTz start = GetCurrentTimestamp();

	while (!TimestampDifferenceExceeds(start, GetCurrentTimestamp(),
									   PEPPER_PATIENCE_MS))
	{
		kms_shared_request(kms_shared_database(), KMS_MAINTENANCE);
		(void) WaitLatch(MyLatch,
						 WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH,
						 PEPPER_POLL_MS, kms_wait_event(KMS_WAIT_PEPPER));
		ResetLatch(MyLatch);
		CHECK_FOR_INTERRUPTS();
		if (kms_service_key_table_newest(KMS_PEPPER, row))
			return true;
	}
	return false;
}

bool
kms_secret_make_first_pepper(void)
{
	KmsServiceKey row;

	if (kms_master_generation() == 0 || kms_service_key_table_newest(KMS_PEPPER, &row) ||
		!kms_service_key_table_lock(KMS_PEPPER, false))
		return false;
	return !kms_service_key_table_newest(KMS_PEPPER, &row) && kms_service_key_make(KMS_PEPPER, &row) == KMS_OK;
}

static KmsStatus
hash_opened(KmsCall *call, const KmsCipherOpened *opened, const KmsCipherRequest *request,
			const KmsServiceKey *row, char *hash, KmsFault *fault)
{
	unsigned char pepper[KMS_PEPPER_SIZE];
	size_t		room = kms_cipher_room(request);
	unsigned char *plain = palloc(room);
	size_t		len;
	KmsStatus	hashed = KMS_FAILED;
	KmsStatus	status;

	status = kms_service_key_open(row, pepper, fault);
	if (status != KMS_OK)
		return status;
	status = kms_cipher_opened_decrypt(opened, request, plain, &len);
	if (status != KMS_BAD_FORMAT)
		kms_call_opens(call);
	if (status == KMS_OK)
		hashed = kms_secret_hash_make(row->id, pepper, plain, len, hash);
	explicit_bzero(pepper, sizeof(pepper));
	explicit_bzero(plain, room);
	if (status != KMS_OK)
		return kms_cipher_fault(fault, status);
	/* the id and the method are our own, so their form is not at fault */
	return kms_fault(fault, hashed == KMS_BAD_FORMAT ? KMS_FAILED : hashed);
}

KmsStatus
kms_secret_verify(KmsCall *call, const KmsSecretAttempt *attempt,
				  KmsFault *fault)
{
	int			limit = kms_verify_failure_limit;
	KmsLockout	lockout;
	KmsStatus	status;

	if (limit == 0 || attempt->subject == NULL)
		return verify(call, attempt, fault);

	kms_lockout_enter(&lockout, attempt->subject);
	if (kms_lockout_refuses(&lockout, limit, kms_verify_failure_window,
							&fault->retry_at))
		status = kms_fault(fault, KMS_LOCKED_OUT);
	else
	{
		status = verify(call, attempt, fault);
		if (kms_secret_is_answer(status))
			kms_lockout_failed(&lockout);
	}
	kms_lockout_leave(&lockout);
	return status;
}

bool
kms_secret_is_answer(KmsStatus status)
{
	switch (status)
	{
		case KMS_MISMATCH:
		case KMS_REJECTED:
		case KMS_BAD_CIPHERTEXT:
		case KMS_TOO_LARGE:
		case KMS_BAD_FORMAT:
			return true;
		default:
			return false;
	}
}

static KmsStatus
verify(KmsCall *call, const KmsSecretAttempt *attempt, KmsFault *fault)
{
	unsigned char pepper[KMS_PEPPER_SIZE];
	bool		peppered = attempt->hash != NULL &&
	attempt->hash->pepper_id[0] != '\0';
	size_t		room = kms_cipher_room(&attempt->cipher);
	unsigned char *plain = palloc(room);
	KmsCipherOpened opened;
	KmsFault	ignored = {0};
	KmsServiceKey row;
	KmsStatus	status;
	bool		usable;

	status = kms_cipher_open(call, &attempt->cipher, false, &opened, fault);
	if (status != KMS_OK)
		return status;
	usable = (attempt->cipher.data != NULL || attempt->cipher.jwe != NULL) &&
		kms_cipher_check(&attempt->cipher, &opened, &ignored) == KMS_OK;
	if (peppered)
	{
		const char *id = attempt->hash->pepper_id;

		if (!kms_service_key_table_read(KMS_PEPPER, id, &row))
			return kms_service_key_fault(KMS_NO_PEPPER, KMS_PEPPER,
										 kms_secret_hash_pepper_id_made(id) ? id : NULL,
										 "not found", fault);
		status = kms_service_key_open(&row, pepper, fault);
		if (status != KMS_OK)
			return status;
	}
	kms_call_opens(call);
	status = compare(&opened, attempt, usable, peppered ? pepper : NULL, plain);
	explicit_bzero(pepper, sizeof(pepper));
	explicit_bzero(plain, room);
	return kms_fault(fault, status);
}

/*
 * Must not raise errors.  "usable" is false if the ciphertext does not fit the
 * key.  "plain" has room for the plaintext, and the caller wipes it.
 */
static KmsStatus
compare(const KmsCipherOpened *opened, const KmsSecretAttempt *attempt,
		bool usable, const unsigned char *pepper, unsigned char *plain)
{
	KmsStatus	refused = attempt->unusable;
	KmsStatus	status = KMS_BAD_FORMAT;
	bool		match = false;
	size_t		len;
	KmsStatus	compared;

	if (usable)
		status = kms_cipher_opened_decrypt(opened, &attempt->cipher, plain,
										   &len);
	if (status == KMS_BAD_FORMAT)
	{
		status = kms_cipher_burn(opened);
		if (status != KMS_OK)
			return status;
		status = KMS_REJECTED;
		if (refused == KMS_OK)
			refused = KMS_BAD_CIPHERTEXT;
	}
	if (status != KMS_OK && status != KMS_REJECTED)
		return status;
	if (status == KMS_OK && attempt->hash != NULL)
		compared = kms_secret_hash_verify(attempt->hash, pepper, plain, len,
										  &match);
	else
		compared = kms_secret_hash_burn(attempt->hash);

	if (compared != KMS_OK)
		return compared;
	if (refused != KMS_OK)
		return refused;
	if (status != KMS_OK)
		return status;
	return match ? KMS_OK : KMS_MISMATCH;
}
