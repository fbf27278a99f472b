/*
 * The private operation of RSA for up to eight keys at once, in the lanes of
 * Intel's crypto_mb, which needs AVX-512 IFMA.
 *
 * The library does not blind and does not look at its results, so that is done
 * here: docs/design/lanes.md says what is trusted, and why.  An operation that
 * the lanes cannot do is left to OpenSSL (kms_rsa_oaep_decrypt).
 */
#ifndef KMS_CRYPTO_LANES_H
#define KMS_CRYPTO_LANES_H

#include <stdbool.h>
#include <stddef.h>

#include "crypto/key_pair.h"

#define KMS_LANES_MOST	8

/* The reason of kms_lanes_new that means a faulty library or processor. */
#define KMS_LANES_WRONG_ANSWER "a known answer differs"

/* The library's memory and ours; used by one process at a time. */
typedef struct KmsLanes KmsLanes;

/* One operation. */
typedef struct KmsLane
{
	KmsKeyPair *key;
	const unsigned char *in;	/* a block of the key */
	unsigned char *out;			/* gets a block: the padded plaintext */
	bool		done;			/* "out" is right */
} KmsLane;

/*
 * Find out whether the lanes can be used, and prepare them.  Return NULL, with
 * the reason, a clause, in *why_not, if this was built without the library,
 * the processor does not have what it needs, a known answer differs, or memory
 * is short.  *why_not is NULL otherwise.
 */
extern KmsLanes *kms_lanes_new(const char **why_not);

extern void kms_lanes_free(KmsLanes *lanes);

/*
 * Return from how many operations on the lanes take less time than OpenSSL,
 * for keys with this length of the modulus in bytes ("bench/run lanes").
 */
extern int	kms_lanes_least(size_t block_size);

/*
 * Do the operations, of which there are at most KMS_LANES_MOST.  Their keys
 * have moduli of one size.  Each result is checked with the public exponent
 * before "done" is set; otherwise "out" is wiped.
 *
 * An operation is not done if its key does not fit (it does not have 2048,
 * 3072 or 4096 bits, is public, or as kms_lane_key_new says), memory is short,
 * its block is 0 or no number below the modulus, there are no random numbers
 * to blind it with, or the result is wrong.  The caller then asks OpenSSL.
 * Return how many results were wrong, which means that the library or the
 * processor is faulty.
 *
 * With "blind", each block is multiplied by a random number before the
 * operation, as OpenSSL does; the key keeps a pair of numbers for it.
 */
extern int	kms_lanes_decrypt(KmsLanes *lanes, KmsLane *operations, int count,
							  bool blind);

#endif							/* KMS_CRYPTO_LANES_H */
