/*
 * Master keys (key-encryption keys): 256 bits each, from outside the database,
 * identified by a fingerprint.
 *
 * The text form has one key per line: 64 hex digits, optionally preceded by
 * "label:" (1 to 32 of A-Z a-z 0-9 _ . -) and by blanks.  Empty lines and
 * lines that start with # are skipped; \r\n is accepted.  The first key is the
 * current one, the others only unwrap.
 *
 * The fingerprint is the first 8 bytes of HMAC-SHA256(master key,
 * "kms/master-key-id/v1").
 */
#ifndef KMS_CRYPTO_MASTER_KEY_H
#define KMS_CRYPTO_MASTER_KEY_H

#include <stddef.h>

#include "crypto/status.h"

#define KMS_MASTER_KEY_SIZE		32	/* bytes */
#define KMS_MASTER_KEY_ID_SIZE	8	/* bytes */
#define KMS_MASTER_KEY_LABEL	33	/* bytes with the NUL */
#define KMS_MASTER_KEYS_MAX		64

typedef struct KmsMasterKey
{
	unsigned char id[KMS_MASTER_KEY_ID_SIZE];
	unsigned char key[KMS_MASTER_KEY_SIZE];
	char		label[KMS_MASTER_KEY_LABEL];	/* "" if it has none */
} KmsMasterKey;

typedef struct KmsMasterKeys
{
	int			count;			/* 0 if there are none */
	KmsMasterKey keys[KMS_MASTER_KEYS_MAX];
} KmsMasterKeys;

/*
 * Parse the text form.
 *
 * On failure *keys is wiped and KMS_BAD_FORMAT is returned.  *line (from 1, or
 * 0 for the text as a whole) and *why then say what is wrong.  *why is a
 * static English phrase without any of the text, such as "not 64 hexadecimal
 * digits".  Errors are: no key at all, the same key or label twice, a key of
 * one byte repeated, a NUL byte, and more than KMS_MASTER_KEYS_MAX keys.
 * KMS_FAILED means that the library failed.
 */
extern KmsStatus kms_master_key_parse(const char *text, size_t len,
									  KmsMasterKeys *keys,
									  int *line, const char **why);

/* Return the key with this fingerprint, or NULL. */
extern const KmsMasterKey *kms_master_key_find(const KmsMasterKeys *keys,
											   const unsigned char *id);

/* Return the key with this label, which is not empty, or NULL. */
extern const KmsMasterKey *kms_master_key_labelled(const KmsMasterKeys *keys,
												   const char *label);

/*
 * Write a fingerprint as lower-case hexadecimal digits; "out" holds
 * 2 * KMS_MASTER_KEY_ID_SIZE + 1 bytes.
 */
extern void kms_master_key_id_text(const unsigned char *id, char *out);

#endif							/* KMS_CRYPTO_MASTER_KEY_H */
