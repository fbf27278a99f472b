/*
 * Blind indexes: a keyed hash of a value, by which a row can be found although
 * its value is encrypted.  docs/design/field-format.md specifies the message
 * byte by byte, with vectors.
 */
#ifndef KMS_CRYPTO_BLIND_INDEX_H
#define KMS_CRYPTO_BLIND_INDEX_H

#include <stddef.h>

#include "crypto/fold.h"
#include "crypto/status.h"

#define KMS_BLIND_INDEX_KEY_SIZE	32	/* bytes */
#define KMS_BLIND_INDEX_MAX			16	/* bytes */
#define KMS_BLIND_INDEX_SCOPE_MAX	255 /* bytes */

/*
 * Compute the index of a text, which is folded here; a copy that this takes is
 * wiped.  "key" has KMS_BLIND_INDEX_KEY_SIZE bytes, "field_id"
 * KMS_FIELD_ID_SIZE, "scope" 1 to KMS_BLIND_INDEX_SCOPE_MAX.  The text is
 * UTF-8 (the caller converts).  "out" holds KMS_BLIND_INDEX_MAX bytes, of
 * which a shorter index is the first ones, and on failure it is wiped:
 * KMS_BAD_FORMAT for a scope of another length, KMS_TOO_LONG above 2 GB,
 * KMS_NO_MEMORY, or the library's.
 */
extern KmsStatus kms_blind_index(const unsigned char *key,
								 const unsigned char *field_id,
								 const unsigned char *scope, size_t scope_len,
								 KmsFold fold,
								 const unsigned char *text, size_t len,
								 unsigned char *out);

#endif							/* KMS_CRYPTO_BLIND_INDEX_H */
