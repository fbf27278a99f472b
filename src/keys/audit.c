/*
 * The first row that is not as it was written is named; what is behind it
 * follows from it and tells nothing.
 */
#include "postgres.h"

#include "utils/builtins.h"

#include "keys/audit.h"

#include "store/walk.h"

/* How far it has been verified. */
typedef struct Audit
{
	KmsWalk    *walk;
	List	   *epochs;			/* of KmsWalkEpoch, the newest first */
	KmsWalkEpoch end;			/* where the trail must end */
	const KmsAuditHead *head;	/* NULL: none is to be compared */
	int64		epoch;			/* of the row before */
	int64		ticket;
	unsigned char hash[KMS_CHAIN_SIZE];
	KmsAuditReport *report;
} Audit;

static void begin(Audit *audit);
static void find_start(Audit *audit);
static bool verify_row(Audit *audit, const KmsWalkRow *row);
static bool verify_end(Audit *audit);
static const char *compare_hash(const Audit *audit, const KmsWalkRow *row);
static const char *get_commitment(const KmsWalkRow *row,
								  unsigned char *commitment);
static bool compare_head(Audit *audit);
static bool found(Audit *audit, const char *finding, int64 epoch, int64 ticket);
static bool found_missing(Audit *audit);
static void newest(const List *epochs, KmsWalkEpoch *end);

void
kms_audit_head(char *out)
{
	KmsWalk    *walk = kms_walk_begin();
	KmsWalkEpoch end;
	char	   *at;

	newest(kms_walk_epochs(walk), &end);
	kms_walk_end(walk);
	at = out + snprintf(out, KMS_AUDIT_HEAD_SIZE, INT64_FORMAT ":",
						end.last_ticket);
	at[hex_encode((const char *) end.hash, sizeof(end.hash), at)] = '\0';
}

bool
kms_audit_head_read(const char *value, KmsAuditHead *head)
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
kms_audit_verify(const KmsAuditHead *head, KmsAuditReport *report)
{
	Audit		audit = {.head = head,.report = report};
	const KmsWalkRow *row;
	bool		good;

	memset(report, 0, sizeof(*report));
	begin(&audit);
	good = compare_head(&audit);
	while (good && (row = kms_walk_next(audit.walk)) != NULL)
		good = verify_row(&audit, row) && compare_head(&audit);
	if (good)
		(void) verify_end(&audit);
	kms_walk_end(audit.walk);
}

static void
begin(Audit *audit)
{
	audit->walk = kms_walk_begin();
	audit->epochs = kms_walk_epochs(audit->walk);
	newest(audit->epochs, &audit->end);
	find_start(audit);
}

/* The row before the first one. */
static void
find_start(Audit *audit)
{
	audit->ticket = 0;
	memset(audit->hash, 0, sizeof(audit->hash));
}

static bool
verify_row(Audit *audit, const KmsWalkRow *row)
{
	KmsAuditReport *report = audit->report;
	const char *finding;

	if (row->ticket > audit->ticket + 1 && audit->ticket < audit->end.last_ticket)
		return found_missing(audit);
	if (row->ticket != audit->ticket + 1 || row->ticket > audit->end.last_ticket)
		return found(audit, "the row has no place in the trail", row->epoch,
					 row->ticket);
	finding = compare_hash(audit, row);
	if (finding != NULL)
		return found(audit, finding, row->epoch, row->ticket);

	audit->epoch = row->epoch;
	audit->ticket = row->ticket;
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
	if (audit->head != NULL && audit->head->ticket > audit->ticket)
		return found(audit, "the trail ends before the head that was given",
					 audit->end.epoch, audit->ticket + 1);
	return true;
}

/* NULL: the row follows from the one before, and is as it was written. */
static const char *
compare_hash(const Audit *audit, const KmsWalkRow *row)
{
	unsigned char commitment[KMS_CHAIN_SIZE];
	unsigned char hash[KMS_CHAIN_SIZE];
	const char *finding;
	KmsStatus	status;

	if (row->malformed)
		return "the row is not as it was written";
	if (!row->has_hash)
		return "the row has no hash";
	finding = get_commitment(row, commitment);
	if (finding != NULL)
		return finding;
	if (row->is_aside)
		status = kms_chain_aside(audit->hash, &row->aside, commitment, hash);
	else
		status = kms_chain_event(audit->hash, &row->event, commitment, hash);
	if (status == KMS_FAILED)
		return "the row could not be verified";
	if (status != KMS_OK || memcmp(hash, row->hash, sizeof(hash)) != 0)
		return "the row is not as it was written";
	return NULL;
}

/* Made from the row or, where that is forgotten, from the proof. */
static const char *
get_commitment(const KmsWalkRow *row, unsigned char *commitment)
{
	KmsStatus	status;

	if (row->has_salt == row->was_forgotten)
		return "the row is not as it was written";
	if (row->is_aside)
		status = kms_chain_commit_aside(&row->aside, row->salt, commitment);
	else
		status = kms_chain_commit_event(&row->event, row->salt, commitment);
	if (status == KMS_FAILED)
		return "the row could not be verified";
	if (status != KMS_OK)
		return "the row is not as it was written";
	return NULL;
}

/* At the ticket of the head it must be what it was. */
static bool
compare_head(Audit *audit)
{
	const KmsAuditHead *head = audit->head;

	if (head == NULL || head->ticket > audit->ticket)
		return true;
	if (head->ticket < audit->ticket)
	{
		/* later ones have been compared */
		if (audit->report->events == 0)
			return found(audit, "the trail begins behind the head that was given, which cannot be compared",
						 0, head->ticket);
		return true;
	}
	if (memcmp(head->hash, audit->hash, sizeof(audit->hash)) != 0)
		return found(audit, "the row has not the hash of the head that was given",
					 audit->epoch, head->ticket);
	return true;
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
 * The row behind the last good one is missing.  Its epoch is the first one
 * that came so far.
 */
static bool
found_missing(Audit *audit)
{
	int64		ticket = audit->ticket + 1;
	int64		epoch = 0;
	ListCell   *cell;

	foreach(cell, audit->epochs)
	{
		KmsWalkEpoch *candidate = lfirst(cell);

		if (candidate->last_ticket >= ticket)
			epoch = candidate->epoch;
	}
	return found(audit, "the row is missing", epoch, ticket);
}

/* All zero where nothing has been written. */
static void
newest(const List *epochs, KmsWalkEpoch *end)
{
	memset(end, 0, sizeof(*end));
	if (epochs != NIL)
		*end = *(KmsWalkEpoch *) linitial(epochs);
}
