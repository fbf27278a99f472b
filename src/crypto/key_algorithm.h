/*
 * The algorithms of devices' keys: RSA with OAEP (RFC 8017), and keys for
 * ECDH-ES on P-256 (RFC 7518, 4.6) and X25519 (RFC 8037).
 */
#ifndef KMS_CRYPTO_KEY_ALGORITHM_H
#define KMS_CRYPTO_KEY_ALGORITHM_H

/* An algorithm for new keys. */
typedef enum KmsKeyAlgorithm
{
	KMS_ALGORITHM_NONE = 0,
	KMS_RSA_2048,
	KMS_RSA_3072,
	KMS_RSA_4096,
	KMS_EC_P256,
	KMS_X25519
} KmsKeyAlgorithm;

/* The type of a key.  An imported RSA key may have any size. */
typedef enum KmsKeyType
{
	KMS_TYPE_NONE = 0,
	KMS_TYPE_RSA,
	KMS_TYPE_EC_P256,
	KMS_TYPE_X25519
} KmsKeyType;

/* bytes of a name with its NUL, rounded up */
#define KMS_KEY_ALGORITHM_SIZE 32

/*
 * Bytes of a coordinate or private number of P-256, and of both halves of an
 * X25519 key.
 */
#define KMS_COORDINATE_SIZE 32

/*
 * Return the algorithm with this name ("RSA-2048", "RSA-3072", "RSA-4096",
 * "EC-P256", "X25519"; case matters), or KMS_ALGORITHM_NONE.
 */
extern KmsKeyAlgorithm kms_key_algorithm_by_name(const char *name);

/* Return the name as above, or NULL for KMS_ALGORITHM_NONE. */
extern const char *kms_key_algorithm_name(KmsKeyAlgorithm algorithm);

/* Return the type of the keys of an algorithm, or KMS_TYPE_NONE for NONE. */
extern KmsKeyType kms_key_algorithm_type(KmsKeyAlgorithm algorithm);

/*
 * Return the length of the modulus in bits, or 0 if the algorithm is not RSA.
 */
extern int	kms_key_algorithm_bits(KmsKeyAlgorithm algorithm);

/*
 * Return the type of a stored key by the name of its algorithm, which is one
 * of those above, or "RSA-" and any other length of the modulus; or
 * KMS_TYPE_NONE.
 */
extern KmsKeyType kms_key_algorithm_type_by_name(const char *name);

#endif							/* KMS_CRYPTO_KEY_ALGORITHM_H */
