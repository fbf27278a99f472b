/*
 * Rows of field keys: their seals and their wrapped secrets.
 * docs/design/fields.md has the canonical row that a seal covers, and what a
 * wrap is bound to.
 *
 * Wrap and seal of a row are under the same master key.  A row without a wrap
 * is sealed under the current one.
 */
#ifndef KMS_KEYS_FIELD_ROW_H
#define KMS_KEYS_FIELD_ROW_H

#include "pg/fault.h"
#include "store/field_key_table.h"

/* Seal the row. */
extern KmsStatus kms_field_row_seal(KmsFieldRow *row, KmsFault *fault);

/*
 * Return KMS_OK if the seal is valid.  Return KMS_NOT_AUTHENTIC if it is not,
 * or if it was made with another master key than the wrap; KMS_NO_MASTER_KEY
 * or KMS_OTHER_MASTER_KEY if the master key is missing.
 */
extern KmsStatus kms_field_row_check(const KmsFieldRow *row, KmsFault *fault);

/*
 * The same, but a disabled row needs no seal, because it may have been denied
 * without a master key.  Its wrap is bound to what never changes.
 */
extern KmsStatus kms_field_row_check_denied(const KmsFieldRow *row,
											KmsFault *fault);

/*
 * Draw a secret and wrap it, or wrap the secret of the row again, under the
 * current master key, and seal the row.
 */
extern KmsStatus kms_field_row_make_secret(KmsFieldRow *row, KmsFault *fault);
extern KmsStatus kms_field_row_wrap_again(KmsFieldRow *row, KmsFault *fault);

/*
 * Unwrap the secret of an authentic row into KMS_FIELD_SECRET bytes.  On
 * KMS_OK the caller must wipe them, and must not raise an error before.
 */
extern KmsStatus kms_field_row_open(const KmsFieldRow *row,
									unsigned char *secret, KmsFault *fault);

/* Remove the wrapped secret. */
extern void kms_field_row_forget_secret(KmsFieldRow *row);

#endif							/* KMS_KEYS_FIELD_ROW_H */
