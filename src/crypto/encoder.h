/*
 * Messages for HMAC, hashes and associated data.
 *
 * All encodings are big-endian.  lp(x) is a 4-byte length and the bytes;
 * i64(x) is 8 bytes.  Text is UTF-8 (the caller converts).
 */
#ifndef KMS_CRYPTO_ENCODER_H
#define KMS_CRYPTO_ENCODER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * A growing message.  If the room is exceeded, the encoder stays failed, so
 * that one call of kms_encoder_ok at the end is enough.  Nothing is allocated.
 */
typedef struct KmsEncoder
{
	unsigned char *data;
	size_t		size;
	size_t		len;
	bool		failed;
} KmsEncoder;

/* Start an empty message in "size" bytes of "data". */
extern void kms_encoder_init(KmsEncoder *enc, unsigned char *data, size_t size);

/* Append lp(data). */
extern void kms_encoder_bytes(KmsEncoder *enc, const void *data, size_t len);

/*
 * Append lp(text).  NULL is the length 0xffffffff without bytes, so it differs
 * from "".
 */
extern void kms_encoder_text(KmsEncoder *enc, const char *text);
extern void kms_encoder_int64(KmsEncoder *enc, int64_t value);

/* Append bytes without a length, because they always have the same length. */
extern void kms_encoder_raw(KmsEncoder *enc, const void *data, size_t len);

/* Append only the 4-byte length of lp(), if the bytes follow elsewhere. */
extern void kms_encoder_length(KmsEncoder *enc, uint32_t len);

/* Return true if the whole message fitted. */
extern bool kms_encoder_ok(const KmsEncoder *enc);

#endif							/* KMS_CRYPTO_ENCODER_H */
