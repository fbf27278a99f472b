#include <limits.h>
#include <string.h>

#include <openssl/crypto.h>

#include "crypto/field_value.h"

#define MAGIC			"kf"
#define FORMAT			1		/* 2 is reserved for padding */
#define DOMAIN			"kms/field-value/v1"
#define DOMAIN_SIZE		(sizeof(DOMAIN) - 1)

#define FORMAT_AT		2
#define ID_AT			3
#define VERSION_AT		(ID_AT + KMS_FIELD_ID_SIZE)
#define HEAD_SIZE		(VERSION_AT + 2)
#define NONCE_AT		HEAD_SIZE
#define CIPHERTEXT_AT	(NONCE_AT + KMS_XAES_NONCE_SIZE)

#define LEN_MAX			(INT_MAX - KMS_FIELD_VALUE_OVERHEAD)

#if CIPHERTEXT_AT + KMS_XAES_TAG_SIZE != KMS_FIELD_VALUE_OVERHEAD
#error "KMS_FIELD_VALUE_OVERHEAD is not what the parts add up to"
#endif

/* The associated data, which are no secret. */
typedef struct Data
{
	unsigned char bytes[DOMAIN_SIZE + HEAD_SIZE + KMS_FIELD_CONTEXT_MAX];
	size_t		len;
} Data;

static void bind(Data *data, const unsigned char *value,
				 const unsigned char *context, size_t context_len);

KmsStatus
kms_field_value_head(const unsigned char *value, size_t len,
					 KmsFieldHead *head)
{
	int			version;

	if (len < KMS_FIELD_VALUE_OVERHEAD ||
		memcmp(value, MAGIC, FORMAT_AT) != 0 || value[FORMAT_AT] != FORMAT)
		return KMS_BAD_FORMAT;
	version = value[VERSION_AT] << 8 | value[VERSION_AT + 1];
	if (version == 0)
		return KMS_BAD_FORMAT;
	memcpy(head->id, value + ID_AT, KMS_FIELD_ID_SIZE);
	head->version = version;
	return KMS_OK;
}

KmsStatus
kms_field_value_encrypt(KmsXaes *xaes, const KmsFieldHead *head,
						const unsigned char *nonce,
						const unsigned char *context, size_t context_len,
						const unsigned char *in, size_t in_len,
						unsigned char *value)
{
	Data		data;
	KmsStatus	status;

	if (context_len > KMS_FIELD_CONTEXT_MAX || in_len > LEN_MAX)
		return KMS_TOO_LONG;
	if (head->version < 1 || head->version > KMS_FIELD_VERSION_MAX)
		return KMS_BAD_FORMAT;

	memcpy(value, MAGIC, FORMAT_AT);
	value[FORMAT_AT] = FORMAT;
	memcpy(value + ID_AT, head->id, KMS_FIELD_ID_SIZE);
	value[VERSION_AT] = (unsigned char) (head->version >> 8);
	value[VERSION_AT + 1] = (unsigned char) (head->version & 0xff);
	memcpy(value + NONCE_AT, nonce, KMS_XAES_NONCE_SIZE);
	bind(&data, value, context, context_len);
	status = kms_xaes_encrypt(xaes, nonce, data.bytes, data.len, in, in_len,
							  value + CIPHERTEXT_AT,
							  value + CIPHERTEXT_AT + in_len);
	if (status != KMS_OK)
		OPENSSL_cleanse(value, in_len + KMS_FIELD_VALUE_OVERHEAD);
	return status;
}

KmsStatus
kms_field_value_decrypt(KmsXaes *xaes, const unsigned char *value, size_t len,
						const unsigned char *context, size_t context_len,
						unsigned char *out)
{
	KmsFieldHead head;
	Data		data;
	KmsStatus	status;
	size_t		out_len;

	if (len < KMS_FIELD_VALUE_OVERHEAD)
		return KMS_BAD_FORMAT;
	out_len = len - KMS_FIELD_VALUE_OVERHEAD;
	status = KMS_TOO_LONG;
	if (context_len <= KMS_FIELD_CONTEXT_MAX && out_len <= LEN_MAX)
		status = kms_field_value_head(value, len, &head);
	if (status != KMS_OK)
	{
		OPENSSL_cleanse(out, out_len);
		return status;
	}
	bind(&data, value, context, context_len);
	return kms_xaes_decrypt(xaes, value + NONCE_AT, data.bytes, data.len,
							value + CIPHERTEXT_AT, out_len,
							value + CIPHERTEXT_AT + out_len, out);
}

/* Only the context has no fixed length, so it needs none in front of it. */
static void
bind(Data *data, const unsigned char *value, const unsigned char *context,
	 size_t context_len)
{
	memcpy(data->bytes, DOMAIN, DOMAIN_SIZE);
	memcpy(data->bytes + DOMAIN_SIZE, value, HEAD_SIZE);
	data->len = DOMAIN_SIZE + HEAD_SIZE;
	if (context_len > 0)
		memcpy(data->bytes + data->len, context, context_len);
	data->len += context_len;
}
