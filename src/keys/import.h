/*
 * Importing keys that were made elsewhere, in three steps:
 *
 * 1. kms_import_prepare checks whether the key may be imported.  It may raise
 *    errors.
 * 2. kms_import_read reads the key from PEM.  It raises errors only before the
 *    key exists.
 * 3. kms_import_store stores the key and sets how the call ends.
 *
 * The caller fetches the PEM between the first two steps, and wipes it after
 * the second.
 */
#ifndef KMS_KEYS_IMPORT_H
#define KMS_KEYS_IMPORT_H

#include "crypto/pem_import.h"
#include "keys/call.h"
#include "keys/kind.h"
#include "pg/fault.h"
#include "store/key.h"
#include "store/secret_table.h"

#define KMS_IMPORT_REASON "Imported"

/* The arguments of a call, with their shape checked. */
typedef struct KmsImportRequest
{
	const char *device_id;		/* NULL: malformed */
	const char *app_version;	/* NULL: unknown */
	const char *key_id;			/* NULL: make one */
	KmsKind		named;			/* digests; the algorithm is that of the key */
	bool		has_created_at; /* false: now */
	bool		has_expires_at; /* false: after kms.key_lifetime */
	TimestampTz created_at;
	TimestampTz expires_at;
	bool		deprecated;
} KmsImportRequest;

/* An import in progress. */
typedef struct KmsImport
{
	KmsKind		named;
	KmsKeyRow	row;
	KmsKeySecret secret;
} KmsImport;

/*
 * Check whether a key may be imported, and fill *import.  For a key that is to
 * be active, take the device's lock until the end of the transaction.
 */
extern KmsStatus kms_import_prepare(KmsCall *call,
									const KmsImportRequest *request,
									KmsImport *import, KmsFault *fault);

/*
 * Read "len" bytes of PEM.  The caller wipes "pem", and passes the key to
 * kms_import_store.
 */
extern KmsStatus kms_import_read(const KmsImport *import, const char *pem,
								 size_t len, KmsKeyPair **key,
								 KmsFault *fault);

/* Store the key, and consume it.  Its id is import->row.key_id. */
extern KmsStatus kms_import_store(KmsCall *call, KmsImport *import,
								  KmsKeyPair *key, KmsFault *fault);

/*
 * If the fault refuses the arguments, name the key in its detail, so that an
 * import of many keys shows which one was refused.  A key id that may be a
 * private key is not named.
 */
extern void kms_import_name_key(const KmsImportRequest *request,
								KmsFault *fault);

#endif							/* KMS_KEYS_IMPORT_H */
