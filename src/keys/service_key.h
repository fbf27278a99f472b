/* Making, opening and moving peppers and audit keys. */
#ifndef KMS_KEYS_SERVICE_KEY_H
#define KMS_KEYS_SERVICE_KEY_H

#include "pg/fault.h"
#include "store/service_key_table.h"

/*
 * Make a key in the current transaction, under the current master key.  The
 * caller must hold the lock of kms_service_key_table_lock.  Return
 * KMS_NO_MASTER_KEY if there is none.
 */
extern KmsStatus kms_service_key_make(KmsServiceKeyKind kind,
									  KmsServiceKey *key);

/*
 * Open a key.  "secret" must hold KMS_SERVICE_KEY_SIZE bytes.  On KMS_OK the
 * public key is authentic, too.  The caller must then wipe the secret, and
 * must not raise an error before.
 */
extern KmsStatus kms_service_key_open(const KmsServiceKey *key,
									  unsigned char *secret, KmsFault *fault);

/*
 * Set the fault of a key: "stored pepper "…" not found", for example.  The
 * message names no id if "id" is NULL.
 */
extern KmsStatus kms_service_key_fault(KmsStatus status,
									   KmsServiceKeyKind kind, const char *id,
									   const char *what, KmsFault *fault);

/*
 * Wrap all keys of a kind again that are not under the current master key and
 * can be opened, and return their number.  If another transaction holds a key,
 * wait for it, or count it as busy if "wait" is false.  A key that does not
 * authenticate is counted as refused.
 */
extern int	kms_service_key_rewrap(KmsServiceKeyKind kind, bool wait,
								   int *busy, int *refused);

#endif							/* KMS_KEYS_SERVICE_KEY_H */
