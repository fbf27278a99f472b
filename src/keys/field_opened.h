/*
 * The one way into a field key: find its rows, check the caller's right, judge
 * and authenticate the key, and open it.
 *
 * Opened keys stay in the session.  They are an optimisation and never an
 * authority: an opened key is used without reading its rows only within one
 * statement, for at most a second, and as long as no transaction has changed
 * a field key.  docs/design/fields.md says how sessions learn of changes.
 */
#ifndef KMS_KEYS_FIELD_OPENED_H
#define KMS_KEYS_FIELD_OPENED_H

#include "portability/instr_time.h"

#include "crypto/xaes.h"
#include "keys/field_rows.h"
#include "pg/fault.h"
#include "store/field_key_table.h"
#include "store/field_right.h"

/*
 * An opened version, or the opened index key of a field.  It belongs to the
 * session's cache and is valid until the next call of this file.
 */
typedef struct KmsFieldKey
{
	KmsFieldHead head;			/* version 0: an index key */
	const char *name;			/* of the key */
	const char *label;			/* "name/version" or "name/index", as events
								 * record it */
	KmsXaes    *xaes;			/* of a version */
	const unsigned char *index_key; /* KMS_FIELD_SECRET bytes */
} KmsFieldKey;

/* The caller of a field function, and what it wants. */
typedef struct KmsFieldCaller
{
	Oid			role;			/* current user when the call began */
	KmsFieldRight right;
	instr_time	now;			/* when the call began */
} KmsFieldCaller;

/*
 * Return the opened key of a head (or an index key) if it can be used without
 * reading any row, otherwise NULL.  Raises no error.
 */
extern const KmsFieldKey *kms_field_opened_get(const KmsFieldHead *head,
											   const KmsFieldCaller *caller);

/* The same for the newest version, or the index key, of the key of a name. */
extern const KmsFieldKey *kms_field_opened_get_newest(const char *name,
													  const KmsFieldCaller *caller);
extern const KmsFieldKey *kms_field_opened_get_index(const char *name,
													 const KmsFieldCaller *caller);

/*
 * Find, judge, authenticate and open
 *
 * - the version that a head names;
 * - the newest version of a key;
 * - the index key of a key, which is that of its field.
 *
 * Return
 *
 * - KMS_FIELD_KEY_NOT_FOUND, or KMS_NO_RIGHT if the caller does not have the
 *	 right;
 * - KMS_FIELD_KEY_DESTROYED or KMS_FIELD_KEY_DISABLED if the version, the key
 *	 or its field is, which needs no master key;
 * - KMS_NOT_AUTHENTIC, KMS_NO_MASTER_KEY or KMS_OTHER_MASTER_KEY.
 *
 * "label", of KMS_FIELD_LABEL_SIZE bytes, is filled when the key is found.
 */
extern KmsStatus kms_field_opened_version(const KmsFieldHead *head,
										  const KmsFieldCaller *caller,
										  char *label,
										  const KmsFieldKey **key,
										  KmsFault *fault);
extern KmsStatus kms_field_opened_newest(const char *name,
										 const KmsFieldCaller *caller,
										 char *label,
										 const KmsFieldKey **key,
										 KmsFault *fault);
extern KmsStatus kms_field_opened_index(const char *name,
										const KmsFieldCaller *caller,
										char *label,
										const KmsFieldKey **key,
										KmsFault *fault);

/*
 * Close and wipe all keys, or do so if the master keys have changed.  No key
 * may be in use.
 */
extern void kms_field_opened_close_all(void);
extern void kms_field_opened_close_stale(void);

/* Return the number of opened keys. */
extern int	kms_field_opened_count(void);

#endif							/* KMS_KEYS_FIELD_OPENED_H */
