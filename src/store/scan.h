/*
 * Index look-ups in tables of kms, and what they find.
 */
#ifndef KMS_STORE_SCAN_H
#define KMS_STORE_SCAN_H

#include "access/htup.h"
#include "access/skey.h"
#include "access/tupdesc.h"

/* A later version of the extension may have added columns. */
#define KMS_SCAN_COLUMNS_MAX 32

/*
 * For a column of text that is equal to a value; all text of kms has the
 * collation "C".  What it needs is palloc'd.
 */
extern void kms_scan_text(ScanKey key, AttrNumber column, const char *value);

/*
 * Copy a bytea or text to "out", of "size" bytes, and return its length; 0 if it is
 * null or does not fit.
 */
extern size_t kms_scan_bytes(Datum value, bool isnull, unsigned char *out,
							 size_t size);

/*
 * Split a tuple of a table of kms into KMS_SCAN_COLUMNS_MAX values; raises
 * 55000 if it has more columns.
 */
extern void kms_scan_deform(HeapTuple tuple, TupleDesc desc, Datum *values,
							bool *nulls);

#endif							/* KMS_STORE_SCAN_H */
