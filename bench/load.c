/*
 * Linked into the library that "bench/run keys" measures: fills kms.key and
 * kms.key_secret with many authentic keys.
 *
 * Only a few key pairs are generated, and each is in many rows.  Everything
 * else is as kms_issue_key() does it, by the functions of src/keys: each row
 * has its own id, device and times, the private key is wrapped for that row
 * under its own salt and nonce, and the row is sealed over that wrap.
 *
 * Rows are written frozen and without index entries.  So the caller truncates
 * both tables before, in the same transaction, and rebuilds their indexes
 * afterwards.
 */
#include "postgres.h"

#include "access/heapam.h"
#include "access/table.h"
#include "access/tableam.h"
#include "access/xact.h"
#include "catalog/namespace.h"
#include "executor/tuptable.h"
#include "miscadmin.h"
#include "storage/bufmgr.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/timestamp.h"

#include "crypto/rsa_generate.h"
#include "keys/create.h"
#include "keys/key_seal.h"
#include "pg/settings.h"
#include "shmem/master.h"

#define PAIRS	8
#define BITS	2048
#define BATCH	500				/* rows that go to a table at once */
#define DAY		((int64) SECS_PER_DAY)

/* A table of kms, open to be filled. */
typedef struct Target
{
	Relation	rel;
	BulkInsertState state;
	TupleTableSlot *slots[BATCH];
}			Target;

/* A key pair, as DER. */
typedef struct Pair
{
	unsigned char public_key[KMS_KEY_PAIR_MAX_PUBLIC];
	size_t		public_len;		/* 0: not made yet */
	unsigned char public_hash[KMS_SHA256_SIZE];
	unsigned char private_key[KMS_KEY_PAIR_MAX_PRIVATE];
	size_t		private_len;
} Pair;

/* Only a benchmark uses these keys, so they are not wiped. */
static Pair pairs[PAIRS];

static void make_pairs(void);
static void open_target(Target * target, const char *name);
static void put(Target * target, int at, const Datum *values, const bool *nulls);
static void flush_target(Target * target, int count);
static void close_target(Target * target);
static void fill(Target * keys, Target * secrets, const char *name, int64 count,
				 TimestampTz from, TimestampTz to, bool deprecated);
static void make_row(KmsKeyRow *row, const char *name, int64 number,
					 TimestampTz created_at, bool deprecated);
static void make_secret(KmsKeyRow *row, const Pair *pair,
						KmsKeySecret *secret);
static void put_row(Target * target, int at, const KmsKeyRow *row);
static void put_secret(Target * target, int at, const KmsKeyRow *row,
					   const KmsKeySecret *secret);
static Datum bytes(const unsigned char *data, size_t len);
static void require(KmsStatus status, const char *what);

PG_FUNCTION_INFO_V1(kms_bench_load);

/*
 * kms_bench_load(living bigint, expired bigint, due bigint): insert keys, in
 * the order in which they were made:
 *
 * - "due" keys that are due to be purged and were deprecated at their expiry,
 * - "expired" keys that have expired and are still active,
 * - "living" keys of devices bench-1 to bench-<living>.
 */
Datum
kms_bench_load(PG_FUNCTION_ARGS)
{
	int64		living = PG_GETARG_INT64(0);
	int64		expired = PG_GETARG_INT64(1);
	int64		due = PG_GETARG_INT64(2);
	TimestampTz now = GetCurrentTimestamp();
	TimestampTz dead = now - (kms_key_lifetime + kms_key_retention + DAY) *
	USECS_PER_SEC;
	TimestampTz old = now - (kms_key_lifetime + DAY) * USECS_PER_SEC;
	TimestampTz young = now - (kms_key_lifetime - DAY) * USECS_PER_SEC;
	Target		keys;
	Target		secrets;

	make_pairs();
	open_target(&keys, "key");
	open_target(&secrets, "key_secret");
	fill(&keys, &secrets, "due", due, dead - DAY * USECS_PER_SEC, dead, true);
	fill(&keys, &secrets, "expired", expired, old - DAY * USECS_PER_SEC, old,
		 false);
	fill(&keys, &secrets, "bench", living, young, now, false);
	close_target(&keys);
	close_target(&secrets);
	PG_RETURN_VOID();
}

/* Insert keys of devices <name>-1 and up, made one after the other. */
static void
fill(Target * keys, Target * secrets, const char *name, int64 count,
	 TimestampTz from, TimestampTz to, bool deprecated)
{
	MemoryContext batch = AllocSetContextCreate(CurrentMemoryContext, "batch",
												ALLOCSET_DEFAULT_SIZES);
	MemoryContext old = MemoryContextSwitchTo(batch);
	double		step = (double) (to - from) / Max(1, count);
	int64		i;
	int			filled = 0;

	for (i = 1; i <= count; i++)
	{
		KmsKeyRow	row;
		KmsKeySecret secret;

		CHECK_FOR_INTERRUPTS();
		make_row(&row, name, i, from + (int64) (step * i), deprecated);
		make_secret(&row, &pairs[i % PAIRS], &secret);
		put_row(keys, filled, &row);
		put_secret(secrets, filled, &row, &secret);
		filled++;
		if (filled == BATCH || i == count)
		{
			flush_target(keys, filled);
			flush_target(secrets, filled);
			MemoryContextReset(batch);
			filled = 0;
		}
	}
	MemoryContextSwitchTo(old);
	MemoryContextDelete(batch);
}

static void
make_pairs(void)
{
	Pair	   *pair;

	for (pair = pairs; pair < pairs + PAIRS; pair++)
	{
		KmsKeyPair *key;

		if (pair->public_len > 0)
			continue;
		require(kms_rsa_generate(BITS, NULL, NULL, &key), "generate");
		require(kms_key_pair_private_der(key, pair->private_key,
										 sizeof(pair->private_key),
										 &pair->private_len), "write");
		require(kms_key_pair_public_der(key, pair->public_key,
										sizeof(pair->public_key),
										&pair->public_len), "write");
		kms_key_pair_free(key);
		if (!kms_sha256(pair->public_key, pair->public_len,
						pair->public_hash))
			require(KMS_FAILED, "digest");
	}
}

static void
open_target(Target * target, const char *name)
{
	Oid			relid = get_relname_relid(name,
										  get_namespace_oid("kms", false));
	int			i;

	target->rel = table_open(relid, AccessExclusiveLock);
	if (RelationGetNumberOfBlocks(target->rel) > 0)
		elog(ERROR, "kms.%s is not empty", name);
	target->state = GetBulkInsertState();
	for (i = 0; i < BATCH; i++)
		target->slots[i] = table_slot_create(target->rel, NULL);
}

static void
put(Target * target, int at, const Datum *values, const bool *nulls)
{
	TupleTableSlot *slot = target->slots[at];
	int			columns = slot->tts_tupleDescriptor->natts;

	ExecClearTuple(slot);
	memcpy(slot->tts_values, values, columns * sizeof(Datum));
	memcpy(slot->tts_isnull, nulls, columns * sizeof(bool));
	ExecStoreVirtualTuple(slot);
}

/* Frozen, as after a VACUUM. */
static void
flush_target(Target * target, int count)
{
	int			i;

	table_multi_insert(target->rel, target->slots, count,
					   GetCurrentCommandId(true),
					   TABLE_INSERT_SKIP_FSM | TABLE_INSERT_FROZEN,
					   target->state);
	for (i = 0; i < count; i++)
		ExecClearTuple(target->slots[i]);
}

static void
close_target(Target * target)
{
	int			i;

	for (i = 0; i < BATCH; i++)
		ExecDropSingleTupleTableSlot(target->slots[i]);
	FreeBulkInsertState(target->state);
	table_close(target->rel, NoLock);
}

static void
make_row(KmsKeyRow *row, const char *name, int64 number,
		 TimestampTz created_at, bool deprecated)
{
	memset(row, 0, sizeof(*row));
	row->created_at = created_at;
	row->expires_at = created_at + kms_key_lifetime * USECS_PER_SEC;
	row->state_changed_at = created_at;
	row->state = KMS_STATE_ACTIVE;
	row->row_version = 1;
	if (deprecated)
	{
		row->state = KMS_STATE_DEPRECATED;
		row->state_changed_at = row->expires_at;
		row->row_version = 2;
		row->has_state_reason = true;
		strlcpy(row->state_reason, "Expired", sizeof(row->state_reason));
	}
	snprintf(row->algorithm, sizeof(row->algorithm), "RSA-%d", BITS);
	strlcpy(row->oaep_hash, kms_digest_name(kms_oaep_hash),
			sizeof(row->oaep_hash));
	strlcpy(row->mgf1_hash, row->oaep_hash, sizeof(row->mgf1_hash));
	strlcpy(row->origin, KMS_ORIGIN_GENERATED, sizeof(row->origin));
	snprintf(row->device_id, sizeof(row->device_id), "%s-" INT64_FORMAT,
			 name, number);
	require(kms_create_key_id(created_at, row->key_id), "make an id for");
}

/*
 * Do as kms_wrapping_wrap() and kms_create_key(), but write the DER only once,
 * because writing it for each row takes ten times as long as everything else.
 */
static void
make_secret(KmsKeyRow *row, const Pair *pair, KmsKeySecret *secret)
{
	KmsWrapContext context = {KMS_PURPOSE_KEY, row->key_id, row->device_id,
	row->algorithm, row->created_at};
	KmsSecretDigests digests;
	KmsMasterKey master;
	KmsFault	fault = {0};

	memcpy(context.public_hash, pair->public_hash, KMS_SHA256_SIZE);
	memcpy(secret->public_key, pair->public_key, pair->public_len);
	secret->public_len = pair->public_len;
	require(kms_master_get(NULL, &master), "wrap");
	require(kms_wrap(&master, &context, pair->private_key, pair->private_len,
					 secret->wrapped_key, &secret->wrapped_len), "wrap");
	require(kms_key_seal_digests(secret, &digests), "digest");
	require(kms_key_seal_row(row, &digests, &fault), "seal");
}

/* The columns in the order of the extension's script. */
static void
put_row(Target * target, int at, const KmsKeyRow *row)
{
	Datum		values[17];
	bool		nulls[17] = {false};

	values[0] = CStringGetTextDatum(row->key_id);
	values[1] = CStringGetTextDatum(row->device_id);
	nulls[2] = true;			/* app_version */
	values[3] = CStringGetTextDatum(row->algorithm);
	values[4] = CStringGetTextDatum(row->oaep_hash);
	values[5] = CStringGetTextDatum(row->mgf1_hash);
	values[6] = CStringGetTextDatum(row->origin);
	values[7] = CStringGetTextDatum(kms_key_state_name(row->state));
	nulls[8] = true;			/* prior_state */
	nulls[9] = !row->has_state_reason;
	values[9] = CStringGetTextDatum(row->state_reason);
	values[10] = TimestampTzGetDatum(row->created_at);
	values[11] = TimestampTzGetDatum(row->expires_at);
	values[12] = TimestampTzGetDatum(row->state_changed_at);
	nulls[13] = true;			/* delete_at */
	values[14] = Int64GetDatum(row->row_version);
	values[15] = bytes(row->seal, KMS_SEAL_SIZE);
	nulls[16] = true;			/* tried_at */
	put(target, at, values, nulls);
}

static void
put_secret(Target * target, int at, const KmsKeyRow *row,
		   const KmsKeySecret *secret)
{
	Datum		values[4];
	bool		nulls[4] = {false};

	values[0] = CStringGetTextDatum(row->key_id);
	values[1] = bytes(secret->public_key, secret->public_len);
	values[2] = bytes(secret->wrapped_key, secret->wrapped_len);
	values[3] = bytes(kms_wrap_master_key_id(secret->wrapped_key,
											 secret->wrapped_len),
					  KMS_MASTER_KEY_ID_SIZE);
	put(target, at, values, nulls);
}

static Datum
bytes(const unsigned char *data, size_t len)
{
	bytea	   *value = palloc(VARHDRSZ + len);

	SET_VARSIZE(value, VARHDRSZ + len);
	memcpy(VARDATA(value), data, len);
	return PointerGetDatum(value);
}

static void
require(KmsStatus status, const char *what)
{
	if (status != KMS_OK)
		elog(ERROR, "could not %s a key: %d", what, (int) status);
}
