/*
 * Hashes of secrets (PINs, passcodes) as they are stored.
 *
 * Ours, at most KMS_SECRET_HASH_MADE bytes:
 *
 *	$kms1$ <pepper id> $ <crypt(5) string>
 *
 * where the string begins with a "$" of its own: $kms1$pep_…$$2b$10$…
 *
 * The pepper id is 1 to 64 of A-Z a-z 0-9 _ . - ; it names the 32 random
 * bytes without which the hash cannot be searched.  What is crypted is not
 * the secret but
 *
 *	base64url, without padding, 43 characters, of
 *	HMAC-SHA256(pepper, lp("kms/pepper/v1") | lp(secret))
 *
 * (lp() as in wrap.h), so that neither a NUL byte nor bcrypt's limit of 72
 * bytes cuts the secret off.  The crypt(5) string that is made is bcrypt,
 * "$2b$10$", 22 characters of salt and 31 of hash.
 *
 * Foreign ones are crypt(5) strings of the secret itself, as other systems
 * have stored them: bcrypt ("$2a$", "$2b$", "$2y$", 60 characters) and
 * yescrypt ("$y$").  No other method is taken, alone or within ours.
 *
 * A stored hash says what it costs to verify, and libcrypt cannot be
 * cancelled: so bcrypt may have a cost of at most 14 (about 1 s), and
 * yescrypt one of the seven sets of parameters that crypt_gensalt(3) makes
 * for its counts 1 to 7, which take up to 64 MiB.  A list of sets and not a
 * bound on each number: threads, passes and ROM cost time too.
 */
#ifndef KMS_CRYPTO_SECRET_HASH_H
#define KMS_CRYPTO_SECRET_HASH_H

#include <stdbool.h>
#include <stddef.h>

#include "crypto/key_id.h"
#include "crypto/status.h"

#define KMS_PEPPER_SIZE			32	/* bytes */
#define KMS_PEPPER_ID_MAX		KMS_KEY_ID_MAX
#define KMS_PEPPER_ID_MADE		28	/* bytes of an id made here */
#define KMS_CRYPT_STRING_MAX	137 /* bytes; yescrypt, the longest salt */
#define KMS_SECRET_HASH_MADE	(6 + KMS_PEPPER_ID_MAX + 1 + 60)
#define KMS_SECRET_HASH_MAX		256 /* bytes; longer ones are not looked at */

/* A parsed hash; nothing in it is secret. */
typedef struct KmsSecretHash
{
	char		pepper_id[KMS_PEPPER_ID_MAX + 1];	/* "": foreign */
	char		crypted[KMS_CRYPT_STRING_MAX + 1];
} KmsSecretHash;

/*
 * A new pepper of 32 bytes, which the caller wipes, and an id for it,
 * pep_<24 lower-case hex digits>, in KMS_PEPPER_ID_MADE + 1 bytes.
 * KMS_FAILED if the CSPRNG fails; both are wiped then.
 */
extern KmsStatus kms_secret_hash_make_pepper(char *id, unsigned char *pepper);

/* The form of ids of peppers made here. */
extern bool kms_secret_hash_pepper_id_made(const char *id);

/*
 * Parse a stored hash.  KMS_BAD_FORMAT, with *hash zeroed, for whatever is
 * malformed, of a method not taken or too costly.
 */
extern KmsStatus kms_secret_hash_parse(const char *hash_text, size_t len,
									   KmsSecretHash *hash);

/*
 * Hash a secret of any bytes and length, even none; takes about 60 ms.
 * "out" holds KMS_SECRET_HASH_MADE + 1 bytes.  KMS_BAD_FORMAT if the id is
 * none, KMS_NO_MEMORY, or KMS_FAILED; "out" is empty then.
 */
extern KmsStatus kms_secret_hash_make(const char *pepper_id,
									  const unsigned char *pepper,
									  const unsigned char *secret, size_t len,
									  char *out);

/*
 * Whether a secret is that of a parsed hash.  "pepper" is of the hash's id;
 * NULL for a foreign hash, and only then.  A secret that holds a NUL byte or
 * is longer than libcrypt takes (511 bytes) never matches a foreign one; that
 * takes no less time.  KMS_NO_MEMORY, KMS_FAILED, or KMS_BAD_FORMAT if
 * libcrypt does not take the hash; *match is false then.
 */
extern KmsStatus kms_secret_hash_verify(const KmsSecretHash *hash,
										const unsigned char *pepper,
										const unsigned char *secret,
										size_t len, bool *match);

/*
 * Take as long as a verification against this hash; NULL: against one that
 * was made here.  Fails as kms_secret_hash_verify.
 */
extern KmsStatus kms_secret_hash_burn(const KmsSecretHash *hash);

#endif							/* KMS_CRYPTO_SECRET_HASH_H */
