/*
 * Moving keys and peppers from one master key to another, online.
 *
 * A key is moved in one step: under the lock of its row it is authenticated,
 * its private key unwrapped and wrapped anew, and wrap and seal are replaced
 * together, under one master key, in one transaction.  Killed at any point
 * there is the old row or the new one, and the server has both master keys
 * until the operator takes one away.  Who reads a row and its secret on
 * different sides of the commit reads again (kms_key_authenticate); an open
 * key is opened again, as its wrap is another.  Neither state nor row version
 * changes, and the trail has nothing to record of the key: it is the same.
 *
 * Nothing is remembered between batches.  What there is to do follows from
 * the index on kms.key_secret (master_key_id): all that is under a master key
 * which is not to stay (keys/epoch.h).  So two may do it at once, and a
 * reload in the middle begins another turn.
 *
 * Zero must mean that nothing needs the old master key any more, not even a
 * transaction that has wrapped a key under it and is not committed.  Rows are
 * therefore found whoever has written them, and a batch that finds nothing
 * but such rows waits for the first.
 *
 * Where the rows come by logical replication they stay as the publisher wraps
 * them, for the seals that come with later changes are made over its wraps.
 *
 * A row that does not authenticate is left as it is and counted; it is in
 * nobody's way, for each batch walks past it.
 */
#include "postgres.h"

#include "access/xact.h"
#include "commands/dbcommands.h"
#include "miscadmin.h"
#include "storage/lmgr.h"
#include "utils/memutils.h"

#include "keys/epoch.h"
#include "keys/key.h"
#include "keys/rewrap.h"
#include "keys/secret.h"
#include "keys/wrapping.h"
#include "store/pepper.h"
#include "store/wrapped.h"

/* One walk over what there is to do. */
typedef struct Walk
{
	int			limit;
	KmsRewrap  *result;
	MemoryContext scratch;		/* emptied after each key */
	char		busy[KMS_KEY_ID_MAX + 1];	/* the first that another has, or
											 * "" */
	TransactionId writer;		/* and who writes it, if it is more than
								 * locked */
} Walk;

typedef enum Outcome
{
	MOVED,
	BUSY,
	REFUSED,
	STAYS
} Outcome;

static void walk_all(Walk *walk);
static bool visit(const char *key_id, TransactionId writer, void *arg);
static void note_busy(Walk *walk, const char *key_id, TransactionId writer);
static Outcome move(const char *key_id);
static void wait_for(const Walk *walk);
static KmsMasterKeyUse *add_use(List **uses, const unsigned char *id,
								const KmsMasterStatus *status);

void
kms_rewrap(int limit, bool wait, KmsRewrap *result)
{
	Walk	   *walk = palloc0(sizeof(Walk));
	int			busy;

	memset(result, 0, sizeof(*result));
	walk->limit = limit;
	walk->result = result;
	walk->scratch = AllocSetContextCreate(CurrentMemoryContext, "kms rewrap",
										  ALLOCSET_DEFAULT_SIZES);
	for (;;)
	{
		result->busy = 0;
		result->refused = 0;
		walk->busy[0] = '\0';
		walk_all(walk);
		if (!wait || result->done > 0 || walk->busy[0] == '\0')
			break;
		wait_for(walk);
	}

	/* nor may somebody be making one */
	if (result->done == 0 && !kms_pepper_lock(wait))
		result->busy++;
	result->done += kms_secret_rewrap_peppers(wait && result->done == 0, &busy);
	result->busy += busy;
	MemoryContextDelete(walk->scratch);
	pfree(walk);
}

/* Everything under each master key of the server's that is to be left. */
static void
walk_all(Walk *walk)
{
	KmsMasterStatus *status = palloc(sizeof(KmsMasterStatus));
	ListCell   *cell;

	kms_master_status(status);
	foreach(cell, kms_wrapped_ids())
	{
		int			place = kms_master_place(status, lfirst(cell));

		if (place >= 0 && !kms_epoch_stays(status, place) &&
			!walk->result->more)
			kms_wrapped_visit(lfirst(cell), visit, walk);
	}
	pfree(status);
}

static bool
visit(const char *key_id, TransactionId writer, void *arg)
{
	Walk	   *walk = arg;
	KmsRewrap  *result = walk->result;
	MemoryContext old = MemoryContextSwitchTo(walk->scratch);
	Outcome		outcome = TransactionIdIsValid(writer) ? BUSY : move(key_id);

	MemoryContextSwitchTo(old);
	MemoryContextReset(walk->scratch);
	if (outcome == MOVED)
		result->done++;
	else if (outcome == REFUSED)
		result->refused++;
	else if (outcome == BUSY)
	{
		result->busy++;
		note_busy(walk, key_id, writer);
	}
	result->more = result->done >= walk->limit;
	return !result->more;
}

static void
note_busy(Walk *walk, const char *key_id, TransactionId writer)
{
	if (walk->busy[0] != '\0')
		return;
	strlcpy(walk->busy, key_id, sizeof(walk->busy));
	walk->writer = writer;
}

/* A key that is gone by now needs nothing; a secret without a key may not. */
static Outcome
move(const char *key_id)
{
	KmsFault	fault = {0};
	KmsKeySecret *old = palloc(sizeof(KmsKeySecret));
	KmsSecretDigests digests;
	KmsKeySecret *new;
	KmsKeyRow	row;
	KmsStatus	status;

	if (!kms_key_lock(key_id, KMS_TRY_LOCK_TO_CHANGE))
	{
		if (kms_key_read(key_id, &row))
			return BUSY;
		return kms_key_secret_read(key_id, old) ? REFUSED : STAYS;
	}
	if (!kms_key_read(key_id, &row))
		return STAYS;
	status = kms_key_authenticate(&row, old, &digests, &fault);
	if (status != KMS_OK)
		return REFUSED;
	new = palloc(sizeof(KmsKeySecret));
	status = kms_wrapping_rewrap_row(&row, old, new);
	if (status == KMS_UNCHANGED)
		return STAYS;
	if (status == KMS_OK)
		status = kms_seal_digests(new, &digests);
	if (status == KMS_OK)
		status = kms_seal_row(&row, &digests, &fault);
	if (status != KMS_OK)
		return REFUSED;
	kms_wrapped_replace(&row, new);
	return MOVED;
}

static void
wait_for(const Walk *walk)
{
	if (TransactionIdIsValid(walk->writer))
		XactLockTableWait(walk->writer, NULL, NULL, XLTW_None);
	else
		(void) kms_key_lock(walk->busy, KMS_LOCK_TO_CHANGE);
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
	foreach(cell, kms_wrapped_ids())
		add_use(&uses, lfirst(cell), status)->used = true;
	foreach(cell, kms_pepper_all())
	{
		const KmsPepperRow *row = lfirst(cell);
		static const unsigned char none[KMS_MASTER_KEY_ID_SIZE];
		const unsigned char *id = kms_wrap_master_key_id(row->wrapped,
														 row->wrapped_len);
		KmsMasterKeyUse *use = add_use(&uses, id != NULL ? id : none, status);

		use->used = true;
		use->peppers++;
	}
	pfree(status);
	return uses;
}

static KmsMasterKeyUse *
add_use(List **uses, const unsigned char *id, const KmsMasterStatus *status)
{
	KmsMasterKeyUse *use;
	ListCell   *cell;

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
	ListCell   *cell;

	foreach(cell, kms_rewrap_uses())
	{
		const KmsMasterKeyUse *use = lfirst(cell);
		char		id[2 * KMS_MASTER_KEY_ID_SIZE + 1];

		if (use->place >= 0)
			continue;
		kms_master_key_id_text(use->id, id);
		ereport(LOG,
				(errmsg("kms: keys of database \"%s\" are wrapped under master key \"%s\", which this server does not have",
						get_database_name(MyDatabaseId), id),
				 errhint("Add that master key, below the current one, and reload the server."),
				 errhidestmt(true), errhidecontext(true)));
	}
}
