#include "crypto/base64.h"
#include "crypto/looks_family.h"

/* Numbers of characters in a text of digits. */
typedef struct Digits
{
	size_t		hex;
	size_t		decimal;
	size_t		space;
	size_t		others;			/* marks between hexadecimal digits, or before
								 * them */
	size_t		odd_runs;		/* of an odd number of digits without a mark */
} Digits;

static KmsLooks take_hex(const char *in, size_t len, size_t block,
						 KmsLooksUndone *undone);
static bool count_digits(const char *in, size_t len, Digits *digits);
static size_t skip_mark(const char *in, size_t len);
static void decode_hex(const char *in, size_t len, bool odd,
					   KmsLooksUndone *undone);
static KmsLooks take_base64(const char *in, size_t len, size_t block,
							KmsLooksUndone *undone);
static bool take_mixed(const char *in, size_t len, KmsLooksUndone *undone);
static bool take_padded(const char *in, size_t len, KmsLooksUndone *undone);
static bool take_row(const char *in, size_t len, KmsLooksUndone *undone);
static bool take_bits(const char *in, size_t len, size_t block,
					  KmsLooksUndone *undone);
static void decode_base64(const char *in, size_t len, KmsLooksUndone *undone);

KmsLooks
kms_looks_digits(const char *in, size_t len, size_t block,
				 KmsLooksUndone *undone)
{
	KmsLooks	looks = take_hex(in, len, block, undone);

	if (looks == KMS_LOOKS_PLAIN)
		looks = take_base64(in, len, block, undone);
	if (looks == KMS_LOOKS_PLAIN && kms_looks_digits_shortened(in, len))
		looks = KMS_LOOKS_SHORTENED;
	return looks;
}

bool
kms_looks_digits_shortened(const char *in, size_t len)
{
	return kms_looks_find(in, len, "...") < len ||
		kms_looks_find(in, len, "\xe2\x80\xa6") < len;
}

static KmsLooks
take_hex(const char *in, size_t len, size_t block, KmsLooksUndone *undone)
{
	bool		is_bytea = kms_looks_begins(in, len, "\\x");
	Digits		digits = {0};

	if (!count_digits(in, len, &digits))
		return KMS_LOOKS_PLAIN;
	if (is_bytea && digits.others == 1 && digits.space == 0 &&
		digits.hex % 2 == 0)
	{
		decode_hex(in, len, false, undone);
		return KMS_LOOKS_BYTEA;
	}
	if (digits.hex < KMS_LOOKS_HEX_MIN || digits.odd_runs > 0)
		return KMS_LOOKS_PLAIN;
	undone->number = digits.hex;
	if (digits.hex == digits.decimal && digits.others == 0 &&
		digits.hex >= KMS_LOOKS_DECIMAL_MIN)
		return KMS_LOOKS_DECIMAL;
	if (digits.hex % 2 == 1 && (block == 0 || digits.hex != 2 * block - 1))
		return KMS_LOOKS_HEX_CUT;
	decode_hex(in, len, digits.hex % 2 == 1, undone);
	if (digits.hex % 2 == 1)
		return KMS_LOOKS_HEX_ODD;
	return digits.others > 0 ? KMS_LOOKS_HEX_SEPARATED : KMS_LOOKS_HEX;
}

/*
 * Return false if the text has something else.  The last run is not counted,
 * because the text may have been cut off.
 */
static bool
count_digits(const char *in, size_t len, Digits *digits)
{
	size_t		start = 0;		/* digits before this run */
	size_t		at = 0;

	while (at < len)
	{
		size_t		mark = skip_mark(in + at, len - at);

		if (mark > 0)
		{
			digits->others++;
			digits->odd_runs += (digits->hex - start) % 2;
			start = digits->hex;
		}
		else if (kms_looks_is_hex(in[at]))
		{
			digits->hex++;
			digits->decimal += kms_looks_is_decimal(in[at]) ? 1 : 0;
		}
		else if (kms_looks_is_space(in[at]))
			digits->space++;
		else
			return false;
		at += mark > 0 ? mark : 1;
	}
	return true;
}

/*
 * Return the length of a mark that begins here: 0x, \x, and what is written
 * between bytes.
 */
static size_t
skip_mark(const char *in, size_t len)
{
	if (len >= 2 && (in[0] == '0' || in[0] == '\\') && (in[1] | 0x20) == 'x')
		return 2;
	return memchr(":-,;", in[0], 4) != NULL ? 1 : 0;
}

static void
decode_hex(const char *in, size_t len, bool odd, KmsLooksUndone *undone)
{
	size_t		nibbles = odd ? 1 : 0;
	size_t		at = 0;

	undone->data[0] = 0;
	while (at < len)
	{
		size_t		mark = skip_mark(in + at, len - at);

		if (mark == 0 && kms_looks_is_hex(in[at]))
		{
			unsigned char *byte = &undone->data[nibbles / 2];
			int			value = kms_looks_hex_value(in[at]);

			*byte = nibbles++ % 2 == 0 ? value << 4 : *byte | value;
		}
		at += mark > 0 ? mark : 1;
	}
	undone->len = nibbles / 2;
}

/* Flaws of base64 that can be undone. */
static KmsLooks
take_base64(const char *in, size_t len, size_t block, KmsLooksUndone *undone)
{
	size_t		ignored;
	bool		valid = kms_base64_normalize(in, len, (char *) undone->data,
											 &ignored) == KMS_OK;

	if (valid)
		return KMS_LOOKS_PLAIN;
	if (take_mixed(in, len, undone))
		return KMS_LOOKS_BASE64_MIXED;
	if (take_padded(in, len, undone))
		return KMS_LOOKS_BASE64_PADDED;
	if (take_row(in, len, undone))
		return KMS_LOOKS_BASE64_ROW;
	if (take_bits(in, len, block, undone))
		return KMS_LOOKS_BASE64_BITS;
	undone->len = 0;
	undone->number = 0;
	return KMS_LOOKS_PLAIN;
}

static bool
take_mixed(const char *in, size_t len, KmsLooksUndone *undone)
{
	size_t		i;

	for (i = 0; i < len; i++)
		undone->data[i] = in[i] == '-' ? '+' : in[i] == '_' ? '/' : in[i];
	undone->len = len;
	return kms_base64_fault(in, len) < len &&
		kms_base64_fault((const char *) undone->data, len) == len;
}

static bool
take_padded(const char *in, size_t len, KmsLooksUndone *undone)
{
	size_t		end = len;

	while (end > 0 && (in[end - 1] == '=' || kms_looks_is_space(in[end - 1])))
		end--;
	if (end == len || end == 0 || kms_base64_fault(in, end) < end)
		return false;
	(void) kms_looks_leave(KMS_LOOKS_BASE64_PADDED, in, end, undone);
	/* otherwise the padding is not what is wrong with it */
	return kms_base64_fault(in, len) < len;
}

/* Several texts of base64, each with its padding, or with marks between. */
static bool
take_row(const char *in, size_t len, KmsLooksUndone *undone)
{
	size_t		texts = 0;
	size_t		at = 0;

	undone->len = 0;
	while (at < len)
	{
		size_t		start = at;
		size_t		digits = 0;

		while (at < len && (kms_looks_is_base64(in[at]) ||
							kms_looks_is_space(in[at])))
			digits += kms_looks_is_base64(in[at++]) ? 1 : 0;
		if (digits % 4 == 1)
			return false;
		if (digits >= KMS_LOOKS_BASE64_MIN)
		{
			decode_base64(in + start, at - start, undone);
			texts++;
		}
		else if (digits > 0)
			return false;
		while (at < len && memchr("=,;|:.", in[at], 6) != NULL)
			at++;
		if (at < len && !kms_looks_is_base64(in[at]) &&
			!kms_looks_is_space(in[at]))
			return false;
	}
	undone->number = texts;
	return texts > 1;
}

/*
 * Accept bits of the last digit that are not zero only if the length is that
 * of the block: otherwise the text was cut off.
 */
static bool
take_bits(const char *in, size_t len, size_t block, KmsLooksUndone *undone)
{
	size_t		digits = 0;
	size_t		i;

	undone->len = 0;
	if (block == 0 || kms_base64_fault(in, len) < len)
		return false;
	for (i = 0; i < len; i++)
		digits += kms_looks_is_base64(in[i]) ? 1 : 0;
	if (digits % 4 < 2 || digits * 3 / 4 != block)
		return false;
	decode_base64(in, len, undone);
	undone->number = (digits + 3) / 4 * 4;
	return true;
}

/* Append the bytes of base64 without padding, of either alphabet. */
static void
decode_base64(const char *in, size_t len, KmsLooksUndone *undone)
{
	unsigned char *out = undone->data + undone->len;
	size_t		digits = 0;
	size_t		i;

	for (i = 0; i < len; i++)
	{
		if (kms_looks_is_base64(in[i]))
			out[digits++] = in[i];
	}
	kms_base64_url_decode((const char *) out, digits, out);
	undone->len += kms_base64_url_size(digits);
}
