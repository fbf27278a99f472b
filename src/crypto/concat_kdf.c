#include <string.h>

#include <openssl/crypto.h>

#include "crypto/concat_kdf.h"

#include "crypto/encoder.h"
#include "crypto/sha256.h"

/* The longest message: a counter, the secret, and the info with lengths. */
#define MESSAGE_MAX 256			/* bytes */

bool
kms_concat_kdf(const unsigned char *secret, size_t secret_len,
			   const KmsConcatInfo *info, unsigned char *out, size_t out_len)
{
	unsigned char message[MESSAGE_MAX];
	unsigned char hash[KMS_SHA256_SIZE];
	size_t		done = 0;
	uint32_t	counter;
	bool		ok = true;

	for (counter = 1; ok && done < out_len; counter++)
	{
		size_t		rest = out_len - done;
		KmsEncoder	enc;

		kms_encoder_init(&enc, message, sizeof(message));
		kms_encoder_length(&enc, counter);
		kms_encoder_raw(&enc, secret, secret_len);
		kms_encoder_text(&enc, info->algorithm);
		kms_encoder_bytes(&enc, info->apu, info->apu_len);
		kms_encoder_bytes(&enc, info->apv, info->apv_len);
		kms_encoder_length(&enc, (uint32_t) (8 * out_len));
		ok = kms_encoder_ok(&enc) && kms_sha256(message, enc.len, hash);
		if (rest > sizeof(hash))
			rest = sizeof(hash);
		if (ok)
			memcpy(out + done, hash, rest);
		done += rest;
	}
	if (!ok)
		OPENSSL_cleanse(out, out_len);
	OPENSSL_cleanse(message, sizeof(message));
	OPENSSL_cleanse(hash, sizeof(hash));
	return ok;
}
