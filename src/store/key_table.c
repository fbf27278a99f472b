#include "postgres.h"

#include "access/genam.h"
#include "access/relation.h"
#include "access/table.h"
#include "access/xact.h"
#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "miscadmin.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"

#include "store/key_table.h"

#include "pg/catalog.h"
#include "pg/fault.h"
#include "store/denial_table.h"
#include "store/scan.h"
#include "store/spi.h"

/*
 * The row and its denials are read under one snapshot, because one commit may
 * change both.  Both tables are locked before the snapshot is taken, because a
 * table that is rewritten in the meantime would look empty.  They are locked
 * in the order in which the script made them, because DROP EXTENSION locks
 * them in this order, too.
 */
bool
kms_key_table_read(const char *key_id, KmsKey *key)
{
	const KmsCatalog *catalog = kms_catalog();
	Relation	rel = table_open(catalog->key, AccessShareLock);
	Relation	denials = table_open(catalog->denial, AccessShareLock);
	Snapshot	snapshot = RegisterSnapshot(GetCatalogSnapshot(catalog->key));
	ScanKeyData scan_key;
	SysScanDesc scan;
	HeapTuple	tuple;
	bool		found;

	kms_scan_text(&scan_key, KMS_KEY_COLUMN_ID, key_id);
	scan = systable_beginscan(rel, catalog->key_pkey, true, snapshot, 1,
							  &scan_key);
	tuple = systable_getnext(scan);
	found = HeapTupleIsValid(tuple);
	if (found)
	{
		kms_key_fill(tuple, RelationGetDescr(rel), &key->row);
		memset(&key->denial, 0, sizeof(key->denial));
		if (kms_denial_table_any())
			(void) kms_denial_table_read(key_id, snapshot, &key->denial);
	}
	systable_endscan(scan);
	UnregisterSnapshot(snapshot);
	table_close(rel, AccessShareLock);
	table_close(denials, AccessShareLock);
	return found;
}

void
kms_key_table_visit_device(const char *device_id, KmsKeyVisitor visit, void *arg)
{
	const KmsCatalog *catalog = kms_catalog();
	Relation	rel = table_open(catalog->key, AccessShareLock);
	Relation	index = index_open(catalog->key_device_idx, AccessShareLock);
	Relation	denials = table_open(catalog->denial, AccessShareLock);
	Snapshot	snapshot = RegisterSnapshot(GetCatalogSnapshot(catalog->key));
	bool		denied = kms_denial_table_any();
	ScanKeyData scan_key;
	SysScanDesc scan;
	HeapTuple	tuple;
	KmsKey	   *key = palloc(sizeof(KmsKey));

	kms_scan_text(&scan_key, KMS_KEY_COLUMN_DEVICE_ID, device_id);
	scan = systable_beginscan_ordered(rel, index, snapshot, 1, &scan_key);
	while (HeapTupleIsValid(tuple = systable_getnext_ordered(scan,
															 BackwardScanDirection)))
	{
		KmsRowOrigin origin = kms_key_origin(tuple);

		CHECK_FOR_INTERRUPTS();
		kms_key_fill(tuple, RelationGetDescr(rel), &key->row);
		memset(&key->denial, 0, sizeof(key->denial));
		if (denied &&
			kms_denial_table_read(key->row.key_id, snapshot, &key->denial))
			origin = KMS_ROW_STALE;
		if (!visit(key, origin, arg))
			break;
	}
	systable_endscan_ordered(scan);
	UnregisterSnapshot(snapshot);
	index_close(index, AccessShareLock);
	table_close(rel, AccessShareLock);
	table_close(denials, AccessShareLock);
	pfree(key);
}

bool
kms_key_table_insert(const KmsKeyRow *row, const KmsKeySecret *secret)
{
	static SPIPlanPtr plan = NULL;
	KmsSpi		spi;
	bool		done;

	kms_spi_begin(&spi);
	kms_spi_text(&spi, row->key_id);
	kms_spi_text(&spi, row->device_id);
	kms_spi_text(&spi, row->has_app_version ? row->app_version : NULL);
	kms_spi_text(&spi, row->algorithm);
	kms_spi_text(&spi, row->oaep_hash);
	kms_spi_text(&spi, row->mgf1_hash);
	kms_spi_text(&spi, row->origin);
	kms_spi_text(&spi, kms_key_state_name(row->state));
	kms_spi_text(&spi, row->has_state_reason ? row->state_reason : NULL);
	kms_spi_time(&spi, row->created_at);
	kms_spi_time(&spi, row->expires_at);
	kms_spi_time(&spi, row->state_changed_at);
	kms_spi_int64(&spi, row->row_version);
	kms_spi_bytes(&spi, row->seal, KMS_SEAL_SIZE);
	kms_spi_run(&spi, &plan,
				"INSERT INTO kms.key (key_id, device_id, app_version, algorithm,"
				" oaep_hash, mgf1_hash, origin, state, state_reason, created_at,"
				" expires_at, state_changed_at, row_version, seal) VALUES"
				" ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13,"
				" $14)"
				" ON CONFLICT (key_id) DO NOTHING",
				SPI_OK_INSERT);
	done = spi.processed > 0;
	kms_spi_end(&spi);
	if (!done)
		return false;
	kms_secret_table_insert(row->key_id, secret);
	return true;
}

bool
kms_key_table_update(const KmsKeyRow *row, int64 version)
{
	static SPIPlanPtr plan = NULL;
	KmsSpi		spi;
	bool		done;

	kms_spi_begin(&spi);
	kms_spi_text(&spi, row->key_id);
	kms_spi_int64(&spi, version);
	kms_spi_text(&spi, kms_key_state_name(row->state));
	kms_spi_text(&spi, row->prior_state == KMS_STATE_NONE ? NULL
				 : kms_key_state_name(row->prior_state));
	kms_spi_text(&spi, row->has_state_reason ? row->state_reason : NULL);
	kms_spi_time(&spi, row->state_changed_at);
	if (row->has_delete_at)
		kms_spi_time(&spi, row->delete_at);
	else
		kms_spi_null(&spi, TIMESTAMPTZOID);
	if (row->sealed)
		kms_spi_bytes(&spi, row->seal, KMS_SEAL_SIZE);
	else
		kms_spi_null(&spi, BYTEAOID);
	kms_spi_int64(&spi, row->row_version);
	kms_spi_run(&spi, &plan,
				"UPDATE kms.key SET state = $3, prior_state = $4,"
				" state_reason = $5, state_changed_at = $6, delete_at = $7,"
				" tried_at = NULL, seal = $8, row_version = $9"
				" WHERE key_id = $1"
				" AND row_version = $2",
				SPI_OK_UPDATE);
	done = spi.processed > 0;
	kms_spi_end(&spi);
	if (!done && IsolationUsesXactSnapshot())
		ereport(ERROR,
				(errcode(ERRCODE_T_R_SERIALIZATION_FAILURE),
				 errmsg("could not serialize access due to concurrent change of an encryption key"),
				 errhint("Run the transaction again."),
				 KMS_HIDE_STATEMENT));
	return done;
}

bool
kms_key_table_delete(const KmsKeyRow *row)
{
	static SPIPlanPtr plan = NULL;
	KmsSpi		spi;
	bool		done;

	kms_spi_begin(&spi);
	kms_spi_text(&spi, row->key_id);
	kms_spi_int64(&spi, row->row_version);
	kms_spi_run(&spi, &plan,
				"DELETE FROM kms.key WHERE key_id = $1"
				" AND row_version = $2",
				SPI_OK_DELETE);
	done = spi.processed > 0;
	kms_spi_end(&spi);
	if (!done)
		return false;
	kms_secret_table_delete(row->key_id);
	if (kms_denial_table_any())
		kms_denial_table_forget(row->key_id);
	return true;
}
