/* Index look-ups in tables of kms, and reading their results. */
#ifndef KMS_STORE_SCAN_H
#define KMS_STORE_SCAN_H

#include "access/htup.h"
#include "access/skey.h"
#include "access/tupdesc.h"

/* more than there are: a later version of the extension may add columns */
#define KMS_SCAN_COLUMNS_MAX 32

/*
 * Initialize a scan key for a text column that is equal to a value.  All texts
 * of kms have the collation "C".  The value is palloc'd.
 */
extern void kms_scan_text(ScanKey key, AttrNumber column, const char *value);

/*
 * Copy a bytea or text to "out", which must hold "size" bytes.  Return its
 * length, 0 if it is null or does not fit.
 */
extern size_t kms_scan_bytes(Datum value, bool isnull, unsigned char *out,
							 size_t size);

/*
 * Split a tuple of a table of kms into KMS_SCAN_COLUMNS_MAX values.  Raise
 * 55000 if it has more columns.
 */
extern void kms_scan_deform(HeapTuple tuple, TupleDesc desc, Datum *values,
							bool *nulls);

#endif							/* KMS_STORE_SCAN_H */
