/* Random bytes from OpenSSL's generators (NIST SP 800-90A). */
#ifndef KMS_CRYPTO_RANDOM_H
#define KMS_CRYPTO_RANDOM_H

#include <stddef.h>

#include "crypto/status.h"

/*
 * Draw a secret, or bytes that everybody may see, from the generator for that.
 * On failure "out" is wiped.  Raises no error.
 */
extern KmsStatus kms_random_secret(unsigned char *out, size_t len);
extern KmsStatus kms_random_public(unsigned char *out, size_t len);

#endif							/* KMS_CRYPTO_RANDOM_H */
