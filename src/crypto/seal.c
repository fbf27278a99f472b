#include <limits.h>
#include <string.h>

#include <openssl/crypto.h>

#include "crypto/seal.h"

#include "crypto/kdf.h"

#define FORMAT			0x01
#define HEADER_SIZE		(1 + KMS_MASTER_KEY_ID_SIZE)

#if HEADER_SIZE + KMS_HMAC_SIZE != KMS_SEAL_SIZE
#error "the seal format and KMS_SEAL_SIZE differ"
#endif

static KmsStatus seal_mac(const KmsMasterKey *master, const KmsEncoder *row,
						  unsigned char *mac);

KmsStatus
kms_seal(const KmsMasterKey *master, const KmsEncoder *row,
		 unsigned char *seal)
{
	KmsStatus	status;

	seal[0] = FORMAT;
	memcpy(seal + 1, master->id, KMS_MASTER_KEY_ID_SIZE);
	status = seal_mac(master, row, seal + HEADER_SIZE);
	if (status != KMS_OK)
		OPENSSL_cleanse(seal, KMS_SEAL_SIZE);
	return status;
}

KmsStatus
kms_seal_verify(const KmsMasterKey *master, const KmsEncoder *row,
				const unsigned char *seal, size_t len)
{
	unsigned char mac[KMS_HMAC_SIZE];
	const unsigned char *id;
	KmsStatus	status;

	id = kms_seal_master_key_id(seal, len);
	if (id == NULL)
		return KMS_NOT_AUTHENTIC;
	if (memcmp(id, master->id, KMS_MASTER_KEY_ID_SIZE) != 0)
		return KMS_OTHER_MASTER_KEY;

	status = seal_mac(master, row, mac);
	if (status == KMS_BAD_FORMAT)
		status = KMS_NOT_AUTHENTIC;
	if (status == KMS_OK &&
		CRYPTO_memcmp(mac, seal + HEADER_SIZE, KMS_HMAC_SIZE) != 0)
		status = KMS_NOT_AUTHENTIC;

	/* A forger could use the right seal of a forged row. */
	OPENSSL_cleanse(mac, sizeof(mac));
	return status;
}

static KmsStatus
seal_mac(const KmsMasterKey *master, const KmsEncoder *row,
		 unsigned char *mac)
{
	unsigned char key[KMS_HMAC_SIZE];
	unsigned char info[32];
	unsigned char head[64];
	KmsEncoder	info_enc;
	KmsEncoder	head_enc;
	KmsStatus	status = KMS_BAD_FORMAT;

	memset(key, 0, sizeof(key));
	if (!kms_encoder_ok(row) || row->len > INT_MAX)
		goto done;

	kms_encoder_init(&info_enc, info, sizeof(info));
	kms_encoder_text(&info_enc, "kms/seal/v1");
	kms_encoder_init(&head_enc, head, sizeof(head));
	kms_encoder_text(&head_enc, "kms/seal-data/v1");
	kms_encoder_length(&head_enc, (uint32_t) row->len);

	status = KMS_FAILED;
	if (!kms_kdf_hkdf_sha256(master->key, KMS_MASTER_KEY_SIZE, NULL, 0,
							 info, info_enc.len, key, sizeof(key)))
		goto done;
	if (!kms_kdf_hmac_sha256(key, sizeof(key), head, head_enc.len,
							 row->data, row->len, mac))
		goto done;
	status = KMS_OK;

done:
	OPENSSL_cleanse(key, sizeof(key));
	return status;
}

const unsigned char *
kms_seal_master_key_id(const unsigned char *seal, size_t len)
{
	if (seal == NULL || len != KMS_SEAL_SIZE || seal[0] != FORMAT)
		return NULL;
	return seal + 1;
}
