/*
 * Making, opening and moving the keys of the service itself.
 */
#ifndef KMS_KEYS_SERVICE_KEY_H
#define KMS_KEYS_SERVICE_KEY_H

#include "pg/fault.h"
#include "store/service_key_table.h"

/*
 * Make one in the current transaction, under the current master key; the
 * caller holds the lock of kms_service_key_table_lock.  KMS_NO_MASTER_KEY without
 * one.
 */
extern KmsStatus kms_service_key_make(KmsServiceKeyKind kind,
									  KmsServiceKey *key);

/*
 * Open one: "secret" holds KMS_SERVICE_KEY_SIZE bytes.  On KMS_OK the caller
 * has a secret to wipe, and raises nothing until it has; the public key is
 * authentic then.
 */
extern KmsStatus kms_service_key_open(const KmsServiceKey *key,
									  unsigned char *secret, KmsFault *fault);

/* A fault of one: "stored pepper "…" not found"; "id" NULL is not named. */
extern KmsStatus kms_service_key_fault(KmsStatus status,
									   KmsServiceKeyKind kind, const char *id,
									   const char *what, KmsFault *fault);

/*
 * Wrap all of a kind anew that are not under the current master key and can be opened;
 * how many they were.  One that another transaction has is waited for or
 * counted as busy, one that does not authenticate as refused.
 */
extern int	kms_service_key_rewrap(KmsServiceKeyKind kind, bool wait,
								   int *busy, int *refused);

#endif							/* KMS_KEYS_SERVICE_KEY_H */
