/*
 * Two hashes in a memory context below TopMemoryContext: names and newest
 * versions by id, and ids by name.
 */
#include "postgres.h"

#include "utils/hsearch.h"
#include "utils/memutils.h"

#include "keys/field_found.h"

#define FOUND_MAX	1024		/* entries of each hash */

typedef struct FoundKey
{
	unsigned char id[KMS_FIELD_ID_SIZE];	/* hash key */
	KmsFieldStamp stamp;
	char		name[KMS_FIELD_NAME_MAX + 1];
	int			newest;
} FoundKey;

typedef struct FoundName
{
	char		name[KMS_FIELD_NAME_MAX + 1];	/* hash key */
	KmsFieldStamp stamp;
	unsigned char id[KMS_FIELD_ID_SIZE];
} FoundName;

static HTAB *found_keys = NULL;
static HTAB *found_names = NULL;

static void start(void);
static HTAB *make_hash(const char *name, Size key, Size entry, int flags,
					   MemoryContext context);
static void empty_if_full(HTAB *hash);

bool
kms_field_found_id(const unsigned char *id, instr_time now,
				   const char **name, int *newest)
{
	uint64		heard = kms_field_stamp_heard();
	FoundKey   *entry;
	KmsFieldRow row;

	start();
	entry = hash_search(found_keys, id, HASH_FIND, NULL);
	if (entry == NULL || !kms_field_stamp_is_fresh(&entry->stamp, now))
	{
		if (!kms_field_key_table_newest(id, &row) || row.name[0] == '\0')
			return false;
		empty_if_full(found_keys);
		entry = hash_search(found_keys, id, HASH_ENTER, NULL);
		strlcpy(entry->name, row.name, sizeof(entry->name));
		entry->newest = row.version;
		kms_field_stamp_set(&entry->stamp, heard, now);
	}
	*name = entry->name;
	*newest = entry->newest;
	return true;
}

bool
kms_field_found_name(const char *name, instr_time now,
					 KmsFieldHead *newest)
{
	uint64		heard = kms_field_stamp_heard();
	const char *found;
	FoundName  *entry;
	KmsFieldRow row;

	start();
	memset(newest, 0, sizeof(*newest));
	entry = hash_search(found_names, name, HASH_FIND, NULL);
	if (entry == NULL || !kms_field_stamp_is_fresh(&entry->stamp, now))
	{
		if (!kms_field_key_table_read(name, KMS_FIELD_WHOLE, &row))
			return false;
		empty_if_full(found_names);
		entry = hash_search(found_names, name, HASH_ENTER, NULL);
		memcpy(entry->id, row.id, sizeof(entry->id));
		kms_field_stamp_set(&entry->stamp, heard, now);
	}
	memcpy(newest->id, entry->id, sizeof(newest->id));
	return kms_field_found_id(newest->id, now, &found, &newest->version);
}

bool
kms_field_found_fresh(const char *name, instr_time now, KmsFieldHead *newest)
{
	const FoundName *entry;
	const FoundKey *key;

	if (found_names == NULL)
		return false;
	entry = hash_search(found_names, name, HASH_FIND, NULL);
	if (entry == NULL || !kms_field_stamp_is_fresh(&entry->stamp, now))
		return false;
	key = hash_search(found_keys, entry->id, HASH_FIND, NULL);
	if (key == NULL || !kms_field_stamp_is_fresh(&key->stamp, now))
		return false;
	memcpy(newest->id, key->id, sizeof(newest->id));
	newest->version = key->newest;
	return true;
}

static void
start(void)
{
	MemoryContext context;

	if (found_names != NULL)
		return;
	context = AllocSetContextCreate(TopMemoryContext, "kms field key names",
									ALLOCSET_SMALL_SIZES);
	found_keys = make_hash("kms field key ids", KMS_FIELD_ID_SIZE,
						   sizeof(FoundKey), HASH_BLOBS, context);
	found_names = make_hash("kms field key names", KMS_FIELD_NAME_MAX + 1,
							sizeof(FoundName), HASH_STRINGS, context);
}

static HTAB *
make_hash(const char *name, Size key, Size entry, int flags,
		  MemoryContext context)
{
	HASHCTL		control;

	memset(&control, 0, sizeof(control));
	control.keysize = key;
	control.entrysize = entry;
	control.hcxt = context;
	return hash_create(name, 16, &control, HASH_ELEM | HASH_CONTEXT | flags);
}

static void
empty_if_full(HTAB *hash)
{
	HASH_SEQ_STATUS seq;
	void	   *entry;

	if (hash_get_num_entries(hash) < FOUND_MAX)
		return;
	hash_seq_init(&seq, hash);
	while ((entry = hash_seq_search(&seq)) != NULL)
		(void) hash_search(hash, entry, HASH_REMOVE, NULL);
}
