/*
 * Key ids, and the limits of the texts that belong to a key.
 */
#ifndef KMS_CRYPTO_KEY_ID_H
#define KMS_CRYPTO_KEY_ID_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "crypto/status.h"

#define KMS_KEY_ID_MAX		128 /* bytes without the NUL */
#define KMS_SERVICE_ID_MAX	64	/* bytes of an id of a pepper or audit key */
#define KMS_KEY_ID_MADE		42	/* bytes of an id made here */
#define KMS_ID_RANDOM		24	/* hex digits at the end of ids made here */
#define KMS_DEVICE_ID_MAX	255 /* bytes */
#define KMS_APP_VERSION_MAX 64	/* bytes */
#define KMS_REASON_MAX		255 /* bytes of a reason that a caller gives */

/*
 * Return true if the id of a device's key has 1 to 128 of A-Z a-z 0-9 _ . - /
 * + = : { } # @, so that ids of other systems can be kept.
 */
extern bool kms_key_id_valid(const char *id, size_t len);

/*
 * Return true if the id of a pepper or an audit key has 1 to 64 of A-Z a-z 0-9
 * _ . - ; a "$" or other mark would be ambiguous in a stored hash.
 */
extern bool kms_key_id_valid_service(const char *id, size_t len);

/*
 * Return true if a key id has the form of ids made here: key_<13 digits>_<24
 * hex digits>.
 */
extern bool kms_key_id_made(const char *id);

/*
 * Make key_<ms since 1970>_<24 hex digits from the CSPRNG>.  "unix_ms" is 0 to
 * 9999999999999.  "out" holds KMS_KEY_ID_MADE + 1 bytes, and is "" on failure:
 * KMS_BAD_FORMAT if "unix_ms" is out of range, KMS_FAILED if the CSPRNG fails.
 */
extern KmsStatus kms_key_id_make(int64_t unix_ms, char *out);

/*
 * Make <prefix><24 hex digits from the CSPRNG>.  "out" holds the length of the
 * prefix + KMS_ID_RANDOM + 1 bytes, and is "" if the CSPRNG fails
 * (KMS_FAILED).
 */
extern KmsStatus kms_key_id_make_prefixed(const char *prefix, char *out);

#endif							/* KMS_CRYPTO_KEY_ID_H */
