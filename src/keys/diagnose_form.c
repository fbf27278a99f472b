#include "postgres.h"

#include "miscadmin.h"

#include "keys/diagnose_form.h"

#include "crypto/base64.h"
#include "crypto/jwe_form.h"
#include "crypto/looks.h"
#include "keys/diagnose_hint.h"
#include "pg/encoding.h"
#include "pg/jwe_text.h"
#include "pg/settings.h"

#define EXAMINED_MIN	16384	/* bytes */
#define LAYERS_MAX		12

/* The rest of the ciphertext when the forms above it are undone. */
typedef struct Layer
{
	const unsigned char *data;
	size_t		len;
	bool		is_text;
	const char *sql;
	bool		is_outermost;
} Layer;

static bool unpack(const KmsSent *sent, size_t block, KmsUnpacked *unpacked,
				   List **findings);
static bool is_jwe(const Layer *layer);
static bool take_jwe(const KmsSent *sent, const Layer *layer,
					 KmsUnpacked *unpacked, List **findings);
static void report_size(List **findings, const KmsSent *sent);
static KmsLooks look_at(const Layer *layer, size_t block,
						KmsLooksUndone *undone);
static bool report_truncated(const Layer *layer, KmsLooks looks,
							 List **findings);
static void read_sent(const KmsSent *sent, Layer *layer);
static bool undo(Layer *layer, const KmsLooksUndone *undone, KmsLooks looks,
				 List **findings);
static const char *subject_of(const Layer *layer);
static bool is_convertible(const unsigned char *data, size_t len);
static bool decode(const Layer *base64, Layer *bytes);
static const char *sql_of_decode(const Layer *base64);
static size_t count_digits(const Layer *base64, bool *is_standard);
static void report_not_base64(const Layer *layer, bool truncated,
							  List **findings);
static void fill_unpacked(KmsUnpacked *unpacked, const Layer *base64,
						  const Layer *bytes);

size_t
kms_diagnose_form_most(void)
{
	return Max(EXAMINED_MIN, 2 * (size_t) kms_max_jwe_size);
}

bool
kms_diagnose_form_unpack(const KmsSent *sent, size_t block,
						 KmsUnpacked *unpacked, List **findings)
{
	List	   *of_layers = NIL;
	bool		is_unpacked;

	memset(unpacked, 0, sizeof(*unpacked));
	if (sent->text == NULL)
	{
		kms_diagnose_hint_add(findings, "the ciphertext is NULL",
							  "kms_decrypt() returns NULL for it and records nothing.",
							  NULL);
		return false;
	}
	is_unpacked = unpack(sent, block, unpacked, &of_layers);
	if (!unpacked->is_jwe)
		report_size(findings, sent);
	*findings = list_concat(*findings, of_layers);
	return is_unpacked;
}

static bool
unpack(const KmsSent *sent, size_t block, KmsUnpacked *unpacked,
	   List **findings)
{
	bool		truncated = sent->sent_len > sent->len;
	Layer		base64 = {0};	/* of which the bytes came */
	Layer		layer = {0};
	int			i;

	read_sent(sent, &layer);
	if (!truncated && is_jwe(&layer))
		return take_jwe(sent, &layer, unpacked, findings);
	for (i = 0; i < LAYERS_MAX; i++)
	{
		KmsLooksUndone undone;
		KmsLooks	looks;

		CHECK_FOR_INTERRUPTS();
		looks = look_at(&layer, block, &undone);
		if (looks == KMS_LOOKS_JWE)
			return take_jwe(sent, &layer, unpacked, findings);
		if (looks == KMS_LOOKS_PLAIN && !layer.is_text)
		{
			fill_unpacked(unpacked, &base64, &layer);
			return true;
		}
		if (looks != KMS_LOOKS_PLAIN)
		{
			base64.sql = NULL;
			if (truncated ? report_truncated(&layer, looks, findings)
				: !undo(&layer, &undone, looks, findings))
				return false;
		}
		else
		{
			base64 = layer;
			if (truncated || !decode(&base64, &layer))
			{
				report_not_base64(&base64, truncated, findings);
				return false;
			}
		}
	}
	kms_diagnose_hint_add(findings, "the ciphertext is packed too often to be diagnosed at once",
						  "Diagnose what is left.",
						  psprintf("kms_diagnose(key_id, %s)", layer.sql));
	return false;
}

/*
 * Return whether kms_decrypt() reads the text as a JWE.  Then it takes it as
 * it is, whatever it looks like.  Any object of JSON can be read, so look for
 * what a JWE must have; and a part that is not base64url may be what a form
 * makes of one.
 */
static bool
is_jwe(const Layer *layer)
{
	const char *text = (const char *) layer->data;
	KmsJweForm	form;
	KmsJweProblem problem;
	KmsJwePart	part;

	if (kms_jwe_form_kind(text, layer->len) == KMS_JWE_KIND_NONE ||
		kms_jwe_text_read(text, layer->len, &form, &problem) != KMS_OK ||
		form.protected_header == NULL ||
		form.parts[KMS_PART_CIPHERTEXT].at == NULL)
		return false;
	for (part = KMS_PART_PROTECTED; part <= KMS_PART_AAD; part++)
	{
		KmsText		sent = form.parts[part];

		if (sent.at != NULL && !kms_base64_url_valid(sent.at, sent.len))
			return false;
	}
	return true;
}

/* Only its own limit holds for a JWE, also in another form. */
static bool
take_jwe(const KmsSent *sent, const Layer *layer, KmsUnpacked *unpacked,
		 List **findings)
{
	size_t		len = layer->is_outermost ? sent->sent_len : layer->len;

	unpacked->is_jwe = true;
	unpacked->data = layer->data;
	unpacked->len = layer->len;
	unpacked->as_text = layer->sql;
	if (len <= (size_t) kms_max_jwe_size)
		return true;
	kms_diagnose_hint_add(findings,
						  psprintf("the JWE has %zu bytes, the limit is %d", len,
								   kms_max_jwe_size),
						  "Let the client send less in one JWE, or raise kms.max_jwe_size, which is the limit; 0 refuses every JWE. As it is,",
						  NULL);
	return false;
}

static void
report_size(List **findings, const KmsSent *sent)
{
	const char *finding;

	if (sent->sent_len > (size_t) kms_max_ciphertext_size)
		finding = psprintf("the ciphertext has %zu bytes as it was sent, the limit is %d, and %d for a JWE",
						   sent->sent_len, kms_max_ciphertext_size,
						   kms_max_jwe_size);
	else if (sent->sent_len > sent->len)
		finding = psprintf("the ciphertext has %zu bytes as it was sent, of which %zu are examined",
						   sent->sent_len, sent->len);
	else
		return;
	kms_diagnose_hint_add(findings, finding,
						  "Send one block of RSA-OAEP, which in base64 has at most 684 bytes, or for longer data a JWE. kms.max_ciphertext_size and kms.max_jwe_size are the limits. As it was sent,",
						  NULL);
}

static KmsLooks
look_at(const Layer *layer, size_t block, KmsLooksUndone *undone)
{
	undone->data = palloc(layer->len + KMS_LOOKS_ROOM);
	if (layer->is_text)
		return kms_looks_text((const char *) layer->data, layer->len, block,
							  undone);
	return kms_looks_bytes(layer->data, layer->len, block, undone);
}

/*
 * Report the form of a text whose end is not known, unless it may have the
 * form only because of that.  Return true.
 */
static bool
report_truncated(const Layer *layer, KmsLooks looks, List **findings)
{
	const KmsLooksRow *row = kms_looks_row(looks);

	if (looks != KMS_LOOKS_JSON_BROKEN && looks != KMS_LOOKS_HEX_CUT)
		kms_diagnose_hint_add(findings,
							  psprintf("%s %s", subject_of(layer),
									   kms_diagnose_hint_expand(row->finding, NULL, 0)),
							  row->hint, NULL);
	return true;
}

/*
 * Begin with the text in UTF-8, because the forms are recognized in that.  A
 * text that has no UTF-8 is examined as it is.
 */
static void
read_sent(const KmsSent *sent, Layer *layer)
{
	size_t		len = pg_mbcliplen(sent->text, sent->len, sent->len);
	KmsEncoding encoding;

	layer->data = (const unsigned char *) sent->text;
	layer->len = len;
	layer->is_text = true;
	layer->is_outermost = true;
	layer->sql = "ciphertext";
	if (kms_encoding_to_utf8(&encoding))
	{
		size_t		size = kms_encoding_room(&encoding, len);
		unsigned char *utf8 = palloc(size);

		if (kms_encoding_convert(&encoding, layer->data, len, utf8, size, &len))
		{
			layer->data = utf8;
			layer->len = len;
		}
	}
}

/*
 * Report the form, and replace the layer by what it holds.  Return false if
 * the form cannot be undone.
 */
static bool
undo(Layer *layer, const KmsLooksUndone *undone, KmsLooks looks,
	 List **findings)
{
	const KmsLooksRow *row = kms_looks_row(looks);
	const char *sql = NULL;
	bool		is_undone = row->holds != KMS_HOLDS_NOTHING && undone->len > 0;

	if (is_undone && row->holds == KMS_HOLDS_TEXT &&
		!is_convertible(undone->data, undone->len))
		is_undone = false;
	if (row->sql != NULL && (is_undone || row->holds == KMS_HOLDS_NOTHING))
		sql = kms_diagnose_hint_expand(row->sql, layer->sql, undone->number);
	kms_diagnose_hint_add(findings,
						  psprintf("%s %s", subject_of(layer),
								   kms_diagnose_hint_expand(row->finding, NULL,
															undone->number)),
						  row->hint,
						  is_undone && row->holds == KMS_HOLDS_BYTES
						  ? kms_diagnose_form_base64(sql) : sql);
	layer->data = undone->data;
	layer->len = undone->len;
	layer->is_text = row->holds == KMS_HOLDS_TEXT;
	layer->is_outermost = false;
	layer->sql = sql;
	return is_undone;
}

static const char *
subject_of(const Layer *layer)
{
	return layer->is_outermost ? "the ciphertext"
		: "the ciphertext, once decoded,";
}

/* Return false if the database's encoding does not have a character. */
static bool
is_convertible(const unsigned char *data, size_t len)
{
	KmsEncoding encoding;
	size_t		size;

	if (!kms_encoding_from_utf8(&encoding))
		return false;
	size = kms_encoding_room(&encoding, len);
	return kms_encoding_convert(&encoding, data, len, palloc(size), size, &len);
}

const char *
kms_diagnose_form_base64(const char *as_bytes)
{
	return psprintf("encode(%s, 'base64')", as_bytes);
}

/* Return false if the text is not base64. */
static bool
decode(const Layer *base64, Layer *bytes)
{
	*bytes = *base64;
	bytes->is_text = false;
	bytes->sql = sql_of_decode(base64);
	return kms_encoding_decode_base64((const char *) base64->data, base64->len,
									  &bytes->data, &bytes->len);
}

/*
 * kms_decrypt() accepts more than PostgreSQL's decode(): the URL-safe
 * alphabet, padding that is missing, and other white space.
 */
static const char *
sql_of_decode(const Layer *base64)
{
	bool		is_standard;
	size_t		digits = count_digits(base64, &is_standard);

	if (is_standard)
		return psprintf("decode(%s, 'base64')", base64->sql);
	return psprintf("decode(rpad(translate(regexp_replace(%s, '[\\s=]', '', 'g'), '-_', '+/'), %zu, '='), 'base64')",
					base64->sql, (digits + 3) / 4 * 4);
}

/* *is_standard: PostgreSQL's decode() accepts the text. */
static size_t
count_digits(const Layer *base64, bool *is_standard)
{
	size_t		digits = 0;
	size_t		padding = 0;
	size_t		i;

	*is_standard = true;
	for (i = 0; i < base64->len; i++)
	{
		switch (base64->data[i])
		{
			case ' ':
			case '\t':
			case '\n':
			case '\r':
				break;
			case '=':
				padding++;
				break;
			case '\v':
			case '\f':
				*is_standard = false;
				break;
			case '-':
			case '_':
				*is_standard = false;
				digits++;
				break;
			default:
				digits++;
		}
	}
	if ((digits + padding) % 4 != 0)
		*is_standard = false;
	return digits;
}

static void
report_not_base64(const Layer *layer, bool truncated, List **findings)
{
	size_t		fault = kms_base64_fault((const char *) layer->data, layer->len);
	int			position = 1;
	size_t		i;

	if (fault == layer->len)
	{
		if (truncated)
			return;
		kms_diagnose_hint_add(findings,
							  psprintf("%s is not base64: its end does not fit",
									   subject_of(layer)),
							  "It was cut off, or has characters or padding too much.",
							  NULL);
		return;
	}
	for (i = 0; i < fault; i++)
		position += (layer->data[i] & 0xc0) != 0x80 ? 1 : 0;
	kms_diagnose_hint_add(findings,
						  psprintf("%s is not base64: character %d may not stand where it is",
								   subject_of(layer), position),
						  "Send base64 (RFC 4648) in one of its two alphabets, with padding at the end alone, or a JWE.",
						  NULL);
}

/*
 * Bytes that came directly out of base64 are best given to kms_decrypt() as
 * that, unless it is too long because of its white space.
 */
static void
fill_unpacked(KmsUnpacked *unpacked, const Layer *base64, const Layer *bytes)
{
	unpacked->data = bytes->data;
	unpacked->len = bytes->len;
	unpacked->as_bytes = bytes->sql;
	if (base64->sql != NULL && base64->len <= (size_t) kms_max_ciphertext_size)
		unpacked->as_text = base64->sql;
	else
		unpacked->as_text = kms_diagnose_form_base64(bytes->sql);
}
