#include "postgres.h"

#include "access/detoast.h"
#include "access/stratnum.h"
#include "catalog/pg_collation.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"

#include "store/scan.h"

#include "pg/compat.h"

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

	/* somebody may have put a gigabyte there */
	if (isnull || toast_raw_datum_size(value) > VARHDRSZ + size)
		return 0;
	detoasted = DatumGetByteaPP(value);
	len = VARSIZE_ANY_EXHDR(detoasted);
	memcpy(out, VARDATA_ANY(detoasted), len);
	if ((Pointer) detoasted != DatumGetPointer(value))
		pfree(detoasted);
	return len;
}
