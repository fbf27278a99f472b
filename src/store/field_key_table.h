/*
 * Field keys (kms.field_key): the only SQL and table access for them.
 *
 * A field key is the rows with one name and id.  Row 0 stands for the key as a
 * whole, and holds the wrapped key of its blind indexes; the row of a key
 * whose name has a dot holds none, because such a key uses that of its field.
 * Each other row is a version.  No row is ever deleted: a destroyed row has
 * lost its wrapped bytes.
 *
 * Reads see what is committed now, whatever the caller's snapshot.
 */
#ifndef KMS_STORE_FIELD_KEY_TABLE_H
#define KMS_STORE_FIELD_KEY_TABLE_H

#include "datatype/timestamp.h"
#include "nodes/pg_list.h"

#include "crypto/field_value.h"
#include "crypto/seal.h"
#include "crypto/wrap.h"

#define KMS_FIELD_NAME_PART	55	/* bytes of the name of a field */
#define KMS_FIELD_NAME_MAX	(KMS_FIELD_NAME_PART + 1 + 64)
#define KMS_FIELD_SECRET	32	/* bytes of each secret */
#define KMS_FIELD_WRAPPED	(KMS_FIELD_SECRET + KMS_WRAP_OVERHEAD)
#define KMS_FIELD_UNDER_MAX 64	/* master keys that are remembered */

#define KMS_FIELD_WHOLE		0	/* the number of row 0 */

typedef enum KmsFieldState
{
	KMS_FIELD_UNKNOWN,			/* not ours; never authenticates */
	KMS_FIELD_ENABLED,
	KMS_FIELD_DISABLED,
	KMS_FIELD_DESTROYED
} KmsFieldState;

/*
 * A row.  Every unused byte is zero, so that two rows can be compared as a
 * whole.
 */
typedef struct KmsFieldRow
{
	char		name[KMS_FIELD_NAME_MAX + 1];
	unsigned char id[KMS_FIELD_ID_SIZE];
	int			version;
	KmsFieldState state;
	bool		sealed;
	bool		malformed;		/* a column does not have its form */
	bool		rotates;		/* whether "rotate_after" is set; row 0 only */
	Interval	rotate_after;
	TimestampTz created_at;
	TimestampTz state_changed_at;
	int64		row_version;
	size_t		wrapped_len;	/* 0: none */
	unsigned char wrapped[KMS_FIELD_WRAPPED];
	int			under_count;	/* master keys that have ever wrapped it */
	unsigned char under[KMS_FIELD_UNDER_MAX][KMS_MASTER_KEY_ID_SIZE];
	unsigned char seal[KMS_SEAL_SIZE];
} KmsFieldRow;

/* Return "enabled", "disabled", "destroyed" or "unknown", a static string. */
extern const char *kms_field_key_table_state(KmsFieldState state);

/*
 * Read a row by name or by id, or the row of the newest version.  Return false
 * if there is none.
 */
extern bool kms_field_key_table_read(const char *name, int version,
									 KmsFieldRow *row);
extern bool kms_field_key_table_read_id(const unsigned char *id, int version,
										KmsFieldRow *row);
extern bool kms_field_key_table_newest(const unsigned char *id,
									   KmsFieldRow *row);

/*
 * Insert a row.  "rotate_at" is when the next version is due, 0 for never.
 * Return false if there is such a row, also one that another transaction has
 * inserted in the meantime.
 */
extern bool kms_field_key_table_insert(const KmsFieldRow *row,
									   TimestampTz rotate_at);

/*
 * Replace a row of this row version, except for its name, number, id and date.
 * Return false if it has changed.  The caches of all sessions read the key
 * again after the commit.
 */
extern bool kms_field_key_table_update(const KmsFieldRow *row,
									   int64 row_version);

/*
 * Forget when the next version is due, because there is one.  The caller must
 * have locked the row.
 */
extern void kms_field_key_table_rotated(const char *name, int version);

/* Make the caches of all sessions read field keys again after the commit. */
extern void kms_field_key_table_changed(void);

/*
 * Lock a row for the transaction.  To add a version is compatible with a
 * change of the state, but not with destroying.  Return false if there is no
 * such row, or if another transaction holds it and this lock does not wait.
 */
typedef enum KmsFieldLock
{
	KMS_FIELD_LOCK_TO_ADD,
	KMS_FIELD_LOCK_TO_CHANGE,
	KMS_FIELD_TRY_LOCK_TO_CHANGE,
	KMS_FIELD_LOCK_TO_DESTROY
} KmsFieldLock;

extern bool kms_field_key_table_lock(const char *name, int version,
									 KmsFieldLock how);

/* A row as lists name it. */
typedef struct KmsFieldPlace
{
	char		name[KMS_FIELD_NAME_MAX + 1];
	int			version;
} KmsFieldPlace;

/*
 * Return a list of KmsFieldPlace: all rows of a key and, if it is a field, of
 * all keys under it, that are not destroyed.
 */
extern List *kms_field_key_table_undestroyed(const char *name);

/*
 * Return a list of KmsFieldPlace: at most "limit" rows
 *
 * - whose next version is due at "now", of keys that are enabled;
 * - that are not sealed.
 */
extern List *kms_field_key_table_due(TimestampTz now, int limit);
extern List *kms_field_key_table_unsealed(int limit);

/*
 * Return the names of all fields that are not destroyed, without the keys
 * under them.
 */
extern List *kms_field_key_table_fields(void);

/*
 * Return a list of KmsFieldPlace: rows at random; and at most ten rows that
 * have changed less often than the trail says.
 */
extern List *kms_field_key_table_sample(int limit);
extern List *kms_field_key_table_older(void);

/*
 * Return a list of KmsFieldPlace: at most ten destroyed rows whose secret was
 * ever wrapped under one of these master keys (KMS_MASTER_KEY_ID_SIZE bytes
 * each).
 */
extern List *kms_field_key_table_recoverable(const unsigned char *master_keys,
											 int count);

/*
 * Return whether the rows come by a subscription, so that the publisher seals
 * them.
 */
extern bool kms_field_key_table_is_replicated(void);

#endif							/* KMS_STORE_FIELD_KEY_TABLE_H */
