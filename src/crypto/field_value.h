/*
 * Stored values of encrypted fields.  docs/design/field-format.md specifies
 * the format byte by byte, with vectors.
 *
 * The head of a value names its key and version.  A value is bound to its head
 * and to a context, which says where it belongs.
 */
#ifndef KMS_CRYPTO_FIELD_VALUE_H
#define KMS_CRYPTO_FIELD_VALUE_H

#include <stddef.h>

#include "crypto/status.h"
#include "crypto/xaes.h"

#define KMS_FIELD_ID_SIZE			8	/* bytes */
#define KMS_FIELD_VERSION_MAX		65535
#define KMS_FIELD_CONTEXT_MAX		1024	/* bytes */
#define KMS_FIELD_VALUE_OVERHEAD	53	/* bytes */

typedef struct KmsFieldHead
{
	unsigned char id[KMS_FIELD_ID_SIZE];
	int			version;		/* 1 to KMS_FIELD_VERSION_MAX */
} KmsFieldHead;

/*
 * Read the head of a value.  Return KMS_BAD_FORMAT, and leave *head alone, if
 * the value is too short, of another or unknown format, or of version 0.
 * Nothing is verified: kms_field_value_decrypt does that.
 */
extern KmsStatus kms_field_value_head(const unsigned char *value, size_t len,
									  KmsFieldHead *head);

/*
 * Encrypt with the key of head->version and a nonce of KMS_XAES_NONCE_SIZE
 * bytes from crypto/nonces.  "context" has up to KMS_FIELD_CONTEXT_MAX bytes.
 * "value" must hold in_len + KMS_FIELD_VALUE_OVERHEAD bytes and must not
 * overlap "in"; on failure it is wiped.  If the context or the plaintext is
 * too long (2 GB), the status is KMS_TOO_LONG; if the version is none,
 * KMS_BAD_FORMAT; then nothing is written.
 */
extern KmsStatus kms_field_value_encrypt(KmsXaes *xaes,
										 const KmsFieldHead *head,
										 const unsigned char *nonce,
										 const unsigned char *context,
										 size_t context_len,
										 const unsigned char *in,
										 size_t in_len, unsigned char *value);

/*
 * Decrypt with the key that the head names.  "out" must hold len -
 * KMS_FIELD_VALUE_OVERHEAD bytes, and on failure it is wiped: KMS_REJECTED if
 * the value is not authentic for this key and context, KMS_BAD_FORMAT and
 * KMS_TOO_LONG as above.
 */
extern KmsStatus kms_field_value_decrypt(KmsXaes *xaes,
										 const unsigned char *value,
										 size_t len,
										 const unsigned char *context,
										 size_t context_len,
										 unsigned char *out);

#endif							/* KMS_CRYPTO_FIELD_VALUE_H */
