#include "crypto/looks_family.h"
#include "crypto/utf8.h"

/* Fewer characters say too little about where they come from. */
#define CHARACTERS_MIN	64

/* Numbers of characters in a text. */
typedef struct Count
{
	size_t		all;
	size_t		latin1;			/* U+0080 to U+00FF */
	size_t		above;			/* U+0100 and above */
	size_t		invisible;
	size_t		visible;		/* outside of ASCII */
	size_t		replaced;
	size_t		question_marks;
	size_t		first_invisible;	/* position, from 1 */
	size_t		first_replaced;
} Count;

static bool is_blanked(const char *in, size_t len, size_t block);
static bool is_empty(const char *in, size_t len);
static bool count_characters(const char *in, size_t len, Count *count);
static bool is_invisible(uint32_t c);
static KmsLooks take_blanks(const char *in, size_t len,
							KmsLooksUndone *undone);
static KmsLooks take_latin1(const char *in, size_t len,
							KmsLooksUndone *undone);
static KmsLooks take_invisible(const char *in, size_t len,
							   KmsLooksUndone *undone);

KmsLooks
kms_looks_characters(const char *in, size_t len, size_t block,
					 KmsLooksUndone *undone)
{
	Count		count = {0};

	if (is_blanked(in, len, block))
		return take_blanks(in, len, undone);
	if (is_empty(in, len))
		return KMS_LOOKS_EMPTY;
	if (!count_characters(in, len, &count))
		return KMS_LOOKS_PLAIN;
	if (count.replaced > 0)
	{
		undone->number = count.first_replaced;
		return KMS_LOOKS_REPLACED;
	}
	if (count.all >= CHARACTERS_MIN && count.question_marks * 4 >= count.all)
	{
		undone->number = count.question_marks;
		return KMS_LOOKS_QUESTION_MARKS;
	}
	if (count.all >= CHARACTERS_MIN && count.latin1 * 4 >= count.all &&
		count.above == 0)
		return take_latin1(in, len, undone);
	if (count.invisible > 0 && count.visible == 0)
	{
		undone->number = count.first_invisible;
		return take_invisible(in, len, undone);
	}
	return KMS_LOOKS_PLAIN;
}

/*
 * Return true if the text has the length of the block with its blanks as plus
 * signs, and does not have it without.
 */
static bool
is_blanked(const char *in, size_t len, size_t block)
{
	size_t		digits = 0;
	size_t		blanks = 0;
	size_t		i;

	for (i = 0; i < len; i++)
	{
		if (kms_looks_is_base64(in[i]))
		{
			if (in[i] == '+' || in[i] == '-' || in[i] == '_')
				return false;
			digits++;
		}
		else if (in[i] == ' ')
			blanks++;
		else if (in[i] != '=' && !kms_looks_is_space(in[i]))
			return false;
	}
	return block > 0 && blanks > 0 && digits * 3 / 4 != block &&
		(digits + blanks) * 3 / 4 == block;
}

static bool
is_empty(const char *in, size_t len)
{
	size_t		i;

	for (i = 0; i < len; i++)
	{
		if (!kms_looks_is_space(in[i]) && in[i] != '\v' && in[i] != '\f')
			return false;
	}
	return true;
}

/* Return false if the text is not UTF-8. */
static bool
count_characters(const char *in, size_t len, Count *count)
{
	size_t		at = 0;

	while (at < len)
	{
		uint32_t	c;
		size_t		size = kms_utf8_read((const unsigned char *) in + at,
										 len - at, &c);

		if (size == 0)
			return false;
		at += size;
		count->all++;
		count->question_marks += c == '?';
		count->latin1 += c >= 0x80 && c <= 0xff;
		count->above += c > 0xff;
		if (c == 0xfffd)
		{
			if (count->replaced++ == 0)
				count->first_replaced = count->all;
		}
		else if (is_invisible(c))
		{
			if (count->invisible++ == 0)
				count->first_invisible = count->all;
		}
		else if (c >= 0x80)
			count->visible++;
	}
	return true;
}

/*
 * Return true for controls, for spaces other than those of ASCII, and for
 * characters that have no width: Unicode's Default_Ignorable_Code_Point as far
 * as it occurs, and Bidi_Control.
 */
static bool
is_invisible(uint32_t c)
{
	if (c < 0x80)
		return c == 0x7f || (c < 0x20 && !kms_looks_is_space((char) c));
	return c <= 0xa0 || c == 0xad || c == 0x34f || c == 0x61c ||
		c == 0x1680 || (c >= 0x180b && c <= 0x180f) ||
		(c >= 0x2000 && c <= 0x200f) || (c >= 0x2028 && c <= 0x202f) ||
		(c >= 0x205f && c <= 0x206f) || c == 0x3000 ||
		(c >= 0xfe00 && c <= 0xfe0f) || c == 0xfeff ||
		(c >= 0xe0000 && c <= 0xe0fff);
}

static KmsLooks
take_blanks(const char *in, size_t len, KmsLooksUndone *undone)
{
	size_t		i;

	for (i = 0; i < len; i++)
		undone->data[i] = in[i] == ' ' ? '+' : in[i];
	undone->len = len;
	return KMS_LOOKS_BLANKED;
}

static KmsLooks
take_latin1(const char *in, size_t len, KmsLooksUndone *undone)
{
	size_t		at = 0;

	while (at < len)
	{
		uint32_t	c;

		at += kms_utf8_read((const unsigned char *) in + at, len - at, &c);
		undone->data[undone->len++] = (unsigned char) c;
	}
	return KMS_LOOKS_LATIN1;
}

/* Leave only printable ASCII, and the white space of ASCII. */
static KmsLooks
take_invisible(const char *in, size_t len, KmsLooksUndone *undone)
{
	size_t		i;

	for (i = 0; i < len; i++)
	{
		if ((in[i] >= ' ' && in[i] <= '~') || kms_looks_is_space(in[i]))
			undone->data[undone->len++] = in[i];
	}
	return KMS_LOOKS_INVISIBLE;
}
