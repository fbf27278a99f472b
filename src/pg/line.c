#include "postgres.h"

#include "access/xact.h"
#include "catalog/namespace.h"
#include "mb/pg_wchar.h"

#include "pg/line.h"

#include "crypto/utf8_line.h"

#define is_printable(c) ((c) >= 0x20 && (c) <= 0x7e)

static KmsLine judge_utf8(const char *text, size_t len);
static KmsLine judge_converted(const char *text, size_t len);

KmsLine
kms_line_judge(const char *text, size_t len)
{
	int			encoding = GetDatabaseEncoding();
	size_t		i;

	for (i = 0; i < len && is_printable((unsigned char) text[i]); i++)
		;
	if (i == len)
		return KMS_LINE_OK;
	if (encoding == PG_UTF8 || encoding == PG_SQL_ASCII)
		return judge_utf8(text, len);
	return judge_converted(text, len);
}

static KmsLine
judge_utf8(const char *text, size_t len)
{
	if (kms_utf8_line_valid(text, len))
		return KMS_LINE_OK;
	return pg_verify_mbstr(PG_UTF8, text, len, true) ? KMS_LINE_REFUSED
		: KMS_LINE_NOT_TEXT;
}

/*
 * Check text in another encoding.  Outside of a transaction that is not
 * possible, because conversions are in the catalogs.
 */
static KmsLine
judge_converted(const char *text, size_t len)
{
	int			encoding = GetDatabaseEncoding();
	size_t		size = len * MAX_CONVERSION_GROWTH + 1;
	char	   *utf8;
	Oid			conversion;
	int			done;
	KmsLine		result = KMS_LINE_NOT_TEXT;

	for (; len > 0 && is_printable((unsigned char) *text); len--)
		text	  ++;

	if (!IsTransactionState() || !pg_verify_mbstr(encoding, text, len, true))
		return KMS_LINE_NOT_TEXT;
	conversion = FindDefaultConversionProc(encoding, PG_UTF8);
	if (!OidIsValid(conversion))
		return KMS_LINE_NOT_TEXT;
	utf8 = palloc(size);
	done = pg_do_encoding_conversion_buf(conversion, encoding, PG_UTF8,
										 (unsigned char *) unconstify(char *, text),
										 len, (unsigned char *) utf8, size,
										 true);
	if (done == (int) len)
		result = judge_utf8(utf8, strlen(utf8));
	pfree(utf8);
	return result;
}

void
kms_line_clean(char *line)
{
	if (kms_line_judge(line, strlen(line)) == KMS_LINE_OK)
		return;
	for (; *line != '\0'; line++)
	{
		if (!is_printable((unsigned char) *line))
			*line = '?';
	}
}

void
kms_line_copy(char *out, size_t size, const char *in)
{
	size_t		len = strlen(in);

	if (len >= size)
		len = pg_mbcliplen(in, len, size - 1);
	memcpy(out, in, len);
	out[len] = '\0';
}
