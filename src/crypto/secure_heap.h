/*
 * OpenSSL's secure heap, which holds the numbers of private keys.
 */
#ifndef KMS_CRYPTO_SECURE_HEAP_H
#define KMS_CRYPTO_SECURE_HEAP_H

#include <stdbool.h>
#include <stddef.h>

#include "crypto/status.h"

/*
 * Start the secure heap in this process, once, with "size" bytes, a power of
 * two.  Return 1 if it is locked into memory, 2 if it works but is not locked,
 * or 0 if there is none.
 */
extern int	kms_secure_heap_start(size_t size);

/*
 * Return true if there is a secure heap that does not have room for the
 * numbers of one more private key, whose modulus has this many bytes.
 */
extern bool kms_secure_heap_is_full(size_t modulus_size);

/*
 * Return the reason for a failed private operation, which may need random
 * numbers, whose generator needs room in the secure heap when it starts or
 * reseeds: KMS_NO_MEMORY or KMS_FAILED if there are none, otherwise
 * KMS_REJECTED.  Without this check, good ciphertexts would be rejected for
 * lack of random numbers.  The check costs the same for every failure.
 */
extern KmsStatus kms_secure_heap_why_rejected(size_t modulus_size);

#endif							/* KMS_CRYPTO_SECURE_HEAP_H */
