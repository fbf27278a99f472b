#include "postgres.h"

#include "catalog/namespace.h"
#include "common/base64.h"

#include "pg/encoding.h"

#include "crypto/base64.h"
#include "pg/compat.h"

static bool find(KmsEncoding *encoding, int from, int to);

bool
kms_encoding_from_utf8(KmsEncoding *encoding)
{
	return find(encoding, PG_UTF8, GetDatabaseEncoding());
}

bool
kms_encoding_to_utf8(KmsEncoding *encoding)
{
	return find(encoding, GetDatabaseEncoding(), PG_UTF8);
}

static bool
find(KmsEncoding *encoding, int from, int to)
{
	unsigned char out[KMS_ENCODING_GROWTH + 1];
	size_t		out_len;

	encoding->from = from;
	encoding->to = to;
	encoding->conversion = InvalidOid;
	if (from == to || from == PG_SQL_ASCII || to == PG_SQL_ASCII)
		return true;
	encoding->conversion = FindDefaultConversionProc(from, to);
	if (!OidIsValid(encoding->conversion))
		return false;

	/* The first conversion loads its library, which may raise an error. */
	(void) kms_encoding_convert(encoding, (const unsigned char *) "x", 1, out,
								sizeof(out), &out_len);
	return true;
}

bool
kms_encoding_is_ascii(const char *in, size_t len)
{
	size_t		i;

	for (i = 0; i < len; i++)
	{
		if (IS_HIGHBIT_SET(in[i]))
			return false;
	}
	return true;
}

size_t
kms_encoding_room(const KmsEncoding *encoding, size_t len)
{
	if (OidIsValid(encoding->conversion))
		len *= KMS_ENCODING_GROWTH;
	return len + 1;
}

bool
kms_encoding_convert(const KmsEncoding *encoding, const unsigned char *in,
					 size_t len, unsigned char *out, size_t size,
					 size_t *out_len)
{
	int			done;

	*out_len = 0;
	if (encoding->from == PG_UTF8 &&
		!pg_verify_mbstr(PG_UTF8, (const char *) in, len, true))
		return false;
	if (!OidIsValid(encoding->conversion))
	{
		memcpy(out, in, len);
		*out_len = len;
		return true;
	}
	done = pg_do_encoding_conversion_buf(encoding->conversion, encoding->from,
										 encoding->to,
										 unconstify(unsigned char *, in), len,
										 out, size, true);
	if (done != (int) len)
	{
		explicit_bzero(out, size);
		return false;
	}
	*out_len = strlen((char *) out);
	return true;
}

bool
kms_encoding_decode_base64(const char *in, size_t in_len,
						   const unsigned char **data, size_t *len)
{
	char	   *normal = palloc(in_len + 4);
	unsigned char *out;
	size_t		normal_len;
	int			out_len;

	if (kms_base64_normalize(in, in_len, normal, &normal_len) != KMS_OK)
		return false;
	out = palloc(pg_b64_dec_len(normal_len) + 1);
	out_len = pg_b64_decode(normal, normal_len, (KmsBase64Byte *) out,
							pg_b64_dec_len(normal_len));
	if (out_len < 0)
		return false;
	*data = out;
	*len = out_len;
	return true;
}

text *
kms_encoding_encode_base64(const unsigned char *data, size_t len)
{
	int			size = pg_b64_enc_len(len);
	text	   *result = palloc(VARHDRSZ + size);
	int			out_len = pg_b64_encode((const KmsBase64Byte *) data, len,
										VARDATA(result), size);

	if (out_len < 0)
		elog(ERROR, "could not encode in base64");
	SET_VARSIZE(result, VARHDRSZ + out_len);
	return result;
}

size_t
kms_encoding_url_room(size_t len)
{
	return pg_b64_enc_len(len) + 1;
}

size_t
kms_encoding_encode_url(const void *data, size_t len, char *out)
{
	int			out_len = pg_b64_encode((const KmsBase64Byte *) data, len, out,
										pg_b64_enc_len(len));
	int			i;

	while (out_len > 0 && out[out_len - 1] == '=')
		out_len--;
	for (i = 0; i < out_len; i++)
	{
		if (out[i] == '+')
			out[i] = '-';
		else if (out[i] == '/')
			out[i] = '_';
	}
	out_len = Max(out_len, 0);
	out[out_len] = '\0';
	return out_len;
}
