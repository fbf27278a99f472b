/*
 * Why a private key cannot be imported, and what to do about it.
 */
#ifndef KMS_CRYPTO_IMPORT_REFUSAL_H
#define KMS_CRYPTO_IMPORT_REFUSAL_H

typedef enum KmsImportRefusal
{
	KMS_REFUSED_NONE = 0,

	/* the text */
	KMS_REFUSED_EMPTY,
	KMS_REFUSED_NOT_PEM,
	KMS_REFUSED_JWK,
	KMS_REFUSED_PUBLIC_JWK,
	KMS_REFUSED_HEX_PEM,
	KMS_REFUSED_HEX_DER,
	KMS_REFUSED_BASE64_PEM,
	KMS_REFUSED_BASE64_DER,
	KMS_REFUSED_LITERAL_LINE_ENDS,
	KMS_REFUSED_ONE_LINE,
	KMS_REFUSED_INDENTED,
	KMS_REFUSED_BLANK_LINES,
	KMS_REFUSED_BESIDE,

	/* the type of key */
	KMS_REFUSED_ENCRYPTED,
	KMS_REFUSED_OPENSSH,
	KMS_REFUSED_NOT_PRIVATE,
	KMS_REFUSED_PSS,
	KMS_REFUSED_OAEP,
	KMS_REFUSED_VERSION_2_RSA,
	KMS_REFUSED_VERSION_2_EC,
	KMS_REFUSED_VERSION_2_X25519,
	KMS_REFUSED_SIGNING,
	KMS_REFUSED_X448,
	KMS_REFUSED_EXPLICIT,
	KMS_REFUSED_P384,
	KMS_REFUSED_P521,
	KMS_REFUSED_SECP256K1,
	KMS_REFUSED_OTHER_CURVE,
	KMS_REFUSED_OTHER_TYPE,
	KMS_REFUSED_DAMAGED,

	/* the numbers of an RSA key */
	KMS_REFUSED_SIZE,
	KMS_REFUSED_MORE_PRIMES,
	KMS_REFUSED_PUBLIC_EXPONENT,
	KMS_REFUSED_UNBALANCED,
	KMS_REFUSED_EQUAL_PRIMES,
	KMS_REFUSED_CLOSE_PRIMES,
	KMS_REFUSED_MODULUS,
	KMS_REFUSED_COMPOSITE,
	KMS_REFUSED_PRIVATE_EXPONENT,
	KMS_REFUSED_CRT,

	/* the numbers of a key on P-256 */
	KMS_REFUSED_NUMBER,
	KMS_REFUSED_PUBLIC_KEY
} KmsImportRefusal;

#define KMS_REFUSED_COUNT (KMS_REFUSED_PUBLIC_KEY + 1)

typedef struct KmsImportRefusalRow
{
	const char *why;			/* such as "it is encrypted" */

	/*
	 * Sentences.  A fix, if there is one, ends the hint, after a colon and
	 * without a full stop: an expression of SQL, in which private_key is the
	 * column, or a command that makes new.pem of old.pem or changes old.pem.
	 */
	const char *hint;
} KmsImportRefusalRow;

/*
 * Return the texts of a refusal, which contain nothing of the key.  Both are
 * NULL for KMS_REFUSED_NONE.
 */
extern const KmsImportRefusalRow *kms_import_refusal_row(KmsImportRefusal refusal);

#endif							/* KMS_CRYPTO_IMPORT_REFUSAL_H */
