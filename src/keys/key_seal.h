/*
 * A row's seal: what it covers, and under which master key: that of its wrap.
 *
 * The canonical row, in the encoding of crypto/wrap.h, all text in UTF-8:
 * key id, device id, app version, algorithm, OAEP digest, origin, state,
 * prior state, state's reason, then as 8-byte integers created_at,
 * expires_at, state_changed_at, delete_at (the least value if none) and the
 * row version, then SHA-256 of the wrap and SHA-256 of the SPKI DER.
 */
#ifndef KMS_KEYS_KEY_SEAL_H
#define KMS_KEYS_KEY_SEAL_H

#include "pg/fault.h"
#include "store/key.h"
#include "store/secret_table.h"

typedef struct KmsSecretDigests
{
	unsigned char master_key_id[KMS_MASTER_KEY_ID_SIZE];	/* of the wrap */
	unsigned char wrap[KMS_SHA256_SIZE];
	unsigned char public_key[KMS_SHA256_SIZE];
} KmsSecretDigests;

/* KMS_NOT_AUTHENTIC if the wrap names no master key. */
extern KmsStatus kms_key_seal_digests(const KmsKeySecret *secret,
									  KmsSecretDigests *digests);

/* Seal under the master key of the wrap. */
extern KmsStatus kms_key_seal_row(KmsKeyRow *row, const KmsSecretDigests *digests,
								  KmsFault *fault);

/*
 * KMS_OK, KMS_NOT_AUTHENTIC, also if the seal is under another master key than
 * the wrap; or a master key that is not there.
 */
extern KmsStatus kms_key_seal_check(const KmsKeyRow *row,
									const KmsSecretDigests *digests,
									KmsFault *fault);

/* The device id in UTF-8; the same string where the database is in UTF-8. */
extern const char *kms_key_seal_utf8(const char *text);

#endif							/* KMS_KEYS_KEY_SEAL_H */
