/*
 * The cache of opened keys.
 *
 * The cache belongs to the session, in a memory context of its own below
 * TopMemoryContext.  It needs no lock, because no other process sees it.
 * Entries are in a hash by key id, and in a list by use, most recent first.
 * An entry is made before its key is opened, so that no error can leak an open
 * key.  Until the key is open, the entry has none and is not in the list.
 *
 * Secret numbers live in OpenSSL's secure heap.  Each process starts its heap
 * at first use, because memory locks are not inherited by fork.  The heap is
 * sized for the cache.  If it is full, opening a key fails, and the least
 * recently used keys make room.
 */
#include "postgres.h"

#include "lib/ilist.h"
#include "storage/ipc.h"
#include "utils/hsearch.h"
#include "utils/memutils.h"

#include "keys/opened.h"

#include "crypto/secure_heap.h"
#include "keys/wrapping.h"
#include "pg/fault.h"
#include "pg/protect.h"
#include "pg/settings.h"
#include "shmem/master.h"

#define HEAP_PER_KEY	4096	/* bytes of secure heap; the largest key takes
								 * 3.7 kB, with its numbers for lanes */

typedef struct OpenedKey
{
	char		key_id[KMS_KEY_ID_MAX + 1]; /* hash key */
	dlist_node	use;
	KmsKeyRow	row;			/* the row that it was authenticated with */
	KmsSecretDigests digests;
	uint64		master_generation;
	KmsKeyPair *key;			/* NULL while opening, or if opening failed */
} OpenedKey;

static HTAB *table = NULL;
static dlist_head uses = DLIST_STATIC_INIT(uses);
static int	count = 0;
static KmsKeyOpener *opener = NULL;
static bool heap_locked = false;

static void start_cache(void);
static void on_exit_wipe(int code, Datum arg);
static OpenedKey *find(const char *key_id);
static bool still_good(OpenedKey *entry, const KmsKeyRow *row);
static void evict(OpenedKey *entry);
static KmsStatus unwrap(const KmsKeyRow *row, const KmsKeySecret *secret,
						const KmsSecretDigests *digests, KmsKeyPair **key,
						KmsFault *fault);
static KmsStatus open_private(KmsKeyType type, const unsigned char *der,
							  size_t len, KmsKeyPair **key);

void
kms_opened_install(void)
{
	opener = kms_key_pair_opener_new();
}

KmsKeyPair *
kms_opened_get(const KmsKeyRow *row)
{
	OpenedKey  *entry;

	start_cache();
	while (count > kms_key_cache_size && kms_opened_make_room())
		;
	entry = find(row->key_id);
	if (entry != NULL && entry->key != NULL)
	{
		if (still_good(entry, row))
		{
			dlist_move_head(&uses, &entry->use);
			return entry->key;
		}
		evict(entry);
	}
	while (count >= kms_key_cache_size && kms_opened_make_room())
		;
	return NULL;
}

KmsStatus
kms_opened_open(const KmsKeyRow *row, const KmsKeySecret *secret,
				const KmsSecretDigests *digests, KmsKeyPair **key,
				KmsFault *fault)
{
	OpenedKey  *entry;
	uint64		generation;
	KmsStatus	status;
	bool		found;

	start_cache();
	entry = find(row->key_id);
	if (entry != NULL && entry->key != NULL)
		evict(entry);
	while (count >= kms_key_cache_size && kms_opened_make_room())
		;
	generation = kms_master_generation();
	entry = hash_search(table, row->key_id, HASH_ENTER, &found);
	entry->key = NULL;
	status = unwrap(row, secret, digests, key, fault);
	if (status != KMS_OK)
	{
		(void) hash_search(table, row->key_id, HASH_REMOVE, NULL);
		return status;
	}

	entry->row = *row;
	entry->digests = *digests;
	entry->master_generation = generation;
	entry->key = *key;
	dlist_push_head(&uses, &entry->use);
	count++;
	return kms_fault(fault, KMS_OK);
}

void
kms_opened_close_all(void)
{
	while (kms_opened_make_room())
		;
}

int
kms_opened_count(void)
{
	return count;
}

bool
kms_opened_heap_locked(void)
{
	return heap_locked;
}

KmsKeyOpener *
kms_opened_opener(void)
{
	start_cache();
	return opener;
}

static void
start_cache(void)
{
	HASHCTL		control;
	size_t		heap = 64 * 1024;

	if (table != NULL && opener != NULL)
		return;
	kms_protect_process();
	while (heap < (size_t) kms_key_cache_size * HEAP_PER_KEY)
		heap *= 2;
	heap_locked = kms_secure_heap_start(heap) == 1;
	if (table == NULL)
	{
		memset(&control, 0, sizeof(control));
		control.keysize = KMS_KEY_ID_MAX + 1;
		control.entrysize = sizeof(OpenedKey);
		control.hcxt = AllocSetContextCreate(TopMemoryContext,
											 "kms opened keys",
											 ALLOCSET_SMALL_SIZES);
		table = hash_create("kms opened keys", 16, &control,
							HASH_ELEM | HASH_STRINGS | HASH_CONTEXT);
		on_proc_exit(on_exit_wipe, (Datum) 0);
	}
	if (opener == NULL)
		opener = kms_key_pair_opener_new();
	if (opener == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_EXTERNAL_ROUTINE_EXCEPTION),
				 errmsg("OpenSSL does not offer RSA"),
				 errhint("Look at the providers that openssl.cnf activates for the server."),
				 KMS_HIDE_STATEMENT));
}

static void
on_exit_wipe(int code, Datum arg)
{
	kms_opened_close_all();
	kms_key_pair_opener_free(opener);
	opener = NULL;
}

static OpenedKey *
find(const char *key_id)
{
	return hash_search(table, key_id, HASH_FIND, NULL);
}

/*
 * Return whether the key may serve the row: the row is the one that it was
 * authenticated with, or has another state or date, sealed over the same
 * wrapped bytes.
 */
static bool
still_good(OpenedKey *entry, const KmsKeyRow *row)
{
	KmsFault	ignored = {0};

	if (entry->master_generation != kms_master_generation() ||
		entry->master_generation == 0)
		return false;
	if (memcmp(&entry->row, row, sizeof(*row)) == 0)
		return true;
	if (kms_key_seal_check(row, &entry->digests, &ignored) != KMS_OK)
		return false;
	entry->row = *row;
	return true;
}

static void
evict(OpenedKey *entry)
{
	KmsKeyPair *key = entry->key;
	char		key_id[KMS_KEY_ID_MAX + 1];

	strlcpy(key_id, entry->key_id, sizeof(key_id));
	dlist_delete(&entry->use);
	(void) hash_search(table, key_id, HASH_REMOVE, NULL);
	count--;
	kms_key_pair_free(key);
}

bool
kms_opened_make_room(void)
{
	if (dlist_is_empty(&uses))
		return false;
	evict(dlist_tail_element(OpenedKey, use, &uses));
	return true;
}

static KmsStatus
unwrap(const KmsKeyRow *row, const KmsKeySecret *secret,
	   const KmsSecretDigests *digests, KmsKeyPair **key, KmsFault *fault)
{
	unsigned char der[KMS_WRAPPED_MAX];
	const unsigned char *id;
	KmsWrapContext context;
	KmsMasterKey master;
	size_t		der_len;
	KmsStatus	status;

	id = kms_wrap_master_key_id(secret->wrapped_key, secret->wrapped_len);
	if (id == NULL)
		return kms_fault(fault, KMS_NOT_AUTHENTIC);
	kms_wrapping_of_row(row, digests->public_key, &context);

	/* this may raise an error, so nothing secret may be in this frame yet */
	status = kms_master_get(id, &master);
	if (status != KMS_OK)
	{
		memcpy(fault->master_key_id, id, sizeof(fault->master_key_id));
		return kms_fault(fault, status);
	}
	status = kms_wrap_open(&master, &context, secret->wrapped_key,
						   secret->wrapped_len, der, &der_len);
	explicit_bzero(&master, sizeof(master));
	if (status == KMS_OK)
		status = open_private(kms_key_algorithm_type_by_name(row->algorithm),
							  der, der_len, key);
	explicit_bzero(der, sizeof(der));
	return kms_fault(fault, status);
}

/* Open a private key.  If the secure heap is full, older keys make room. */
static KmsStatus
open_private(KmsKeyType type, const unsigned char *der, size_t len,
			 KmsKeyPair **key)
{
	KmsStatus	status;

	do
	{
		status = kms_key_pair_open_private(opener, type, der, len, key);
	} while (status == KMS_NO_MEMORY && kms_opened_make_room());
	return status;
}
