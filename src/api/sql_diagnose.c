/*
 * kms_diagnose(): why a ciphertext does not open, in rows of finding and hint.
 *
 * It looks in the order in which kms_decrypt does, at the key, the form, the
 * length and the digests, and stops where what follows would tell nothing.
 * What it must not tell is in keys/diagnose.h.  No finding shows any of the
 * ciphertext: it may be a secret that was never encrypted.
 */
#include "postgres.h"

#include "funcapi.h"
#include "mb/pg_wchar.h"
#include "utils/builtins.h"

#include "api/args.h"
#include "api/finish.h"
#include "crypto/base64.h"
#include "crypto/looks.h"
#include "keys/call.h"
#include "keys/diagnose.h"
#include "pg/compat.h"
#include "pg/encoding.h"
#include "pg/settings.h"

#define SHORTEST_BLOCK	128		/* bytes: RSA-1024; what is shorter is none */
#define OTHER_KEYS		3		/* named in a hint */

typedef struct Words
{
	const char *finding;		/* what the ciphertext does */
	const char *hint;
} Words;

static const Words words_of_looks[] = {
	[KMS_LOOKS_EMPTY] = {"is empty",
	"The client sent nothing, or it was lost on its way."},
	[KMS_LOOKS_PEM] = {"looks like PEM",
	"Send the base64 between the lines BEGIN and END alone, if it is a ciphertext and not a key."},
	[KMS_LOOKS_JSON] = {"looks like JSON",
	"Send the value that is the ciphertext alone, without quotes."},
	[KMS_LOOKS_DATA_URL] = {"looks like a data URL",
	"Send what follows \"base64,\" alone."},
	[KMS_LOOKS_QUOTED] = {"stands in quotes",
	"Take the quotes away; it was written as JSON or as a literal once too often."},
	[KMS_LOOKS_BYTEA] = {"looks like a literal of bytea: \\x and hexadecimal digits",
	"Send base64, or give it to kms_decrypt_bytea()."},
	[KMS_LOOKS_JWE] = {"looks like a JWE in compact form",
	"kms_decrypt() opens one block of RSA-OAEP: of the five parts of a JWE the second is one, and holds the key of the content."},
	[KMS_LOOKS_JWS] = {"looks like a JWS or a JWT",
	"That is signed and not encrypted; send one block of RSA-OAEP in base64."},
	[KMS_LOOKS_HEXADECIMAL] = {"looks hexadecimal",
	"Send base64, or call kms_decrypt_bytea(key_id, decode(ciphertext, 'hex'))."},
	[KMS_LOOKS_PERCENT_ENCODED] = {"is percent-encoded",
	"Decode it first (%2B is a plus sign, %2F a slash, %3D an equals sign), or let the client use the URL-safe alphabet."},
	[KMS_LOOKS_BLANKED] = {"has blanks where plus signs should be",
	"It was sent in a form or a query string without being encoded; write %2B for a plus sign, or let the client use the URL-safe alphabet."}
};

/* What a caller sent, as far as kms.max_ciphertext_size goes. */
typedef struct Sent
{
	const char *in;
	size_t		len;
	Size		sent_len;
} Sent;

static KmsStatus examine(FunctionCallInfo fcinfo,
						 const KmsDiagnosis *diagnosis, KmsFault *fault);
static void report(ReturnSetInfo *result, const char *finding,
				   const char *hint);
static void report_refused(ReturnSetInfo *result, KmsStatus refused);
static void report_size(ReturnSetInfo *result, const Sent *sent);
static bool report_looks(ReturnSetInfo *result, const char *what,
						 const char *in, size_t len, size_t block);
static void report_not_base64(ReturnSetInfo *result, const Sent *sent);
static bool report_decoded(ReturnSetInfo *result, const unsigned char *data,
						   size_t len);
static void report_length(ReturnSetInfo *result, size_t len, size_t block);
static void report_pairs(ReturnSetInfo *result, const KmsKeyRow *row,
						 List *pairs);
static void report_none(ReturnSetInfo *result, const KmsDiagnosis *diagnosis);
static const char *call_of(const KmsDigestPair *pair, KmsDigest own);

PG_FUNCTION_INFO_V1(kms_api_diagnose);

Datum
kms_api_diagnose(PG_FUNCTION_ARGS)
{
	KmsKeyIdBuffer key_id;
	KmsDiagnosis diagnosis;
	KmsFault	fault = {0};
	KmsCall    *call = kms_call_begin(KMS_OP_DIAGNOSE);
	KmsStatus	status;

	InitMaterializedSRF(fcinfo, 0);
	status = kms_args_key_id(fcinfo, 0, key_id, &fault);
	if (status == KMS_OK)
	{
		kms_call_key(call, key_id);
		status = kms_diagnose_key(call, key_id, &diagnosis, &fault);
	}
	if (status == KMS_OK)
		status = examine(fcinfo, &diagnosis, &fault);
	kms_finish(call, status, &fault);
	return (Datum) 0;
}

static KmsStatus
examine(FunctionCallInfo fcinfo, const KmsDiagnosis *diagnosis,
		KmsFault *fault)
{
	ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;
	size_t		block = 0;
	const unsigned char *data;
	size_t		len;
	text	   *value;
	Sent		sent;
	List	   *pairs;
	KmsStatus	status = kms_fault(fault, KMS_OK);

	if (diagnosis->refused != KMS_OK)
		report_refused(result, diagnosis->refused);
	else
		block = kms_rsa_key_block_size(diagnosis->key);

	if (PG_ARGISNULL(1))
	{
		report(result, "the ciphertext is NULL",
			   "kms_decrypt() returns NULL for it and records nothing.");
		return status;
	}
	sent.sent_len = kms_args_size(fcinfo, 1);
	value = PG_GETARG_TEXT_P_SLICE(1, 0, kms_max_ciphertext_size);
	sent.in = VARDATA_ANY(value);
	sent.len = VARSIZE_ANY_EXHDR(value);

	if (sent.sent_len > sent.len)
	{
		report_size(result, &sent);
		(void) report_looks(result, "the ciphertext", sent.in, sent.len, 0);
		return status;
	}
	if (report_looks(result, "the ciphertext", sent.in, sent.len, block))
		return status;
	if (!kms_encoding_decode_base64(sent.in, sent.len, &data, &len))
	{
		report_not_base64(result, &sent);
		return status;
	}
	if (report_decoded(result, data, len) || diagnosis->refused != KMS_OK)
		return status;
	if (len != block)
	{
		report_length(result, len, block);
		return status;
	}

	status = kms_diagnose_digests(diagnosis, data, len, &pairs, fault);
	if (status != KMS_OK)
		return status;
	if (pairs == NIL)
		report_none(result, diagnosis);
	else
		report_pairs(result, &diagnosis->found.row, pairs);
	return status;
}

static void
report(ReturnSetInfo *result, const char *finding, const char *hint)
{
	Datum		values[2];
	bool		nulls[2] = {false, false};

	values[0] = CStringGetTextDatum(finding);
	values[1] = CStringGetTextDatum(hint);
	tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
}

static void
report_refused(ReturnSetInfo *result, KmsStatus refused)
{
	switch (refused)
	{
		case KMS_KEY_EXPIRED:
			report(result, "the encryption key has expired",
				   "Let the device ask for a key again; until the key is purged kms_decrypt_recover() opens what it protects.");
			break;
		case KMS_KEY_DISABLED:
			report(result, "the encryption key is disabled",
				   "Enable it again, or let the device ask for another key.");
			break;
		case KMS_KEY_REVOKED:
			report(result, "the encryption key is revoked",
				   "Let the device ask for another key; until the key is purged kms_decrypt_recover() opens what it protects.");
			break;
		default:
			report(result, "the encryption key is pending deletion",
				   "Cancel its deletion, or let the device ask for another key.");
			break;
	}
}

static void
report_size(ReturnSetInfo *result, const Sent *sent)
{
	report(result,
		   psprintf("the ciphertext has %zu bytes as it was sent, the limit is %zu",
					sent->sent_len, sent->len),
		   "Send one block of RSA-OAEP, which in base64 has at most 684 bytes; what is longer must be encrypted with a key of its own. kms.max_ciphertext_size is the limit.");
}

/* False if there is nothing to be told. */
static bool
report_looks(ReturnSetInfo *result, const char *what, const char *in,
			 size_t len, size_t block)
{
	KmsLooks	looks = kms_looks_like(in, len, block);

	if (looks == KMS_LOOKS_PLAIN)
		return false;
	report(result, psprintf("%s %s", what, words_of_looks[looks].finding),
		   words_of_looks[looks].hint);
	return true;
}

static void
report_not_base64(ReturnSetInfo *result, const Sent *sent)
{
	size_t		fault = kms_base64_fault(sent->in, sent->len);

	if (fault < sent->len)
		report(result,
			   psprintf("the ciphertext is not base64: character %d may not stand where it is",
						pg_mbstrlen_with_len(sent->in, fault) + 1),
			   "Send base64 (RFC 4648) in one of its two alphabets, with padding at the end alone.");
	else
		report(result, "the ciphertext is not base64: its end does not fit",
			   "It was cut off, has characters or padding too much, or is in another encoding.");
}

/* What was encoded more than once, or never encrypted, shows as text. */
static bool
report_decoded(ReturnSetInfo *result, const unsigned char *data, size_t len)
{
	const unsigned char *again;
	size_t		again_len;
	size_t		i;

	for (i = 0; i < len; i++)
	{
		if (data[i] > '~' || (data[i] < ' ' && data[i] != '\n' &&
							  data[i] != '\r' && data[i] != '\t'))
			return false;
	}
	if (report_looks(result, "the ciphertext, once decoded,",
					 (const char *) data, len, 0))
		return true;
	if (!kms_encoding_decode_base64((const char *) data, len, &again, &again_len) ||
		again_len < SHORTEST_BLOCK)
		return false;
	report(result, "the ciphertext is in base64 twice",
		   "Let the client, or what stands between, encode it once.");
	return true;
}

static void
report_length(ReturnSetInfo *result, size_t len, size_t block)
{
	const char *hint;

	if (len < SHORTEST_BLOCK)
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
	report(result,
		   psprintf("the ciphertext has %zu bytes, the key needs %zu", len,
					block), hint);
}

static void
report_pairs(ReturnSetInfo *result, const KmsKeyRow *row, List *pairs)
{
	KmsDigest	own = kms_digest_by_name(row->oaep_hash);
	ListCell   *cell;

	foreach(cell, pairs)
	{
		const KmsDigestPair *pair = lfirst(cell);

		if (pair->digest == own && pair->mgf1 == own)
			report(result,
				   psprintf("the ciphertext opens with the key's own digest, %s",
							row->oaep_hash),
				   "Nothing is wrong with it; look at how the application calls, and with which arguments.");
		else
			report(result,
				   psprintf("the ciphertext opens with OAEP digest %s and MGF1 digest %s, and the key's own is %s",
							kms_digest_name(pair->digest),
							kms_digest_name(pair->mgf1), row->oaep_hash),
				   psprintf("Call %s, or let the client use %s for both.",
							call_of(pair, own), row->oaep_hash));
		if (pair->opens == KMS_OPENS_TEXT)
			report(result, "the plaintext is text in the database's encoding",
				   "kms_decrypt() returns it.");
		else
			report(result, "the plaintext is not text in the database's encoding",
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

/* Nobody is told more: see keys/diagnose.h. */
static void
report_none(ReturnSetInfo *result, const KmsDiagnosis *diagnosis)
{
	List	   *others = kms_diagnose_other_keys(diagnosis, OTHER_KEYS);
	StringInfoData ids;
	ListCell   *cell;

	report(result, "the ciphertext does not open, with any pair of digests",
		   "It was encrypted with another key, with a label, or with PKCS#1 v1.5 padding, which is never accepted, or was damaged on its way. Which it is cannot be told.");
	if (others == NIL)
		return;
	initStringInfo(&ids);
	foreach(cell, others)
		appendStringInfo(&ids, "%s%s", foreach_current_index(cell) > 0 ? ", " : "",
						 (const char *) lfirst(cell));
	report(result, "the device has other keys that decrypt",
		   psprintf("Try this ciphertext with them: %s", ids.data));
}
