/*
 * Keys of the service itself: peppers (kms.pepper) and what the trail is
 * signed with (kms.audit_key).  32 secret bytes each, stored wrapped.  The
 * only SQL and table access for them; read and written as keys are
 * (store/key_table.h).
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
	char		id[KMS_KEY_ID_MAX + 1];
	TimestampTz created_at;
	size_t		wrapped_len;	/* 0: it has not the length of one */
	unsigned char wrapped[KMS_SERVICE_KEY_WRAPPED];
	size_t		public_len;		/* 0: a pepper, or not the length of one */
	unsigned char public_key[KMS_SIGNATURE_PUBLIC_SIZE];	/* SPKI DER */
} KmsServiceKey;

/* False if there is none; a row whose id is none of ours is passed over. */
extern bool kms_service_key_table_read(KmsServiceKeyKind kind, const char *id,
									   KmsServiceKey *key);
extern bool kms_service_key_table_newest(KmsServiceKeyKind kind,
										 KmsServiceKey *key);

/* A list of KmsServiceKey, all of a kind, the newest first. */
extern List *kms_service_key_table_all(KmsServiceKeyKind kind);

/*
 * Who makes one holds this until the end of the transaction.  False, at
 * once, if another does and "wait" is not set.
 */
extern bool kms_service_key_table_lock(KmsServiceKeyKind kind, bool wait);

extern void kms_service_key_table_insert(const KmsServiceKey *key);

/*
 * Lock the row for the transaction; false if it is gone, or if another has it
 * and this is not to wait.
 */
extern bool kms_service_key_table_lock_row(const KmsServiceKey *key, bool wait);

/* Replace the wrap of a row that the caller has locked. */
extern void kms_service_key_table_replace(const KmsServiceKey *key);

#endif							/* KMS_STORE_SERVICE_KEY_TABLE_H */
