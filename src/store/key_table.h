/*
 * kms.key and kms.key_secret: the only SQL and table access for keys.
 *
 * Reading is an index scan under a fresh catalog snapshot: it sees what is
 * committed now (and what this transaction did), also inside an old
 * REPEATABLE READ snapshot, in parallel workers and on standbys.  Writing
 * goes through SPI with the extension owner's rights.
 */
#ifndef KMS_STORE_KEY_TABLE_H
#define KMS_STORE_KEY_TABLE_H

#include "crypto/digest.h"
#include "crypto/form.h"
#include "crypto/rsa.h"
#include "crypto/wrap.h"
#include "access/htup.h"
#include "datatype/timestamp.h"
#include "nodes/pg_list.h"

typedef enum KmsKeyState
{
	KMS_STATE_NONE = 0,
	KMS_STATE_ACTIVE,
	KMS_STATE_DEPRECATED,
	KMS_STATE_DISABLED,
	KMS_STATE_REVOKED,
	KMS_STATE_PENDING_DELETION,
	KMS_STATE_UNKNOWN			/* not one of ours: never authenticates */
} KmsKeyState;

#define KMS_ORIGIN_GENERATED	"generated" /* counts against the limit */
#define KMS_ORIGIN_REPLACEMENT	"replacement"	/* of a problematic key */
#define KMS_ORIGIN_IMPORTED		"imported"

#define KMS_DENIALS_MAX 8

/*
 * What denies the use of a key besides its row: its rows of kms.denial taken
 * together.  See store/denial_table.h.
 */
typedef struct KmsDenial
{
	int			count;			/* 0: nothing; of more than KMS_DENIALS_MAX
								 * the others are counted another time */
	int64		ids[KMS_DENIALS_MAX];
	KmsKeyState state;			/* of the newest that is not "disabled", if
								 * there is one; NONE: nothing */
	int64		state_from;		/* id of the denial that gave it */
	bool		revoked;		/* one of them is a revocation */
	int64		revoked_by;		/* the first revocation's id */
	TimestampTz denied_at;		/* the latest */
	TimestampTz delete_at;		/* the earliest; 0: none */
	char		reason[KMS_REASON_MAX + 1]; /* its reason, "": none */
} KmsDenial;

/*
 * A row of kms.key.  Every byte that is not used is zero, so that two rows
 * can be compared as a whole.  Optional text is "" with its flag unset.
 */
typedef struct KmsKeyRow
{
	char		key_id[KMS_KEY_ID_MAX + 1];
	char		device_id[KMS_DEVICE_ID_MAX + 1];
	char		app_version[KMS_APP_VERSION_MAX + 1];
	char		algorithm[KMS_RSA_ALGORITHM_SIZE];
	char		oaep_hash[16];
	char		origin[16];
	char		state_reason[KMS_REASON_MAX + 1];
	bool		has_app_version;
	bool		has_state_reason;
	bool		has_delete_at;
	bool		sealed;
	bool		malformed;		/* a column does not have its form */
	KmsKeyState state;
	KmsKeyState prior_state;	/* of a disabled key: what it goes back to */
	TimestampTz created_at;
	TimestampTz expires_at;
	TimestampTz state_changed_at;
	TimestampTz delete_at;
	int64		row_version;
	unsigned char seal[KMS_SEAL_SIZE];
	KmsDenial	denial;			/* not a part of the row, and not sealed */
} KmsKeyRow;

#define KMS_WRAPPED_MAX (KMS_RSA_MAX_PRIVATE + KMS_WRAP_OVERHEAD)

/* A row of kms.key_secret. */
typedef struct KmsKeySecret
{
	size_t		public_len;
	size_t		wrapped_len;
	unsigned char public_key[KMS_RSA_MAX_PUBLIC];
	unsigned char wrapped_key[KMS_WRAPPED_MAX];
} KmsKeySecret;

extern const char *kms_key_row_state_name(KmsKeyState state);

/*
 * The state in force.  A denial of another kind than "disabled" is later than
 * the row, because a change of the row takes in the denials that it finds.
 */
extern KmsKeyState kms_key_row_state(const KmsKeyRow *row);

/* False if there is no such row.  An oversized secret reads as empty. */
extern bool kms_key_table_read(const char *key_id, KmsKeyRow *row);
extern bool kms_secret_table_read(const char *key_id, KmsKeySecret *secret);

/* Who wrote a row as it is now, seen from the running statement. */
typedef enum KmsRowOrigin
{
	KMS_ROW_BEFORE,				/* the statement's own queries see it */
	KMS_ROW_STALE,				/* another, after the snapshot of this
								 * REPEATABLE READ or SERIALIZABLE transaction
								 * was taken */
	KMS_ROW_OF_STATEMENT		/* the running statement itself */
} KmsRowOrigin;

extern KmsRowOrigin kms_key_row_origin(HeapTuple tuple);

/* Call "visit" for the device's keys, newest first, until it returns false. */
typedef bool (*KmsKeyVisitor) (const KmsKeyRow *row, KmsRowOrigin origin,
							   void *arg);

extern void kms_key_table_visit_device(const char *device_id, KmsKeyVisitor visit,
									   void *arg);

/* Held until the end of the transaction, or until it is given back. */
extern void kms_key_table_lock_device(const char *device_id);
extern void kms_key_table_unlock_device(const char *device_id);

/*
 * False if another has inserted a key of this id, which is waited for; 40001
 * if that is not visible to the transaction's snapshot.
 */
extern bool kms_key_table_insert(const KmsKeyRow *row, const KmsKeySecret *secret);

/*
 * Write state, prior state, reason, times, version and seal of a row that was
 * read at "version".  False if it is not at that version any more (READ
 * COMMITTED); 40001 under an older snapshot.
 */
extern bool kms_key_table_update(const KmsKeyRow *row, int64 version);

/* Deletes the row, its secret and denials; false if it was not there at that
 * version. */
extern bool kms_key_table_delete(const KmsKeyRow *row);

/*
 * Lock the row for the transaction; false if it is gone, or if another has it
 * and this is not to wait.  To change it does not exclude that rows which
 * refer to it are inserted.
 */
typedef enum KmsKeyLock
{
	KMS_LOCK_TO_CHANGE,			/* waits */
	KMS_TRY_LOCK_TO_CHANGE,
	KMS_TRY_LOCK_TO_DELETE
} KmsKeyLock;

extern bool kms_key_table_lock_row(const char *key_id, KmsKeyLock how);

/*
 * Whether rows of kms.key can be changed now without waiting for a lock of
 * the table as a whole; if so that lock is held to the end of the transaction.
 */
extern bool kms_key_table_try_lock(void);

#endif							/* KMS_STORE_KEY_TABLE_H */
