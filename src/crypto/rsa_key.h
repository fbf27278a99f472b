/*
 * RSA keys (RFC 8017), on OpenSSL's EVP.
 *
 * Moduli have 2048, 3072 or 4096 bits; keys made here have e = 65537.  Every
 * function of the files rsa_… clears OpenSSL's error queue on entry and exit.
 * None of them raises an error, prints or has a global.
 *
 * A KmsRsaOpener holds the parts that are costly to set up and can be kept for
 * the life of a process: the fetched algorithms and the decoders.  One process
 * uses it at a time.  Free the keys that were opened with it before it is
 * freed.
 */
#ifndef KMS_CRYPTO_RSA_KEY_H
#define KMS_CRYPTO_RSA_KEY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "crypto/status.h"

#define KMS_RSA_MIN_BITS	2048
#define KMS_RSA_MAX_BITS	4096
#define KMS_RSA_MAX_BLOCK	(KMS_RSA_MAX_BITS / 8)	/* bytes */
#define KMS_RSA_MAX_PRIVATE	2600	/* bytes; DER of the largest private key */
#define KMS_RSA_MAX_PUBLIC	600 /* bytes; SPKI DER of the largest */

typedef struct KmsRsaOpener KmsRsaOpener;
typedef struct KmsRsaKey KmsRsaKey;

/*
 * Return an opener, which the caller frees, or NULL if memory is short or an
 * algorithm cannot be fetched.
 */
extern KmsRsaOpener *kms_rsa_key_opener_new(void);
extern void kms_rsa_key_opener_free(KmsRsaOpener *opener);

/*
 * Write the public half as SubjectPublicKeyInfo DER (RFC 5280), or the private
 * key as the DER of PKCS#1 RSAPrivateKey (RFC 8017, A.1.2).
 *
 * "out" holds "size" bytes; *out_len is set.  The caller must wipe the private
 * form (OPENSSL_cleanse); on failure it is wiped here.  KMS_TOO_LONG if it
 * does not fit; KMS_BAD_KEY if there is no private half.
 */
extern KmsStatus kms_rsa_key_public_der(const KmsRsaKey *key, unsigned char *out,
										size_t size, size_t *out_len);
extern KmsStatus kms_rsa_key_private_der(const KmsRsaKey *key, unsigned char *out,
										 size_t size, size_t *out_len);

/*
 * Open a key that the two functions above wrote.  The secret numbers of a
 * private key are in OpenSSL's secure heap if there is one.  Trailing bytes,
 * other kinds of key, or a modulus outside the bounds give KMS_BAD_KEY; a full
 * secure heap gives KMS_NO_MEMORY.  On failure *key is NULL.
 */
extern KmsStatus kms_rsa_key_open_private(KmsRsaOpener *opener,
										  const unsigned char *der, size_t len,
										  KmsRsaKey **key);
extern KmsStatus kms_rsa_key_open_public(KmsRsaOpener *opener,
										 const unsigned char *der, size_t len,
										 KmsRsaKey **key);

/* Free and wipe a key.  NULL is allowed. */
extern void kms_rsa_key_free(KmsRsaKey *key);

/* Return the length of the modulus in bits. */
extern int	kms_rsa_key_bits(const KmsRsaKey *key);

/*
 * Write the name of keys of this size, such as "RSA-2048", to "name", which
 * holds KMS_RSA_ALGORITHM_SIZE bytes.
 */
#define KMS_RSA_ALGORITHM_SIZE 32

extern void kms_rsa_key_algorithm(int bits, char *name);

/* Return the length in bytes of the modulus, and so of a ciphertext. */
extern size_t kms_rsa_key_block_size(const KmsRsaKey *key);

/*
 * Convert SPKI DER to PEM ("-----BEGIN PUBLIC KEY-----", 64 characters a line,
 * final newline, NUL-terminated).  KMS_RSA_MAX_PEM bytes always suffice;
 * KMS_TOO_LONG if "size" does not.
 */
#define KMS_RSA_MAX_PEM 1024

extern KmsStatus kms_rsa_key_public_pem(const unsigned char *der, size_t len,
										char *out, size_t size);

/*
 * The numbers of a public key, each big-endian in the fewest bytes, as needed
 * for Base64urlUInt (RFC 7518, 2).
 */
typedef struct KmsRsaNumbers
{
	unsigned char n[KMS_RSA_MAX_BLOCK]; /* modulus */
	size_t		n_len;
	unsigned char e[KMS_RSA_MAX_BLOCK]; /* public exponent */
	size_t		e_len;
} KmsRsaNumbers;

/*
 * Read the numbers from SPKI DER.  Fails as kms_rsa_key_open_public does; then
 * both numbers are empty.
 */
extern KmsStatus kms_rsa_key_public_numbers(KmsRsaOpener *opener,
											const unsigned char *der, size_t len,
											KmsRsaNumbers *numbers);

#endif							/* KMS_CRYPTO_RSA_KEY_H */
