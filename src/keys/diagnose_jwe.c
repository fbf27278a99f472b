#include "postgres.h"

#include "miscadmin.h"

#include "keys/diagnose_jwe.h"

#include "crypto/jwe_judge.h"
#include "crypto/key_id.h"
#include "keys/admit.h"
#include "keys/cipher.h"
#include "keys/diagnose_block.h"
#include "keys/diagnose_hint.h"
#include "pg/encoding.h"
#include "pg/jwe_text.h"

static KmsStatus judge_key(const KmsJweForm *form, const KmsKeyRow *row,
						   KmsJwe *jwe, KmsJweProblem *problem);
static void find_kid(const KmsKeyRow *row, KmsDiagnoseJwe *jwe);
static void report(List **findings, const KmsJweProblem *problem,
				   const char *of_key, const char *sql);
static KmsStatus open_encrypted_key(KmsKeyPair *key, const KmsKeyRow *row,
									const KmsUnpacked *sent,
									const KmsDiagnoseJwe *jwe, KmsOpens *opens,
									List **findings, KmsFault *fault);
static KmsStatus decrypt(KmsKeyPair *key, const KmsJwe *jwe, KmsOpens *opens);
static void report_opened(List **findings, const KmsKeyRow *row,
						  const KmsUnpacked *sent, KmsOpens opens);
static void report_closed(List **findings, const char *finding,
						  const char *causes, const char *without,
						  const char *sql);

void
kms_diagnose_jwe_judge(KmsCall *call, const KmsKeyRow *row,
					   const KmsUnpacked *sent, KmsDiagnoseJwe *jwe,
					   List **findings)
{
	KmsJweProblem problem;

	memset(jwe, 0, sizeof(*jwe));
	jwe->has_headers = kms_jwe_text_read((const char *) sent->data, sent->len,
										 &jwe->form, &problem) == KMS_OK;
	jwe->is_supported = jwe->has_headers &&
		kms_jwe_judge_form(&jwe->form, &problem) == KMS_OK;
	if (jwe->has_headers)
		find_kid(row, jwe);
	if (!jwe->is_supported)
	{
		report(findings, &problem, "", NULL);
		return;
	}
	kms_cipher_record_jwe(call, jwe->form.alg, jwe->form.enc);
	jwe->fits = judge_key(&jwe->form, row, &jwe->jwe, &problem) == KMS_OK;
	if (!jwe->fits)
		report(findings, &problem, psprintf(" The key is %s.", row->algorithm),
			   kms_diagnose_jwe_sql_of_named(sent, jwe));
}

static void
find_kid(const KmsKeyRow *row, KmsDiagnoseJwe *jwe)
{
	KmsJweProblem problem;
	KmsFault	fault = {0};
	KmsText		kid;
	KmsKey		named;

	if (kms_jwe_form_kid(&jwe->form, &kid, &problem) != KMS_OK ||
		(kid.len == strlen(row->key_id) &&
		 memcmp(kid.at, row->key_id, kid.len) == 0))
		return;
	jwe->has_other_kid = true;
	if (kms_key_id_valid(kid.at, kid.len) &&
		kms_admit_find(pnstrdup(kid.at, kid.len), NULL, &named,
					   &fault) == KMS_OK)
		jwe->named = pstrdup(named.row.key_id);
}

static KmsStatus
judge_key(const KmsJweForm *form, const KmsKeyRow *row, KmsJwe *jwe,
		  KmsJweProblem *problem)
{
	return kms_jwe_judge_key(form,
							 kms_key_algorithm_type_by_name(row->algorithm),
							 kms_diagnose_block_size(row),
							 palloc(kms_jwe_judge_size(form)), jwe, problem);
}

/* "of_key" ends the hint, and begins with a blank if it is not empty. */
static void
report(List **findings, const KmsJweProblem *problem, const char *of_key,
	   const char *sql)
{
	KmsJweProblemBuffer hint;
	char	   *message = palloc(KMS_JWE_PROBLEM_SIZE);

	kms_jwe_problem_message(problem, message);
	kms_jwe_problem_hint(problem, hint);
	kms_diagnose_hint_add(findings, message, psprintf("%s%s", hint, of_key),
						  sql);
}

const char *
kms_diagnose_jwe_sql_of_named(const KmsUnpacked *sent, const KmsDiagnoseJwe *jwe)
{
	if (jwe->named == NULL)
		return NULL;
	return psprintf("kms_diagnose('%s', %s)", jwe->named, sent->as_text);
}

KmsStatus
kms_diagnose_jwe_open(KmsKeyPair *key, const KmsKeyRow *row,
					  const KmsUnpacked *sent, const KmsDiagnoseJwe *jwe,
					  KmsOpens *opens, List **findings, KmsFault *fault)
{
	KmsStatus	status;

	if (kms_key_pair_type(key) == KMS_TYPE_RSA)
		return open_encrypted_key(key, row, sent, jwe, opens, findings, fault);
	status = decrypt(key, &jwe->jwe, opens);
	if (status == KMS_BAD_FORMAT)
	{
		KmsJweProblem problem;

		(void) kms_jwe_problem(&problem, KMS_FLAW_POINT, KMS_PART_EPK);
		report(findings, &problem, "", kms_diagnose_jwe_sql_of_named(sent, jwe));
		return kms_fault(fault, KMS_OK);
	}
	if (status != KMS_OK)
		return kms_fault(fault, status);
	if (*opens != KMS_OPENS_NOT)
		report_opened(findings, row, sent, *opens);
	else
		report_closed(findings, "the JWE does not open",
					  "It was encrypted with another key; or something of it was changed on its way: the protected header, \"aad\", or any other part.",
					  "Without the right key and each part as the client made it",
					  kms_diagnose_jwe_sql_of_named(sent, jwe));
	return kms_fault(fault, status);
}

/*
 * Try the encrypted key alone, and do not tell what it holds: the content may
 * have been made to test a guess of that; see keys/diagnose.h.
 */
static KmsStatus
open_encrypted_key(KmsKeyPair *key, const KmsKeyRow *row,
				   const KmsUnpacked *sent, const KmsDiagnoseJwe *jwe,
				   KmsOpens *opens, List **findings, KmsFault *fault)
{
	KmsDigest	digest = kms_jwe_algorithm_digest(jwe->jwe.alg);
	KmsDigestPair pair = {digest, digest, KMS_OPENS_NOT};
	KmsStatus	status;

	status = kms_digest_pair_try(key, &pair, jwe->jwe.encrypted_key.at,
								 jwe->jwe.encrypted_key.len);
	if (status != KMS_OK)
		return kms_fault(fault, status);
	if (pair.opens != KMS_OPENS_NOT)
	{
		*opens = KMS_OPENS_TEXT;
		kms_diagnose_hint_add(findings, "the encrypted key of the JWE opens",
							  "The key and \"alg\" are right. Only decrypting tells whether the content opens: if that gives KM001, the protected header, \"aad\", \"iv\", \"ciphertext\" or \"tag\" was changed on its way.",
							  psprintf("kms_decrypt('%s', %s)", row->key_id,
									   sent->as_text));
	}
	else
		report_closed(findings, "the encrypted key of the JWE does not open",
					  "It was encrypted with another key, or with another digest than \"alg\" says; or it was changed on its way.",
					  "Without the right key, its digest and the encrypted key as the client made it",
					  kms_diagnose_jwe_sql_of_named(sent, jwe));
	return kms_fault(fault, KMS_OK);
}

static KmsStatus
decrypt(KmsKeyPair *key, const KmsJwe *jwe, KmsOpens *opens)
{
	KmsEncoding encoding;
	size_t		size = jwe->ciphertext.len;
	unsigned char *plain = palloc(size);
	unsigned char *text;
	size_t		text_size;
	size_t		len;
	KmsStatus	status;

	(void) kms_encoding_from_utf8(&encoding);
	text_size = kms_encoding_room(&encoding, size);
	text = palloc(text_size);

	CHECK_FOR_INTERRUPTS();

	/* nothing may raise an error until the plaintext is wiped */
	*opens = KMS_OPENS_NOT;
	status = kms_jwe_decrypt(key, jwe, plain, &len);
	if (status == KMS_OK)
	{
		*opens = kms_encoding_convert(&encoding, plain, len, text, text_size,
									  &len) ? KMS_OPENS_TEXT : KMS_OPENS_BYTES;
		explicit_bzero(text, text_size);
	}
	explicit_bzero(plain, size);
	pfree(plain);
	pfree(text);
	return status == KMS_REJECTED ? KMS_OK : status;
}

static void
report_opened(List **findings, const KmsKeyRow *row, const KmsUnpacked *sent,
			  KmsOpens opens)
{
	bool		is_text = opens == KMS_OPENS_TEXT;
	const char *call;

	if (is_text)
		call = psprintf("kms_decrypt('%s', %s)", row->key_id, sent->as_text);
	else
		call = psprintf("kms_decrypt_jwe_bytea(%s, NULL, '%s')",
						sent->as_text, row->key_id);
	kms_diagnose_hint_add(findings, "the JWE opens",
						  "Nothing else is wrong with it; look at how the application calls, and with which arguments.",
						  call);
	kms_diagnose_hint_add(findings,
						  is_text ? "the plaintext is text in the database's encoding"
						  : "the plaintext is not text in the database's encoding",
						  is_text ? "kms_decrypt() returns it."
						  : "kms_decrypt_jwe_bytea() returns it.", call);
}

/*
 * The caller must not learn more; see keys/diagnose.h.  "sql" tries another
 * key, or is NULL.
 */
static void
report_closed(List **findings, const char *finding, const char *causes,
			  const char *without, const char *sql)
{
	kms_diagnose_hint_add(findings, finding,
						  psprintf("%s Nobody can tell which. %s", causes,
								   sql == NULL ? without : "Try the key that \"kid\" names."),
						  sql);
}

void
kms_diagnose_jwe_report_kid(const KmsKeyRow *row, const KmsUnpacked *sent,
							const KmsDiagnoseJwe *jwe, KmsOpens opens,
							List **findings)
{
	const char *finding = "\"kid\" of the JWE names another key than key_id";

	if (!jwe->has_other_kid)
		return;
	if (opens != KMS_OPENS_NOT)
		kms_diagnose_hint_add(findings, finding,
							  "kms_decrypt() does not look at it, but kms_decrypt_jwe() without a key_id takes the key that it names. Let the client copy \"kid\" from the JWK of the key, or name the key in the call.",
							  psprintf("kms_decrypt_jwe%s(%s, NULL, '%s')",
									   opens == KMS_OPENS_TEXT ? "" : "_bytea",
									   sent->as_text, row->key_id));
	else if (jwe->named != NULL)
		kms_diagnose_hint_add(findings, finding,
							  "Let the application pass the key id that the JWE names; kms_decrypt_jwe() does so if it gets none.",
							  kms_diagnose_jwe_sql_of_named(sent, jwe));
	else
		kms_diagnose_hint_add(findings, finding,
							  "There is no such key here: let the client encrypt with the public key of this key id.",
							  NULL);
}

bool
kms_diagnose_jwe_fits(const KmsDiagnoseJwe *jwe, const KmsKeyRow *row)
{
	KmsJweProblem problem;
	KmsJwe		decoded;

	return judge_key(&jwe->form, row, &decoded, &problem) == KMS_OK;
}
