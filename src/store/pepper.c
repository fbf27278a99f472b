#include "postgres.h"

#include "access/genam.h"
#include "access/table.h"
#include "miscadmin.h"
#include "storage/lock.h"
#include "utils/builtins.h"
#include "utils/inval.h"
#include "utils/rel.h"
#include "utils/timestamp.h"

#include "pg/catalog.h"
#include "pg/compat.h"
#include "store/pepper.h"
#include "store/scan.h"
#include "store/spi.h"

/* columns, in the order of the script */
enum
{
	PEPPER_ID = 1, PEPPER_CREATED_AT, PEPPER_WRAPPED
};

#define LOCK_ROW \
	"SELECT 1 FROM kms.pepper WHERE pepper_id OPERATOR(pg_catalog.=) $1" \
	" FOR NO KEY UPDATE"

static bool read_row(HeapTuple tuple, TupleDesc desc, KmsPepperRow *row);

bool
kms_pepper_read(const char *pepper_id, KmsPepperRow *row)
{
	const KmsCatalog *catalog = kms_catalog();
	Relation	rel = table_open(catalog->pepper, AccessShareLock);
	ScanKeyData scan_key;
	SysScanDesc scan;
	HeapTuple	tuple;
	bool		found;

	kms_scan_text(&scan_key, PEPPER_ID, pepper_id);
	scan = systable_beginscan(rel, catalog->pepper_pkey, true, NULL, 1,
							  &scan_key);
	tuple = systable_getnext(scan);
	found = HeapTupleIsValid(tuple) &&
		read_row(tuple, RelationGetDescr(rel), row);
	systable_endscan(scan);
	table_close(rel, AccessShareLock);
	return found;
}

bool
kms_pepper_newest(KmsPepperRow *row)
{
	bool		found = false;
	ListCell   *cell;

	foreach(cell, kms_pepper_all())
	{
		const KmsPepperRow *other = lfirst(cell);

		if (!found || other->created_at > row->created_at ||
			(other->created_at == row->created_at &&
			 strcmp(other->pepper_id, row->pepper_id) > 0))
			*row = *other;
		found = true;
	}
	return found;
}

/* There are one or two of them. */
List *
kms_pepper_all(void)
{
	Relation	rel = table_open(kms_catalog()->pepper, AccessShareLock);
	List	   *rows = NIL;
	SysScanDesc scan;
	HeapTuple	tuple;

	scan = systable_beginscan(rel, InvalidOid, false, NULL, 0, NULL);
	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		KmsPepperRow *row = palloc(sizeof(KmsPepperRow));

		if (read_row(tuple, RelationGetDescr(rel), row))
			rows = lappend(rows, row);
	}
	systable_endscan(scan);
	table_close(rel, AccessShareLock);
	return rows;
}

bool
kms_pepper_lock(bool wait)
{
	LOCKTAG		tag;

	SET_LOCKTAG_OBJECT(tag, MyDatabaseId, kms_catalog()->pepper, 0, 0);
	if (LockAcquire(&tag, ExclusiveLock, false, !wait) == LOCKACQUIRE_NOT_AVAIL)
		return false;
	AcceptInvalidationMessages();
	return true;
}

void
kms_pepper_insert(const KmsPepperRow *row)
{
	static SPIPlanPtr plan = NULL;
	KmsSpi		spi;

	kms_spi_begin(&spi);
	kms_spi_text(&spi, row->pepper_id);
	kms_spi_time(&spi, row->created_at);
	kms_spi_bytes(&spi, row->wrapped, row->wrapped_len);
	kms_spi_run(&spi, &plan,
				"INSERT INTO kms.pepper (pepper_id, created_at, wrapped)"
				" VALUES ($1, $2, $3)",
				SPI_OK_INSERT);
	kms_spi_end(&spi);
}

bool
kms_pepper_lock_row(const char *pepper_id, bool wait)
{
	static SPIPlanPtr plans[2];
	static const char *const queries[] = {
		LOCK_ROW " SKIP LOCKED", LOCK_ROW
	};
	KmsSpi		spi;
	bool		locked;

	kms_spi_begin(&spi);
	kms_spi_text(&spi, pepper_id);
	kms_spi_run(&spi, &plans[wait], queries[wait], SPI_OK_SELECT);
	locked = spi.processed > 0;
	kms_spi_end(&spi);
	return locked;
}

void
kms_pepper_replace(const KmsPepperRow *row)
{
	static SPIPlanPtr plan = NULL;
	KmsSpi		spi;

	kms_spi_begin(&spi);
	kms_spi_text(&spi, row->pepper_id);
	kms_spi_bytes(&spi, row->wrapped, row->wrapped_len);
	kms_spi_run(&spi, &plan,
				"UPDATE kms.pepper SET wrapped = $2"
				" WHERE pepper_id OPERATOR(pg_catalog.=) $1",
				SPI_OK_UPDATE);
	kms_spi_end(&spi);
}

static bool
read_row(HeapTuple tuple, TupleDesc desc, KmsPepperRow *row)
{
	Datum		value;
	bool		isnull;

	memset(row, 0, sizeof(*row));
	value = heap_getattr(tuple, PEPPER_ID, desc, &isnull);
	if (!isnull)
	{
		text	   *id = DatumGetTextPP(value);

		if (kms_key_id_valid(VARDATA_ANY(id), VARSIZE_ANY_EXHDR(id)))
			memcpy(row->pepper_id, VARDATA_ANY(id), VARSIZE_ANY_EXHDR(id));
	}
	value = heap_getattr(tuple, PEPPER_CREATED_AT, desc, &isnull);
	if (!isnull)
		row->created_at = DatumGetTimestampTz(value);
	value = heap_getattr(tuple, PEPPER_WRAPPED, desc, &isnull);
	if (!isnull)
	{
		bytea	   *wrapped = DatumGetByteaPP(value);

		if (VARSIZE_ANY_EXHDR(wrapped) == KMS_PEPPER_WRAPPED)
		{
			row->wrapped_len = KMS_PEPPER_WRAPPED;
			memcpy(row->wrapped, VARDATA_ANY(wrapped), KMS_PEPPER_WRAPPED);
		}
	}
	return row->pepper_id[0] != '\0';
}
