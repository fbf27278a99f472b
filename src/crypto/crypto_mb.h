/*
 * Intel's library crypto_mb: raw operations of RSA in eight lanes, each under
 * its own key.  crypto/lanes blinds what goes in and checks what comes out.
 * These functions exist only if kms is built with the library
 * (KMS_MULTI_BUFFER).
 */
#ifndef KMS_CRYPTO_CRYPTO_MB_H
#define KMS_CRYPTO_CRYPTO_MB_H

#include "crypto/lane_key.h"

#define KMS_LANE_COUNT	8

/* The library's memory.  Nothing secret is in it between two calls. */
typedef struct KmsCryptoMb KmsCryptoMb;

/* A big-endian number, as long as the modulus. */
typedef unsigned char KmsLaneBlock[KMS_MONTGOMERY_MAX * 8];

/* A bit for each of the lanes. */
typedef unsigned int KmsLaneSet;

/* Keys of one size, at least one. */
typedef struct KmsLaneKeys
{
	KmsLaneKey *key[KMS_LANE_COUNT];
	int			count;
	int			words;			/* of each modulus */
} KmsLaneKeys;

typedef enum KmsLaneExponents
{
	KMS_LANES_DECRYPT,			/* d modulo p - 1 and modulo q - 1 */
	KMS_LANES_INVERT			/* p - 2 and q - 2, for 1 / x (Fermat) */
} KmsLaneExponents;

/*
 * Return the memory, or NULL and the reason, a clause, in *why_not: the
 * processor does not have what the library needs, or memory is short.
 */
extern KmsCryptoMb *kms_crypto_mb_new(const char **why_not);

extern void kms_crypto_mb_free(KmsCryptoMb *library);

/*
 * Raise each of keys->count blocks to the exponents, or to
 * KMS_LANE_KEY_EXPONENT.  The blocks are below the moduli, and not 0.  "in"
 * and "out" have KMS_LANE_COUNT blocks, of which those without a key may be
 * overwritten, too.  Return the lanes that the library says it has done.
 */
extern KmsLaneSet kms_crypto_mb_private(KmsCryptoMb *library,
										const KmsLaneKeys *keys,
										KmsLaneExponents exponents,
										KmsLaneBlock *in, KmsLaneBlock *out);
extern KmsLaneSet kms_crypto_mb_public(KmsCryptoMb *library,
									   const KmsLaneKeys *keys,
									   KmsLaneBlock *in, KmsLaneBlock *out);

#endif							/* KMS_CRYPTO_CRYPTO_MB_H */
