/*
 * The seal of a row, made with the master key of its wrap.
 * docs/design/seal-and-denial.md has the canonical row that it covers.
 */
#ifndef KMS_KEYS_KEY_SEAL_H
#define KMS_KEYS_KEY_SEAL_H

#include "pg/fault.h"
#include "store/key.h"
#include "store/secret_table.h"

/* Digests of a row of kms.key_secret, which a seal covers. */
typedef struct KmsSecretDigests
{
	unsigned char master_key_id[KMS_MASTER_KEY_ID_SIZE];	/* of the wrap */
	unsigned char wrap[KMS_SHA256_SIZE];
	unsigned char public_key[KMS_SHA256_SIZE];
} KmsSecretDigests;

/*
 * Compute the digests of a secret.  Return KMS_NOT_AUTHENTIC if the wrap names
 * no master key.
 */
extern KmsStatus kms_key_seal_digests(const KmsKeySecret *secret,
									  KmsSecretDigests *digests);

/* Seal the row with the master key of its wrap. */
extern KmsStatus kms_key_seal_row(KmsKeyRow *row, const KmsSecretDigests *digests,
								  KmsFault *fault);

/*
 * Return KMS_OK if the seal is valid.  Return KMS_NOT_AUTHENTIC if it is not,
 * or if it was made with another master key than the wrap; KMS_NO_MASTER_KEY
 * or KMS_OTHER_MASTER_KEY if the master key is missing.
 */
extern KmsStatus kms_key_seal_check(const KmsKeyRow *row,
									const KmsSecretDigests *digests,
									KmsFault *fault);

/*
 * Return the text in UTF-8.  This is the same string if the database is in
 * UTF-8.  Raises an error if the text cannot be converted.
 */
extern const char *kms_key_seal_utf8(const char *text);

#endif							/* KMS_KEYS_KEY_SEAL_H */
