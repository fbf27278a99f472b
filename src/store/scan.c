#include "postgres.h"

#include "access/detoast.h"
#include "access/htup_details.h"
#include "access/stratnum.h"
#include "catalog/pg_collation.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"

#include "store/scan.h"

#include "pg/compat.h"
#include "pg/fault.h"

void
kms_scan_text(ScanKey key, AttrNumber column, const char *value)
{
	ScanKeyEntryInitialize(key, 0, column, BTEqualStrategyNumber, InvalidOid,
						   C_COLLATION_OID, F_TEXTEQ,
						   CStringGetTextDatum(value));
}

size_t
kms_scan_bytes(Datum value, bool isnull, unsigned char *out, size_t size)
{
	bytea	   *detoasted;
	size_t		len;

	/* check the size first: the value may be a gigabyte long */
	if (isnull || toast_raw_datum_size(value) > VARHDRSZ + size)
		return 0;
	detoasted = DatumGetByteaPP(value);
	len = VARSIZE_ANY_EXHDR(detoasted);
	memcpy(out, VARDATA_ANY(detoasted), len);
	if ((Pointer) detoasted != DatumGetPointer(value))
		pfree(detoasted);
	return len;
}

void
kms_scan_deform(HeapTuple tuple, TupleDesc desc, Datum *values, bool *nulls)
{
	if (desc->natts > KMS_SCAN_COLUMNS_MAX)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("a table of kms has more columns than this library knows"),
				 errhint("Install the library of the extension's version and restart the server."),
				 KMS_HIDE_STATEMENT));
	heap_deform_tuple(tuple, desc, values, nulls);
}
