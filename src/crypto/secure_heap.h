/*
 * OpenSSL's secure heap, where private numbers live.
 */
#ifndef KMS_CRYPTO_SECURE_HEAP_H
#define KMS_CRYPTO_SECURE_HEAP_H

#include <stdbool.h>
#include <stddef.h>

/*
 * Start OpenSSL's secure heap in this process, once: "size" bytes, a power
 * of two.  1: locked; 2: works, but not locked into memory; 0: none.
 */
extern int	kms_secure_heap_start(size_t size);

/*
 * Is there a secure heap without room for the numbers of one more private
 * key, whose modulus has this many bytes?
 */
extern bool kms_secure_heap_is_full(size_t modulus_size);

#endif							/* KMS_CRYPTO_SECURE_HEAP_H */
