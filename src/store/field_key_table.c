#include "postgres.h"

#include "access/genam.h"
#include "access/stratnum.h"
#include "access/table.h"
#include "access/xact.h"
#include "catalog/pg_collation.h"
#include "catalog/pg_type.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/inval.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"

#include "store/field_key_table.h"

#include "pg/catalog.h"
#include "pg/compat.h"
#include "pg/fault.h"
#include "store/scan.h"
#include "store/spi.h"

/* columns, in the order of the script */
enum
{
	FIELD_NAME = 1, FIELD_VERSION, FIELD_ID, FIELD_CREATED_AT, FIELD_STATE,
	FIELD_STATE_CHANGED_AT, FIELD_ROW_VERSION, FIELD_ROTATE_AFTER,
	FIELD_ROTATE_AT, FIELD_WRAPPED, FIELD_UNDER, FIELD_SEAL
};

static const char *const states[] = {
	[KMS_FIELD_UNKNOWN] = "unknown",
	[KMS_FIELD_ENABLED] = "enabled",
	[KMS_FIELD_DISABLED] = "disabled",
	[KMS_FIELD_DESTROYED] = "destroyed"
};

static bool read_one(Oid index, ScanKey keys, int count, KmsFieldRow *row);
static void key_of_id(ScanKey key, const unsigned char *id);
static void key_of_version(ScanKey key, int version);
static void fill(HeapTuple tuple, TupleDesc desc, KmsFieldRow *row);
static void fill_bytes(Datum *values, bool *nulls, KmsFieldRow *row);
static KmsFieldState state_by_name(const char *name);
static void add_undestroyed(ScanKey keys, int count, List **list);
static void key_of_name(ScanKey key, StrategyNumber strategy,
						RegProcedure compare, const char *name);
static void add_changing(KmsSpi *spi, const KmsFieldRow *row);
static List *places(KmsSpi *spi);

const char *
kms_field_key_table_state(KmsFieldState state)
{
	return states[state];
}

bool
kms_field_key_table_read(const char *name, int version, KmsFieldRow *row)
{
	ScanKeyData keys[2];

	kms_scan_text(&keys[0], FIELD_NAME, name);
	key_of_version(&keys[1], version);
	return read_one(kms_catalog()->field_key_pkey, keys, 2, row);
}

bool
kms_field_key_table_read_id(const unsigned char *id, int version,
							KmsFieldRow *row)
{
	ScanKeyData keys[2];

	key_of_id(&keys[0], id);
	key_of_version(&keys[1], version);
	return read_one(kms_catalog()->field_key_id_key, keys, 2, row);
}

bool
kms_field_key_table_newest(const unsigned char *id, KmsFieldRow *row)
{
	ScanKeyData key;

	key_of_id(&key, id);
	return read_one(kms_catalog()->field_key_id_key, &key, 1, row);
}

/* Read the last row that matches, in the order of the index. */
static bool
read_one(Oid index_oid, ScanKey keys, int count, KmsFieldRow *row)
{
	Relation	rel = table_open(kms_catalog()->field_key, AccessShareLock);
	Relation	index = index_open(index_oid, AccessShareLock);
	SysScanDesc scan;
	HeapTuple	tuple;
	bool		found;

	scan = systable_beginscan_ordered(rel, index, NULL, count, keys);
	tuple = systable_getnext_ordered(scan, BackwardScanDirection);
	found = HeapTupleIsValid(tuple);
	if (found)
		fill(tuple, RelationGetDescr(rel), row);
	systable_endscan_ordered(scan);
	index_close(index, AccessShareLock);
	table_close(rel, AccessShareLock);
	return found;
}

static void
key_of_id(ScanKey key, const unsigned char *id)
{
	bytea	   *value = palloc(VARHDRSZ + KMS_FIELD_ID_SIZE);

	SET_VARSIZE(value, VARHDRSZ + KMS_FIELD_ID_SIZE);
	memcpy(VARDATA(value), id, KMS_FIELD_ID_SIZE);
	ScanKeyInit(key, FIELD_ID, BTEqualStrategyNumber, F_BYTEAEQ,
				PointerGetDatum(value));
}

static void
key_of_version(ScanKey key, int version)
{
	ScanKeyInit(key, FIELD_VERSION, BTEqualStrategyNumber, F_INT4EQ,
				Int32GetDatum(version));
}

static void
fill(HeapTuple tuple, TupleDesc desc, KmsFieldRow *row)
{
	Datum		values[KMS_SCAN_COLUMNS_MAX];
	bool		nulls[KMS_SCAN_COLUMNS_MAX];
	char		state[16] = "";
	text	   *name;

	kms_scan_deform(tuple, desc, values, nulls);
	memset(row, 0, sizeof(*row));
	name = DatumGetTextPP(values[FIELD_NAME - 1]);
	if (VARSIZE_ANY_EXHDR(name) <= KMS_FIELD_NAME_MAX)
		memcpy(row->name, VARDATA_ANY(name), VARSIZE_ANY_EXHDR(name));
	else
		row->malformed = true;
	row->version = DatumGetInt32(values[FIELD_VERSION - 1]);
	(void) kms_scan_bytes(values[FIELD_STATE - 1], nulls[FIELD_STATE - 1],
						  (unsigned char *) state, sizeof(state) - 1);
	row->state = state_by_name(state);
	row->created_at = DatumGetTimestampTz(values[FIELD_CREATED_AT - 1]);
	row->state_changed_at = DatumGetTimestampTz(values[FIELD_STATE_CHANGED_AT - 1]);
	row->row_version = DatumGetInt64(values[FIELD_ROW_VERSION - 1]);
	row->rotates = !nulls[FIELD_ROTATE_AFTER - 1];
	if (row->rotates)
	{
		const Interval *after = DatumGetIntervalP(values[FIELD_ROTATE_AFTER - 1]);

		row->rotate_after.month = after->month;
		row->rotate_after.day = after->day;
		row->rotate_after.time = after->time;
	}
	fill_bytes(values, nulls, row);
}

static void
fill_bytes(Datum *values, bool *nulls, KmsFieldRow *row)
{
	size_t		under;

	if (kms_scan_bytes(values[FIELD_ID - 1], nulls[FIELD_ID - 1], row->id,
					   sizeof(row->id)) != sizeof(row->id))
		row->malformed = true;
	if (!nulls[FIELD_WRAPPED - 1])
	{
		row->wrapped_len = kms_scan_bytes(values[FIELD_WRAPPED - 1], false,
										  row->wrapped, sizeof(row->wrapped));
		if (row->wrapped_len != sizeof(row->wrapped))
			row->malformed = true;
	}
	under = kms_scan_bytes(values[FIELD_UNDER - 1], nulls[FIELD_UNDER - 1],
						   row->under[0], sizeof(row->under));
	row->under_count = under / KMS_MASTER_KEY_ID_SIZE;
	if (under % KMS_MASTER_KEY_ID_SIZE != 0)
		row->malformed = true;
	row->sealed = kms_scan_bytes(values[FIELD_SEAL - 1], nulls[FIELD_SEAL - 1],
								 row->seal, sizeof(row->seal)) == sizeof(row->seal);
}

static KmsFieldState
state_by_name(const char *name)
{
	int			i;

	for (i = KMS_FIELD_ENABLED; i <= KMS_FIELD_DESTROYED; i++)
	{
		if (strcmp(states[i], name) == 0)
			return i;
	}
	return KMS_FIELD_UNKNOWN;
}

bool
kms_field_key_table_insert(const KmsFieldRow *row, TimestampTz rotate_at)
{
	static SPIPlanPtr plan = NULL;
	KmsSpi		spi;
	bool		done;

	kms_spi_begin(&spi);
	kms_spi_text(&spi, row->name);
	kms_spi_datum(&spi, INT4OID, Int32GetDatum(row->version));
	kms_spi_bytes(&spi, row->id, sizeof(row->id));
	kms_spi_time(&spi, row->created_at);
	add_changing(&spi, row);
	if (rotate_at != 0)
		kms_spi_time(&spi, rotate_at);
	else
		kms_spi_null(&spi, TIMESTAMPTZOID);
	kms_spi_run(&spi, &plan,
				"INSERT INTO kms.field_key (field_key, version, field_key_id,"
				" created_at, state, state_changed_at, row_version,"
				" rotate_after, wrapped_key, wrapped_under, seal, rotate_at)"
				" VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)"
				" ON CONFLICT DO NOTHING",
				SPI_OK_INSERT);
	done = spi.processed > 0;
	kms_spi_end(&spi);
	return done;
}

bool
kms_field_key_table_update(const KmsFieldRow *row, int64 row_version)
{
	static SPIPlanPtr plan = NULL;
	KmsSpi		spi;
	bool		done;

	kms_spi_begin(&spi);
	kms_spi_text(&spi, row->name);
	kms_spi_datum(&spi, INT4OID, Int32GetDatum(row->version));
	kms_spi_int64(&spi, row_version);
	add_changing(&spi, row);
	kms_spi_run(&spi, &plan,
				"UPDATE kms.field_key SET state = $4, state_changed_at = $5,"
				" row_version = $6, rotate_after = $7, wrapped_key = $8,"
				" wrapped_under = $9, seal = $10"
				" WHERE field_key = $1 AND version = $2 AND row_version = $3",
				SPI_OK_UPDATE);
	done = spi.processed > 0;
	kms_spi_end(&spi);
	kms_field_key_table_changed();
	return done;
}

/* Add the columns that can change, in the order of the statements above. */
static void
add_changing(KmsSpi *spi, const KmsFieldRow *row)
{
	kms_spi_text(spi, states[row->state]);
	kms_spi_time(spi, row->state_changed_at);
	kms_spi_int64(spi, row->row_version);
	if (row->rotates)
		kms_spi_datum(spi, INTERVALOID, IntervalPGetDatum(&row->rotate_after));
	else
		kms_spi_null(spi, INTERVALOID);
	kms_spi_optional_bytes(spi, row->wrapped, row->wrapped_len);
	kms_spi_bytes(spi, row->under[0],
				  row->under_count * KMS_MASTER_KEY_ID_SIZE);
	if (row->sealed)
		kms_spi_bytes(spi, row->seal, sizeof(row->seal));
	else
		kms_spi_null(spi, BYTEAOID);
}

void
kms_field_key_table_rotated(const char *name, int version)
{
	static SPIPlanPtr plan = NULL;
	KmsSpi		spi;

	kms_spi_begin(&spi);
	kms_spi_text(&spi, name);
	kms_spi_datum(&spi, INT4OID, Int32GetDatum(version));
	kms_spi_run(&spi, &plan,
				"UPDATE kms.field_key SET rotate_at = NULL"
				" WHERE field_key = $1 AND version = $2"
				" AND rotate_at IS NOT NULL",
				SPI_OK_UPDATE);
	kms_spi_end(&spi);
}

void
kms_field_key_table_changed(void)
{
	CacheInvalidateRelcacheByRelid(kms_catalog()->field_key);
}

bool
kms_field_key_table_lock(const char *name, int version, KmsFieldLock how)
{
#define LOCK_ROW \
	"SELECT 1 FROM kms.field_key WHERE field_key = $1 AND version = $2 FOR "
	static SPIPlanPtr plans[4];
	static const char *const queries[] = {
		[KMS_FIELD_LOCK_TO_ADD] = LOCK_ROW "KEY SHARE",
		[KMS_FIELD_LOCK_TO_CHANGE] = LOCK_ROW "NO KEY UPDATE",
		[KMS_FIELD_TRY_LOCK_TO_CHANGE] = LOCK_ROW "NO KEY UPDATE SKIP LOCKED",
		[KMS_FIELD_LOCK_TO_DESTROY] = LOCK_ROW "UPDATE"
	};
	KmsSpi		spi;
	bool		locked;

	kms_spi_begin(&spi);
	kms_spi_text(&spi, name);
	kms_spi_datum(&spi, INT4OID, Int32GetDatum(version));
	kms_spi_run(&spi, &plans[how], queries[how], SPI_OK_SELECT);
	locked = spi.processed > 0;
	kms_spi_end(&spi);
	return locked;
}

/* The names of the keys under a field are between "field." and "field/". */
List *
kms_field_key_table_undestroyed(const char *name)
{
	List	   *list = NIL;
	ScanKeyData keys[2];

	kms_scan_text(&keys[0], FIELD_NAME, name);
	add_undestroyed(keys, 1, &list);
	key_of_name(&keys[0], BTGreaterStrategyNumber, F_TEXT_GT,
				psprintf("%s.", name));
	key_of_name(&keys[1], BTLessStrategyNumber, F_TEXT_LT,
				psprintf("%s/", name));
	add_undestroyed(keys, 2, &list);
	return list;
}

/* Read what is committed now, because all of it is to be destroyed. */
static void
add_undestroyed(ScanKey keys, int count, List **list)
{
	Relation	rel = table_open(kms_catalog()->field_key, AccessShareLock);
	Relation	index = index_open(kms_catalog()->field_key_pkey,
								   AccessShareLock);
	KmsFieldRow *row = palloc(sizeof(KmsFieldRow));
	SysScanDesc scan;
	HeapTuple	tuple;

	scan = systable_beginscan_ordered(rel, index, NULL, count, keys);
	while ((tuple = systable_getnext_ordered(scan, ForwardScanDirection)) != NULL)
	{
		KmsFieldPlace *place;

		fill(tuple, RelationGetDescr(rel), row);
		if (row->state == KMS_FIELD_DESTROYED)
			continue;
		place = palloc0(sizeof(KmsFieldPlace));
		strlcpy(place->name, row->name, sizeof(place->name));
		place->version = row->version;
		*list = lappend(*list, place);
	}
	systable_endscan_ordered(scan);
	index_close(index, AccessShareLock);
	table_close(rel, AccessShareLock);
	pfree(row);
}

static void
key_of_name(ScanKey key, StrategyNumber strategy, RegProcedure compare,
			const char *name)
{
	ScanKeyEntryInitialize(key, 0, FIELD_NAME, strategy, InvalidOid,
						   C_COLLATION_OID, compare,
						   CStringGetTextDatum(name));
}

List *
kms_field_key_table_due(TimestampTz now, int limit)
{
	static SPIPlanPtr plan = NULL;
	KmsSpi		spi;

	kms_spi_begin(&spi);
	kms_spi_by_index(&spi);
	kms_spi_time(&spi, now);
	kms_spi_int64(&spi, limit);
	kms_spi_run(&spi, &plan,
				"SELECT v.field_key, v.version FROM kms.field_key AS v"
				" JOIN kms.field_key AS w ON w.field_key = v.field_key"
				"  AND w.version = 0 AND w.state = 'enabled'"
				" WHERE v.rotate_at <= $1 AND v.state = 'enabled'"
				" ORDER BY v.rotate_at LIMIT $2",
				SPI_OK_SELECT);
	return places(&spi);
}

List *
kms_field_key_table_unsealed(int limit)
{
	static SPIPlanPtr plan = NULL;
	KmsSpi		spi;

	kms_spi_begin(&spi);
	kms_spi_by_index(&spi);
	kms_spi_int64(&spi, limit);
	kms_spi_run(&spi, &plan,
				"SELECT field_key, version FROM kms.field_key"
				" WHERE seal IS NULL ORDER BY field_key, version LIMIT $1",
				SPI_OK_SELECT);
	return places(&spi);
}

/* Skip the keys under each field, because there may be a million. */
List *
kms_field_key_table_fields(void)
{
	static SPIPlanPtr plan = NULL;
	KmsSpi		spi;
	List	   *names;

	kms_spi_begin(&spi);
	kms_spi_by_index(&spi);
	kms_spi_run(&spi, &plan,
				"WITH RECURSIVE f AS ("
				" (SELECT field_key FROM kms.field_key"
				"  ORDER BY field_key LIMIT 1)"
				" UNION ALL"
				" SELECT (SELECT k.field_key FROM kms.field_key AS k"
				"  WHERE k.field_key > CASE pg_catalog.strpos(f.field_key, '.')"
				"   WHEN 0 THEN f.field_key"
				"   ELSE pg_catalog.split_part(f.field_key, '.', 1) || '/' END"
				"  ORDER BY k.field_key LIMIT 1)"
				" FROM f WHERE f.field_key IS NOT NULL)"
				" SELECT f.field_key FROM f"
				" WHERE pg_catalog.strpos(f.field_key, '.') = 0"
				" AND (SELECT w.state FROM kms.field_key AS w"
				"  WHERE w.field_key = f.field_key AND w.version = 0) <> 'destroyed'"
				" ORDER BY f.field_key",
				SPI_OK_SELECT);
	names = kms_spi_texts(&spi);
	kms_spi_end(&spi);
	return names;
}

/* A large table is sampled by pages. */
List *
kms_field_key_table_sample(int limit)
{
	static SPIPlanPtr plan = NULL;
	KmsSpi		spi;

	kms_spi_begin(&spi);
	kms_spi_int64(&spi, limit);
	kms_spi_run(&spi, &plan,
				"SELECT field_key, version FROM (SELECT field_key, version"
				"  FROM kms.field_key TABLESAMPLE SYSTEM"
				"  ((SELECT LEAST(100, 100.0 * 3 * $1"
				"   / GREATEST(1, c.reltuples)) FROM pg_catalog.pg_class AS c"
				"   WHERE c.oid = 'kms.field_key'::pg_catalog.regclass))) AS s"
				" ORDER BY pg_catalog.random() LIMIT $1",
				SPI_OK_SELECT);
	return places(&spi);
}

/*
 * Each change of a row's state has left one event, and so has each version.
 * "name/all" is row 0.  The predicate is that of event_field_idx.
 */
List *
kms_field_key_table_older(void)
{
	static SPIPlanPtr plan = NULL;
	KmsSpi		spi;

	kms_spi_begin(&spi);
	kms_spi_by_index(&spi);
	kms_spi_run(&spi, &plan,
				"SELECT f.field_key, f.version FROM"
				" (SELECT e.key_id, pg_catalog.count(*) AS changes"
				"  FROM kms.event AS e WHERE e.status = 'success'"
				"  AND e.operation = ANY ('{disable_field_key,"
				"enable_field_key,destroy_field_key}'::pg_catalog.text[])"
				"  AND e.reason IS DISTINCT FROM 'No change'"
				"  AND e.key_id IS NOT NULL GROUP BY e.key_id) AS c"
				" JOIN kms.field_key AS f"
				"  ON f.field_key = pg_catalog.split_part(c.key_id, '/', 1)"
				"  AND f.version = (CASE"
				"   WHEN c.key_id ~ '^[^/]+/[0-9]{1,5}$'"
				"    THEN pg_catalog.split_part(c.key_id, '/', 2)"
				"   ELSE '0' END)::pg_catalog.int4"
				" WHERE f.row_version - 1 < c.changes"
				" ORDER BY f.field_key, f.version LIMIT 10",
				SPI_OK_SELECT);
	return places(&spi);
}

List *
kms_field_key_table_recoverable(const unsigned char *master_keys, int count)
{
	static SPIPlanPtr plan = NULL;
	KmsSpi		spi;

	kms_spi_begin(&spi);
	kms_spi_bytes(&spi, master_keys, (size_t) count * KMS_MASTER_KEY_ID_SIZE);
	kms_spi_int64(&spi, count);
	kms_spi_run(&spi, &plan,
				"SELECT f.field_key, f.version FROM kms.field_key AS f"
				" WHERE f.state = 'destroyed' AND EXISTS (SELECT 1"
				"  FROM pg_catalog.generate_series(0, $2 - 1) AS i,"
				"   pg_catalog.generate_series(0,"
				"    pg_catalog.octet_length(f.wrapped_under) / 8 - 1) AS j"
				"  WHERE pg_catalog.substr($1, 1 + 8 * i::pg_catalog.int4, 8)"
				"   = pg_catalog.substr(f.wrapped_under, 1 + 8 * j, 8))"
				" ORDER BY f.field_key, f.version LIMIT 10",
				SPI_OK_SELECT);
	return places(&spi);
}

bool
kms_field_key_table_is_replicated(void)
{
	static SPIPlanPtr plan = NULL;
	KmsSpi		spi;
	bool		replicated;

	kms_spi_begin(&spi);
	kms_spi_run(&spi, &plan,
				"SELECT 1 FROM pg_catalog.pg_subscription_rel"
				" WHERE srrelid = 'kms.field_key'::pg_catalog.regclass::pg_catalog.oid",
				SPI_OK_SELECT);
	replicated = spi.processed > 0;
	kms_spi_end(&spi);
	return replicated;
}

/* End with a list of KmsFieldPlace. */
static List *
places(KmsSpi *spi)
{
	MemoryContext old = MemoryContextSwitchTo(spi->caller);
	List	   *list = NIL;
	uint64		i;

	for (i = 0; i < spi->processed; i++)
	{
		KmsFieldPlace *place = palloc0(sizeof(KmsFieldPlace));
		bool		isnull;
		Datum		value = kms_spi_field(i, 1, &isnull);

		text_to_cstring_buffer(DatumGetTextPP(value), place->name,
							   sizeof(place->name));
		place->version = DatumGetInt32(kms_spi_field(i, 2, &isnull));
		list = lappend(list, place);
	}
	MemoryContextSwitchTo(old);
	kms_spi_end(spi);
	return list;
}
