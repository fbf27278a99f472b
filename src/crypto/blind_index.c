#include <limits.h>
#include <string.h>

#include <openssl/crypto.h>
#include <openssl/err.h>

#include "crypto/blind_index.h"

#include "crypto/encoder.h"
#include "crypto/field_value.h"
#include "crypto/kdf.h"

#define DOMAIN		"kms/blind-index/v1"

/* The message without the text: four lengths and what they are of. */
#define HEAD_MAX	(4 * 4 + sizeof(DOMAIN) - 1 + KMS_FIELD_ID_SIZE + \
					 KMS_BLIND_INDEX_SCOPE_MAX + KMS_FOLD_NAME_MAX)

static KmsStatus index_folded(const unsigned char *key,
							  const unsigned char *field_id,
							  const unsigned char *scope, size_t scope_len,
							  KmsFold fold,
							  const unsigned char *folded, size_t len,
							  unsigned char *out);

KmsStatus
kms_blind_index(const unsigned char *key, const unsigned char *field_id,
				const unsigned char *scope, size_t scope_len, KmsFold fold,
				const unsigned char *text, size_t len, unsigned char *out)
{
	unsigned char *copy = NULL;
	const unsigned char *folded = text;
	size_t		folded_len = len;
	KmsStatus	status;

	status = KMS_BAD_FORMAT;
	if (scope_len < 1 || scope_len > KMS_BLIND_INDEX_SCOPE_MAX)
		goto done;
	status = KMS_TOO_LONG;
	if (len > INT_MAX)
		goto done;
	if (fold != KMS_FOLD_NONE && len > 0)
	{
		status = KMS_NO_MEMORY;
		copy = OPENSSL_malloc(len);
		if (copy == NULL)
			goto done;
		folded = copy;
		folded_len = kms_fold(fold, text, len, copy);
	}
	status = index_folded(key, field_id, scope, scope_len, fold,
						  folded, folded_len, out);

done:
	if (status != KMS_OK)
		OPENSSL_cleanse(out, KMS_BLIND_INDEX_MAX);
	OPENSSL_clear_free(copy, len);
	if (status == KMS_NO_MEMORY)
		ERR_clear_error();
	return status;
}

static KmsStatus
index_folded(const unsigned char *key, const unsigned char *field_id,
			 const unsigned char *scope, size_t scope_len, KmsFold fold,
			 const unsigned char *folded, size_t len, unsigned char *out)
{
	unsigned char head[HEAD_MAX];
	unsigned char mac[KMS_HMAC_SIZE];
	KmsEncoder	enc;
	KmsStatus	status = KMS_FAILED;

	kms_encoder_init(&enc, head, sizeof(head));
	kms_encoder_text(&enc, DOMAIN);
	kms_encoder_raw(&enc, field_id, KMS_FIELD_ID_SIZE);
	kms_encoder_bytes(&enc, scope, scope_len);
	kms_encoder_text(&enc, kms_fold_name(fold));
	kms_encoder_length(&enc, (uint32_t) len);
	if (kms_encoder_ok(&enc) &&
		kms_kdf_hmac_sha256(key, KMS_BLIND_INDEX_KEY_SIZE, head, enc.len,
							folded, len, mac))
	{
		memcpy(out, mac, KMS_BLIND_INDEX_MAX);
		status = KMS_OK;
	}
	OPENSSL_cleanse(mac, sizeof(mac));
	return status;
}
