/* Encryption and decryption with a device's key. */
#ifndef KMS_KEYS_CIPHER_H
#define KMS_KEYS_CIPHER_H

#include "crypto/jwe.h"
#include "crypto/jwe_form.h"
#include "crypto/key_pair.h"
#include "crypto/rsa_oaep.h"
#include "keys/call.h"
#include "pg/fault.h"

/* The arguments of a call, with their shape checked. */
typedef struct KmsCipherRequest
{
	const char *key_id;
	const char *device_id;		/* NULL: any device */
	KmsOaep		oaep;			/* of a block; digest NONE: the key's own */
	const unsigned char *data;	/* a block, or data to encrypt */
	size_t		len;
	const KmsJweForm *jwe;		/* a JWE, whose form has been judged, instead
								 * of a block; or NULL */
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
	KmsKeyPair *key;
	KmsOaep		oaep;
	size_t		block_size;		/* bytes of a block; 0: the key is not RSA */
	KmsJwe		jwe;			/* if a JWE was sent: as kms_cipher_check
								 * found it */
	const unsigned char *padded;	/* result of the private operation, if it
									 * was done already; else NULL */
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

/*
 * Return KMS_OK if the ciphertext fits the key: a block has its length, and
 * the parts of a JWE have theirs.
 */
extern KmsStatus kms_cipher_check(const KmsCipherRequest *request,
								  KmsCipherOpened *opened, KmsFault *fault);

/*
 * Return the block of a checked ciphertext on which the private operation of
 * RSA is to be done, or NULL if the key is not RSA.
 */
extern const unsigned char *kms_cipher_block(const KmsCipherRequest *request,
											 const KmsCipherOpened *opened);

/* Return the bytes that the plaintext of a request may have at most. */
extern size_t kms_cipher_room(const KmsCipherRequest *request);

/*
 * Decrypt what was checked, with kms_rsa_oaep_decrypt or kms_jwe_decrypt.
 * "out" must hold kms_cipher_room() bytes.  Raises no error.  KMS_BAD_FORMAT
 * means that the ephemeral key of a JWE was refused before the private
 * operation, so the call does not open anything.
 */
extern KmsStatus kms_cipher_opened_decrypt(const KmsCipherOpened *opened,
										   const KmsCipherRequest *request,
										   unsigned char *out,
										   size_t *out_len);

/* Record the form of a JWE that is decrypted or made. */
extern void kms_cipher_record_jwe(KmsCall *call, KmsJweAlg alg, KmsJweEnc enc);

/* Fill *fault with a status of it, and return the fault's. */
extern KmsStatus kms_cipher_fault(KmsFault *fault, KmsStatus status);

/*
 * Do the private operation of the key, for a ciphertext that cannot be used.
 * Raises no error.  Return KMS_OK or the status of a library that failed.
 */
extern KmsStatus kms_cipher_burn(const KmsCipherOpened *opened);

/* Decrypt what was opened and checked, and classify the call. */
extern KmsStatus kms_cipher_finish(KmsCall *call,
								   const KmsCipherRequest *request,
								   const KmsCipherOpened *opened,
								   unsigned char *out, size_t *out_len,
								   KmsFault *fault);

/*
 * Open the key, check the ciphertext, and decrypt.  "out" must hold
 * kms_cipher_room() bytes.
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
