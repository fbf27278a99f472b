/*
 * JSON of any bytes.  A value that is read has texts in UTF-8 without a NUL,
 * no name twice in an object and no more than the allowed depth; written
 * again, with every character escaped, it is read as the same value.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "arena.h"
#include "pg/json.h"

/* An escape is at most 12 times as long as what it stands for. */
#define GROWTH	12
#define PLENTY	64

extern int	LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Write the character at *at as escapes, and move *at behind it. */
static char *
write_character(const unsigned char **at, const unsigned char *end, char *out)
{
	const unsigned char *in = *at;
	unsigned int c = in[0];
	int			size = c < 0x80 ? 1 : c < 0xe0 ? 2 : c < 0xf0 ? 3 : 4;
	int			i;

	if (end - in < size || c == 0 || (c >= 0x80 && c < 0xc2) || c > 0xf4)
		abort();
	if (size > 1)
		c &= 0x7fu >> size;
	for (i = 1; i < size; i++)
	{
		if ((in[i] & 0xc0) != 0x80)
			abort();
		c = c << 6 | (in[i] & 0x3f);
	}
	*at += size;
	if (c < 0x10000)
		return out + snprintf(out, PLENTY, "\\u%04x", c);
	c -= 0x10000;
	return out + snprintf(out, PLENTY, "\\u%04x\\u%04X", 0xd800 | c >> 10,
						  0xdc00 | (c & 0x3ff));
}

static char *
write_string(KmsText string, char *out)
{
	const unsigned char *at = (const unsigned char *) string.at;
	const unsigned char *end = at + string.len;

	*out++ = '"';
	while (at < end)
		out = write_character(&at, end, out);
	*out++ = '"';
	return out;
}

static char *
write_value(const KmsJsonValue *value, int depth, char *out)
{
	static const char *const literals[] = {"null", "false", "true"};
	bool		is_object = value->type == KMS_JSON_OBJECT;
	const KmsJsonValue *child;

	if (value->type == KMS_JSON_STRING)
		return write_string(value->scalar, out);
	if (value->type == KMS_JSON_NUMBER)
	{
		memcpy(out, value->scalar.at, value->scalar.len);
		return out + value->scalar.len;
	}
	if (value->type <= KMS_JSON_TRUE)
		return out + snprintf(out, PLENTY, "%s", literals[value->type]);

	if (depth == KMS_JSON_DEPTH_MAX)
		abort();
	*out++ = is_object ? '{' : '[';
	for (child = value->first; child != NULL; child = child->next)
	{
		if (is_object)
		{
			if (child->next != NULL && child->name.len > child->next->name.len)
				abort();
			out = write_string(child->name, out);
			*out++ = ':';
		}
		else if (child->name.at != NULL)
			abort();
		out = write_value(child, depth + 1, out);
		if (child->next != NULL)
			*out++ = ',';
	}
	*out++ = is_object ? '}' : ']';
	return out;
}

static bool
is_same_text(KmsText a, KmsText b)
{
	return a.len == b.len && (a.len == 0 || memcmp(a.at, b.at, a.len) == 0);
}

static bool
is_same(const KmsJsonValue *a, const KmsJsonValue *b)
{
	const KmsJsonValue *x = a->first;
	const KmsJsonValue *y = b->first;

	if (a->type != b->type || !is_same_text(a->name, b->name) ||
		!is_same_text(a->scalar, b->scalar))
		return false;
	for (; x != NULL && y != NULL; x = x->next, y = y->next)
	{
		if (!is_same(x, y))
			return false;
	}
	return x == y;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const KmsJsonValue *value;
	const KmsJsonValue *again;
	KmsJweFlaw	flaw = kms_json_read((const char *) data, size, &value);
	char	   *out;

	switch (flaw)
	{
		case KMS_FLAW_NONE:
			out = malloc(size * GROWTH + PLENTY);
			if (kms_json_read(out, (size_t) (write_value(value, 0, out) - out),
							  &again) != KMS_FLAW_NONE ||
				!is_same(value, again))
				abort();
			free(out);
			break;
		case KMS_FLAW_NOT_JSON:
		case KMS_FLAW_NOT_UNICODE:
		case KMS_FLAW_NUL:
		case KMS_FLAW_TOO_DEEP:
		case KMS_FLAW_TWICE:
			if (value != NULL)
				abort();
			break;
		default:
			abort();
	}
	arena_reset();
	return 0;
}
