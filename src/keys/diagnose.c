#include "postgres.h"

#include "miscadmin.h"

#include "crypto/rsa_oaep.h"
#include "keys/admit.h"
#include "keys/diagnose.h"
#include "pg/encoding.h"
#include "store/key_table.h"

typedef struct OtherKeys
{
	const KmsKey *key;
	List	   *ids;
	int			limit;
} OtherKeys;

static KmsStatus try_pair(KmsRsaKey *key, KmsDigestPair *pair, const KmsEncoding *encoding,
						  const unsigned char *data, size_t len);
static bool is_text(const KmsEncoding *encoding, const unsigned char *plain, size_t len);
static bool gather(const KmsKey *key, KmsRowOrigin origin, void *arg);

KmsStatus
kms_diagnose_key(KmsCall *call, const char *key_id, KmsDiagnosis *diagnosis,
				 KmsFault *fault)
{
	KmsStatus	status;

	diagnosis->refused = KMS_OK;
	diagnosis->key = NULL;
	status = kms_admit_private(call, key_id, NULL, KMS_USE_DECRYPT,
							   &diagnosis->found, &diagnosis->key, fault);
	if (status == KMS_OK)
		kms_call_opens(call);
	else if (kms_admit_is_refusal(status))
	{
		diagnosis->refused = status;
		diagnosis->key = NULL;
		status = kms_fault(fault, KMS_OK);
	}
	return status;
}

KmsStatus
kms_diagnose_digests(const KmsDiagnosis *diagnosis, const unsigned char *data,
					 size_t len, List **pairs, KmsFault *fault)
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
		status = try_pair(diagnosis->key, pair, &encoding, data, len);
		if (status != KMS_OK)
			return kms_fault(fault, status);
		if (pair->opens == KMS_OPENS_NOT)
			continue;
		*pairs = lappend(*pairs, pair);
		pair = palloc(sizeof(KmsDigestPair));
	}
	return kms_fault(fault, KMS_OK);
}

/* Nothing here may raise: there is plaintext in this frame. */
static KmsStatus
try_pair(KmsRsaKey *key, KmsDigestPair *pair, const KmsEncoding *encoding,
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

List *
kms_diagnose_other_keys(const KmsDiagnosis *diagnosis, int limit)
{
	OtherKeys	others = {&diagnosis->found, NIL, limit};

	kms_key_table_visit_device(diagnosis->found.row.device_id, gather, &others);
	return others.ids;
}

static bool
gather(const KmsKey *key, KmsRowOrigin origin, void *arg)
{
	OtherKeys  *others = arg;
	const char *key_id = key->row.key_id;

	if (strcmp(key_id, others->key->row.key_id) != 0 &&
		kms_admit_judge(key, KMS_USE_DECRYPT) == KMS_OK)
		others->ids = lappend(others->ids, pstrdup(key_id));
	return list_length(others->ids) < others->limit;
}
