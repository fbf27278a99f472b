#include "postgres.h"

#include "keys/diagnose.h"

#include "keys/admit.h"
#include "keys/digest_pair.h"
#include "keys/finding.h"
#include "store/key_table.h"

#define OTHER_KEYS		3		/* named in a hint, at most */

typedef struct OtherKeys
{
	const KmsKey *key;
	List	   *ids;
} OtherKeys;

static KmsStatus admit(KmsCall *call, const char *key_id, KmsKey *key,
					   KmsRsaKey **private_key, List **findings,
					   KmsFault *fault);
static void report_refused(List **findings, KmsStatus refused);
static void report_length(List **findings, size_t len, size_t block);
static void report_pairs(List **findings, const KmsKeyRow *row, List *pairs);
static const char *call_of(const KmsDigestPair *pair, KmsDigest own);
static void report_none(List **findings, const KmsKey *key);
static List *other_keys(const KmsKey *key);
static bool gather(const KmsKey *key, KmsRowOrigin origin, void *arg);

KmsStatus
kms_diagnose_ciphertext(KmsCall *call, const char *key_id,
						const KmsSent *sent, List **findings, KmsFault *fault)
{
	size_t		block = 0;
	List	   *pairs = NIL;
	KmsKey		key;
	KmsRsaKey  *private_key;
	const unsigned char *data;
	size_t		len;
	KmsStatus	status;

	status = admit(call, key_id, &key, &private_key, findings, fault);
	if (status != KMS_OK)
		return status;
	if (private_key != NULL)
		block = kms_rsa_key_block_size(private_key);
	if (!kms_diagnose_form_decode(sent, block, &data, &len, findings) ||
		private_key == NULL)
		return status;
	if (len != block)
	{
		report_length(findings, len, block);
		return status;
	}
	status = kms_digest_pair_try_all(private_key, data, len, &pairs);
	if (status != KMS_OK)
		return kms_fault(fault, status);
	if (pairs == NIL)
		report_none(findings, &key);
	else
		report_pairs(findings, &key.row, pairs);
	return status;
}

/*
 * Find the key and open it.  *private_key belongs to the cache
 * (keys/opened.h).  It is NULL if the key's state or expiry refuses it, which
 * becomes a finding.
 */
static KmsStatus
admit(KmsCall *call, const char *key_id, KmsKey *key, KmsRsaKey **private_key,
	  List **findings, KmsFault *fault)
{
	KmsStatus	status;

	status = kms_admit_private(call, key_id, NULL, KMS_USE_DECRYPT, key,
							   private_key, fault);
	if (status == KMS_OK)
		kms_call_opens(call);
	else if (kms_admit_is_refusal(status))
	{
		report_refused(findings, status);
		*private_key = NULL;
		status = kms_fault(fault, KMS_OK);
	}
	return status;
}

static void
report_refused(List **findings, KmsStatus refused)
{
	switch (refused)
	{
		case KMS_KEY_EXPIRED:
			kms_finding_add(findings, "the encryption key has expired",
							"Let the device ask for a key again; until the key is purged kms_decrypt_recover() opens what it protects.");
			break;
		case KMS_KEY_DISABLED:
			kms_finding_add(findings, "the encryption key is disabled",
							"Enable it again, or let the device ask for another key.");
			break;
		case KMS_KEY_REVOKED:
			kms_finding_add(findings, "the encryption key is revoked",
							"Let the device ask for another key; until the key is purged kms_decrypt_recover() opens what it protects.");
			break;
		default:
			kms_finding_add(findings, "the encryption key is pending deletion",
							"Cancel its deletion, or let the device ask for another key.");
			break;
	}
}

static void
report_length(List **findings, size_t len, size_t block)
{
	const char *hint;

	if (len < KMS_SHORTEST_BLOCK)
		hint = "That is too short for any block of RSA: look whether it is encrypted, and with RSA.";
	else if (len == block - 1 || len == block - 2 || len == block + 1)
		hint = "A client that takes the block for a number loses its leading zeros, or adds one: it must have the length of the key.";
	else if (len == 128 || len == 256 || len == 384 || len == 512)
		hint = psprintf("It would fit a key of %zu bits: look whether the client has the key of this key id.%s",
						8 * len,
						len % block == 0 ? " It may also be several blocks of this key, of which each must be sent alone." : "");
	else if (len % block == 0)
		hint = "It may be several blocks of this key, of which each must be sent alone.";
	else
		hint = "It fits no usual key: look whether it was cut off, or has other data with it, as a hybrid scheme does.";
	kms_finding_add(findings,
					psprintf("the ciphertext has %zu bytes, the key needs %zu", len,
							 block), hint);
}

static void
report_pairs(List **findings, const KmsKeyRow *row, List *pairs)
{
	KmsDigest	own = kms_digest_by_name(row->oaep_hash);
	ListCell   *cell;

	foreach(cell, pairs)
	{
		const KmsDigestPair *pair = lfirst(cell);

		if (pair->digest == own && pair->mgf1 == own)
			kms_finding_add(findings,
							psprintf("the ciphertext opens with the key's own digest, %s",
									 row->oaep_hash),
							"Nothing is wrong with it; look at how the application calls, and with which arguments.");
		else
			kms_finding_add(findings,
							psprintf("the ciphertext opens with OAEP digest %s and MGF1 digest %s, and the key's own is %s",
									 kms_digest_name(pair->digest),
									 kms_digest_name(pair->mgf1), row->oaep_hash),
							psprintf("Call %s, or let the client use %s for both.",
									 call_of(pair, own), row->oaep_hash));
		if (pair->opens == KMS_OPENS_TEXT)
			kms_finding_add(findings, "the plaintext is text in the database's encoding",
							"kms_decrypt() returns it.");
		else
			kms_finding_add(findings, "the plaintext is not text in the database's encoding",
							"kms_decrypt_bytea() returns it, with decode(ciphertext, 'base64') and the same other arguments.");
	}
}

static const char *
call_of(const KmsDigestPair *pair, KmsDigest own)
{
	StringInfoData out;

	initStringInfo(&out);
	appendStringInfoString(&out, "kms_decrypt(key_id, ciphertext");
	if (pair->digest != own)
		appendStringInfo(&out, ", oaep_hash => '%s'",
						 kms_digest_name(pair->digest));
	if (pair->mgf1 != pair->digest)
		appendStringInfo(&out, ", mgf1_hash => '%s'",
						 kms_digest_name(pair->mgf1));
	appendStringInfoChar(&out, ')');
	return out.data;
}

/* The caller must not learn more; see keys/diagnose.h. */
static void
report_none(List **findings, const KmsKey *key)
{
	List	   *others = other_keys(key);
	StringInfoData ids;
	ListCell   *cell;

	kms_finding_add(findings, "the ciphertext does not open, with any pair of digests",
					"The ciphertext was encrypted with another key, with a label, or with PKCS#1 v1.5 padding, which is never accepted; or it was damaged on its way. Nobody can tell which.");
	if (others == NIL)
		return;
	initStringInfo(&ids);
	foreach(cell, others)
		appendStringInfo(&ids, "%s%s", foreach_current_index(cell) > 0 ? ", " : "",
						 (const char *) lfirst(cell));
	kms_finding_add(findings, "the device has other keys that decrypt",
					psprintf("Try this ciphertext with them: %s", ids.data));
}

/* Return ids of other keys of the device that decrypt now, newest first. */
static List *
other_keys(const KmsKey *key)
{
	OtherKeys	others = {key, NIL};

	kms_key_table_visit_device(key->row.device_id, gather, &others);
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
	return list_length(others->ids) < OTHER_KEYS;
}
