/* A key as kms.key and kms.denial store it. */
#ifndef KMS_STORE_KEY_H
#define KMS_STORE_KEY_H

#include "access/htup.h"
#include "access/tupdesc.h"
#include "datatype/timestamp.h"

#include "crypto/digest.h"
#include "crypto/key_id.h"
#include "crypto/key_pair.h"
#include "crypto/seal.h"

typedef enum KmsKeyState
{
	KMS_STATE_NONE = 0,
	KMS_STATE_ACTIVE,
	KMS_STATE_DEPRECATED,
	KMS_STATE_DISABLED,
	KMS_STATE_REVOKED,
	KMS_STATE_PENDING_DELETION,
	KMS_STATE_UNKNOWN			/* not ours; never authenticates */
} KmsKeyState;

#define KMS_ORIGIN_GENERATED	"generated" /* counts for the limit */
#define KMS_ORIGIN_REPLACEMENT	"replacement"	/* of a problematic key */
#define KMS_ORIGIN_RENEWAL		"renewal"
#define KMS_ORIGIN_IMPORTED		"imported"

/* columns of kms.key to search by */
#define KMS_KEY_COLUMN_ID			1
#define KMS_KEY_COLUMN_DEVICE_ID	2

#define KMS_DENIALS_MAX 8

/*
 * The denials of a key: its rows of kms.denial, combined.  See
 * store/denial_table.h.
 */
typedef struct KmsDenial
{
	int			count;			/* 0: none; denials beyond KMS_DENIALS_MAX are
								 * counted another time */
	int64		ids[KMS_DENIALS_MAX];
	KmsKeyState state;			/* of the newest denial that is not
								 * "disabled", if there is one; NONE: no
								 * denial */
	int64		state_from;		/* id of the denial with that state */
	bool		revoked;		/* whether one is a revocation */
	int64		revoked_by;		/* id of the first revocation */
	TimestampTz denied_at;		/* latest denial */
	TimestampTz delete_at;		/* earliest date, 0: none */
	char		reason[KMS_REASON_MAX + 1]; /* of the first revocation, "":
											 * none */
} KmsDenial;

/*
 * A row of kms.key.  Every unused byte is zero, so that two rows can be
 * compared as a whole.  A missing optional text is "" with its flag unset.
 */
typedef struct KmsKeyRow
{
	char		key_id[KMS_KEY_ID_MAX + 1];
	char		device_id[KMS_DEVICE_ID_MAX + 1];
	char		app_version[KMS_APP_VERSION_MAX + 1];
	char		algorithm[KMS_KEY_ALGORITHM_SIZE];
	char		oaep_hash[16];	/* "none": no OAEP, as in mgf1_hash */
	char		mgf1_hash[16];
	char		origin[16];
	char		state_reason[KMS_REASON_MAX + 1];
	bool		has_app_version;
	bool		has_state_reason;
	bool		has_delete_at;
	bool		sealed;
	bool		malformed;		/* a column does not have its form */
	KmsKeyState state;
	KmsKeyState prior_state;	/* state that a disabled key returns to */
	TimestampTz created_at;
	TimestampTz expires_at;
	TimestampTz state_changed_at;
	TimestampTz delete_at;
	int64		row_version;
	unsigned char seal[KMS_SEAL_SIZE];
} KmsKeyRow;

/* A key as its reader gets it: its row and its denials. */
typedef struct KmsKey
{
	KmsKeyRow	row;
	KmsDenial	denial;			/* not part of the row, and not sealed */
} KmsKey;

/* Return the name of a state as the tables store it, a static string. */
extern const char *kms_key_state_name(KmsKeyState state);

/*
 * Return the state in force.  A denial other than "disabled" is later than the
 * row, because a change of the row applies the denials that it finds.
 */
extern KmsKeyState kms_key_state(const KmsKey *key);

/*
 * Return when a key will be deleted that is pending deletion, or was so when
 * it was revoked; 0 if no time was set.
 */
extern TimestampTz kms_key_delete_at(const KmsKey *key);

/*
 * Fill a row from a tuple of kms.key.  Raise 55000 if the table is of a later
 * version.
 */
extern void kms_key_fill(HeapTuple tuple, TupleDesc desc, KmsKeyRow *row);

/* The writer of a row's current version, seen from the running statement. */
typedef enum KmsRowOrigin
{
	KMS_ROW_BEFORE,				/* visible to the statement's own queries */
	KMS_ROW_STALE,				/* another transaction, after the snapshot of
								 * this REPEATABLE READ or SERIALIZABLE
								 * transaction was taken */
	KMS_ROW_OF_STATEMENT		/* the running statement itself */
} KmsRowOrigin;

extern KmsRowOrigin kms_key_origin(HeapTuple tuple);

#endif							/* KMS_STORE_KEY_H */
