/* Encryption and decryption with a device's key. */
#ifndef KMS_KEYS_CIPHER_H
#define KMS_KEYS_CIPHER_H

#include "crypto/rsa_key.h"
#include "crypto/rsa_oaep.h"
#include "keys/call.h"
#include "pg/fault.h"

/* The arguments of a call, with their shape checked. */
typedef struct KmsCipherRequest
{
	const char *key_id;
	const char *device_id;		/* NULL: any device */
	KmsOaep		oaep;			/* digest NONE: the key's own */
	const unsigned char *data;
	size_t		len;
} KmsCipherRequest;

/*
 * Encrypt the data.  "out" must hold KMS_RSA_MAX_BLOCK bytes.  The caller
 * wipes the plaintext.
 */
extern KmsStatus kms_cipher_encrypt(KmsCall *call,
									const KmsCipherRequest *request,
									unsigned char *out, size_t *out_len,
									KmsFault *fault);

/*
 * An opened key and its parameters.  Valid until another key is opened
 * (keys/opened.h).
 */
typedef struct KmsCipherOpened
{
	KmsRsaKey  *key;
	KmsOaep		oaep;
	size_t		block_size;		/* bytes of a ciphertext */
} KmsCipherOpened;

/*
 * Find the key of a request, check that its use is permitted, and open it.
 * All steps that may raise an error are here.  "recover" is break-glass:
 * expired, disabled and revoked keys are opened, too.
 */
extern KmsStatus kms_cipher_open(KmsCall *call,
								 const KmsCipherRequest *request,
								 bool recover, KmsCipherOpened *opened,
								 KmsFault *fault);

/* Return KMS_OK if the ciphertext has the key's length. */
extern KmsStatus kms_cipher_check_length(const KmsCipherRequest *request,
										 const KmsCipherOpened *opened,
										 KmsFault *fault);

/*
 * Open the key, check the length, and decrypt with kms_rsa_oaep_decrypt.
 * "out" must hold KMS_RSA_MAX_BLOCK bytes.
 */
extern KmsStatus kms_cipher_decrypt(KmsCall *call,
									const KmsCipherRequest *request,
									bool recover, unsigned char *out,
									size_t *out_len, KmsFault *fault);

/*
 * Write a line to the server log.  Break-glass does so for each call, after it
 * has ended.  "reason" is NULL if the caller gave none.
 */
extern void kms_cipher_log_recovery(const KmsCall *call, const char *reason,
									KmsStatus status);

#endif							/* KMS_KEYS_CIPHER_H */
