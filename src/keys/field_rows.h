/*
 * The rows on which the use of a field key depends: find, judge and
 * authenticate them, and say what is wrong.
 */
#ifndef KMS_KEYS_FIELD_ROWS_H
#define KMS_KEYS_FIELD_ROWS_H

#include "pg/fault.h"
#include "store/field_key_table.h"

/* bytes of "name/65535" with the NUL */
#define KMS_FIELD_LABEL_SIZE (KMS_FIELD_NAME_MAX + 7)

/* Every unused byte is zero, so that they can be compared as a whole. */
typedef struct KmsFieldRows
{
	KmsFieldRow version;		/* or row 0, for an index key */
	KmsFieldRow whole;			/* row 0 of the key */
	KmsFieldRow field;			/* row 0 of its field, if any */
	bool		has_field;
} KmsFieldRows;

/*
 * Read the rows of a version, or of an index key (version 0).  Return false if
 * there is none.  *rows is zeroed by the caller.
 */
extern bool kms_field_rows_read(const KmsFieldHead *head, KmsFieldRows *rows);

/* Return the name of the field: the part before the dot, maybe palloc'd. */
extern const char *kms_field_rows_field(const char *name);

/*
 * Return KMS_OK if the states permit the use, otherwise
 * KMS_FIELD_KEY_DESTROYED or KMS_FIELD_KEY_DISABLED.  A denial is in force
 * even if its row does not authenticate.
 */
extern KmsStatus kms_field_rows_judge(const KmsFieldRows *rows,
									  KmsFault *fault);
extern KmsStatus kms_field_rows_judge_one(const KmsFieldRow *row,
										  KmsFault *fault);

/* Return the status of kms_field_row_check for all rows, or for one. */
extern KmsStatus kms_field_rows_authenticate(const KmsFieldRows *rows,
											 KmsFault *fault);
extern KmsStatus kms_field_rows_check_one(const KmsFieldRow *row,
										  KmsFault *fault);

/*
 * Fill the fault of a row that does not authenticate, or whose master key is
 * missing, and return its status.
 */
extern KmsStatus kms_field_rows_fault(const KmsFieldRow *row,
									  KmsStatus status, KmsFault *fault);
extern KmsStatus kms_field_rows_not_authentic(const char *name,
											  KmsFault *fault);

/*
 * Write "name/version", or "name/index" for row 0, as events record the use of
 * a key, into KMS_FIELD_LABEL_SIZE bytes.
 */
extern void kms_field_rows_label(const KmsFieldRow *row, char *label);

#endif							/* KMS_KEYS_FIELD_ROWS_H */
