/*
 * An RSA key as crypto/lanes needs it: its numbers as words, and a pair of
 * numbers that blinds.
 */
#ifndef KMS_CRYPTO_LANE_KEY_H
#define KMS_CRYPTO_LANE_KEY_H

#include <stdbool.h>
#include <stdint.h>

#include <openssl/evp.h>

#include "crypto/montgomery.h"

#define KMS_LANE_KEY_FACTOR_MAX	(KMS_MONTGOMERY_MAX / 2)	/* words */
#define KMS_LANE_KEY_EXPONENT	65537

typedef struct KmsLaneKey
{
	KmsMontgomery modulus;

	/*
	 * Half as many words as the modulus has; in the secure heap if there is
	 * one.
	 */
	uint64_t   *p;
	uint64_t   *q;
	uint64_t   *dp;
	uint64_t   *dq;
	uint64_t   *iq;				/* 1 / q modulo p */

	/* r^e and 1 / r of a random r, in Montgomery form */
	uint64_t	blind[KMS_MONTGOMERY_MAX];
	uint64_t	unblind[KMS_MONTGOMERY_MAX];
	int			uses;			/* for which the pair is good; 0: no pair */
} KmsLaneKey;

/*
 * Return the numbers of a private RSA key whose modulus has this many bits, a
 * multiple of 128; the caller frees them.  Return NULL and set *unfit if the
 * public exponent is not 65537, or the two primes do not have half of the bits
 * each; just NULL if memory or the secure heap is full.
 */
extern KmsLaneKey *kms_lane_key_new(const EVP_PKEY *pkey, int bits,
									bool *unfit);

/* Free and wipe.  NULL is allowed. */
extern void kms_lane_key_free(KmsLaneKey *key);

#endif							/* KMS_CRYPTO_LANE_KEY_H */
