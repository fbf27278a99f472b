/*
 * Which rows the anchor is compared with, and when.
 *
 * Before each commit, the writer stores in the anchor what it is about to
 * write.  After the commit, it stores that it has done so.  Whenever it is
 * killed, the trail ends at one of the two.  So once a writer has compared the
 * anchor, it compares only the end of the trail in each transaction, which
 * takes microseconds.  It compares the last signature when it starts and when
 * it signs.  If an earlier row is changed without computing the chain again,
 * verification finds it.
 *
 * An anchor from a backup, or from the ring before, may be older than the
 * trail.  So may an anchor of an earlier timeline, because another server may
 * have continued the trail.  In these cases the anchor's rows must exist or
 * have been deleted by retention, and nothing is known about the rows behind
 * them.
 */
#include "postgres.h"

#include "access/xlog.h"
#include "commands/dbcommands.h"
#include "miscadmin.h"
#include "utils/timestamp.h"

#include "keys/continuity.h"

#include "keys/sign.h"
#include "pg/fault.h"
#include "pg/settings.h"
#include "pg/wal.h"
#include "shmem/anchor_file.h"
#include "shmem/session_ring.h"
#include "store/epoch_table.h"
#include "store/latest.h"
#include "store/link.h"

#define FILE_PAUSE_S	60		/* between writes without a new signature */
#define JUDGE_TRIES		10

/* An anchor is never older than its trail by more rows than this. */
#define ROWS_MAX		(INT64CONST(1) << 40)

static void judge(KmsContinuity *continuity);
static bool is_end(const KmsAnchorPoint *point);
static bool ends_at(const KmsAnchorPoint *point, int64 ticket,
					const unsigned char *hash);
static KmsAnchorBreak find_rows(const KmsAnchorPoint *point);
static bool is_retired(int64 ticket);
static bool is_exact(const KmsAnchor *anchor);
static void find_signature(KmsAnchorPoint *point);
static void break_off(KmsKeeper *keeper, KmsAnchorBreak broken);

void
kms_continuity_judge(KmsContinuity *continuity)
{
	uint64		number;
	int			i;

	/*
	 * The writer may commit while we read: repeat until the anchor is
	 * unchanged.
	 */
	memset(continuity, 0, sizeof(*continuity));
	for (i = 0; i < JUDGE_TRIES; i++)
	{
		number = continuity->anchor.number;
		judge(continuity);
		if (continuity->broken == KMS_ANCHOR_HOLDS ||
			continuity->anchor.broken != KMS_ANCHOR_HOLDS ||
			(i > 0 && continuity->anchor.number == number))
			return;
	}
	if (continuity->broken == KMS_ANCHOR_END)
		continuity->broken = KMS_ANCHOR_HOLDS;
}

static void
judge(KmsContinuity *continuity)
{
	KmsAnchor  *anchor = &continuity->anchor;
	const KmsAnchorPoint *point = &anchor->current;

	continuity->anchored = false;
	continuity->restored = false;
	continuity->broken = KMS_ANCHOR_HOLDS;
	if (!kms_session_ring_anchor(anchor, false) || point->ticket == 0)
		return;
	if (!kms_wal_contains(point->timeline, point->wal))
	{
		continuity->restored = true;
		return;
	}
	continuity->anchored = true;
	continuity->broken = anchor->broken;
	if (continuity->broken != KMS_ANCHOR_HOLDS)
		return;

	if (is_exact(anchor))
	{
		if (anchor->has_pending && is_end(&anchor->pending))
			point = &anchor->pending;
		else if (!is_end(point))
			continuity->broken = KMS_ANCHOR_END;
	}
	if (continuity->broken == KMS_ANCHOR_HOLDS)
		continuity->broken = find_rows(point);
}

/*
 * Return whether kms.event_epoch has the point as the last row, and no row is
 * behind it.
 */
static bool
is_end(const KmsAnchorPoint *point)
{
	KmsEpochRow end;

	(void) kms_epoch_table_end(&end, KMS_TICKET_LIMIT);
	return ends_at(point, end.last_ticket, end.hash) &&
		!kms_latest_row_behind(point->ticket);
}

static bool
ends_at(const KmsAnchorPoint *point, int64 ticket, const unsigned char *hash)
{
	return point->ticket == ticket &&
		memcmp(point->hash, hash, KMS_CHAIN_SIZE) == 0;
}

static KmsAnchorBreak
find_rows(const KmsAnchorPoint *point)
{
	if (!kms_latest_row(point->ticket, point->hash, 0) &&
		!is_retired(point->ticket))
		return KMS_ANCHOR_ROW;
	if (point->signed_ticket != 0 &&
		!kms_latest_signature(point->signed_ticket, point->signed_hash) &&
		!is_retired(point->signed_ticket))
		return KMS_ANCHOR_SIGNATURE;
	return KMS_ANCHOR_HOLDS;
}

/*
 * Return whether retention has deleted the row, and signed a start behind it.
 * Without a master key the signature cannot be verified, but nothing is signed
 * then either.  A signature under a master key that this server does not have
 * does not count, because anybody who may write the tables can make one.
 */
static bool
is_retired(int64 ticket)
{
	KmsAuditPublic last = {0};
	KmsCheckpoint start;
	KmsStatus	status;

	if (!kms_latest_start(&start) || start.ticket < ticket)
		return false;
	status = kms_sign_verify(&start, &last);
	return status == KMS_OK || status == KMS_NO_MASTER_KEY;
}

static bool
is_exact(const KmsAnchor *anchor)
{
	uint32		timeline;
	uint64		position;

	kms_wal_position(&timeline, &position);
	return anchor->exact && anchor->current.timeline == timeline;
}

bool
kms_continuity_is_broken(void)
{
	KmsContinuity continuity;

	kms_continuity_judge(&continuity);
	if (continuity.broken == KMS_ANCHOR_HOLDS)
		return false;
	if (kms_shared_database() != NULL)
		kms_shared_request(kms_shared_database(), KMS_WRITER);
	return true;
}

const char *
kms_continuity_finding(KmsAnchorBreak broken)
{
	switch (broken)
	{
		case KMS_ANCHOR_HOLDS:
			break;
		case KMS_ANCHOR_ROW:
			return "the last row that was written is missing or was changed";
		case KMS_ANCHOR_SIGNATURE:
			return "the last signature is missing or was changed";
		case KMS_ANCHOR_END:
			return "the trail does not end where the server ended it";
	}
	return NULL;
}

void
kms_continuity_check(KmsReport report, void *arg)
{
	KmsContinuity continuity;
	const KmsAnchorPoint *point = &continuity.anchor.current;
	int64		late;

	kms_continuity_judge(&continuity);
	if (continuity.broken != KMS_ANCHOR_HOLDS)
		report(arg, "error",
			   psprintf("the trail was changed behind the server's back: %s (ticket " INT64_FORMAT ", signed up to " INT64_FORMAT ")",
						kms_continuity_finding(continuity.broken),
						point->ticket, point->signed_ticket),
			   "Events are still written, but nothing is signed and retention deletes nothing. Find out what happened, save the tables of the trail, then call kms_audit_accept().");
	late = kms_checkpoint_table_late(Max(SECS_PER_HOUR,
										 2 * kms_audit_checkpoint_interval));
	if (late > 0)
		report(arg, "warning",
			   psprintf("events were signed for the first time more than an hour after they were recorded, though the server ran and had the master key: " INT64_FORMAT,
						late),
			   "Until then, anybody who can write kms.event could have changed them. See in the server log what held up the event writer; checkpoints may also have been deleted.");
}

void
kms_continuity_begin(KmsKeeper *keeper)
{
	KmsAnchor  *anchor = &keeper->anchor;
	const KmsAnchorPoint *point = &anchor->current;
	uint32		timeline;
	uint64		position;
	uint64		number;
	KmsEpochRow end;

	if (keeper->known)
		return;
	keeper->restored = false;
	if (kms_session_ring_anchor(anchor, true) && point->ticket != 0)
	{
		if (kms_wal_contains(point->timeline, point->wal))
		{
			if (!is_exact(anchor))
				anchor->exact = 0;
			return;
		}
		kms_wal_position(&timeline, &position);
		(void) kms_epoch_table_end(&end, KMS_TICKET_LIMIT);
		if (anchor->has_pending &&
			ends_at(&anchor->pending, end.last_ticket, end.hash))
		{
			/* the gap was committed before the writer was killed */
			anchor->current = anchor->pending;
			kms_wal_flushed(&anchor->current.timeline, &anchor->current.wal);
			return;
		}
		snprintf(keeper->gap, sizeof(keeper->gap),
				 KMS_GAP_RESTORED "the trail had been written to ticket "
				 INT64_FORMAT " (WAL %X/%X, timeline %u), and goes on from ticket "
				 INT64_FORMAT " (WAL %X/%X, timeline %u)",
				 point->ticket, LSN_FORMAT_ARGS(point->wal), point->timeline,
				 end.last_ticket, LSN_FORMAT_ARGS(position), timeline);
		keeper->restored = true;
	}
	else
	{
		number = anchor->number;
		memset(anchor, 0, sizeof(*anchor));
		anchor->number = number;
	}
}

/*
 * A writer knows which rows it has written itself, even if the trail is broken
 * and its anchor stays behind.  Without an anchor, half of all numbers are
 * left.
 */
int64
kms_continuity_limit(const KmsKeeper *keeper)
{
	const KmsAnchor *anchor = &keeper->anchor;
	int64		last = anchor->current.ticket;

	if (keeper->known && keeper->last_ticket != 0)
		return keeper->last_ticket + 1;
	if (last == 0)
		return KMS_TICKET_LIMIT / 2;
	if (anchor->has_pending)
		last = Max(last, anchor->pending.ticket);
	return Min(KMS_TICKET_LIMIT, last + ROWS_MAX);
}

void
kms_continuity_follow(KmsKeeper *keeper, KmsTrail *trail, bool older)
{
	KmsAnchor  *anchor = &keeper->anchor;
	KmsAnchorBreak broken = KMS_ANCHOR_HOLDS;
	bool		exact = keeper->known || (anchor->exact && !older);

	if (keeper->restored)
	{
		kms_event_table_gap(trail, 0, keeper->gap);
		kms_event_table_close(trail);
		keeper->renewed = true;
		return;
	}
	if (anchor->broken != KMS_ANCHOR_HOLDS)
	{
		/* the acceptance was committed before the writer was killed */
		if (!keeper->known && anchor->has_pending &&
			ends_at(&anchor->pending, trail->found_ticket, trail->found_hash))
		{
			anchor->current = anchor->pending;
			anchor->broken = KMS_ANCHOR_HOLDS;
		}
		else
		{
			anchor->has_pending = false;
			keeper->known = true;
			return;
		}
	}
	if (anchor->current.ticket != 0 && exact &&
		!(trail->found_epoch &&
		  ends_at(&anchor->current, trail->found_ticket, trail->found_hash)))
	{
		/*
		 * This was committed, but the writer was killed before it could store
		 * that.
		 */
		if (anchor->has_pending && trail->found_epoch &&
			ends_at(&anchor->pending, trail->found_ticket, trail->found_hash))
			anchor->current = anchor->pending;
		else
			broken = KMS_ANCHOR_END;
	}
	anchor->has_pending = false;
	if (broken == KMS_ANCHOR_HOLDS && anchor->current.ticket != 0)
	{
		if (!keeper->known)
			broken = find_rows(&anchor->current);
		else if (!kms_latest_row(anchor->current.ticket, anchor->current.hash,
								 0) &&
				 !is_retired(anchor->current.ticket))
			broken = KMS_ANCHOR_ROW;
	}
	if (broken != KMS_ANCHOR_HOLDS)
		break_off(keeper, broken);
	else if (!exact)
	{
		/* nothing more is known: start from the trail as it is now */
		keeper->renewed = true;
		anchor->current.ticket = trail->found_ticket;
		memcpy(anchor->current.hash, trail->found_hash, KMS_CHAIN_SIZE);
		kms_wal_flushed(&anchor->current.timeline, &anchor->current.wal);
		find_signature(&anchor->current);
	}
}

/* Find the last signature, unless it was forged. */
static void
find_signature(KmsAnchorPoint *point)
{
	KmsAuditPublic last = {0};
	KmsCheckpoint checkpoint;

	if (kms_latest_checkpoint(point->ticket, &checkpoint) &&
		kms_sign_verify(&checkpoint, &last) != KMS_NOT_AUTHENTIC)
	{
		point->signed_ticket = checkpoint.ticket;
		memcpy(point->signed_hash, checkpoint.hash, KMS_CHAIN_SIZE);
	}
}

bool
kms_continuity_confirm(KmsKeeper *keeper)
{
	const KmsAnchorPoint *point = &keeper->anchor.current;
	KmsAnchorBreak broken;

	if (keeper->anchor.broken != KMS_ANCHOR_HOLDS)
		return false;
	if (point->ticket == 0)
		return true;
	broken = find_rows(point);
	if (broken == KMS_ANCHOR_HOLDS && !is_end(point))
		broken = KMS_ANCHOR_END;
	if (broken != KMS_ANCHOR_HOLDS)
		break_off(keeper, broken);
	return broken == KMS_ANCHOR_HOLDS;
}

void
kms_continuity_break(KmsKeeper *keeper)
{
	if (keeper->anchor.broken == KMS_ANCHOR_HOLDS)
		break_off(keeper, KMS_ANCHOR_END);
}

/* Mark the trail as broken.  The anchor stays where the trail was whole. */
static void
break_off(KmsKeeper *keeper, KmsAnchorBreak broken)
{
	KmsAnchor  *anchor = &keeper->anchor;
	const char *name = get_database_name(MyDatabaseId);

	kms_session_ring_identity(&anchor->identity);
	anchor->broken = broken;
	anchor->has_pending = false;
	anchor->written_at = GetCurrentTimestamp();
	keeper->known = true;
	kms_session_ring_keep_anchor(anchor);
	keeper->filed = false;
	kms_continuity_file(keeper, true);
	ereport(LOG,
			(errmsg("kms writer of database \"%s\": the trail was changed behind the server's back: %s",
					name,
					kms_continuity_finding(broken)),
			 errdetail("The trail was written to ticket " INT64_FORMAT " and signed to " INT64_FORMAT ".",
					   anchor->current.ticket, anchor->current.signed_ticket),
			 errhint("Nothing is signed until kms_audit_accept() is called; see kms_check()."),
			 KMS_HIDE_STATEMENT));
}

void
kms_continuity_commit(KmsKeeper *keeper, const KmsTrail *trail,
					  int64 signed_ticket, const unsigned char *signed_hash)
{
	KmsAnchor  *anchor = &keeper->anchor;
	KmsAnchorPoint *pending = &anchor->pending;

	keeper->last_ticket = trail->last_ticket;
	if ((anchor->broken != KMS_ANCHOR_HOLDS && !keeper->accepting) ||
		(signed_ticket == 0 && !keeper->restored &&
		 ends_at(&anchor->current, trail->last_ticket, trail->hash)))
		return;
	*pending = anchor->current;
	pending->ticket = trail->last_ticket;
	memcpy(pending->hash, trail->hash, KMS_CHAIN_SIZE);
	if (keeper->restored)
		pending->signed_ticket = 0;
	if (signed_ticket != 0)
	{
		pending->signed_ticket = signed_ticket;
		memcpy(pending->signed_hash, signed_hash, KMS_CHAIN_SIZE);
	}
	anchor->has_pending = true;
	kms_session_ring_identity(&anchor->identity);
	kms_session_ring_keep_anchor(anchor);
}

/* Must be called after the commit is flushed. */
void
kms_continuity_committed(KmsKeeper *keeper)
{
	KmsAnchor  *anchor = &keeper->anchor;

	keeper->known = true;
	keeper->restored = false;
	if (!anchor->has_pending)
		return;
	keeper->accepting = false;
	anchor->broken = KMS_ANCHOR_HOLDS;
	anchor->current = anchor->pending;
	kms_wal_flushed(&anchor->current.timeline, &anchor->current.wal);
	if (!XLogRecPtrIsInvalid(XactLastCommitEnd))
		anchor->current.wal = XactLastCommitEnd;
	anchor->has_pending = false;
	anchor->exact = true;
	anchor->written_at = GetCurrentTimestamp();
	kms_session_ring_keep_anchor(anchor);
	keeper->filed = false;
}

void
kms_continuity_accept(KmsKeeper *keeper)
{
	keeper->accepting = true;
}

void
kms_continuity_forget(KmsKeeper *keeper)
{
	keeper->accepting = false;
	keeper->known = false;
}

void
kms_continuity_file(KmsKeeper *keeper, bool now)
{
	TimestampTz time = GetCurrentTimestamp();

	if (keeper->filed || keeper->anchor.identity.database_oid == InvalidOid ||
		(!now && time >= keeper->filed_at &&
		 time - keeper->filed_at < FILE_PAUSE_S * USECS_PER_SEC))
		return;
	keeper->filed_at = time;
	keeper->filed = kms_anchor_file_write(&keeper->anchor);
}
