/*
 * Checkpoints.  docs/design/trail-chain.md says when the trail is signed, and
 * why retention waits for a signature.
 *
 * Sign only hashes that the writer remembers from writing the rows, never a
 * hash that is found in a row: anybody who can write the tables can compute
 * the chain again.  Do not sign rows that a restore is inserting before this
 * server itself has written a row after them, because their checkpoints may
 * not be there yet.
 */
#include "postgres.h"

#include "lib/stringinfo.h"
#include "miscadmin.h"
#include "pgtime.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "keys/sign.h"

#include "pg/encoding.h"
#include "pg/fault.h"
#include "pg/settings.h"
#include "shmem/master.h"
#include "store/latest.h"
#include "store/service_key_table.h"

#define SPAN	10000			/* tickets from a checkpoint to the next */
#define BATCH	16				/* checkpoints in a transaction */
#define PAUSE_S 30				/* after a failed attempt */

static bool is_behind(const KmsSigning *signing, const KmsTrail *trail);
static bool is_within(TimestampTz now, TimestampTz since, int seconds);
static void append_time(StringInfo message, const char *name,
						TimestampTz time);
static void forget_marks(KmsSigning *signing);
static KmsStatus sign_next(KmsSigning *signing, KmsCheckpoint *checkpoint);
static void require_signed(KmsStatus status);
static KmsStatus sign(KmsCheckpoint *checkpoint);
static bool find_start(int64 after, int limit, TimestampTz due,
					   TimestampTz latest, KmsCheckpoint *start);
static List *good_keys(void);

char *
kms_sign_message(const KmsCheckpoint *checkpoint)
{
	StringInfoData message;
	int			i;

	initStringInfo(&message);
	appendStringInfo(&message,
					 "kms audit %s v1\nepoch: " INT64_FORMAT
					 "\nticket: " INT64_FORMAT "\nhash: ",
					 kms_checkpoint_table_kind_name(checkpoint->kind),
					 checkpoint->epoch, checkpoint->ticket);
	for (i = 0; i < KMS_CHAIN_SIZE; i++)
		appendStringInfo(&message, "%02x", checkpoint->hash[i]);
	appendStringInfo(&message, "\nprevious: " INT64_FORMAT "\n",
					 checkpoint->previous);
	append_time(&message, "signed at", checkpoint->signed_at);
	append_time(&message, "able since", checkpoint->able_since);
	appendStringInfo(&message, "key: %s\n", checkpoint->signing_key_id);
	return message.data;
}

static void
append_time(StringInfo message, const char *name, TimestampTz time)
{
	struct pg_tm tm;
	fsec_t		fsec;

	/* such a time was never signed; the row was changed */
	if (timestamp2tm(time, NULL, &tm, &fsec, NULL, NULL) != 0)
	{
		memset(&tm, 0, sizeof(tm));
		fsec = 0;
	}
	appendStringInfo(message, "%s: %04d-%02d-%02dT%02d:%02d:%02d.%06dZ\n",
					 name, tm.tm_year, tm.tm_mon, tm.tm_mday, tm.tm_hour,
					 tm.tm_min, tm.tm_sec, (int) fsec);
}

KmsStatus
kms_sign_verify(const KmsCheckpoint *checkpoint, KmsAuditPublic *last)
{
	char	   *message = kms_sign_message(checkpoint);
	KmsStatus	status;

	status = kms_audit_key_verify(last, checkpoint->signing_key_id, message,
								  strlen(message), checkpoint->signature);
	pfree(message);
	return status;
}

void
kms_sign_visit(int64 after, KmsSignedVisitor visit, void *arg)
{
	MemoryContext scratch = AllocSetContextCreate(CurrentMemoryContext,
												  "kms checkpoints",
												  ALLOCSET_DEFAULT_SIZES);
	List	   *checkpoints = kms_checkpoint_table_after(after);
	ListCell   *cell;

	foreach(cell, checkpoints)
	{
		const KmsCheckpoint *checkpoint = lfirst(cell);
		MemoryContext old = MemoryContextSwitchTo(scratch);
		KmsSigned	shown;

		CHECK_FOR_INTERRUPTS();
		shown.ticket = checkpoint->ticket;
		shown.kind = kms_checkpoint_table_kind_name(checkpoint->kind);
		shown.signed_at = checkpoint->signed_at;
		shown.message = kms_sign_message(checkpoint);
		shown.signature = kms_encoding_encode_base64(checkpoint->signature,
													 KMS_SIGNATURE_SIZE);
		shown.public_key = kms_audit_key_pem(checkpoint->signing_key_id);
		visit(&shown, arg);
		MemoryContextSwitchTo(old);
		MemoryContextReset(scratch);
	}
	MemoryContextDelete(scratch);
}

bool
kms_sign_is_due(const KmsSigning *signing, const KmsTrail *trail)
{
	return trail->last_ticket > 0 && kms_master_generation() != 0 &&
		!is_within(GetCurrentTimestamp(), signing->tried_at, PAUSE_S) &&
		(!signing->known || is_behind(signing, trail));
}

static bool
is_behind(const KmsSigning *signing, const KmsTrail *trail)
{
	return trail->last_ticket - signing->ticket >= SPAN ||
		(trail->last_ticket > signing->ticket &&
		 !is_within(GetCurrentTimestamp(), signing->signed_at,
					kms_audit_checkpoint_interval));
}

/* Return false if the clock was set back. */
static bool
is_within(TimestampTz now, TimestampTz since, int seconds)
{
	return now >= since && now - since < seconds * USECS_PER_SEC;
}

/* If there are too many marks, drop every second one. */
void
kms_sign_note(KmsSigning *signing, const KmsTrail *trail)
{
	KmsMark    *mark;
	int			i;

	if (signing->span == 0)
		signing->span = SPAN;
	if (signing->marked == 0 || signing->marked > trail->last_ticket)
		signing->marked = signing->known ? signing->ticket
			: trail->found_ticket;
	if (trail->last_ticket - signing->marked < signing->span)
		return;
	if (signing->marks == KMS_MARKS)
	{
		for (i = 0; i < KMS_MARKS / 2; i++)
			signing->mark[i] = signing->mark[2 * i + 1];
		signing->marks = KMS_MARKS / 2;
		signing->span *= 2;
	}
	mark = &signing->mark[signing->marks++];
	mark->ticket = signing->marked = trail->last_ticket;
	mark->epoch = trail->epoch;
	memcpy(mark->hash, trail->hash, sizeof(mark->hash));
}

bool
kms_sign_checkpoint(KmsSigning *signing, const KmsTrail *trail,
					int64 anchored)
{
	KmsCheckpoint checkpoint;
	int			done = 0;
	int			i;

	signing->tried_at = GetCurrentTimestamp();
	if (!kms_checkpoint_table_try_lock())
		return false;
	(void) kms_latest_checkpoint(anchored != 0 ? anchored : trail->last_ticket,
								 &checkpoint);
	signing->known = true;
	signing->ticket = checkpoint.ticket;
	memcpy(signing->hash, checkpoint.hash, sizeof(signing->hash));
	signing->signed_at = checkpoint.signed_at;
	if (!kms_latest_row(trail->last_ticket, trail->hash, trail->epoch))
		return false;

	forget_marks(signing);
	checkpoint.kind = KMS_CHECKPOINT_ROW;
	for (i = 0; i < signing->marks && done < BATCH; i++)
	{
		const KmsMark *mark = &signing->mark[i];

		if (mark->ticket <= signing->ticket)
			continue;
		checkpoint.ticket = mark->ticket;
		checkpoint.epoch = mark->epoch;
		memcpy(checkpoint.hash, mark->hash, sizeof(checkpoint.hash));
		require_signed(sign_next(signing, &checkpoint));
		done++;
	}
	if (done < BATCH && is_behind(signing, trail))
	{
		checkpoint.ticket = trail->last_ticket;
		checkpoint.epoch = trail->epoch;
		memcpy(checkpoint.hash, trail->hash, sizeof(checkpoint.hash));
		require_signed(sign_next(signing, &checkpoint));
	}
	signing->tried_at = 0;
	return is_behind(signing, trail);
}

void
kms_sign_accept(KmsSigning *signing, const KmsTrail *trail, int64 after)
{
	KmsCheckpoint checkpoint = {0};

	signing->ticket = after;
	checkpoint.kind = KMS_CHECKPOINT_ACCEPTANCE;
	checkpoint.ticket = trail->last_ticket;
	checkpoint.epoch = trail->epoch;
	memcpy(checkpoint.hash, trail->hash, sizeof(checkpoint.hash));
	kms_checkpoint_table_clear(after, PG_INT64_MAX);
	require_signed(sign_next(signing, &checkpoint));
	signing->known = true;
	signing->marks = 0;
	signing->marked = checkpoint.ticket;
}

/* Forget marks that are signed. */
static void
forget_marks(KmsSigning *signing)
{
	int			kept = 0;
	int			i;

	for (i = 0; i < signing->marks; i++)
	{
		if (signing->mark[i].ticket > signing->ticket)
			signing->mark[kept++] = signing->mark[i];
	}
	signing->marks = kept;
	if (kept == 0)
		signing->span = SPAN;
}

static KmsStatus
sign_next(KmsSigning *signing, KmsCheckpoint *checkpoint)
{
	KmsStatus	status;

	checkpoint->previous = signing->ticket;
	checkpoint->signed_at = GetCurrentTimestamp();
	checkpoint->able_since = signing->able_since != 0 ? signing->able_since
		: checkpoint->signed_at;
	status = sign(checkpoint);
	if (status != KMS_OK)
		return status;
	kms_checkpoint_table_insert(checkpoint);
	signing->ticket = checkpoint->ticket;
	memcpy(signing->hash, checkpoint->hash, sizeof(signing->hash));
	signing->signed_at = checkpoint->signed_at;
	return KMS_OK;
}

static void
require_signed(KmsStatus status)
{
	if (status != KMS_OK)
		ereport(ERROR,
				(errcode(ERRCODE_INTERNAL_ERROR),
				 errmsg("the audit key cannot be made or does not sign"),
				 KMS_HIDE_STATEMENT));
}

static KmsStatus
sign(KmsCheckpoint *checkpoint)
{
	char	   *message;
	KmsStatus	status;

	status = kms_audit_key_current(checkpoint->signing_key_id);
	if (status != KMS_OK)
		return status;
	message = kms_sign_message(checkpoint);
	status = kms_audit_key_sign(checkpoint->signing_key_id, message,
								strlen(message), checkpoint->signature);
	pfree(message);
	return status;
}

int64
kms_sign_retire(int limit, TimestampTz due, TimestampTz latest,
				int64 *skipped)
{
	KmsCheckpoint start;
	KmsCheckpoint next;
	int64		deleted;

	*skipped = 0;
	if (kms_master_generation() == 0 || !kms_checkpoint_table_lock_start())
		return 0;
	(void) kms_latest_start(&start);
	if (!find_start(start.ticket, limit, due, latest, &next))
		return 0;
	next.kind = KMS_CHECKPOINT_START;
	next.previous = start.ticket;
	next.signed_at = next.able_since = GetCurrentTimestamp();
	if (sign(&next) != KMS_OK)
		return 0;
	deleted = kms_checkpoint_table_trim(start.ticket, next.ticket, skipped);
	if (*skipped == 0)
		kms_checkpoint_table_insert(&next);
	return deleted;
}

/*
 * Find the last checkpoint that is old enough and within the limit.  It must
 * be as it was signed; otherwise anybody could have the trail deleted.
 *
 * No young event may come before it.  There may be one if the clock was behind
 * when the checkpoint was signed.  An event later than "latest" was recorded
 * while the clock was ahead, so only its signature tells its age.
 */
static bool
find_start(int64 after, int limit, TimestampTz due, TimestampTz latest,
		   KmsCheckpoint *start)
{
	TimestampTz cutoff = due - kms_event_retention * USECS_PER_SEC;
	int64		young = kms_checkpoint_table_first_event(after, after + limit, cutoff,
														 latest);
	KmsAuditPublic last = {0};
	List	   *keys;
	ListCell   *cell;

	if (young == after + 1)
		return false;
	keys = good_keys();
	if (keys == NIL)
		return false;
	foreach(cell, kms_checkpoint_table_candidates(after,
												  Min(limit, young - after - 1),
												  cutoff, keys))
	{
		const KmsCheckpoint *candidate = lfirst(cell);

		if (candidate->ticket > after + limit)
			young = kms_checkpoint_table_first_event(after, candidate->ticket, cutoff,
													 latest);
		if (candidate->ticket >= young)
			continue;
		*start = *candidate;
		if (kms_sign_verify(candidate, &last) == KMS_OK &&
			kms_checkpoint_table_fill(candidate->ticket, start) &&
			start->epoch == candidate->epoch &&
			memcmp(start->hash, candidate->hash, KMS_CHAIN_SIZE) == 0)
			return true;
	}
	return false;
}

/*
 * Return the ids of the audit keys that authenticate.  If the master key of an
 * audit key is lost, its signatures are useless here.
 */
static List *
good_keys(void)
{
	unsigned char public_key[KMS_SIGNATURE_PUBLIC_SIZE];
	List	   *ids = NIL;
	ListCell   *cell;

	foreach(cell, kms_service_key_table_all(KMS_AUDIT_KEY))
	{
		KmsServiceKey *key = lfirst(cell);

		if (kms_audit_key_public(key->id, public_key) == KMS_OK)
			ids = lappend(ids, key->id);
	}
	return ids;
}
