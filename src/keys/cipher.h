/*
 * Encrypting and decrypting with a device's key.
 */
#ifndef KMS_KEYS_CIPHER_H
#define KMS_KEYS_CIPHER_H

#include "crypto/rsa_key.h"
#include "crypto/rsa_oaep.h"
#include "keys/call.h"
#include "pg/fault.h"

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

/*
 * What opens ciphertexts: good until another key is opened (keys/opened.h).
 */
typedef struct KmsCipherOpened
{
	KmsRsaKey  *key;
	KmsOaep		oaep;
	size_t		block_size;		/* bytes of a ciphertext */
} KmsCipherOpened;

/*
 * The key of a request, found, permitted and opened; whatever may raise is
 * done here.  "recover" is break-glass: opens what expired, disabled and
 * revoked protect.
 */
extern KmsStatus kms_cipher_open(KmsCall *call,
								 const KmsCipherRequest *request,
								 bool recover, KmsCipherOpened *opened,
								 KmsFault *fault);

/* Whether the ciphertext has the key's length. */
extern KmsStatus kms_cipher_check_length(const KmsCipherRequest *request,
										 const KmsCipherOpened *opened,
										 KmsFault *fault);

/* Both, and then kms_rsa_oaep_decrypt. */
extern KmsStatus kms_cipher_decrypt(KmsCall *call,
									const KmsCipherRequest *request,
									bool recover, unsigned char *out,
									size_t *out_len, KmsFault *fault);

/*
 * Leave a line in the server log: break-glass does so each time, after the
 * call has ended.  "reason" is NULL if the call has none.
 */
extern void kms_cipher_log_recovery(const KmsCall *call, const char *reason,
									KmsStatus status);

#endif							/* KMS_KEYS_CIPHER_H */
