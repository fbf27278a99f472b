#include "postgres.h"

#include "lib/stringinfo.h"

#include "keys/diagnose_block.h"

#include "keys/diagnose_hint.h"
#include "keys/digest_pair.h"

/* A block that may be among the bytes that were sent. */
typedef struct Candidate
{
	const char *finding;		/* NULL: it is what was sent */
	const char *hint;
	const unsigned char *data;
	const char *as_bytes;
	const char *as_text;
} Candidate;

static List *candidates_of(const KmsUnpacked *sent, size_t block);
static void add_slice(List **candidates, const KmsUnpacked *sent, size_t from,
					  size_t block, const char *finding, const char *hint);
static void add_padded(List **candidates, const KmsUnpacked *sent,
					   size_t block);
static void add_reversed(List **candidates, const KmsUnpacked *sent);
static Candidate *add(List **candidates, const char *finding, const char *hint,
					  const unsigned char *data, const char *as_bytes);
static void report_opened(List **findings, const Candidate *candidate,
						  const KmsKeyRow *row, List *pairs);
static bool is_own(const KmsKeyRow *row, const KmsDigestPair *pair);
static void report_pair(List **findings, const KmsKeyRow *row,
						const KmsDigestPair *pair, const char *opened_by,
						const char *call);
static const char *call_of(const Candidate *candidate, const KmsKeyRow *row,
						   const KmsDigestPair *pair);
static const char *digests_of(const KmsKeyRow *row, const KmsDigestPair *pair);
static KmsStatus open_row(KmsKeyPair *key, const KmsUnpacked *sent,
						  size_t block, List **pairs);
static void report_row(List **findings, const KmsUnpacked *sent, size_t block,
					   const KmsKeyRow *row, List *pairs);

size_t
kms_diagnose_block_size(const KmsKeyRow *row)
{
	if (kms_key_algorithm_type_by_name(row->algorithm) != KMS_TYPE_RSA)
		return 0;
	return (strtoul(row->algorithm + strlen("RSA-"), NULL, 10) + 7) / 8;
}

KmsStatus
kms_diagnose_block_open(KmsKeyPair *key, const KmsKeyRow *row,
						const KmsUnpacked *sent, bool *opened, List **findings,
						KmsFault *fault)
{
	size_t		block = kms_key_pair_block_size(key);
	List	   *pairs = NIL;
	KmsStatus	status = KMS_OK;
	ListCell   *cell;

	*opened = false;
	if (sent->len > block && sent->len % block == 0)
	{
		status = open_row(key, sent, block, &pairs);
		if (status == KMS_OK && pairs != NIL)
		{
			*opened = true;
			report_row(findings, sent, block, row, pairs);
		}
	}
	foreach(cell, candidates_of(sent, block))
	{
		const Candidate *candidate = lfirst(cell);

		if (*opened || status != KMS_OK)
			break;
		status = kms_digest_pair_try_all(key, candidate->data, block, &pairs);
		if (status == KMS_OK && pairs != NIL)
		{
			*opened = true;
			report_opened(findings, candidate, row, pairs);
		}
	}
	return kms_fault(fault, status);
}

/* Return the blocks to try, the likeliest first. */
static List *
candidates_of(const KmsUnpacked *sent, size_t block)
{
	List	   *candidates = NIL;
	const unsigned char *end = sent->data + sent->len;
	size_t		len = sent->len;

	if (len == block)
	{
		Candidate  *itself = add(&candidates, NULL, NULL, sent->data,
								 sent->as_bytes);

		itself->as_text = sent->as_text;
		add_reversed(&candidates, sent);
	}
	if (len == block + 1 && end[-1] == '\n')
		add_slice(&candidates, sent, 0, block,
				  "a newline was encoded with the ciphertext",
				  "Let the client encode the bytes without it, as printf '%s' or echo -n do.");
	if (len == block + 2 && end[-2] == '\r' && end[-1] == '\n')
		add_slice(&candidates, sent, 0, block,
				  "a carriage return and a newline were encoded with the ciphertext",
				  "Let the client encode the bytes without them.");
	if (len == block + 1 && sent->data[0] == 0)
		add_slice(&candidates, sent, 1, block,
				  "the ciphertext has a zero byte before it",
				  "The client takes the block for a number with a sign, as BigInteger of Java does: let it send the bytes that the cipher returns.");
	if (len == block - 1 || len == block - 2)
		add_padded(&candidates, sent, block);
	if (len > block)
		add_slice(&candidates, sent, 0, block,
				  psprintf("only the first %zu bytes are a block of RSA-OAEP, and %zu follow",
						   block, len - block),
				  "If it is a hybrid scheme, the block holds the key of the data that follow, and kms decrypts only the block; the data are decrypted with what it returns. A JWE is a hybrid scheme that kms decrypts as a whole.");
	return candidates;
}

static void
add_slice(List **candidates, const KmsUnpacked *sent, size_t from,
		  size_t block, const char *finding, const char *hint)
{
	(void) add(candidates, finding, hint, sent->data + from,
			   psprintf("substr(%s, %zu, %zu)", sent->as_bytes, from + 1, block));
}

static void
add_padded(List **candidates, const KmsUnpacked *sent, size_t block)
{
	size_t		zeros = block - sent->len;
	unsigned char *data = palloc0(block);

	memcpy(data + zeros, sent->data, sent->len);
	(void) add(candidates, "the ciphertext lacks its leading zeros",
			   "The client takes the block for a number: let it send the bytes that the cipher returns, which are as many as the key has.",
			   data,
			   psprintf("('\\x%s'::bytea || %s)", zeros == 1 ? "00" : "0000",
						sent->as_bytes));
}

static void
add_reversed(List **candidates, const KmsUnpacked *sent)
{
	unsigned char *data = palloc(sent->len);
	size_t		i;

	for (i = 0; i < sent->len; i++)
		data[i] = sent->data[sent->len - 1 - i];
	(void) add(candidates, "the ciphertext has its bytes in reversed order",
			   "CryptoAPI of Windows (CryptEncrypt) begins with the last byte: let the client reverse its bytes, or use CNG.",
			   data,
			   psprintf("(SELECT string_agg(substr(%s, i, 1), '' ORDER BY i DESC) FROM generate_series(1, %zu) AS r (i))",
						sent->as_bytes, sent->len));
}

static Candidate *
add(List **candidates, const char *finding, const char *hint,
	const unsigned char *data, const char *as_bytes)
{
	Candidate  *candidate = palloc(sizeof(Candidate));

	candidate->finding = finding;
	candidate->hint = hint;
	candidate->data = data;
	candidate->as_bytes = as_bytes;
	candidate->as_text = kms_diagnose_form_base64(as_bytes);
	*candidates = lappend(*candidates, candidate);
	return candidate;
}

static void
report_opened(List **findings, const Candidate *candidate,
			  const KmsKeyRow *row, List *pairs)
{
	ListCell   *cell;

	if (candidate->finding != NULL)
		kms_diagnose_hint_add(findings, candidate->finding, candidate->hint,
							  candidate->as_text);
	foreach(cell, pairs)
	{
		const KmsDigestPair *pair = lfirst(cell);
		const char *function = pair->opens == KMS_OPENS_TEXT ? "kms_decrypt()"
		: "kms_decrypt_bytea()";

		report_pair(findings, row, pair, function,
					call_of(candidate, row, pair));
	}
}

static void
report_pair(List **findings, const KmsKeyRow *row, const KmsDigestPair *pair,
			const char *opened_by, const char *call)
{
	const char *own = row->oaep_hash;

	if (strcmp(row->oaep_hash, row->mgf1_hash) != 0)
		own = psprintf("%s with MGF1 %s", row->oaep_hash, row->mgf1_hash);
	if (is_own(row, pair))
		kms_diagnose_hint_add(findings,
							  psprintf("the ciphertext opens with the key's own digest, %s",
									   own),
							  "Nothing else is wrong with it; look at how the application calls, and with which arguments.",
							  call);
	else
		kms_diagnose_hint_add(findings,
							  psprintf("the ciphertext opens with OAEP digest %s and MGF1 digest %s, and the key's own is %s",
									   kms_digest_name(pair->digest),
									   kms_digest_name(pair->mgf1), own),
							  "Name the digests in the call, or let the device ask for a key with these.",
							  call);
	kms_diagnose_hint_add(findings,
						  pair->opens == KMS_OPENS_TEXT
						  ? "the plaintext is text in the database's encoding"
						  : "the plaintext is not text in the database's encoding",
						  psprintf("%s returns it.", opened_by), call);
}

static const char *
call_of(const Candidate *candidate, const KmsKeyRow *row,
		const KmsDigestPair *pair)
{
	if (pair->opens == KMS_OPENS_TEXT)
		return psprintf("kms_decrypt('%s', %s%s)", row->key_id, candidate->as_text,
						digests_of(row, pair));
	return psprintf("kms_decrypt_bytea('%s', %s%s)", row->key_id, candidate->as_bytes,
					digests_of(row, pair));
}

static bool
is_own(const KmsKeyRow *row, const KmsDigestPair *pair)
{
	return pair->digest == kms_digest_by_name(row->oaep_hash) &&
		pair->mgf1 == kms_digest_by_name(row->mgf1_hash);
}

/* Return the arguments of a call for digests that are not the key's own. */
static const char *
digests_of(const KmsKeyRow *row, const KmsDigestPair *pair)
{
	StringInfoData out;

	initStringInfo(&out);
	if (is_own(row, pair))
		return out.data;
	if (pair->digest != kms_digest_by_name(row->oaep_hash) ||
		pair->mgf1 == pair->digest)
		appendStringInfo(&out, ", oaep_hash => '%s'",
						 kms_digest_name(pair->digest));
	if (pair->mgf1 != pair->digest)
		appendStringInfo(&out, ", mgf1_hash => '%s'",
						 kms_digest_name(pair->mgf1));
	return out.data;
}

/*
 * Set *pairs to those that open each block.  A pair that opens the first one
 * is tried on the others, so that the work grows with the number of blocks
 * alone.
 */
static KmsStatus
open_row(KmsKeyPair *key, const KmsUnpacked *sent, size_t block, List **pairs)
{
	List	   *of_first;
	ListCell   *cell;
	KmsStatus	status;

	*pairs = NIL;
	status = kms_digest_pair_try_all(key, sent->data, block, &of_first);
	if (status != KMS_OK)
		return status;
	foreach(cell, of_first)
	{
		KmsDigestPair *pair = lfirst(cell);
		KmsDigestPair next = *pair;
		size_t		at;

		for (at = block; at < sent->len && pair->opens != KMS_OPENS_NOT;
			 at += block)
		{
			status = kms_digest_pair_try(key, &next, sent->data + at, block);
			if (status != KMS_OK)
				return status;
			if (next.opens != KMS_OPENS_TEXT)
				pair->opens = next.opens;
		}
		if (pair->opens != KMS_OPENS_NOT)
			*pairs = lappend(*pairs, pair);
	}
	return status;
}

static void
report_row(List **findings, const KmsUnpacked *sent, size_t block,
		   const KmsKeyRow *row, List *pairs)
{
	size_t		blocks = sent->len / block;
	ListCell   *cell;

	kms_diagnose_hint_add(findings,
						  psprintf("the ciphertext is %zu blocks of RSA-OAEP in a row",
								   blocks),
						  "The client split a long plaintext: let it send each block alone, and decrypt one by one. This is the first block:",
						  kms_diagnose_form_base64(psprintf("substr(%s, 1, %zu)",
															sent->as_bytes, block)));
	foreach(cell, pairs)
	{
		const KmsDigestPair *pair = lfirst(cell);
		bool		is_text = pair->opens == KMS_OPENS_TEXT;
		const char *call = psprintf("(SELECT string_agg(kms_decrypt_bytea('%s', substr(%s, i * %zu + 1, %zu)%s), '' ORDER BY i) FROM generate_series(0, %zu) AS r (i))",
									row->key_id, sent->as_bytes, block, block,
									digests_of(row, pair), blocks - 1);

		if (is_text)
			call = psprintf("convert_from(%s, 'UTF8')", call);
		report_pair(findings, row, pair,
					"kms_decrypt_bytea(), called for each block,", call);
	}
}

void
kms_diagnose_block_report_length(const KmsUnpacked *sent, size_t block,
								 List **findings)
{
	size_t		len = sent->len;
	const char *hint;

	if (len < KMS_SHORTEST_BLOCK)
		hint = "That is too short for any block of RSA: look whether it is encrypted, and with RSA.";
	else if (len == block - 1 || len == block - 2 || len == block + 1)
		hint = "A client that takes the block for a number loses its leading zeros, or adds one; but this one does not open with them, either. Look whether the client has the key of this key id.";
	else if (len == 128 || len == 256 || len == 384 || len == 512)
		hint = psprintf("It would fit a key of %zu bits: look whether the client has the key of this key id.",
						8 * len);
	else if (len % block == 0)
		hint = "It has the length of several blocks of this key, but they do not open: look whether the client has the key of this key id.";
	else
		hint = "It fits no usual key: look whether it was cut off, or has other data with it, as a hybrid scheme does.";
	kms_diagnose_hint_add(findings,
						  psprintf("the ciphertext has %zu bytes, the key needs %zu", len,
								   block), hint, NULL);
}
