/*
 * Choosing without a branch, where the choice is a secret.
 */
#ifndef KMS_CRYPTO_CONSTANT_TIME_H
#define KMS_CRYPTO_CONSTANT_TIME_H

#include <stddef.h>

/* All bits are set for true, none for false. */
typedef size_t KmsBitMask;

extern KmsBitMask kms_constant_time_equal(size_t a, size_t b);

/* Write "len" bytes of "yes" if the mask is true, otherwise of "no". */
extern void kms_constant_time_select(KmsBitMask mask, const unsigned char *yes,
									 const unsigned char *no,
									 unsigned char *out, size_t len);

#endif							/* KMS_CRYPTO_CONSTANT_TIME_H */
