#include "postgres.h"

#include "access/genam.h"
#include "access/table.h"
#include "utils/builtins.h"
#include "utils/rel.h"
#include "utils/timestamp.h"

#include "store/service_key_table.h"

#include "pg/catalog.h"
#include "pg/compat.h"
#include "pg/lock.h"
#include "store/scan.h"
#include "store/spi.h"

/* columns, in the order of the script; a pepper has no public key */
enum
{
	KEY_ID = 1, KEY_CREATED_AT, KEY_WRAPPED, KEY_PUBLIC
};

#define LOCK_PEPPER \
	"SELECT 1 FROM kms.pepper WHERE pepper_id = $1" \
	" FOR NO KEY UPDATE"
#define LOCK_AUDIT_KEY \
	"SELECT 1 FROM kms.audit_key" \
	" WHERE signing_key_id = $1 FOR NO KEY UPDATE"

static Oid	table_of(KmsServiceKeyKind kind);
static bool read_row(KmsServiceKeyKind kind, HeapTuple tuple, TupleDesc desc,
					 KmsServiceKey *key);
static int	compare_age(const ListCell *a, const ListCell *b);
static size_t read_bytes(HeapTuple tuple, TupleDesc desc, int column,
						 unsigned char *out, size_t size);

bool
kms_service_key_table_read(KmsServiceKeyKind kind, const char *id,
						   KmsServiceKey *key)
{
	const KmsCatalog *catalog = kms_catalog();
	Relation	rel = table_open(table_of(kind), AccessShareLock);
	ScanKeyData scan_key;
	SysScanDesc scan;
	HeapTuple	tuple;
	bool		found;

	kms_scan_text(&scan_key, KEY_ID, id);
	scan = systable_beginscan(rel, kind == KMS_PEPPER ? catalog->pepper_pkey
							  : catalog->audit_key_pkey, true, NULL, 1,
							  &scan_key);
	tuple = systable_getnext(scan);
	found = HeapTupleIsValid(tuple) &&
		read_row(kind, tuple, RelationGetDescr(rel), key);
	systable_endscan(scan);
	table_close(rel, AccessShareLock);
	return found;
}

bool
kms_service_key_table_newest(KmsServiceKeyKind kind, KmsServiceKey *key)
{
	List	   *keys = kms_service_key_table_all(kind);

	if (keys == NIL)
		return false;
	*key = *(const KmsServiceKey *) linitial(keys);
	return true;
}

/* Read the whole table, because it has one or two rows. */
List *
kms_service_key_table_all(KmsServiceKeyKind kind)
{
	Relation	rel = table_open(table_of(kind), AccessShareLock);
	List	   *keys = NIL;
	SysScanDesc scan;
	HeapTuple	tuple;

	scan = systable_beginscan(rel, InvalidOid, false, NULL, 0, NULL);
	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		KmsServiceKey *key = palloc(sizeof(KmsServiceKey));

		if (read_row(kind, tuple, RelationGetDescr(rel), key))
			keys = lappend(keys, key);
	}
	systable_endscan(scan);
	table_close(rel, AccessShareLock);
	list_sort(keys, compare_age);
	return keys;
}

bool
kms_service_key_table_lock(KmsServiceKeyKind kind, bool wait)
{
	return kms_lock_making(table_of(kind), wait);
}

void
kms_service_key_table_insert(const KmsServiceKey *key)
{
	static SPIPlanPtr plans[KMS_SERVICE_KEY_KINDS];
	static const char *const queries[] = {
		"INSERT INTO kms.pepper (pepper_id, created_at, wrapped)"
		" VALUES ($1, $2, $3)",
		"INSERT INTO kms.audit_key"
		" (signing_key_id, created_at, wrapped_key, public_key)"
		" VALUES ($1, $2, $3, $4)"
	};
	KmsSpi		spi;

	kms_spi_begin(&spi);
	kms_spi_text(&spi, key->id);
	kms_spi_time(&spi, key->created_at);
	kms_spi_bytes(&spi, key->wrapped, key->wrapped_len);
	if (key->kind == KMS_AUDIT_KEY)
		kms_spi_bytes(&spi, key->public_key, key->public_len);
	kms_spi_run(&spi, &plans[key->kind], queries[key->kind], SPI_OK_INSERT);
	kms_spi_end(&spi);
}

bool
kms_service_key_table_lock_row(const KmsServiceKey *key, bool wait)
{
	static SPIPlanPtr plans[KMS_SERVICE_KEY_KINDS][2];
	static const char *const queries[][2] = {
		{LOCK_PEPPER " SKIP LOCKED", LOCK_PEPPER},
		{LOCK_AUDIT_KEY " SKIP LOCKED", LOCK_AUDIT_KEY}
	};
	KmsSpi		spi;
	bool		locked;

	kms_spi_begin(&spi);
	kms_spi_text(&spi, key->id);
	kms_spi_run(&spi, &plans[key->kind][wait], queries[key->kind][wait],
				SPI_OK_SELECT);
	locked = spi.processed > 0;
	kms_spi_end(&spi);
	return locked;
}

void
kms_service_key_table_replace(const KmsServiceKey *key)
{
	static SPIPlanPtr plans[KMS_SERVICE_KEY_KINDS];
	static const char *const queries[] = {
		"UPDATE kms.pepper SET wrapped = $2"
		" WHERE pepper_id = $1",
		"UPDATE kms.audit_key SET wrapped_key = $2"
		" WHERE signing_key_id = $1"
	};
	KmsSpi		spi;

	kms_spi_begin(&spi);
	kms_spi_text(&spi, key->id);
	kms_spi_bytes(&spi, key->wrapped, key->wrapped_len);
	kms_spi_run(&spi, &plans[key->kind], queries[key->kind], SPI_OK_UPDATE);
	kms_spi_end(&spi);
}

static Oid
table_of(KmsServiceKeyKind kind)
{
	return kind == KMS_PEPPER ? kms_catalog()->pepper
		: kms_catalog()->audit_key;
}

static bool
read_row(KmsServiceKeyKind kind, HeapTuple tuple, TupleDesc desc,
		 KmsServiceKey *key)
{
	Datum		value;
	bool		isnull;

	memset(key, 0, sizeof(*key));
	key->kind = kind;
	value = heap_getattr(tuple, KEY_ID, desc, &isnull);
	if (!isnull)
	{
		text	   *id = DatumGetTextPP(value);

		if (kms_key_id_valid_service(VARDATA_ANY(id), VARSIZE_ANY_EXHDR(id)))
			memcpy(key->id, VARDATA_ANY(id), VARSIZE_ANY_EXHDR(id));
	}
	value = heap_getattr(tuple, KEY_CREATED_AT, desc, &isnull);
	if (!isnull)
		key->created_at = DatumGetTimestampTz(value);
	key->wrapped_len = read_bytes(tuple, desc, KEY_WRAPPED, key->wrapped,
								  sizeof(key->wrapped));
	if (kind == KMS_AUDIT_KEY)
		key->public_len = read_bytes(tuple, desc, KEY_PUBLIC, key->public_key,
									 sizeof(key->public_key));
	return key->id[0] != '\0';
}

/* Copy all "size" bytes or none.  Return how many were copied. */
static size_t
read_bytes(HeapTuple tuple, TupleDesc desc, int column, unsigned char *out,
		   size_t size)
{
	bool		isnull;
	Datum		value = heap_getattr(tuple, column, desc, &isnull);

	return kms_scan_bytes(value, isnull, out, size) == size ? size : 0;
}

static int
compare_age(const ListCell *a, const ListCell *b)
{
	const KmsServiceKey *one = lfirst(a);
	const KmsServiceKey *other = lfirst(b);

	if (one->created_at != other->created_at)
		return one->created_at > other->created_at ? -1 : 1;
	return strcmp(other->id, one->id);
}
