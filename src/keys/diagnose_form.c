#include "postgres.h"

#include "mb/pg_wchar.h"

#include "keys/diagnose_form.h"

#include "crypto/base64.h"
#include "crypto/looks.h"
#include "keys/finding.h"
#include "pg/encoding.h"

typedef struct Words
{
	const char *finding;		/* predicate of a sentence about the
								 * ciphertext */
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

static void report_size(List **findings, const KmsSent *sent);
static bool report_looks(List **findings, const char *what, const char *in,
						 size_t len, size_t block);
static void report_not_base64(List **findings, const KmsSent *sent);
static bool report_decoded(List **findings, const unsigned char *data,
						   size_t len);

bool
kms_diagnose_form_decode(const KmsSent *sent, size_t block,
						 const unsigned char **data, size_t *len,
						 List **findings)
{
	if (sent->text == NULL)
	{
		kms_finding_add(findings, "the ciphertext is NULL",
						"kms_decrypt() returns NULL for it and records nothing.");
		return false;
	}
	if (sent->sent_len > sent->len)
	{
		report_size(findings, sent);
		(void) report_looks(findings, "the ciphertext", sent->text, sent->len,
							0);
		return false;
	}
	if (report_looks(findings, "the ciphertext", sent->text, sent->len, block))
		return false;
	if (!kms_encoding_decode_base64(sent->text, sent->len, data, len))
	{
		report_not_base64(findings, sent);
		return false;
	}
	return !report_decoded(findings, *data, *len);
}

static void
report_size(List **findings, const KmsSent *sent)
{
	kms_finding_add(findings,
					psprintf("the ciphertext has %zu bytes as it was sent, the limit is %zu",
							 sent->sent_len, sent->len),
					"Send one block of RSA-OAEP, which in base64 has at most 684 bytes; what is longer must be encrypted with a key of its own. kms.max_ciphertext_size is the limit.");
}

/* Return false if it looks like nothing in particular. */
static bool
report_looks(List **findings, const char *what, const char *in,
			 size_t len, size_t block)
{
	KmsLooks	looks = kms_looks_like(in, len, block);

	if (looks == KMS_LOOKS_PLAIN)
		return false;
	kms_finding_add(findings, psprintf("%s %s", what, words_of_looks[looks].finding),
					words_of_looks[looks].hint);
	return true;
}

static void
report_not_base64(List **findings, const KmsSent *sent)
{
	size_t		fault = kms_base64_fault(sent->text, sent->len);

	if (fault < sent->len)
		kms_finding_add(findings,
						psprintf("the ciphertext is not base64: character %d may not stand where it is",
								 pg_mbstrlen_with_len(sent->text, fault) + 1),
						"Send base64 (RFC 4648) in one of its two alphabets, with padding at the end alone.");
	else
		kms_finding_add(findings, "the ciphertext is not base64: its end does not fit",
						"It was cut off, has characters or padding too much, or is in another encoding.");
}

/*
 * Report bytes that were encoded twice or never encrypted, because all of them
 * are printable.  Return false if there is nothing to report.
 */
static bool
report_decoded(List **findings, const unsigned char *data, size_t len)
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
	if (report_looks(findings, "the ciphertext, once decoded,",
					 (const char *) data, len, 0))
		return true;
	if (!kms_encoding_decode_base64((const char *) data, len, &again, &again_len) ||
		again_len < KMS_SHORTEST_BLOCK)
		return false;
	kms_finding_add(findings, "the ciphertext is in base64 twice",
					"Let the client, or a program in between, encode it once.");
	return true;
}
