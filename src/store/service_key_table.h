/*
 * Peppers (kms.pepper) and the keys that sign the trail (kms.audit_key): the
 * only SQL and table access for them.  Each has 32 secret bytes, stored
 * wrapped.  They are read and written as keys are (store/key_table.h).
 */
#ifndef KMS_STORE_SERVICE_KEY_TABLE_H
#define KMS_STORE_SERVICE_KEY_TABLE_H

#include "crypto/key_id.h"
#include "crypto/signature.h"
#include "crypto/wrap.h"
#include "datatype/timestamp.h"
#include "nodes/pg_list.h"

typedef enum KmsServiceKeyKind
{
	KMS_PEPPER,
	KMS_AUDIT_KEY
} KmsServiceKeyKind;

#define KMS_SERVICE_KEY_KINDS	2
#define KMS_SERVICE_KEY_SIZE	32	/* bytes, secret */
#define KMS_SERVICE_KEY_WRAPPED (KMS_SERVICE_KEY_SIZE + KMS_WRAP_OVERHEAD)

typedef struct KmsServiceKey
{
	KmsServiceKeyKind kind;
	char		id[KMS_SERVICE_ID_MAX + 1];
	TimestampTz created_at;
	size_t		wrapped_len;	/* 0: the value does not have the length of a
								 * wrap */
	unsigned char wrapped[KMS_SERVICE_KEY_WRAPPED];
	size_t		public_len;		/* 0: a pepper, or the value does not have the
								 * length */
	unsigned char public_key[KMS_SIGNATURE_PUBLIC_SIZE];	/* SPKI DER */
} KmsServiceKey;

/*
 * Read a key.  Return false if there is none.  A row whose id is not ours is
 * skipped.
 */
extern bool kms_service_key_table_read(KmsServiceKeyKind kind, const char *id,
									   KmsServiceKey *key);
extern bool kms_service_key_table_newest(KmsServiceKeyKind kind,
										 KmsServiceKey *key);

/* Return a list of KmsServiceKey: all of a kind, newest first. */
extern List *kms_service_key_table_all(KmsServiceKeyKind kind);

/*
 * Take the lock for making a key, until the end of the transaction.  If
 * another session holds it and "wait" is false, return false at once.
 */
extern bool kms_service_key_table_lock(KmsServiceKeyKind kind, bool wait);

extern void kms_service_key_table_insert(const KmsServiceKey *key);

/*
 * Lock a row for the transaction.  Return false if it is gone, or if another
 * transaction holds it and "wait" is false.
 */
extern bool kms_service_key_table_lock_row(const KmsServiceKey *key, bool wait);

/* Replace the wrap of a row that the caller has locked. */
extern void kms_service_key_table_replace(const KmsServiceKey *key);

#endif							/* KMS_STORE_SERVICE_KEY_TABLE_H */
