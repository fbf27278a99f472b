/*
 * The session's cache of opened field keys: a hash in a memory context of its
 * own below TopMemoryContext, and a list by use.  No other process sees it, so
 * it needs no lock.  The least recently used keys make room.
 *
 * A stale entry is compared with the rows that are committed now.
 */
#include "postgres.h"

#include "lib/ilist.h"
#include "storage/ipc.h"
#include "utils/hsearch.h"
#include "utils/memutils.h"

#include "keys/field_opened.h"

#include "keys/field_found.h"
#include "keys/field_row.h"
#include "keys/field_rows.h"
#include "keys/field_stamp.h"
#include "pg/protect.h"
#include "pg/settings.h"
#include "shmem/master.h"

#define OPENED_MIN	2			/* refreshing a value takes two keys */

typedef struct OpenedField
{
	KmsFieldHead head;			/* hash key */
	dlist_node	use;
	KmsFieldStamp stamp;
	KmsFieldRows rows;
	uint64		master_generation;
	Oid			role;			/* whose rights were looked up last */
	uint64		right_generation;
	uint8		rights_known;	/* bits by KmsFieldRight */
	uint8		rights_held;
	char		label[KMS_FIELD_LABEL_SIZE];
	unsigned char index_key[KMS_FIELD_SECRET];
	KmsXaes    *xaes;
	KmsFieldKey key;
	bool		open;			/* false while opening, or if opening failed */
} OpenedField;

static HTAB *opened = NULL;
static dlist_head uses = DLIST_STATIC_INIT(uses);
static int	count = 0;
static OpenedField *last = NULL;	/* found last, NULL if it was closed */
static uint64 opened_under = 0; /* master keys when a key was opened last */

static void start_cache(void);
static void on_exit_wipe(int code, Datum arg);
static KmsStatus admit(const KmsFieldHead *head, const KmsFieldCaller *caller,
					   char *label, const KmsFieldKey **key, KmsFault *fault);
static KmsStatus check_name(const char *name, const KmsFieldKey *key,
							KmsFault *fault);
static KmsStatus check_right(OpenedField *entry,
							 const KmsFieldCaller *caller, KmsFault *fault);
static bool holds(OpenedField *entry, const KmsFieldCaller *caller);
static KmsStatus open_key(OpenedField *entry, KmsFault *fault);
static void close_key(OpenedField *entry);
static void evict(OpenedField *entry);
static void make_room(int most);

const KmsFieldKey *
kms_field_opened_get(const KmsFieldHead *head, const KmsFieldCaller *caller)
{
	OpenedField *entry;

	if (opened == NULL)
		return NULL;
	if (last == NULL || memcmp(&last->head, head, sizeof(*head)) != 0)
		last = hash_search(opened, head, HASH_FIND, NULL);
	entry = last;
	if (entry == NULL || !entry->open || !kms_field_stamp_is_fresh(&entry->stamp, caller->now) ||
		entry->master_generation != kms_master_generation() ||
		entry->role != caller->role ||
		entry->right_generation != kms_field_right_generation() ||
		(entry->rights_held & (1 << caller->right)) == 0)
		return NULL;
	if (entry->use.prev != &uses.head)
		dlist_move_head(&uses, &entry->use);
	return &entry->key;
}

const KmsFieldKey *
kms_field_opened_get_newest(const char *name, const KmsFieldCaller *caller)
{
	const KmsFieldKey *key;
	KmsFieldHead head;

	if (!kms_field_found_fresh(name, caller->now, &head) ||
		head.version == KMS_FIELD_WHOLE)
		return NULL;
	key = kms_field_opened_get(&head, caller);
	return key != NULL && strcmp(key->name, name) == 0 ? key : NULL;
}

const KmsFieldKey *
kms_field_opened_get_index(const char *name, const KmsFieldCaller *caller)
{
	const KmsFieldKey *key;
	KmsFieldHead head;

	if (!kms_field_found_fresh(name, caller->now, &head) ||
		strchr(name, '.') != NULL)
		return NULL;
	head.version = KMS_FIELD_WHOLE;
	key = kms_field_opened_get(&head, caller);
	return key != NULL && strcmp(key->name, name) == 0 ? key : NULL;
}

KmsStatus
kms_field_opened_version(const KmsFieldHead *head,
						 const KmsFieldCaller *caller, char *label,
						 const KmsFieldKey **key, KmsFault *fault)
{
	return admit(head, caller, label, key, fault);
}

KmsStatus
kms_field_opened_newest(const char *name, const KmsFieldCaller *caller,
						char *label, const KmsFieldKey **key, KmsFault *fault)
{
	KmsFieldHead head;
	KmsStatus	status;

	label[0] = '\0';
	if (!kms_field_found_name(name, caller->now, &head) ||
		head.version == KMS_FIELD_WHOLE)
		return kms_fault(fault, KMS_FIELD_KEY_NOT_FOUND);
	status = admit(&head, caller, label, key, fault);
	return status == KMS_OK ? check_name(name, *key, fault) : status;
}

/* The key must exist, although its field's index key is used. */
KmsStatus
kms_field_opened_index(const char *name, const KmsFieldCaller *caller,
					   char *label, const KmsFieldKey **key, KmsFault *fault)
{
	const char *field = kms_field_rows_field(name);
	KmsFieldHead head;
	KmsFieldRow row;
	KmsStatus	status;

	label[0] = '\0';
	if (!kms_field_found_name(field, caller->now, &head))
		return kms_fault(fault, KMS_FIELD_KEY_NOT_FOUND);
	head.version = KMS_FIELD_WHOLE;
	status = admit(&head, caller, label, key, fault);
	if (status == KMS_OK)
		status = check_name(field, *key, fault);
	if (status != KMS_OK || strcmp(field, name) == 0)
		return status;
	if (!kms_field_key_table_read(name, KMS_FIELD_WHOLE, &row))
		return kms_fault(fault, KMS_FIELD_KEY_NOT_FOUND);
	status = kms_field_rows_judge_one(&row, fault);
	return status == KMS_OK ? kms_field_rows_check_one(&row, fault) : status;
}

void
kms_field_opened_close_stale(void)
{
	if (count > 0 && opened_under != kms_master_generation())
		kms_field_opened_close_all();
}

void
kms_field_opened_close_all(void)
{
	make_room(0);
}

int
kms_field_opened_count(void)
{
	return count;
}

static void
start_cache(void)
{
	HASHCTL		control;

	if (opened != NULL)
		return;
	kms_protect_process();
	memset(&control, 0, sizeof(control));
	control.keysize = sizeof(KmsFieldHead);
	control.entrysize = sizeof(OpenedField);
	control.hcxt = AllocSetContextCreate(TopMemoryContext, "kms field keys",
										 ALLOCSET_SMALL_SIZES);
	opened = hash_create("kms opened field keys", 16, &control,
						 HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
	on_proc_exit(on_exit_wipe, (Datum) 0);
}

static void
on_exit_wipe(int code, Datum arg)
{
	kms_field_opened_close_all();
}

static KmsStatus
admit(const KmsFieldHead *head, const KmsFieldCaller *caller, char *label,
	  const KmsFieldKey **key, KmsFault *fault)
{
	uint64		heard = kms_field_stamp_heard();
	uint64		generation;
	KmsFieldRows *rows = palloc0(sizeof(KmsFieldRows));
	OpenedField *entry;
	KmsStatus	status;
	bool		found;

	start_cache();
	label[0] = '\0';
	if (!kms_field_rows_read(head, rows))
		return kms_fault(fault, KMS_FIELD_KEY_NOT_FOUND);
	kms_field_rows_label(&rows->version, label);
	entry = hash_search(opened, head, HASH_FIND, NULL);
	if (entry == NULL)
	{
		make_room(Max(kms_key_cache_size, OPENED_MIN) - 1);
		entry = hash_search(opened, head, HASH_ENTER, &found);
		memset((char *) entry + sizeof(entry->head), 0,
			   sizeof(*entry) - sizeof(entry->head));
		dlist_push_head(&uses, &entry->use);
		count++;
	}
	else
		dlist_move_head(&uses, &entry->use);
	if (!entry->open || memcmp(&entry->rows, rows, sizeof(*rows)) != 0 ||
		entry->master_generation != kms_master_generation())
	{
		close_key(entry);
		entry->rows = *rows;
		entry->rights_known = 0;
		entry->rights_held = 0;
	}
	status = check_right(entry, caller, fault);
	if (status == KMS_OK)
		status = kms_field_rows_judge(rows, fault);
	if (status == KMS_OK && !entry->open)
	{
		generation = kms_master_generation();
		status = kms_field_rows_authenticate(rows, fault);
		if (status == KMS_OK)
			status = open_key(entry, fault);
		entry->master_generation = generation;
		opened_under = generation;
	}
	pfree(rows);
	if (status != KMS_OK)
	{
		if (!entry->open)
			evict(entry);
		return status;
	}
	kms_field_stamp_set(&entry->stamp, heard, caller->now);
	*key = &entry->key;
	return kms_fault(fault, KMS_OK);
}

static KmsStatus
check_right(OpenedField *entry, const KmsFieldCaller *caller, KmsFault *fault)
{
	const char *right = kms_field_right_name(caller->right);
	const char *field;

	if (holds(entry, caller))
		return KMS_OK;
	field = kms_field_rows_field(entry->rows.whole.name);
	fault->message = psprintf("permission denied to %s field \"%s\"", right,
							  field);
	fault->hint = psprintf("Roles with EXECUTE on function kms_field.\"%s/%s\"() may do so.",
						   field, right);
	return kms_fault(fault, KMS_NO_RIGHT);
}

static bool
holds(OpenedField *entry, const KmsFieldCaller *caller)
{
	uint64		generation = kms_field_right_generation();
	uint8		bit = 1 << caller->right;

	if (entry->role != caller->role || entry->right_generation != generation)
	{
		entry->role = caller->role;
		entry->right_generation = generation;
		entry->rights_known = 0;
		entry->rights_held = 0;
	}
	if ((entry->rights_known & bit) == 0)
	{
		bool		held =
		kms_field_right_held(kms_field_rows_field(entry->rows.whole.name), caller->right, caller->role);

		entry->rights_known |= bit;
		if (held)
			entry->rights_held |= bit;
	}
	return (entry->rights_held & bit) != 0;
}

static KmsStatus
open_key(OpenedField *entry, KmsFault *fault)
{
	const KmsFieldRow *row = &entry->rows.version;
	unsigned char secret[KMS_FIELD_SECRET];
	KmsStatus	status;

	status = kms_field_row_open(row, secret, fault);
	if (status == KMS_OK && row->version == KMS_FIELD_WHOLE)
		memcpy(entry->index_key, secret, sizeof(secret));
	else if (status == KMS_OK)
		status = kms_xaes_new(secret, &entry->xaes);
	explicit_bzero(secret, sizeof(secret));
	if (status != KMS_OK)
		return kms_field_rows_fault(row, status, fault);
	kms_field_rows_label(row, entry->label);
	entry->key.head = entry->head;
	entry->key.name = entry->rows.whole.name;
	entry->key.label = entry->label;
	entry->key.xaes = entry->xaes;
	entry->key.index_key = entry->index_key;
	entry->open = true;
	return kms_fault(fault, KMS_OK);
}

/*
 * The row that led from the name to the id is not one of those that were
 * authenticated, so it may name the id of another key.
 */
static KmsStatus
check_name(const char *name, const KmsFieldKey *key, KmsFault *fault)
{
	if (strcmp(name, key->name) == 0)
		return kms_fault(fault, KMS_OK);
	return kms_field_rows_not_authentic(name, fault);
}

static void
close_key(OpenedField *entry)
{
	kms_xaes_free(entry->xaes);
	entry->xaes = NULL;
	explicit_bzero(entry->index_key, sizeof(entry->index_key));
	entry->open = false;
}

static void
evict(OpenedField *entry)
{
	KmsFieldHead head = entry->head;

	last = NULL;
	close_key(entry);
	dlist_delete(&entry->use);
	count--;
	(void) hash_search(opened, &head, HASH_REMOVE, NULL);
}

/* Close the least recently used keys until there are "most". */
static void
make_room(int most)
{
	while (count > Max(most, 0))
		evict(dlist_tail_element(OpenedField, use, &uses));
}
