#include "postgres.h"

#include "lib/stringinfo.h"

#include "keys/diagnose.h"

#include "keys/admit.h"
#include "keys/diagnose_block.h"
#include "keys/diagnose_hint.h"
#include "keys/diagnose_jwe.h"
#include "store/key_table.h"

#define OTHER_KEYS		3		/* named in a hint, at most */

typedef struct OtherKeys
{
	const KmsKey *key;
	const KmsUnpacked *sent;
	const KmsDiagnoseJwe *jwe;	/* NULL: a block was sent */
	List	   *ids;
} OtherKeys;

static KmsStatus diagnose_jwe(const KmsKey *key, KmsKeyPair *private_key,
							  const KmsUnpacked *sent,
							  const KmsDiagnoseJwe *jwe, List **findings,
							  KmsFault *fault);
static void report_refused(List **findings, const KmsKeyRow *row,
						   KmsStatus refused, const char *recover);
static const char *sql_of_recover(const KmsKeyRow *row,
								  const KmsUnpacked *sent);
static KmsStatus diagnose_block(const KmsKey *key, KmsKeyPair *private_key,
								const KmsUnpacked *sent, List **findings,
								KmsFault *fault);
static void report_type(List **findings, const KmsKeyRow *row);
static void report_none(List **findings);
static void report_other_keys(List **findings, const KmsKey *key,
							  const KmsUnpacked *sent,
							  const KmsDiagnoseJwe *jwe);
static bool gather(const KmsKey *key, KmsRowOrigin origin, void *arg);
static bool fits(const OtherKeys *others, const KmsKeyRow *row);

KmsStatus
kms_diagnose_ciphertext(KmsCall *call, const char *key_id,
						const KmsSent *sent, List **findings, KmsFault *fault)
{
	KmsKey		key;
	KmsKeyPair *private_key = NULL;
	KmsUnpacked unpacked;
	KmsDiagnoseJwe jwe = {0};
	List	   *of_form = NIL;
	size_t		block;
	bool		is_unpacked;
	bool		has_length;
	KmsStatus	status;

	status = kms_admit_private(call, key_id, NULL, KMS_USE_DECRYPT, &key,
							   &private_key, fault);
	if (status != KMS_OK && !kms_admit_is_refusal(status))
		return status;
	if (status == KMS_OK)
		kms_call_opens(call);
	block = kms_diagnose_block_size(&key.row);
	is_unpacked = kms_diagnose_form_unpack(sent, block, &unpacked, &of_form);
	if (is_unpacked && unpacked.is_jwe)
		kms_diagnose_jwe_judge(call, &key.row, &unpacked, &jwe, &of_form);
	has_length = unpacked.is_jwe ? jwe.fits : unpacked.len == block;
	if (status != KMS_OK)
		report_refused(findings, &key.row, status,
					   is_unpacked && has_length
					   ? sql_of_recover(&key.row, &unpacked)
					   : kms_diagnose_jwe_sql_of_named(&unpacked, &jwe));
	*findings = list_concat(*findings, of_form);
	if (is_unpacked && unpacked.is_jwe)
		return diagnose_jwe(&key, status == KMS_OK ? private_key : NULL,
							&unpacked, &jwe, findings, fault);
	if (status != KMS_OK || !is_unpacked)
		return kms_fault(fault, KMS_OK);
	return diagnose_block(&key, private_key, &unpacked, findings, fault);
}

/* "private_key" is NULL if the key is refused. */
static KmsStatus
diagnose_jwe(const KmsKey *key, KmsKeyPair *private_key,
			 const KmsUnpacked *sent, const KmsDiagnoseJwe *jwe,
			 List **findings, KmsFault *fault)
{
	KmsOpens	opens = KMS_OPENS_NOT;
	List	   *of_kid = NIL;
	KmsStatus	status = kms_fault(fault, KMS_OK);

	if (private_key != NULL && jwe->fits)
		status = kms_diagnose_jwe_open(private_key, &key->row, sent, jwe,
									   &opens, findings, fault);
	if (status != KMS_OK)
		return status;
	kms_diagnose_jwe_report_kid(&key->row, sent, jwe, opens, &of_kid);
	*findings = list_concat(of_kid, *findings);
	if (private_key != NULL && jwe->is_supported && opens == KMS_OPENS_NOT &&
		jwe->named == NULL)
		report_other_keys(findings, key, sent, jwe);
	return status;
}

static const char *
sql_of_recover(const KmsKeyRow *row, const KmsUnpacked *sent)
{
	return psprintf("kms_decrypt_recover('%s', %s, 'reason')", row->key_id,
					sent->as_text);
}

/* "recover" is SQL that opens what was sent, or NULL. */
static void
report_refused(List **findings, const KmsKeyRow *row, KmsStatus refused,
			   const char *recover)
{
	switch (refused)
	{
		case KMS_KEY_EXPIRED:
			kms_diagnose_hint_add(findings, "the encryption key has expired",
								  "Let the device ask for a key again; until the key is purged kms_decrypt_recover() opens what it protects.",
								  recover);
			break;
		case KMS_KEY_DISABLED:
			kms_diagnose_hint_add(findings, "the encryption key is disabled",
								  "Enable it again, or let the device ask for another key.",
								  psprintf("kms_enable_key('%s')", row->key_id));
			break;
		case KMS_KEY_REVOKED:
			kms_diagnose_hint_add(findings, "the encryption key is revoked",
								  "Let the device ask for another key; until the key is purged kms_decrypt_recover() opens what it protects.",
								  recover);
			break;
		default:
			kms_diagnose_hint_add(findings, "the encryption key is pending deletion",
								  "Cancel its deletion, or let the device ask for another key.",
								  psprintf("kms_cancel_key_deletion('%s')", row->key_id));
			break;
	}
}

static KmsStatus
diagnose_block(const KmsKey *key, KmsKeyPair *private_key,
			   const KmsUnpacked *sent, List **findings, KmsFault *fault)
{
	size_t		block = kms_diagnose_block_size(&key->row);
	bool		opened = false;
	KmsStatus	status = kms_fault(fault, KMS_OK);

	if (block != 0)
		status = kms_diagnose_block_open(private_key, &key->row, sent, &opened,
										 findings, fault);
	if (status != KMS_OK || opened)
		return status;
	if (block == 0)
		report_type(findings, &key->row);
	else if (sent->len == block)
		report_none(findings);
	else
		kms_diagnose_block_report_length(sent, block, findings);
	report_other_keys(findings, key, sent, NULL);
	return status;
}

static void
report_type(List **findings, const KmsKeyRow *row)
{
	kms_diagnose_hint_add(findings,
						  psprintf("the ciphertext is not a JWE, and the key is %s and decrypts JWE only",
								   row->algorithm),
						  "Let the client make a JWE with \"ECDH-ES\" or \"ECDH-ES+A256KW\", as kms_encrypt_jwe() does; for a block of RSA-OAEP, let the device ask for an RSA key.",
						  NULL);
}

/* The caller must not learn more; see keys/diagnose.h. */
static void
report_none(List **findings)
{
	kms_diagnose_hint_add(findings, "the ciphertext does not open, with any pair of digests",
						  "The ciphertext was encrypted with another key, with a label, or with PKCS#1 v1.5 padding, which is never accepted; or it was damaged on its way. Nobody can tell which. Without the right key and label",
						  NULL);
}

/* Name keys of the device that may open what was sent. */
static void
report_other_keys(List **findings, const KmsKey *key, const KmsUnpacked *sent,
				  const KmsDiagnoseJwe *jwe)
{
	OtherKeys	others = {key, sent, jwe, NIL};
	StringInfoData ids;
	ListCell   *cell;

	kms_key_table_visit_device(key->row.device_id, gather, &others);
	if (others.ids == NIL)
		return;
	initStringInfo(&ids);
	foreach(cell, others.ids)
		appendStringInfo(&ids, "%s%s", foreach_current_index(cell) > 0 ? ", " : "",
						 (const char *) lfirst(cell));
	kms_diagnose_hint_add(findings, "the device has other keys that decrypt",
						  psprintf("Try this ciphertext with them: %s.", ids.data),
						  psprintf("kms_diagnose('%s', %s)",
								   (const char *) linitial(others.ids),
								   sent->as_text));
}

/* Collect ids of other keys that decrypt now, newest first. */
static bool
gather(const KmsKey *key, KmsRowOrigin origin, void *arg)
{
	OtherKeys  *others = arg;
	const char *key_id = key->row.key_id;

	if (strcmp(key_id, others->key->row.key_id) != 0 &&
		fits(others, &key->row) &&
		kms_admit_judge(key, KMS_USE_DECRYPT) == KMS_OK)
		others->ids = lappend(others->ids, pstrdup(key_id));
	return list_length(others->ids) < OTHER_KEYS;
}

static bool
fits(const OtherKeys *others, const KmsKeyRow *row)
{
	size_t		block = kms_diagnose_block_size(row);

	if (others->jwe != NULL)
		return kms_diagnose_jwe_fits(others->jwe, row);
	return block != 0 && block == others->sent->len;
}
