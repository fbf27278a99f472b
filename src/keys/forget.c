/*
 * Forgetting a device, in one transaction:
 *
 * 1. Wait until all recorded events are written, so that they are found.
 * 2. Destroy the keys, under the device's lock, so that none is made in the
 *    meantime.
 * 3. Walk through the trail once.  Replace the personal data of each row of
 *    the device by a signed proof that its owner has removed it
 *    (docs/design/trail-chain.md, "Forgetting").
 *
 * Events of the device that others record while this runs are later, so they
 * stay.  No event of this transaction names the device.
 */
#include "postgres.h"

#include "access/xact.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/json.h"
#include "utils/snapmgr.h"

#include "keys/forget.h"

#include "keys/audit_key.h"
#include "keys/key_seal.h"
#include "keys/transition.h"
#include "pg/compat.h"
#include "pg/fault.h"
#include "shmem/progress.h"
#include "shmem/wait.h"
#include "store/key_lock.h"
#include "store/key_table.h"
#include "store/link.h"
#include "store/outbox_table.h"
#include "store/quarantine_table.h"
#include "store/walk.h"

#define FLUSH_MS	10000		/* milliseconds for the writer */

/* A row of the trail that is about the device. */
typedef struct Found
{
	int64		epoch;
	int64		ticket;
	bool		is_quarantined;
	bool		committed;		/* it has a salt, so the chain has a
								 * commitment */
	unsigned char commitment[KMS_CHAIN_SIZE];
} Found;

typedef struct Search
{
	KmsChainField device_id;	/* in UTF-8, as in the chain */
	const char *raw;			/* in the database's encoding */
	const char *json;			/* as a member of a row in JSON */
	List	   *key_ids;		/* of its keys, deleted ones included; none of
								 * another device */
	Found	   *rows;
	int64		count;
	int64		size;
} Search;

#define member(row, name) \
	kms_link_text(&(row)->event, offsetof(KmsEvent, name))

static KmsStatus forget(KmsCall *call, const char *device_id,
						KmsForgetResult *result, KmsFault *fault);
static void require_room(void);
static bool note_key(const KmsKey *key, KmsRowOrigin origin, void *arg);
static KmsStatus destroy_keys(List *key_ids, int64 *count, KmsFault *fault);
static KmsStatus find_rows(const char *device_id, Search *search);
static bool tells_of(const Search *search, const KmsWalkRow *row);
static bool is_quarantined_of(const Search *search, const KmsChainField *event);
static KmsStatus add(Search *search, const KmsWalkRow *row);
static bool knows_key(const Search *search, const KmsChainField *key_id);
static void learn_key(Search *search, const KmsWalkRow *row);
static bool is(const KmsChainField *field, const char *value);
static KmsStatus blank(const Search *search, const char *signing_key_id,
					   KmsForgetResult *result);
static bool blank_row(const Found *row, const unsigned char *proof,
					  size_t len);
static KmsStatus prove(const Found *row, const char *signing_key_id,
					   unsigned char *proof, size_t *len);

KmsStatus
kms_forget_device(KmsCall *call, const char *device_id,
				  KmsForgetResult *result, KmsFault *fault)
{
	KmsStatus	status;

	memset(result, 0, sizeof(*result));
	kms_progress_begin("kms_forget_device");
	status = forget(call, device_id, result, fault);
	kms_progress_end();
	return status;
}

static KmsStatus
forget(KmsCall *call, const char *device_id, KmsForgetResult *result,
	   KmsFault *fault)
{
	char		signing_key_id[KMS_SERVICE_ID_MAX + 1];
	Search		search = {0};
	KmsStatus	status;

	require_room();
	kms_call_ends_as(call, KMS_CALL_CHANGED);
	kms_progress_phase("waiting for the device", KMS_PROGRESS_UNKNOWN);
	kms_key_lock_device(device_id);
	kms_key_table_visit_device(device_id, note_key, &search.key_ids);
	status = destroy_keys(search.key_ids, &result->keys, fault);
	if (status != KMS_OK)
		return status;
	status = kms_audit_key_current(signing_key_id);
	if (status != KMS_OK)
		return kms_fault(fault, status);
	result->events = kms_outbox_table_blank(device_id);
	status = find_rows(device_id, &search);
	if (status == KMS_OK)
		status = blank(&search, signing_key_id, result);
	if (status != KMS_OK)
		return kms_fault(fault, status);
	kms_call_remark(call, psprintf("keys: " INT64_FORMAT ", events: " INT64_FORMAT,
								   result->keys, result->events));
	return kms_fault(fault, status);
}

static void
require_room(void)
{
	PreventCommandDuringRecovery("kms_forget_device()");
	PreventCommandIfReadOnly("kms_forget_device()");
	PreventCommandIfParallelMode("kms_forget_device()");
	if (IsolationUsesXactSnapshot())
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_TRANSACTION_STATE),
				 errmsg("kms_forget_device() must see what others have committed"),
				 errhint("Call it in a READ COMMITTED transaction."),
				 KMS_HIDE_STATEMENT));
	kms_progress_phase("waiting for the event writer", KMS_PROGRESS_UNKNOWN);
	if (!kms_wait_flush(FLUSH_MS))
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("the trail is not up to date, so events of the device may be missing from it"),
				 errhint("Run kms_check() to see what keeps the event writer, then call again."),
				 KMS_HIDE_STATEMENT));
}

static KmsStatus
destroy_keys(List *key_ids, int64 *count, KmsFault *fault)
{
	ListCell   *cell;

	kms_progress_phase("destroying keys", list_length(key_ids));
	foreach(cell, key_ids)
	{
		KmsStatus	status;

		CHECK_FOR_INTERRUPTS();
		status = kms_transition_erase(lfirst(cell), "Forgotten", fault);
		if (status == KMS_OK)
			(*count)++;
		else if (status != KMS_KEY_NOT_FOUND)
			return status;
		kms_progress_add(1);
	}
	return kms_fault(fault, KMS_OK);
}

static bool
note_key(const KmsKey *key, KmsRowOrigin origin, void *arg)
{
	List	  **ids = arg;

	*ids = lappend(*ids, pstrdup(key->row.key_id));
	return true;
}

static KmsStatus
find_rows(const char *device_id, Search *search)
{
	KmsStatus	status = KMS_OK;
	StringInfoData json;
	const KmsWalkRow *row;
	KmsWalk    *walk;

	search->device_id.data = kms_key_seal_utf8(device_id);
	search->device_id.len = strlen(search->device_id.data);
	search->raw = device_id;
	initStringInfo(&json);
	appendStringInfoString(&json, "\"device_id\":");
	escape_json(&json, device_id);
	search->json = json.data;

	/*
	 * Use a snapshot that sees what the writer has committed in the meantime.
	 * The trail need not be intact, so the number of its rows is a guess.
	 */
	kms_progress_phase("searching the trail", KMS_PROGRESS_UNKNOWN);
	PushActiveSnapshot(GetTransactionSnapshot());
	walk = kms_walk_begin();
	while (status == KMS_OK && (row = kms_walk_next(walk)) != NULL)
	{
		if (tells_of(search, row))
			status = add(search, row);
		kms_progress_add(1);
	}
	kms_walk_end(walk);
	PopActiveSnapshot();
	return status;
}

static bool
tells_of(const Search *search, const KmsWalkRow *row)
{
	const KmsChainField *device_id = member(row, device_id);

	if (row->was_forgotten)
		return false;
	if (row->is_quarantined)
		return is_quarantined_of(search, &row->quarantined.event);
	if (device_id->data == NULL)
		return knows_key(search, member(row, key_id));
	return device_id->len == search->device_id.len &&
		memcmp(device_id->data, search->device_id.data, device_id->len) == 0;
}

/*
 * A row without a device is about this one if it names one of its keys: the
 * call was refused before the key's device was known.
 */
static bool
knows_key(const Search *search, const KmsChainField *key_id)
{
	ListCell   *cell;

	if (key_id->data == NULL)
		return false;
	foreach(cell, search->key_ids)
	{
		const char *known = lfirst(cell);

		if (strlen(known) == key_id->len &&
			memcmp(known, key_id->data, key_id->len) == 0)
			return true;
	}
	return false;
}

/*
 * Return whether a quarantined event is about the device.  The event is a row
 * of the outbox in JSON, or an entry of the ring.
 */
static bool
is_quarantined_of(const Search *search, const KmsChainField *event)
{
	static const char outbox[] = "{\"event_id\":";

	if (event->data == NULL)
		return false;
	if (event->len > strlen(outbox) &&
		memcmp(event->data, outbox, strlen(outbox)) == 0)
		return memmem(event->data, event->len, search->json,
					  strlen(search->json)) != NULL;
	return event->len == sizeof(KmsEvent) &&
		strncmp(event->data + offsetof(KmsEvent, device_id), search->raw,
				sizeof(((KmsEvent *) 0)->device_id)) == 0;
}

static KmsStatus
add(Search *search, const KmsWalkRow *row)
{
	Found	   *found;

	if (search->count == search->size)
	{
		search->size = search->size == 0 ? 256 : 2 * search->size;
		search->rows = search->rows == NULL ?
			MemoryContextAllocHuge(CurrentMemoryContext,
								   search->size * sizeof(Found)) :
			repalloc_huge(search->rows, search->size * sizeof(Found));
	}
	found = &search->rows[search->count++];
	memset(found, 0, sizeof(*found));
	found->epoch = row->epoch;
	found->ticket = row->ticket;
	found->is_quarantined = row->is_quarantined;
	found->committed = row->has_salt;
	if (!row->is_quarantined)
		learn_key(search, row);
	if (!row->has_salt)
		return KMS_OK;
	return row->is_quarantined ?
		kms_chain_commit_quarantine(&row->quarantined, row->salt, found->commitment) :
		kms_chain_commit_event(&row->event, row->salt, found->commitment);
}

/*
 * Remember the key of a row of the device.  Skip an import that was refused or
 * rolled back, because another device may have had that key already, or may
 * have got it later.
 */
static void
learn_key(Search *search, const KmsWalkRow *row)
{
	const KmsChainField *key_id = member(row, key_id);
	KmsKey		now;
	char	   *id;

	if (key_id->data == NULL || knows_key(search, key_id) ||
		(is(member(row, operation), "import") &&
		 !is(member(row, status), "success")))
		return;
	id = pnstrdup(key_id->data, key_id->len);

	/* skip a key that was destroyed and imported again for another device */
	if (!kms_key_table_read(id, &now) || strcmp(now.row.device_id, search->raw) == 0)
		search->key_ids = lappend(search->key_ids, id);
}

static bool
is(const KmsChainField *field, const char *value)
{
	return field->data != NULL && field->len == strlen(value) &&
		memcmp(field->data, value, field->len) == 0;
}

static KmsStatus
blank(const Search *search, const char *signing_key_id,
	  KmsForgetResult *result)
{
	KmsStatus	status = KMS_OK;
	int64		i;

	kms_progress_phase("removing personal data", search->count);
	for (i = 0; status == KMS_OK && i < search->count; i++)
	{
		const Found *row = &search->rows[i];
		unsigned char proof[KMS_FORGOTTEN_SIZE_MAX];
		size_t		len = 0;

		CHECK_FOR_INTERRUPTS();
		if (row->committed)
			status = prove(row, signing_key_id, proof, &len);
		if (status == KMS_OK && blank_row(row, proof, len))
			result->events++;
		kms_progress_add(1);
	}
	return status;
}

static bool
blank_row(const Found *row, const unsigned char *proof, size_t len)
{
	return row->is_quarantined ?
		kms_quarantine_table_blank(row->epoch, row->ticket, proof, len) :
		kms_event_table_blank(row->epoch, row->ticket, proof, len);
}

static KmsStatus
prove(const Found *row, const char *signing_key_id, unsigned char *proof,
	  size_t *len)
{
	unsigned char message[KMS_FORGOTTEN_MESSAGE_MAX];
	KmsForgotten forgotten = {0};
	KmsEncoder	enc;
	KmsStatus	status;

	memcpy(forgotten.commitment, row->commitment, sizeof(forgotten.commitment));
	strlcpy(forgotten.key_id, signing_key_id, sizeof(forgotten.key_id));
	kms_encoder_init(&enc, message, sizeof(message));
	kms_chain_forgotten_message(row->epoch, row->ticket, &forgotten, &enc);
	if (!kms_encoder_ok(&enc))
		return KMS_FAILED;
	status = kms_audit_key_sign(signing_key_id, message, enc.len,
								forgotten.signature);
	if (status == KMS_OK)
		*len = kms_chain_forgotten_write(&forgotten, proof);
	return status;
}
