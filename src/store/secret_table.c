#include "postgres.h"

#include "access/genam.h"
#include "access/table.h"
#include "executor/spi.h"
#include "utils/rel.h"

#include "store/secret_table.h"

#include "pg/catalog.h"
#include "store/scan.h"
#include "store/spi.h"

/* columns of kms.key_secret, in the order of the script */
enum
{
	SECRET_ID = 1, SECRET_PUBLIC_KEY, SECRET_WRAPPED_KEY
};

bool
kms_secret_table_read(const char *key_id, KmsKeySecret *secret)
{
	const KmsCatalog *catalog = kms_catalog();
	Relation	rel = table_open(catalog->key_secret, AccessShareLock);
	ScanKeyData scan_key;
	SysScanDesc scan;
	HeapTuple	tuple;
	Datum		values[KMS_SCAN_COLUMNS_MAX];
	bool		nulls[KMS_SCAN_COLUMNS_MAX];
	bool		found;

	kms_scan_text(&scan_key, SECRET_ID, key_id);
	scan = systable_beginscan(rel, catalog->key_secret_pkey, true, NULL, 1,
							  &scan_key);
	tuple = systable_getnext(scan);
	found = HeapTupleIsValid(tuple);
	if (found)
	{
		kms_scan_deform(tuple, RelationGetDescr(rel), values, nulls);
		secret->public_len = kms_scan_bytes(values[SECRET_PUBLIC_KEY - 1],
											nulls[SECRET_PUBLIC_KEY - 1],
											secret->public_key,
											sizeof(secret->public_key));
		secret->wrapped_len = kms_scan_bytes(values[SECRET_WRAPPED_KEY - 1],
											 nulls[SECRET_WRAPPED_KEY - 1],
											 secret->wrapped_key,
											 sizeof(secret->wrapped_key));
	}
	systable_endscan(scan);
	table_close(rel, AccessShareLock);
	return found;
}

void
kms_secret_table_insert(const char *key_id, const KmsKeySecret *secret)
{
	static SPIPlanPtr plan = NULL;
	KmsSpi		spi;

	kms_spi_begin(&spi);
	kms_spi_text(&spi, key_id);
	kms_spi_bytes(&spi, secret->public_key, secret->public_len);
	kms_spi_bytes(&spi, secret->wrapped_key, secret->wrapped_len);
	kms_spi_run(&spi, &plan,
				"INSERT INTO kms.key_secret (key_id, public_key, wrapped_key)"
				" VALUES ($1, $2, $3)",
				SPI_OK_INSERT);
	kms_spi_end(&spi);
}

void
kms_secret_table_delete(const char *key_id)
{
	static SPIPlanPtr plan = NULL;
	KmsSpi		spi;

	kms_spi_begin(&spi);
	kms_spi_text(&spi, key_id);
	kms_spi_run(&spi, &plan,
				"DELETE FROM kms.key_secret WHERE key_id = $1",
				SPI_OK_DELETE);
	kms_spi_end(&spi);
}
