/*
 * Encrypting and decrypting with a device's key.
 */
#ifndef KMS_KEYS_CIPHER_H
#define KMS_KEYS_CIPHER_H

#include "crypto/rsa.h"
#include "keys/call.h"
#include "pg/errors.h"

/* What a caller sent, checked for shape. */
typedef struct KmsCipherRequest
{
	const char *key_id;
	const char *device_id;		/* NULL: any */
	KmsOaep		oaep;			/* digest NONE: the key's own */
	const unsigned char *data;
	size_t		len;
} KmsCipherRequest;

/* "out" holds KMS_RSA_MAX_BLOCK bytes; plaintext is the caller's to wipe. */
extern KmsStatus kms_cipher_encrypt(KmsCall *call,
									const KmsCipherRequest *request,
									unsigned char *out, size_t *out_len,
									KmsFault *fault);

/* "recover" is break-glass: opens what expired, disabled and revoked protect. */
extern KmsStatus kms_cipher_decrypt(KmsCall *call,
									const KmsCipherRequest *request,
									bool recover, unsigned char *out,
									size_t *out_len, KmsFault *fault);

#endif							/* KMS_KEYS_CIPHER_H */
