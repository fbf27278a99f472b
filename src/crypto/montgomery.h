/*
 * Multiplication modulo an odd number, in constant time (Montgomery, 1985).
 *
 * Numbers are arrays of 64-bit words, lowest first, as many as the modulus
 * has, and less than the modulus.  The Montgomery form of a is a * R modulo n,
 * where R = 2^(64 * words).
 */
#ifndef KMS_CRYPTO_MONTGOMERY_H
#define KMS_CRYPTO_MONTGOMERY_H

#include <stdbool.h>
#include <stdint.h>

#define KMS_MONTGOMERY_MAX	64	/* words */

/* A modulus, which is no secret. */
typedef struct KmsMontgomery
{
	int			words;			/* of the modulus; its highest bit is set */
	uint64_t	n[KMS_MONTGOMERY_MAX];
	uint64_t	rr[KMS_MONTGOMERY_MAX]; /* R^2 modulo n */
	uint64_t	n0;				/* -1 / n modulo 2^64 */
} KmsMontgomery;

/*
 * Set rr and n0 from the other members.  Return false if memory is short or n
 * is even.
 */
extern bool kms_montgomery_set(KmsMontgomery *modulus);

/*
 * Write a * b / R modulo n, which is less than n, to "out".  "out" may be "a"
 * or "b".  With rr as "b" the product is the Montgomery form of a; with 1, the
 * number whose Montgomery form is a.
 */
extern void kms_montgomery_multiply(const KmsMontgomery *modulus,
									const uint64_t *a, const uint64_t *b,
									uint64_t *out);

/*
 * Convert a big-endian number of 8 * words bytes to words, and back.  The
 * machine is little-endian.
 */
extern void kms_montgomery_from_bytes(const unsigned char *bytes, int words,
									  uint64_t *out);
extern void kms_montgomery_to_bytes(const uint64_t *number, int words,
									unsigned char *out);

#endif							/* KMS_CRYPTO_MONTGOMERY_H */
