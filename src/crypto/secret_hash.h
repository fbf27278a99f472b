/*
 * Hashes of secrets (PINs, passcodes) as they are stored.
 *
 * Our own form has at most KMS_SECRET_HASH_MADE bytes:
 *
 *	$kms1$ <pepper id> $ <crypt(5) string>
 *
 * The string begins with a "$" of its own: $kms1$pep_…$$2b$10$…
 *
 * The pepper id is 1 to 64 of A-Z a-z 0-9 _ . - ; it names the 32 random
 * bytes without which the hash cannot be searched.  The input of crypt is not
 * the secret, but
 *
 *	base64url, without padding, 43 characters, of
 *	HMAC-SHA256(pepper, lp("kms/pepper/v1") | lp(secret))
 *
 * (lp() as in encoder.h), so that neither a NUL byte nor bcrypt's limit of 72
 * bytes cuts the secret off.  We make bcrypt strings: "$2b$10$", 22 characters
 * of salt and 31 of hash.
 *
 * Foreign hashes are crypt(5) strings of the secret itself, as other systems
 * have stored them: bcrypt ("$2a$", "$2b$", "$2y$", 60 characters) and
 * yescrypt ("$y$").  No other method is accepted, alone or within our form.
 *
 * A stored hash determines the cost of its verification, and libcrypt cannot
 * be cancelled.  So bcrypt may have a cost of at most 14 (about 1 s), and
 * yescrypt must have one of the seven sets of parameters that crypt_gensalt(3)
 * makes for its counts 1 to 7, which take up to 64 MiB.  This is a list of
 * sets and not a bound on each number, because threads, passes and ROM also
 * cost time.
 */
#ifndef KMS_CRYPTO_SECRET_HASH_H
#define KMS_CRYPTO_SECRET_HASH_H

#include <stdbool.h>
#include <stddef.h>

#include "crypto/key_id.h"
#include "crypto/status.h"

#define KMS_PEPPER_SIZE			32	/* bytes */
#define KMS_PEPPER_ID_MAX		KMS_SERVICE_ID_MAX
#define KMS_PEPPER_ID_MADE		28	/* bytes of an id made here */
#define KMS_CRYPT_STRING_MAX	137 /* bytes; yescrypt with the longest salt */
#define KMS_SECRET_HASH_MADE	(6 + KMS_PEPPER_ID_MAX + 1 + 60)
#define KMS_SECRET_HASH_MAX		256 /* bytes; a longer hash is refused */

/* A parsed hash.  Nothing in it is secret. */
typedef struct KmsSecretHash
{
	char		pepper_id[KMS_PEPPER_ID_MAX + 1];	/* "" if foreign */
	char		crypted[KMS_CRYPT_STRING_MAX + 1];
} KmsSecretHash;

/*
 * Make a pepper of 32 bytes, which the caller wipes, and an id for it, pep_<24
 * lower-case hex digits>, in KMS_PEPPER_ID_MADE + 1 bytes.  Return KMS_FAILED
 * if the CSPRNG fails; the pepper is then wiped and the id is "".
 */
extern KmsStatus kms_secret_hash_make_pepper(char *id, unsigned char *pepper);

/* Return true if an id has the form of ids of peppers made here. */
extern bool kms_secret_hash_pepper_id_made(const char *id);

/*
 * Parse a stored hash.  Return KMS_BAD_FORMAT, with *hash zeroed, if it is
 * malformed, of a method that is not accepted, or too costly.
 */
extern KmsStatus kms_secret_hash_parse(const char *hash_text, size_t len,
									   KmsSecretHash *hash);

/*
 * Hash a secret of any bytes and any length, including 0.  That takes about 60
 * ms.  "out" holds KMS_SECRET_HASH_MADE + 1 bytes.  Return KMS_BAD_FORMAT if
 * the id is malformed, KMS_NO_MEMORY, or KMS_FAILED; "out" is then empty.
 */
extern KmsStatus kms_secret_hash_make(const char *pepper_id,
									  const unsigned char *pepper,
									  const unsigned char *secret, size_t len,
									  char *out);

/*
 * Compare a secret with a parsed hash, and set *match.  "pepper" is that of
 * the hash's id, or NULL if and only if the hash is foreign.
 *
 * A secret that contains a NUL byte or is longer than libcrypt accepts (511
 * bytes) never matches a foreign hash, and that takes no less time.  Return
 * KMS_NO_MEMORY, KMS_FAILED, or KMS_BAD_FORMAT if libcrypt does not accept the
 * hash; *match is then false.
 */
extern KmsStatus kms_secret_hash_verify(const KmsSecretHash *hash,
										const unsigned char *pepper,
										const unsigned char *secret,
										size_t len, bool *match);

/*
 * Take as long as a verification against this hash, or, if it is NULL, against
 * a hash made here.  Fails as kms_secret_hash_verify does.
 */
extern KmsStatus kms_secret_hash_burn(const KmsSecretHash *hash);

#endif							/* KMS_CRYPTO_SECRET_HASH_H */
