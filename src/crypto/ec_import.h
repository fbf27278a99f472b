/*
 * Private keys for ECDH that were generated elsewhere, converted to the one
 * encoding of crypto/ec_key.h.
 *
 * "out" holds "size" bytes, KMS_KEY_PAIR_MAX_PRIVATE always suffice, and the
 * caller wipes it.  KMS_BAD_KEY: *refusal says why.  KMS_FAILED if the library
 * fails or the secure heap is full.  On failure *out_len is 0.
 */
#ifndef KMS_CRYPTO_EC_IMPORT_H
#define KMS_CRYPTO_EC_IMPORT_H

#include <stddef.h>

#include "crypto/der.h"
#include "crypto/import_refusal.h"
#include "crypto/status.h"

/*
 * Judge ECParameters (RFC 5480, 2.1.1): KMS_REFUSED_NONE if they name P-256.
 */
extern KmsImportRefusal kms_ec_import_judge_curve(KmsDer parameters);

/*
 * Convert ECPrivateKey (RFC 5915) on P-256.  "curve" is what PKCS#8 says of
 * the curve, and empty if nothing does; then the key itself must name it.  A
 * public key in any form must belong to the private number, and is computed if
 * there is none.
 */
extern KmsStatus kms_ec_import_p256(KmsDer der, KmsDer curve,
									unsigned char *out, size_t size,
									size_t *out_len,
									KmsImportRefusal *refusal);

/* Convert CurvePrivateKey (RFC 8410) of X25519. */
extern KmsStatus kms_ec_import_x25519(KmsDer der, unsigned char *out,
									  size_t size, size_t *out_len,
									  KmsImportRefusal *refusal);

#endif							/* KMS_CRYPTO_EC_IMPORT_H */
