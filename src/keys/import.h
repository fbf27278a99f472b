/*
 * Importing keys that were made elsewhere.
 *
 *	kms_import_prepare		looks whether the key may come; may raise
 *	kms_import_read			reads it from PEM; raises with no key in hand
 *	kms_import_store		stores it and ends the call
 *
 * Between the first two the caller fetches the PEM, after the second he
 * wipes it.
 */
#ifndef KMS_KEYS_IMPORT_H
#define KMS_KEYS_IMPORT_H

#include "crypto/rsa_import.h"
#include "keys/call.h"
#include "pg/fault.h"
#include "store/key.h"
#include "store/secret_table.h"

#define KMS_IMPORT_REASON "Imported"

/* What a caller sent, checked for shape. */
typedef struct KmsImportRequest
{
	const char *device_id;
	const char *app_version;	/* NULL: not told */
	const char *key_id;			/* NULL: one is made */
	KmsDigest	oaep_hash;		/* NONE: kms.oaep_hash */
	bool		has_created_at; /* false: now */
	bool		has_expires_at; /* false: after kms.key_lifetime */
	TimestampTz created_at;
	TimestampTz expires_at;
	bool		deprecated;
} KmsImportRequest;

/* An import under way. */
typedef struct KmsImport
{
	KmsKeyRow	row;
	KmsKeySecret secret;
} KmsImport;

/*
 * A key that is to be active takes the device's lock, until the end of the
 * transaction.
 */
extern KmsStatus kms_import_prepare(KmsCall *call,
									const KmsImportRequest *request,
									KmsImport *import, KmsFault *fault);

/* "pem" is the caller's to wipe; the key is for kms_import_store. */
extern KmsStatus kms_import_read(const KmsImport *import, const char *pem,
								 size_t len, KmsRsaKey **key,
								 KmsFault *fault);

/* Takes the key over; the id is import->row.key_id. */
extern KmsStatus kms_import_store(KmsCall *call, KmsImport *import,
								  KmsRsaKey *key, KmsFault *fault);

#endif							/* KMS_KEYS_IMPORT_H */
