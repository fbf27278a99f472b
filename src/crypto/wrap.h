/*
 * Wraps, the encrypted form in which private keys are stored.
 * docs/design/seal-and-denial.md specifies the format, and what the wrap of a
 * device's key, a pool key, a pepper and an audit key is bound to.  The
 * encodings are those of crypto/encoder.h.
 *
 * A wrap for one purpose (KMS_PURPOSE_…) never opens under another.
 */
#ifndef KMS_CRYPTO_WRAP_H
#define KMS_CRYPTO_WRAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "crypto/master_key.h"
#include "crypto/sha256.h"
#include "crypto/status.h"

#define KMS_WRAP_OVERHEAD	101 /* bytes */

#define KMS_PURPOSE_KEY		"key"	/* a device's private key */
#define KMS_PURPOSE_POOL	"pool"	/* a key of the pool; keys/pool.c */
#define KMS_PURPOSE_PEPPER	"pepper"	/* a pepper; keys/secret.c */
#define KMS_PURPOSE_AUDIT	"audit" /* an Ed25519 key; keys/audit_key.c */
#define KMS_PURPOSE_FIELD	"field" /* a version of a field key */
#define KMS_PURPOSE_INDEX	"blind-index"	/* the index key of a field key */
#define KMS_PURPOSE_TEST	"test"	/* known answers */

/* The data that a wrap is bound to.  It never changes in the life of a key. */
typedef struct KmsWrapContext
{
	const char *purpose;		/* KMS_PURPOSE_… */
	const char *key_id;
	const char *device_id;		/* UTF-8 */
	const char *algorithm;
	int64_t		created_at;		/* microseconds since 2000-01-01 UTC */
	unsigned char public_hash[KMS_SHA256_SIZE];
} KmsWrapContext;

/*
 * Wrap "in_len" bytes.  "out" must hold in_len + KMS_WRAP_OVERHEAD bytes, and
 * is wiped on failure.  Return KMS_BAD_FORMAT if there is nothing to wrap or
 * the context is longer than any key's, and KMS_FAILED if the CSPRNG or the
 * library fails.
 */
extern KmsStatus kms_wrap(const KmsMasterKey *master, const KmsWrapContext *context,
						  const unsigned char *in, size_t in_len,
						  unsigned char *out, size_t *out_len);

/*
 * Open a wrap.  "out" must hold in_len - KMS_WRAP_OVERHEAD bytes, and is wiped
 * on any outcome but KMS_OK.  Return KMS_OTHER_MASTER_KEY if the fingerprint
 * is not that of "master", KMS_FAILED if the library fails, and
 * KMS_NOT_AUTHENTIC for any other error (also if the wrap is too short, of
 * unknown format or empty).
 */
extern KmsStatus kms_wrap_open(const KmsMasterKey *master, const KmsWrapContext *context,
							   const unsigned char *in, size_t in_len,
							   unsigned char *out, size_t *out_len);

/*
 * Return the fingerprint in a wrap, or NULL if the wrap is too short or of
 * unknown format.
 */
extern const unsigned char *kms_wrap_master_key_id(const unsigned char *wrap,
												   size_t len);

#endif							/* KMS_CRYPTO_WRAP_H */
