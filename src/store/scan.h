/*
 * Index look-ups in tables of kms.
 */
#ifndef KMS_STORE_SCAN_H
#define KMS_STORE_SCAN_H

#include "access/skey.h"

/*
 * For a column of text that is equal to a value; all text of kms has the
 * collation "C".  What it needs is palloc'd.
 */
extern void kms_scan_text(ScanKey key, AttrNumber column, const char *value);

#endif							/* KMS_STORE_SCAN_H */
