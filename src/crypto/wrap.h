/*
 * How private keys are stored.  The encodings are those of crypto/encoder.h.
 *
 * Wrap, KMS_WRAP_OVERHEAD bytes longer than what it protects:
 *
 *	offset	bytes
 *	0		1		format, 0x01
 *	1		8		fingerprint of the master key
 *	9		32		salt, random
 *	41		12		nonce, random
 *	53		32		commitment
 *	85		n		AES-256-GCM ciphertext
 *	85 + n	16		GCM tag
 *
 *	HKDF-SHA256 (RFC 5869) of the master key with the salt and
 *	info = lp("kms/wrap/v1") | lp(purpose) | lp(key id), 64 bytes: the first 32
 *	are the AES key, the last 32 the commitment, which is stored and compared
 *	in constant time before anything is decrypted (it makes a wrap open under
 *	one master key only; GCM alone does not).
 *	Associated data = lp("kms/wrap-data/v1") | lp(purpose) | lp(key id) |
 *	lp(device id) | lp(algorithm) | i64(creation time) | lp(SHA-256 of the
 *	SPKI DER).  Creation time in microseconds since 2000-01-01 UTC.
 *
 * The purposes are KMS_PURPOSE_…; one wrapped under one purpose never opens
 * under another.
 *
 * A key of the pool has an id of its own for the key id, and for the device
 * id the database it was made in.  It is wrapped anew when it becomes a device's.
 *
 * A pepper (secret_hash.h) is wrapped with its own id for the key id, an empty
 * device id, algorithm "HMAC-SHA256" and 32 zero bytes for the SHA-256; an
 * audit key (signature.h) likewise, with "Ed25519" and the SHA-256 of its SPKI.
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
#define KMS_PURPOSE_POOL	"pool"	/* one that no device has yet; keys/pool.c */
#define KMS_PURPOSE_PEPPER	"pepper"	/* of secret_hash.h; keys/secret.c */
#define KMS_PURPOSE_AUDIT	"audit" /* an Ed25519 key; keys/audit_key.c */
#define KMS_PURPOSE_TEST	"test"	/* known answers */

/* What a wrap is bound to: what never changes in the life of a key. */
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
 * Wrap "in_len" bytes; "out" must hold in_len + KMS_WRAP_OVERHEAD.
 * KMS_BAD_FORMAT if there is nothing to wrap or the context is longer than
 * any key's; KMS_FAILED if the CSPRNG or the library fails.  "out" is wiped
 * then.
 */
extern KmsStatus kms_wrap(const KmsMasterKey *master, const KmsWrapContext *context,
						  const unsigned char *in, size_t in_len,
						  unsigned char *out, size_t *out_len);

/*
 * Open a wrap.  "out" must hold in_len - KMS_WRAP_OVERHEAD bytes and is wiped
 * on any outcome but KMS_OK.  KMS_OTHER_MASTER_KEY: the fingerprint is not
 * master's; KMS_NOT_AUTHENTIC: anything else wrong with it, whatever it is
 * (also too short, unknown format, empty content).  KMS_FAILED if the library
 * fails.
 */
extern KmsStatus kms_wrap_open(const KmsMasterKey *master, const KmsWrapContext *context,
							   const unsigned char *in, size_t in_len,
							   unsigned char *out, size_t *out_len);

/* The fingerprint in a wrap; NULL if too short or of unknown format. */
extern const unsigned char *kms_wrap_master_key_id(const unsigned char *wrap,
												   size_t len);

#endif							/* KMS_CRYPTO_WRAP_H */
