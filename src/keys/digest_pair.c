#include "postgres.h"

#include "miscadmin.h"

#include "keys/digest_pair.h"

#include "crypto/rsa_oaep.h"
#include "pg/encoding.h"

static KmsStatus try_pair(KmsKeyPair *key, KmsDigestPair *pair,
						  const KmsEncoding *encoding,
						  const unsigned char *data, size_t len);
static bool is_text(const KmsEncoding *encoding, const unsigned char *plain,
					size_t len);

KmsStatus
kms_digest_pair_try(KmsKeyPair *key, KmsDigestPair *pair,
					const unsigned char *data, size_t len)
{
	KmsEncoding encoding;

	CHECK_FOR_INTERRUPTS();
	(void) kms_encoding_from_utf8(&encoding);
	return try_pair(key, pair, &encoding, data, len);
}

KmsStatus
kms_digest_pair_try_all(KmsKeyPair *key, const unsigned char *data, size_t len,
						List **pairs)
{
	KmsDigestPair *pair = palloc(sizeof(KmsDigestPair));
	KmsEncoding encoding;
	int			i;

	(void) kms_encoding_from_utf8(&encoding);
	*pairs = NIL;
	for (i = 0; i < (KMS_DIGEST_COUNT - 1) * (KMS_DIGEST_COUNT - 1); i++)
	{
		KmsStatus	status;

		CHECK_FOR_INTERRUPTS();
		pair->digest = KMS_SHA1 + i / (KMS_DIGEST_COUNT - 1);
		pair->mgf1 = KMS_SHA1 + i % (KMS_DIGEST_COUNT - 1);
		status = try_pair(key, pair, &encoding, data, len);
		if (status != KMS_OK)
			return status;
		if (pair->opens == KMS_OPENS_NOT)
			continue;
		*pairs = lappend(*pairs, pair);
		pair = palloc(sizeof(KmsDigestPair));
	}
	return KMS_OK;
}

/* Nothing here may raise an error, because this frame holds plaintext. */
static KmsStatus
try_pair(KmsKeyPair *key, KmsDigestPair *pair, const KmsEncoding *encoding,
		 const unsigned char *data, size_t len)
{
	unsigned char plain[KMS_RSA_MAX_BLOCK];
	KmsOaep		oaep = {pair->digest, pair->mgf1, NULL, 0};
	size_t		plain_len;
	KmsStatus	status;

	pair->opens = KMS_OPENS_NOT;
	status = kms_rsa_oaep_decrypt(key, &oaep, data, len, plain, &plain_len);
	if (status == KMS_OK)
		pair->opens = is_text(encoding, plain, plain_len) ? KMS_OPENS_TEXT
			: KMS_OPENS_BYTES;
	explicit_bzero(plain, sizeof(plain));
	return status == KMS_REJECTED ? KMS_OK : status;
}

static bool
is_text(const KmsEncoding *encoding, const unsigned char *plain, size_t len)
{
	unsigned char out[KMS_RSA_MAX_BLOCK * KMS_ENCODING_GROWTH + 1];
	bool		converted;

	converted = kms_encoding_convert(encoding, plain, len, out, sizeof(out),
									 &len);
	explicit_bzero(out, sizeof(out));
	return converted;
}
