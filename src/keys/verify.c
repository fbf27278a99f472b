/*
 * The first bad row is reported.  The rows behind it follow from it, so they
 * tell nothing.
 */
#include "postgres.h"

#include "miscadmin.h"
#include "utils/builtins.h"

#include "keys/verify.h"

#include "keys/continuity.h"
#include "keys/sign.h"
#include "shmem/progress.h"
#include "store/epoch_table.h"
#include "store/link.h"
#include "store/walk.h"

/* The state of a verification. */
typedef struct Audit
{
	KmsWalk    *walk;
	List	   *epochs;			/* of KmsEpochRow, newest first */
	KmsEpochRow end;			/* where the trail must end */
	List	   *checkpoints;	/* of KmsCheckpoint, by ticket */
	int			compared;		/* number of them that were compared */
	int64		previous;		/* ticket of the last one, or of the start */
	List	   *acceptances;	/* the acceptances among them */
	int64		looked_at;		/* 1 + ticket of the last search for one */
	const KmsCheckpoint *acceptance;	/* one whose row comes next, or NULL */
	KmsAuditPublic last_key;
	const char *unverified;		/* NULL, or why a signature could not be
								 * verified */
	int64		unverified_epoch;
	int64		unverified_ticket;
	const KmsVerifyHead *head;	/* NULL: none to compare */
	int64		branch;			/* ticket of the last gap before the head that
								 * records a lost branch, 0: none */
	int64		epoch;			/* of the row before */
	int64		ticket;
	unsigned char hash[KMS_CHAIN_SIZE];
	KmsVerifyReport *report;
} Audit;

static void begin(Audit *audit);
static bool find_start(Audit *audit);
static void note_signed(Audit *audit, const KmsCheckpoint *checkpoint);
static const KmsCheckpoint *last_start(const List *checkpoints);
static int64 count_rows(const Audit *audit);
static void find_acceptance(Audit *audit);
static bool verify_row(Audit *audit, const KmsWalkRow *row);
static void compare_anchor(Audit *audit);
static bool verify_end(Audit *audit);
static const char *compare_hash(Audit *audit, const KmsWalkRow *row);
static const char *get_commitment(Audit *audit, const KmsWalkRow *row,
								  unsigned char *commitment);
static const char *check_proof(Audit *audit, const KmsWalkRow *row);
static bool compare_noted(Audit *audit);
static bool compare_checkpoints(Audit *audit);
static const char *compare_checkpoint(Audit *audit,
									  const KmsCheckpoint *checkpoint);
static const char *judge_signature(Audit *audit, KmsStatus status,
								   int64 epoch, int64 ticket,
								   const char *forged);
static bool compare_head(Audit *audit);
static const char *explain_head(const Audit *audit, const char *finding);
static bool is_branch(const KmsWalkRow *row);
static bool found(Audit *audit, const char *finding, int64 epoch, int64 ticket);
static bool found_missing(Audit *audit);
static void newest(const List *epochs, KmsEpochRow *end);

void
kms_verify_head(char *out)
{
	KmsWalk    *walk = kms_walk_begin();
	KmsEpochRow end;
	char	   *at;

	newest(kms_walk_epochs(walk), &end);
	kms_walk_end(walk);
	at = out + snprintf(out, KMS_AUDIT_HEAD_SIZE, INT64_FORMAT ":",
						end.last_ticket);
	at[hex_encode((const char *) end.hash, sizeof(end.hash), at)] = '\0';
}

bool
kms_verify_head_read(const char *value, KmsVerifyHead *head)
{
	size_t		digits = strspn(value, "0123456789");
	const char *hex = value + digits + 1;
	char	   *end;

	if (digits < 1 || digits > 19 || value[digits] != ':' ||
		strlen(hex) != 2 * KMS_CHAIN_SIZE ||
		strspn(hex, "0123456789abcdefABCDEF") != 2 * KMS_CHAIN_SIZE)
		return false;
	errno = 0;
	head->ticket = strtoi64(value, &end, 10);
	(void) hex_decode(hex, 2 * KMS_CHAIN_SIZE, (char *) head->hash);
	return errno == 0;
}

void
kms_verify_trail(const KmsVerifyHead *head, KmsVerifyReport *report)
{
	Audit		audit = {.head = head,.report = report};
	const KmsWalkRow *row;
	bool		good;

	memset(report, 0, sizeof(*report));
	kms_progress_begin("kms_audit_verify");
	begin(&audit);
	good = find_start(&audit) && compare_noted(&audit);
	kms_progress_phase("verifying events", count_rows(&audit));
	while (good && (row = kms_walk_next(audit.walk)) != NULL)
	{
		kms_progress_add(1);
		find_acceptance(&audit);
		if (audit.acceptance == NULL ||
			row->ticket >= audit.acceptance->ticket)
			good = verify_row(&audit, row) && compare_noted(&audit);
	}
	if (good && verify_end(&audit) && audit.unverified != NULL)
		(void) found(&audit, audit.unverified, audit.unverified_epoch,
					 audit.unverified_ticket);
	kms_walk_end(audit.walk);
	compare_anchor(&audit);
	kms_progress_end();
}

static void
begin(Audit *audit)
{
	ListCell   *cell;

	audit->walk = kms_walk_begin();
	audit->epochs = kms_walk_epochs(audit->walk);
	newest(audit->epochs, &audit->end);
	audit->checkpoints = kms_walk_checkpoints(audit->walk);
	foreach(cell, audit->checkpoints)
	{
		KmsCheckpoint *checkpoint = lfirst(cell);

		if (checkpoint->kind == KMS_CHECKPOINT_ACCEPTANCE)
			audit->acceptances = lappend(audit->acceptances, checkpoint);
	}
}

/*
 * Find the row before the first one: none, or the last one that retention has
 * deleted.
 */
static bool
find_start(Audit *audit)
{
	const KmsCheckpoint *start = last_start(audit->checkpoints);
	const char *finding;
	KmsStatus	status;

	if (start == NULL)
		return true;
	status = kms_sign_verify(start, &audit->last_key);
	finding = judge_signature(audit, status, start->epoch, start->ticket,
							  "the start of the trail or its audit key was changed");
	if (finding != NULL)
		return found(audit, finding, start->epoch, start->ticket);
	audit->epoch = start->epoch;
	audit->ticket = start->ticket;
	memcpy(audit->hash, start->hash, sizeof(audit->hash));
	audit->previous = start->ticket;
	if (status == KMS_OK)
		note_signed(audit, start);
	return true;
}

static void
note_signed(Audit *audit, const KmsCheckpoint *checkpoint)
{
	audit->report->signed_ticket = checkpoint->ticket;
	memcpy(audit->report->signed_hash, checkpoint->hash, KMS_CHAIN_SIZE);
}

static const KmsCheckpoint *
last_start(const List *checkpoints)
{
	const KmsCheckpoint *start = NULL;
	ListCell   *cell;

	foreach(cell, checkpoints)
	{
		const KmsCheckpoint *checkpoint = lfirst(cell);

		if (checkpoint->kind == KMS_CHECKPOINT_START)
			start = checkpoint;
	}
	return start;
}

/*
 * Return how many rows an intact trail has, or KMS_PROGRESS_UNKNOWN if a part
 * of it was accepted as not intact, because any number of rows may be there.
 */
static int64
count_rows(const Audit *audit)
{
	if (audit->acceptances != NIL)
		return KMS_PROGRESS_UNKNOWN;
	return Max(0, audit->end.last_ticket - audit->ticket);
}

/* Find the last acceptance by which the trail continues after this ticket. */
static void
find_acceptance(Audit *audit)
{
	ListCell   *cell;

	if (audit->acceptance != NULL || audit->looked_at == audit->ticket + 1)
		return;
	audit->looked_at = audit->ticket + 1;
	foreach(cell, audit->acceptances)
	{
		const KmsCheckpoint *checkpoint = lfirst(cell);

		if (checkpoint->previous == audit->ticket &&
			checkpoint->ticket > audit->ticket &&
			kms_sign_verify(checkpoint, &audit->last_key) == KMS_OK)
			audit->acceptance = checkpoint;
	}
}

static bool
verify_row(Audit *audit, const KmsWalkRow *row)
{
	KmsVerifyReport *report = audit->report;
	int64		expected = audit->ticket + 1;
	const char *finding;

	if (audit->acceptance != NULL)
		expected = audit->acceptance->ticket;
	if (row->ticket > expected && audit->ticket < audit->end.last_ticket)
		return found_missing(audit);
	if (row->ticket != expected || row->ticket > audit->end.last_ticket)
		return found(audit, "the row has no place in the trail", row->epoch,
					 row->ticket);
	finding = compare_hash(audit, row);
	if (finding != NULL)
		return found(audit, finding, row->epoch, row->ticket);
	if (audit->head != NULL && audit->head->ticket > audit->ticket &&
		audit->head->ticket < row->ticket)
		return found(audit, "the head that was given is of a part that was accepted as not intact",
					 row->epoch, audit->head->ticket);

	if (audit->head != NULL && row->ticket <= audit->head->ticket &&
		is_branch(row))
		audit->branch = row->ticket;
	audit->epoch = row->epoch;
	audit->ticket = row->ticket;
	audit->acceptance = NULL;
	memcpy(audit->hash, row->hash, sizeof(audit->hash));
	if (report->events++ == 0)
		report->first_ticket = row->ticket;
	report->last_ticket = row->ticket;
	return true;
}

static bool
verify_end(Audit *audit)
{
	if (audit->ticket < audit->end.last_ticket)
		return found_missing(audit);
	if (memcmp(audit->hash, audit->end.hash, sizeof(audit->hash)) != 0)
		return found(audit, "the trail does not end with the hash in kms.event_epoch",
					 audit->end.epoch, audit->end.last_ticket);
	if (audit->compared < list_length(audit->checkpoints))
		return found(audit, "the trail ends before what was signed",
					 audit->end.epoch, audit->ticket + 1);
	if (audit->head != NULL && audit->head->ticket > audit->ticket)
		return found(audit,
					 explain_head(audit, "the trail ends before the head that was given"),
					 audit->end.epoch, audit->ticket + 1);
	return true;
}

/*
 * Return NULL if the row follows from the one before and is as it was written.
 */
static const char *
compare_hash(Audit *audit, const KmsWalkRow *row)
{
	unsigned char commitment[KMS_CHAIN_SIZE];
	unsigned char hash[KMS_CHAIN_SIZE];
	const char *finding;
	KmsStatus	status;

	if (row->malformed)
		return "the row is not as it was written";
	if (!row->has_hash)
		return "the row has no hash";
	finding = get_commitment(audit, row, commitment);
	if (finding != NULL)
		return finding;
	if (row->is_quarantined)
		status = kms_chain_quarantine(audit->hash, &row->quarantined, commitment, hash);
	else
		status = kms_chain_event(audit->hash, &row->event, commitment, hash);
	if (status == KMS_FAILED)
		return "the row could not be verified";
	if (status != KMS_OK || memcmp(hash, row->hash, sizeof(hash)) != 0)
		return "the row is not as it was written";
	return NULL;
}

/*
 * Compute the commitment from the row, or take it from the proof if the row
 * was forgotten.
 */
static const char *
get_commitment(Audit *audit, const KmsWalkRow *row, unsigned char *commitment)
{
	KmsStatus	status;

	if (row->has_salt == row->was_forgotten)
		return "the row is not as it was written";
	if (row->was_forgotten)
	{
		memcpy(commitment, row->forgotten.commitment, KMS_CHAIN_SIZE);
		return check_proof(audit, row);
	}
	if (row->is_quarantined)
		status = kms_chain_commit_quarantine(&row->quarantined, row->salt, commitment);
	else
		status = kms_chain_commit_event(&row->event, row->salt, commitment);
	if (status == KMS_FAILED)
		return "the row could not be verified";
	if (status != KMS_OK)
		return "the row is not as it was written";
	return NULL;
}

/* Verify a proof.  The row must contain nothing of what was forgotten. */
static const char *
check_proof(Audit *audit, const KmsWalkRow *row)
{
	const KmsForgotten *forgotten = &row->forgotten;
	unsigned char data[KMS_FORGOTTEN_MESSAGE_MAX];
	KmsEncoder	message;
	KmsStatus	status;

	if (row->is_quarantined ? row->quarantined.event.data != NULL
		: !kms_chain_event_is_blank(&row->event))
		return "the row is not as it was written";
	kms_encoder_init(&message, data, sizeof(data));
	kms_chain_forgotten_message(row->epoch, row->ticket, forgotten, &message);
	status = kms_audit_key_verify(&audit->last_key, forgotten->key_id,
								  message.data, message.len,
								  forgotten->signature);
	return judge_signature(audit, status, row->epoch, row->ticket,
						   "the proof that the row was forgotten or its audit key was changed");
}

/* Compare the row with the checkpoints and the head of its ticket. */
static bool
compare_noted(Audit *audit)
{
	return compare_checkpoints(audit) && compare_head(audit);
}

static bool
compare_checkpoints(Audit *audit)
{
	while (audit->compared < list_length(audit->checkpoints))
	{
		const KmsCheckpoint *checkpoint = list_nth(audit->checkpoints,
												   audit->compared);
		const char *finding;

		if (checkpoint->ticket > audit->ticket)
			break;
		finding = compare_checkpoint(audit, checkpoint);
		if (finding != NULL)
			return found(audit, finding, checkpoint->epoch,
						 checkpoint->ticket);
		audit->compared++;
	}
	return true;
}

/*
 * Each checkpoint names the one before it.  At the start of the trail, that
 * one is gone.
 */
static const char *
compare_checkpoint(Audit *audit, const KmsCheckpoint *checkpoint)
{
	bool		is_start = checkpoint->kind == KMS_CHECKPOINT_START;
	bool		at_start = audit->report->events == 0;
	const char *finding;
	KmsStatus	status;

	if (checkpoint->ticket < audit->ticket || audit->ticket == 0 ||
		(is_start && !at_start))
		return "the checkpoint has no place in the trail";
	if (is_start)
		return NULL;			/* the trail begins there */
	status = kms_sign_verify(checkpoint, &audit->last_key);
	finding = judge_signature(audit, status, checkpoint->epoch,
							  checkpoint->ticket,
							  "the checkpoint or its audit key was changed");
	if (finding != NULL)
		return finding;
	if (checkpoint->epoch != audit->epoch ||
		memcmp(checkpoint->hash, audit->hash, sizeof(audit->hash)) != 0)
		return "the rows up to here are not those that were signed";
	if (!at_start && checkpoint->previous != audit->previous)
		return "the checkpoint before this one is missing";
	audit->previous = checkpoint->ticket;
	if (status == KMS_OK)
		note_signed(audit, checkpoint);
	return NULL;
}

/*
 * Return NULL if the signature is good or cannot be verified.  The latter is
 * no reason to miss a row that was changed.  So remember it, and report it if
 * there is no other finding.
 */
static const char *
judge_signature(Audit *audit, KmsStatus status, int64 epoch, int64 ticket,
				const char *forged)
{
	const char *unverified = "the signature could not be verified";

	switch (status)
	{
		case KMS_OK:
			return NULL;
		case KMS_NOT_AUTHENTIC:
			return forged;
		case KMS_KEY_NOT_FOUND:
			unverified = "the key of the signature is not in kms.audit_key";
			break;
		case KMS_NO_MASTER_KEY:
		case KMS_OTHER_MASTER_KEY:
			unverified = "the signature cannot be verified without the master key of its key";
			break;
		default:
			break;
	}
	if (audit->unverified == NULL)
	{
		audit->unverified = unverified;
		audit->unverified_epoch = epoch;
		audit->unverified_ticket = ticket;
	}
	return NULL;
}

/* The row with the head's ticket must have the head's hash. */
static bool
compare_head(Audit *audit)
{
	const KmsVerifyHead *head = audit->head;

	if (head == NULL || head->ticket > audit->ticket)
		return true;
	if (head->ticket < audit->ticket)
	{
		/* its row was compared, unless the trail begins behind it */
		if (audit->report->events == 0)
			return found(audit, "the trail begins behind the head that was given, which cannot be compared",
						 0, head->ticket);
		return true;
	}
	if (memcmp(head->hash, audit->hash, sizeof(audit->hash)) != 0)
		return found(audit,
					 explain_head(audit, "the row does not have the hash of the head that was given"),
					 audit->epoch, head->ticket);
	return true;
}

/*
 * Explain a finding about a head.  A head that is not of this trail need not
 * mean that the trail was changed.
 */
static const char *
explain_head(const Audit *audit, const char *finding)
{
	if (audit->branch == 0)
		return finding;
	return psprintf("%s; that may have been noted on a branch of the trail that was lost: see the gap with ticket " INT64_FORMAT,
					finding, audit->branch);
}

static bool
is_branch(const KmsWalkRow *row)
{
	const char *gap = kms_event_operation_name(KMS_OP_GAP);
	const KmsChainField *operation;
	const KmsChainField *remark;

	if (row->is_quarantined)
		return false;
	operation = kms_link_text(&row->event, offsetof(KmsEvent, operation));
	remark = kms_link_text(&row->event, offsetof(KmsEvent, remark));
	return operation->len == strlen(gap) &&
		memcmp(operation->data, gap, operation->len) == 0 &&
		remark->data != NULL &&
		(memmem(remark->data, remark->len, KMS_GAP_UNFINISHED,
				strlen(KMS_GAP_UNFINISHED)) != NULL ||
		 memmem(remark->data, remark->len, KMS_GAP_RESTORED,
				strlen(KMS_GAP_RESTORED)) != NULL);
}

static bool
found(Audit *audit, const char *finding, int64 epoch, int64 ticket)
{
	audit->report->finding = finding;
	audit->report->bad_epoch = epoch;
	audit->report->bad_ticket = ticket;
	return false;
}

/*
 * Compare the current tables, because the anchor may be newer than the
 * snapshot.  So report a difference only if there is no other finding.
 */
static void
compare_anchor(Audit *audit)
{
	KmsContinuity continuity;
	const KmsAnchorPoint *point = &continuity.anchor.current;

	kms_continuity_judge(&continuity);
	audit->report->anchored = continuity.anchored;
	if (continuity.broken != KMS_ANCHOR_HOLDS &&
		audit->report->finding == NULL)
		(void) found(audit, kms_continuity_finding(continuity.broken),
					 audit->end.epoch,
					 continuity.broken == KMS_ANCHOR_SIGNATURE ?
					 point->signed_ticket : point->ticket);
}

/*
 * Report that the row after the last good one is missing.  Its epoch is the
 * oldest one that reaches its ticket.
 */
static bool
found_missing(Audit *audit)
{
	int64		ticket = audit->acceptance != NULL ? audit->acceptance->ticket
	: audit->ticket + 1;
	int64		epoch = 0;
	ListCell   *cell;

	foreach(cell, audit->epochs)
	{
		KmsEpochRow *candidate = lfirst(cell);

		if (candidate->last_ticket >= ticket)
			epoch = candidate->epoch;
	}
	return found(audit, "the row is missing", epoch, ticket);
}

/* Return the newest epoch with a valid ticket, all zero if there is none. */
static void
newest(const List *epochs, KmsEpochRow *end)
{
	ListCell   *cell;

	memset(end, 0, sizeof(*end));
	foreach(cell, epochs)
	{
		const KmsEpochRow *epoch = lfirst(cell);

		if (epoch->last_ticket >= 0 && epoch->last_ticket < KMS_TICKET_LIMIT)
		{
			*end = *epoch;
			return;
		}
	}
}
