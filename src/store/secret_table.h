/* kms.key_secret: the public key of a key, and its wrapped private key. */
#ifndef KMS_STORE_SECRET_TABLE_H
#define KMS_STORE_SECRET_TABLE_H

#include "crypto/key_pair.h"
#include "crypto/wrap.h"

/* bytes */
#define KMS_WRAPPED_MAX (KMS_KEY_PAIR_MAX_PRIVATE + KMS_WRAP_OVERHEAD)

/* A row of kms.key_secret. */
typedef struct KmsKeySecret
{
	size_t		public_len;
	size_t		wrapped_len;
	unsigned char public_key[KMS_KEY_PAIR_MAX_PUBLIC];
	unsigned char wrapped_key[KMS_WRAPPED_MAX];
} KmsKeySecret;

/*
 * Read the secret that is committed now.  Return false if there is no such
 * row.  A value that is too long reads as empty.
 */
extern bool kms_secret_table_read(const char *key_id, KmsKeySecret *secret);

extern void kms_secret_table_insert(const char *key_id,
									const KmsKeySecret *secret);
extern void kms_secret_table_delete(const char *key_id);

#endif							/* KMS_STORE_SECRET_TABLE_H */
