/*
 * A key as kms.key and kms.denial have it.
 */
#ifndef KMS_STORE_KEY_H
#define KMS_STORE_KEY_H

#include "access/htup.h"
#include "access/tupdesc.h"
#include "datatype/timestamp.h"

#include "crypto/digest.h"
#include "crypto/key_id.h"
#include "crypto/rsa_key.h"
#include "crypto/seal.h"

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

/* columns of kms.key that are looked up by */
#define KMS_KEY_COLUMN_ID			1
#define KMS_KEY_COLUMN_DEVICE_ID	2

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
} KmsKeyRow;

/* What a reader of a key gets: its row, and what denies its use besides. */
typedef struct KmsKey
{
	KmsKeyRow	row;
	KmsDenial	denial;			/* not a part of the row, and not sealed */
} KmsKey;

extern const char *kms_key_state_name(KmsKeyState state);

/*
 * The state in force.  A denial of another kind than "disabled" is later than
 * the row, because a change of the row takes in the denials that it finds.
 */
extern KmsKeyState kms_key_state(const KmsKey *key);

/*
 * When a key that is pending deletion, or was when it was revoked, will be
 * deleted; 0 if no such time was set.
 */
extern TimestampTz kms_key_delete_at(const KmsKey *key);

/* Fill a row from a tuple of kms.key; raises 55000 for a later version's. */
extern void kms_key_fill(HeapTuple tuple, TupleDesc desc, KmsKeyRow *row);

/* Who wrote a row as it is now, seen from the running statement. */
typedef enum KmsRowOrigin
{
	KMS_ROW_BEFORE,				/* the statement's own queries see it */
	KMS_ROW_STALE,				/* another, after the snapshot of this
								 * REPEATABLE READ or SERIALIZABLE transaction
								 * was taken */
	KMS_ROW_OF_STATEMENT		/* the running statement itself */
} KmsRowOrigin;

extern KmsRowOrigin kms_key_origin(HeapTuple tuple);

#endif							/* KMS_STORE_KEY_H */
