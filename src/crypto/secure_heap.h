/*
 * OpenSSL's secure heap, which holds the numbers of private keys.
 */
#ifndef KMS_CRYPTO_SECURE_HEAP_H
#define KMS_CRYPTO_SECURE_HEAP_H

#include <stdbool.h>
#include <stddef.h>

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

#endif							/* KMS_CRYPTO_SECURE_HEAP_H */
