/*
 * The headers of a JWE as jsonb.
 */
#ifndef KMS_KEYS_JWE_HEADERS_H
#define KMS_KEYS_JWE_HEADERS_H

#include "utils/jsonb.h"

#include "pg/fault.h"

/*
 * Read a JWE in the database's encoding and return its form and its three
 * headers.  Nothing is opened, authenticated or recorded, and algorithms and
 * other parts are not judged.  Return KMS_OK, or KMS_BAD_CIPHERTEXT with
 * *fault filled.
 */
extern KmsStatus kms_jwe_headers_read(const char *sent, size_t len,
									  Jsonb **headers, KmsFault *fault);

#endif							/* KMS_KEYS_JWE_HEADERS_H */
