/* Encrypting for a device's key as a JWE. */
#ifndef KMS_KEYS_JWE_WRITER_H
#define KMS_KEYS_JWE_WRITER_H

#include "crypto/jwe_algorithm.h"
#include "keys/call.h"
#include "pg/fault.h"

#define KMS_JWE_WRITER_ALGS_HINT \
	"Leave alg NULL; or name one of RSA-OAEP, RSA-OAEP-256, RSA-OAEP-384 and RSA-OAEP-512 for RSA, or of ECDH-ES, ECDH-ES+A128KW, ECDH-ES+A192KW and ECDH-ES+A256KW for the others."

/* The arguments of a call, with their shape checked. */
typedef struct KmsJweRequest
{
	const char *key_id;
	KmsJweAlg	alg;			/* NONE: that of the key's JWK, or
								 * RSA-OAEP-256 */
	KmsJweEnc	enc;
	const unsigned char *data;
	size_t		len;
} KmsJweRequest;

/*
 * Encrypt the data, and return the compact serialization (RFC 7516, 7.1),
 * palloc'd.  The protected header contains "alg", "enc", "kid" and, for
 * ECDH-ES, "epk".  The caller wipes the plaintext.
 *
 * Return KMS_INVALID_ARGUMENT if "alg" is for another type of key, or if the
 * result is longer than kms.max_jwe_size.
 */
extern KmsStatus kms_jwe_writer_encrypt(KmsCall *call,
										const KmsJweRequest *request,
										text **jwe, KmsFault *fault);

/* Fill *fault for such a plaintext. */
extern KmsStatus kms_jwe_writer_too_long(KmsFault *fault);

#endif							/* KMS_KEYS_JWE_WRITER_H */
