/*
 * Moving keys, field keys, peppers and audit keys from one master key to
 * another, online.
 *
 * A key is moved in one step.  Under the lock of its row it is authenticated,
 * and its private key is unwrapped and wrapped again.  Wrap and seal are
 * replaced together, under one master key, in one transaction.  Wherever the
 * process is killed, either the old row or the new one exists, and the server
 * has both master keys until the operator removes one.  A reader that reads
 * the row and its secret before and after the commit reads again
 * (keys/admit.c).  An open key is opened again, because its wrap has changed.
 * Neither the state nor the row version changes, and the trail records
 * nothing, because the key is the same.
 *
 * Nothing is remembered between batches.  The index on kms.key_secret
 * (master_key_id) tells what is to be done: all keys under a master key that
 * is not to stay (keys/month_key.h).  So two sessions may do it at once, and a
 * reload in the middle begins another pass.
 *
 * Zero must mean that nothing needs the old master key any more, not even a
 * transaction that has wrapped a key under it and is not committed.  So
 * uncommitted rows are found, too, and a batch that finds only such rows waits
 * for the first.
 *
 * Rows that come by logical replication stay as the publisher wraps them,
 * because the seals of later changes are made over the publisher's wraps.
 *
 * A key is wrapped before its row exists.  So after a transaction has inserted
 * the row, it checks whether the row's master key is still to stay, and moves
 * the row if not (kms_rewrap_own).  A pass that begins after a change of the
 * master keys finds the row; or the row did not exist yet, and its own
 * transaction moves it.
 *
 * A row that does not authenticate, or raises an error, is left as it is and
 * counted.  It blocks nothing, because each batch passes it by.
 */
#include "postgres.h"

#include "access/xact.h"
#include "commands/dbcommands.h"
#include "miscadmin.h"
#include "storage/lmgr.h"
#include "utils/memutils.h"

#include "keys/rewrap.h"

#include "keys/admit.h"
#include "keys/clock.h"
#include "keys/each.h"
#include "keys/field_rewrap.h"
#include "keys/month_key.h"
#include "keys/service_key.h"
#include "keys/wrapping.h"
#include "pg/fault.h"
#include "shmem/progress.h"
#include "store/key_lock.h"
#include "store/key_table.h"
#include "store/wrapped.h"

#define LOGGED_MAX 10			/* missing master keys in the log, at most */

/* Counting the keys that are left would take longer than moving a batch. */
#define WRAPPING "wrapping keys"

/* One pass through the keys to be moved. */
typedef struct Pass
{
	int			limit;
	KmsRewrap  *result;
	KmsFault   *fault;			/* why the pass ended, if it is not KMS_OK */
	KmsWrappedTable table;		/* that is visited now */
	MemoryContext scratch;		/* reset after each key */
	char		busy[KMS_FIELD_REWRAP_ID_SIZE]; /* first key that another
												 * session holds, or "" */
	KmsWrappedTable busy_table; /* where it is */
	TransactionId writer;		/* transaction that writes this key; invalid
								 * if it is only locked */
} Pass;

static void run_pass(Pass *pass);
static void visit_table(Pass *pass, KmsWrappedTable table,
						const KmsMasterStatus *status);
static bool visit(const char *key_id, TransactionId writer, void *arg);
static void note_busy(Pass *pass, const char *key_id, TransactionId writer);
static KmsOutcome move(const char *key_id, void *arg);
static KmsOutcome move_locked(KmsKeyRow *row, KmsFault *fault);
static KmsStatus rewrap(KmsKeyRow *row, const KmsKeySecret *secret,
						bool is_new, KmsFault *fault);
static void wait_for(const Pass *pass);
static void rewrap_service_keys(bool wait, KmsRewrap *result);
static void add_service_keys(List **uses, KmsServiceKeyKind kind,
							 const KmsMasterStatus *status);
static KmsMasterKeyUse *add_use(List **uses, const unsigned char *id,
								const KmsMasterStatus *status);

KmsStatus
kms_rewrap(int limit, bool wait, KmsRewrap *result, KmsFault *fault)
{
	Pass	   *pass = palloc0(sizeof(Pass));

	memset(result, 0, sizeof(*result));
	fault->status = KMS_OK;
	pass->limit = limit;
	pass->result = result;
	pass->fault = fault;
	pass->scratch = AllocSetContextCreate(CurrentMemoryContext, "kms rewrap",
										  ALLOCSET_DEFAULT_SIZES);
	for (;;)
	{
		result->busy = 0;
		result->refused = 0;
		pass->busy[0] = '\0';
		run_pass(pass);
		if (!wait || fault->status != KMS_OK || result->done > 0 ||
			pass->busy[0] == '\0')
			break;
		wait_for(pass);
	}
	if (fault->status == KMS_OK)
		rewrap_service_keys(wait && result->done == 0, result);
	MemoryContextDelete(pass->scratch);
	pfree(pass);
	return fault->status;
}

/*
 * Visit the keys under each of the server's master keys that is not to stay.
 */
static void
run_pass(Pass *pass)
{
	KmsMasterStatus *status = palloc(sizeof(KmsMasterStatus));

	kms_master_status(status);
	visit_table(pass, KMS_WRAPPED_KEYS, status);
	if (!kms_field_key_table_is_replicated())
		visit_table(pass, KMS_WRAPPED_FIELDS, status);
	pfree(status);
}

/* Field keys belong to no month. */
static void
visit_table(Pass *pass, KmsWrappedTable table, const KmsMasterStatus *status)
{
	ListCell   *cell;

	pass->table = table;
	foreach(cell, kms_wrapped_ids(table))
	{
		int			place = kms_master_place(status, lfirst(cell));
		bool		stays = table == KMS_WRAPPED_FIELDS ? place == 0
		: place >= 0 && kms_month_key_stays(status, place);

		if (place >= 0 && !stays && !pass->result->more &&
			pass->fault->status == KMS_OK)
			kms_wrapped_visit(table, lfirst(cell), visit, pass);
	}
}

static bool
visit(const char *key_id, TransactionId writer, void *arg)
{
	Pass	   *pass = arg;
	KmsRewrap  *result = pass->result;
	MemoryContext old = MemoryContextSwitchTo(pass->scratch);
	KmsOutcome	outcome = KMS_OUTCOME_LOCKED;

	if (!TransactionIdIsValid(writer))
		outcome = kms_each_try(pass->table == KMS_WRAPPED_FIELDS
							   ? kms_field_rewrap_row : move, key_id, pass);
	MemoryContextSwitchTo(old);
	MemoryContextReset(pass->scratch);
	if (outcome == KMS_OUTCOME_DONE)
		result->done++;
	else if (outcome == KMS_OUTCOME_FAILED)
		result->refused++;
	else if (outcome == KMS_OUTCOME_LOCKED)
	{
		result->busy++;
		note_busy(pass, key_id, writer);
	}
	kms_progress_add(1);
	result->more = result->done >= pass->limit;
	return !result->more && pass->fault->status == KMS_OK;
}

static void
note_busy(Pass *pass, const char *key_id, TransactionId writer)
{
	if (pass->busy[0] != '\0')
		return;
	strlcpy(pass->busy, key_id, sizeof(pass->busy));
	pass->busy_table = pass->table;
	pass->writer = writer;
}

/*
 * Move a key.  If it was deleted in the meantime, there is nothing to do.  If
 * its secret is left without a key, the secret may still need the old master
 * key.
 */
static KmsOutcome
move(const char *key_id, void *arg)
{
	Pass	   *pass = arg;
	KmsKey		key;

	if (kms_key_lock_row(key_id, KMS_TRY_LOCK_TO_CHANGE))
		return kms_key_table_read(key_id, &key) ? move_locked(&key.row, pass->fault)
			: KMS_OUTCOME_NOT_OURS;
	if (kms_key_table_read(key_id, &key))
		return KMS_OUTCOME_LOCKED;
	return kms_secret_table_read(key_id, palloc(sizeof(KmsKeySecret)))
		? KMS_OUTCOME_FAILED : KMS_OUTCOME_NOT_OURS;
}

/*
 * Return KMS_OUTCOME_FAILED if the row does not authenticate.  Any other
 * failure, such as a missing master key, is not caused by the key, and ends
 * the pass.
 */
static KmsOutcome
move_locked(KmsKeyRow *row, KmsFault *fault)
{
	KmsKeySecret *secret = palloc(sizeof(KmsKeySecret));
	KmsSecretDigests digests;
	KmsOutcome	outcome = KMS_OUTCOME_NOT_OURS;
	KmsStatus	status;

	status = kms_admit_locked(row, secret, &digests, fault);
	if (status == KMS_OK)
		status = rewrap(row, secret, false, fault);
	if (status == KMS_OK)
		outcome = KMS_OUTCOME_DONE;
	else if (status == KMS_NOT_AUTHENTIC)
		outcome = KMS_OUTCOME_FAILED;
	if (status == KMS_NOT_AUTHENTIC || status == KMS_UNCHANGED ||
		status == KMS_KEY_NOT_FOUND)
		status = KMS_OK;
	if (status != KMS_OK)
		fault->key_id = MemoryContextStrdup(TopTransactionContext,
											row->key_id);
	(void) kms_fault(fault, status);
	return outcome;
}

KmsStatus
kms_rewrap_own(KmsKeyRow *row, const KmsKeySecret *secret, KmsFault *fault)
{
	KmsMasterStatus *master = palloc(sizeof(KmsMasterStatus));
	const unsigned char *id = kms_wrap_master_key_id(secret->wrapped_key,
													 secret->wrapped_len);
	KmsStatus	status = KMS_OK;
	int			place;

	kms_master_status(master);
	place = id == NULL ? -1 : kms_master_place(master, id);
	if (place < 0 || !kms_month_key_stays(master, place))
	{
		fault->key_id = pstrdup(row->key_id);
		status = rewrap(row, secret, true, fault);
	}
	pfree(master);
	return kms_fault(fault, status == KMS_UNCHANGED ? KMS_OK : status);
}

/* Wrap and seal a row again.  The row must be locked, or new. */
static KmsStatus
rewrap(KmsKeyRow *row, const KmsKeySecret *secret, bool is_new,
	   KmsFault *fault)
{
	KmsKeySecret *new = palloc(sizeof(KmsKeySecret));
	KmsSecretDigests digests;
	KmsStatus	status;

	status = kms_wrapping_rewrap_row(row, secret, is_new, new, fault);
	if (status == KMS_OK)
		status = kms_key_seal_digests(new, &digests);
	if (status == KMS_OK)
		status = kms_key_seal_row(row, &digests, fault);
	if (status == KMS_OK)
		kms_wrapped_replace(row, new);
	pfree(new);
	return kms_fault(fault, status);
}

static void
wait_for(const Pass *pass)
{
	kms_progress_phase("waiting for another session", KMS_PROGRESS_UNKNOWN);
	if (TransactionIdIsValid(pass->writer))
		XactLockTableWait(pass->writer, NULL, NULL, XLTW_None);
	else if (pass->busy_table == KMS_WRAPPED_FIELDS)
		kms_field_rewrap_wait(pass->busy);
	else
		(void) kms_key_lock_row(pass->busy, KMS_LOCK_TO_CHANGE);
	kms_progress_phase(WRAPPING, KMS_PROGRESS_UNKNOWN);
}

/*
 * If nothing else was done, take the lock, so that no session is making a key.
 */
static void
rewrap_service_keys(bool wait, KmsRewrap *result)
{
	bool		idle = result->done == 0;
	int			kind;

	for (kind = 0; kind < KMS_SERVICE_KEY_KINDS; kind++)
	{
		int			busy;
		int			refused;

		if (idle && !kms_service_key_table_lock(kind, wait))
			result->busy++;
		result->done += kms_service_key_rewrap(kind, wait, &busy, &refused);
		result->busy += busy;
		result->refused += refused;
	}
}

List *
kms_rewrap_uses(void)
{
	KmsMasterStatus *status = palloc(sizeof(KmsMasterStatus));
	List	   *uses = NIL;
	ListCell   *cell;
	int			i;

	kms_master_status(status);
	for (i = 0; i < status->count; i++)
		(void) add_use(&uses, status->id[i], status);
	foreach(cell, kms_wrapped_ids(KMS_WRAPPED_KEYS))
		add_use(&uses, lfirst(cell), status)->used = true;
	foreach(cell, kms_wrapped_ids(KMS_WRAPPED_FIELDS))
		add_use(&uses, lfirst(cell), status)->used = true;
	add_service_keys(&uses, KMS_PEPPER, status);
	add_service_keys(&uses, KMS_AUDIT_KEY, status);
	pfree(status);
	return uses;
}

static void
add_service_keys(List **uses, KmsServiceKeyKind kind,
				 const KmsMasterStatus *status)
{
	static const unsigned char none[KMS_MASTER_KEY_ID_SIZE];
	ListCell   *cell;

	foreach(cell, kms_service_key_table_all(kind))
	{
		const KmsServiceKey *key = lfirst(cell);
		const unsigned char *id = kms_wrap_master_key_id(key->wrapped,
														 key->wrapped_len);
		KmsMasterKeyUse *use = add_use(uses, id != NULL ? id : none, status);

		use->used = true;
		use->peppers++;
	}
}

static KmsMasterKeyUse *
add_use(List **uses, const unsigned char *id, const KmsMasterStatus *status)
{
	KmsMasterKeyUse *use;
	ListCell   *cell;

	CHECK_FOR_INTERRUPTS();
	foreach(cell, *uses)
	{
		use = lfirst(cell);
		if (memcmp(use->id, id, sizeof(use->id)) == 0)
			return use;
	}
	use = palloc0(sizeof(KmsMasterKeyUse));
	memcpy(use->id, id, sizeof(use->id));
	use->place = kms_master_place(status, id);
	*uses = lappend(*uses, use);
	return use;
}

void
kms_rewrap_log_missing(void)
{
	int			missing = 0;
	ListCell   *cell;

	foreach(cell, kms_rewrap_uses())
	{
		const KmsMasterKeyUse *use = lfirst(cell);
		char		id[2 * KMS_MASTER_KEY_ID_SIZE + 1];

		if (use->place >= 0)
			continue;
		if (++missing > LOGGED_MAX)
			break;
		kms_master_key_id_text(use->id, id);
		ereport(LOG,
				(errmsg("kms: keys of database \"%s\" are wrapped under master key \"%s\", which this server does not have",
						get_database_name(MyDatabaseId), id),
				 errhint("Add that master key, below the current one, and reload the server."),
				 KMS_HIDE_STATEMENT));
	}
	if (missing > LOGGED_MAX)
		ereport(LOG,
				(errmsg("kms: keys of database \"%s\" need more master keys, which kms_master_key_status() lists",
						get_database_name(MyDatabaseId)),
				 KMS_HIDE_STATEMENT));
}

KmsStatus
kms_rewrap_on_request(int limit, KmsRewrap *result, KmsFault *fault)
{
	KmsClock	clock;
	KmsStatus	status;

	kms_master_await();
	if (kms_master_generation() == 0)
		return kms_fault(fault, KMS_NO_MASTER_KEY);
	if (kms_wrapped_are_replicated())
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("keys that come by a subscription are wrapped by their publisher"),
				 errhint("Call kms_rewrap_keys() there; what it does arrives here."),
				 KMS_HIDE_STATEMENT));
	if (IsolationUsesXactSnapshot())
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_TRANSACTION_STATE),
				 errmsg("kms_rewrap_keys() must see what others commit in the meantime"),
				 errhint("Call it in a READ COMMITTED transaction."),
				 KMS_HIDE_STATEMENT));

	if (kms_field_key_table_is_replicated())
		ereport(WARNING,
				(errmsg("field keys that come by a subscription are wrapped by their publisher"),
				 errhint("Call kms_rewrap_keys() there; what it does arrives here."),
				 KMS_HIDE_STATEMENT));

	kms_progress_begin("kms_rewrap_keys");
	kms_progress_phase(WRAPPING, KMS_PROGRESS_UNKNOWN);
	/* the clock is sealed, so it moves to the current master key, too */
	kms_clock_advance(false, &clock);
	status = kms_rewrap(limit, true, result, fault);
	kms_progress_end();
	if (status == KMS_OK && result->refused > 0)
		ereport(WARNING,
				(errmsg("keys or peppers that do not authenticate were left under their master key: " INT64_FORMAT,
						result->refused),
				 errhint("Keep that master key. kms_check() names some of the keys; restore their rows from a backup."),
				 KMS_HIDE_STATEMENT));
	return status;
}
