#include "crypto/looks_family.h"
#include "crypto/utf8.h"

#define OCTALS_MIN	16			/* escapes of a bytea */
#define ENTITY_MAX	16			/* characters of an escape of HTML */

/* A character that HTML may escape: its name and its code point. */
typedef struct Entity
{
	char		character;
	const char *name;
} Entity;

static const Entity entities[] = {
	{'+', "plus"}, {'/', "sol"}, {'=', "equals"}, {'"', "quot"}, {'&', "amp"}
};

static bool take_serialized(const char *in, size_t len,
							KmsLooksUndone *undone);
static bool take_octals(const char *in, size_t len, KmsLooksUndone *undone);
static bool is_octal(const char *in, size_t len);
static bool take_json_escapes(const char *in, size_t len,
							  KmsLooksUndone *undone);
static bool take_slashes(const char *in, size_t len, KmsLooksUndone *undone);
static bool take_percent(const char *in, size_t len, KmsLooksUndone *undone);
static bool is_text(const unsigned char *in, size_t len);
static bool take_html(const char *in, size_t len, KmsLooksUndone *undone);
static size_t read_entity(const char *in, size_t len, char *character);
static bool is_entity(const char *in, size_t len, const Entity *entity);

KmsLooks
kms_looks_escaped(const char *in, size_t len, KmsLooksUndone *undone)
{
	undone->number = 0;
	if (take_serialized(in, len, undone))
		return KMS_LOOKS_SERIALIZED;
	if (take_octals(in, len, undone))
		return KMS_LOOKS_BYTEA_ESCAPE;
	if (take_json_escapes(in, len, undone))
		return KMS_LOOKS_JSON_ESCAPED;
	if (take_slashes(in, len, undone))
		return KMS_LOOKS_SLASHED;
	if (take_percent(in, len, undone))
		return KMS_LOOKS_PERCENT_ENCODED;
	if (take_html(in, len, undone))
		return KMS_LOOKS_HTML;
	undone->len = 0;
	return KMS_LOOKS_PLAIN;
}

/*
 * The one string of s:<n>:"..." that is long enough, alone or in an array or
 * an object.
 */
static bool
take_serialized(const char *in, size_t len, KmsLooksUndone *undone)
{
	size_t		found = 0;
	size_t		at;

	if (len < 2 || memchr("saO", in[0], 3) == NULL || in[1] != ':')
		return false;
	for (at = 0; at + 2 < len; at++)
	{
		size_t		size = 0;
		size_t		i = at + 2;

		if (in[at] != 's' || in[at + 1] != ':')
			continue;
		while (i < len && kms_looks_is_decimal(in[i]) && size < len)
			size = size * 10 + (in[i++] - '0');
		if (size < KMS_LOOKS_VALUE_MIN || size > len - i ||
			!kms_looks_begins(in + i, len - i, ":\"") ||
			len - i < size + 3 || in[i + 2 + size] != '"' ||
			memchr(in + i + 2, '"', size) != NULL)
			continue;
		found++;
		undone->number = size;
		(void) kms_looks_leave(KMS_LOOKS_SERIALIZED, in + i + 2, size, undone);
	}
	if (found == 1)
		return true;
	undone->len = 0;
	return false;
}

/* Bytes as \ooo, and backslashes twice: bytea_output = escape. */
static bool
take_octals(const char *in, size_t len, KmsLooksUndone *undone)
{
	size_t		octals = 0;
	size_t		at = 0;

	undone->len = 0;
	while (at < len)
	{
		if (in[at] != '\\')
			undone->data[undone->len++] = in[at++];
		else if (is_octal(in + at, len - at))
		{
			undone->data[undone->len++] = (in[at + 1] - '0') << 6 |
				(in[at + 2] - '0') << 3 | (in[at + 3] - '0');
			octals++;
			at += 4;
		}
		else if (kms_looks_begins(in + at, len - at, "\\\\"))
		{
			undone->data[undone->len++] = '\\';
			at += 2;
		}
		else
			return false;
	}
	return octals >= OCTALS_MIN;
}

static bool
is_octal(const char *in, size_t len)
{
	return len >= 4 && in[1] >= '0' && in[1] <= '3' && in[2] >= '0' &&
		in[2] <= '7' && in[3] >= '0' && in[3] <= '7';
}

/* The content of a JSON string, which may be broken into lines. */
static bool
take_json_escapes(const char *in, size_t len, KmsLooksUndone *undone)
{
	size_t		joined = 0;
	size_t		unescaped;
	size_t		i;

	if (memchr(in, '\\', len) == NULL)
		return false;
	for (i = 0; i < len; i++)
	{
		if (in[i] != '\t' && in[i] != '\n' && in[i] != '\r')
			undone->data[joined++] = in[i];
	}
	/* in place: what an escape stands for is never longer than the escape */
	if (!kms_looks_json_string_unescape((const char *) undone->data, joined,
										undone->data, &unescaped))
		return false;
	undone->len = unescaped;
	return true;
}

/* Quotes and backslashes behind a backslash, as addslashes() writes them. */
static bool
take_slashes(const char *in, size_t len, KmsLooksUndone *undone)
{
	size_t		at = 0;

	undone->len = 0;
	if (memchr(in, '\\', len) == NULL)
		return false;
	while (at < len)
	{
		if (in[at] == '\\')
		{
			if (++at == len || memchr("'\"\\", in[at], 3) == NULL)
				return false;
		}
		undone->data[undone->len++] = in[at++];
	}
	return true;
}

/* Undo RFC 3986, 2.1.  The result must be text. */
static bool
take_percent(const char *in, size_t len, KmsLooksUndone *undone)
{
	bool		found = false;
	size_t		at = 0;

	undone->len = 0;
	while (at < len)
	{
		if (in[at] == '%' && len - at >= 3 && kms_looks_is_hex(in[at + 1]) &&
			kms_looks_is_hex(in[at + 2]))
		{
			undone->data[undone->len++] = kms_looks_hex_value(in[at + 1]) << 4 |
				kms_looks_hex_value(in[at + 2]);
			found = true;
			at += 3;
		}
		else
			undone->data[undone->len++] = in[at++];
	}
	return found && is_text(undone->data, undone->len);
}

static bool
is_text(const unsigned char *in, size_t len)
{
	size_t		at = 0;

	while (at < len)
	{
		uint32_t	c;
		size_t		size = kms_utf8_read(in + at, len - at, &c);

		if (size == 0 || c == 0)
			return false;
		at += size;
	}
	return true;
}

/* Escapes of the characters that occur in base64, and of quotes. */
static bool
take_html(const char *in, size_t len, KmsLooksUndone *undone)
{
	bool		found = false;
	size_t		at = 0;

	undone->len = 0;
	while (at < len)
	{
		char		c = in[at];
		size_t		size = read_entity(in + at, len - at, &c);

		found = found || size > 0;
		undone->data[undone->len++] = c;
		at += size > 0 ? size : 1;
	}
	return found;
}

/* Return the length of the escape that begins here, or 0. */
static size_t
read_entity(const char *in, size_t len, char *character)
{
	size_t		end;
	size_t		i;

	if (len == 0 || in[0] != '&')
		return 0;
	if (len > ENTITY_MAX)
		len = ENTITY_MAX;
	end = kms_looks_find(in, len, ";");
	if (end == len)
		return 0;
	for (i = 0; i < sizeof(entities) / sizeof(entities[0]); i++)
	{
		if (is_entity(in + 1, end - 1, &entities[i]))
		{
			*character = entities[i].character;
			return end + 1;
		}
	}
	return 0;
}

/* "plus", "#43" or "#x2B", in upper or lower case, with leading zeros */
static bool
is_entity(const char *in, size_t len, const Entity *entity)
{
	bool		hex = len > 1 && in[0] == '#' && (in[1] | 0x20) == 'x';
	size_t		i = hex ? 2 : 1;
	int			value = 0;

	if (len == 0 || in[0] != '#')
	{
		for (i = 0; i < len && entity->name[i] != '\0'; i++)
		{
			if ((in[i] | 0x20) != entity->name[i])
				return false;
		}
		return len > 0 && i == len && entity->name[i] == '\0';
	}
	if (i == len)
		return false;
	for (; i < len && value < 256; i++)
	{
		if (hex ? !kms_looks_is_hex(in[i]) : !kms_looks_is_decimal(in[i]))
			return false;
		value = value * (hex ? 16 : 10) + kms_looks_hex_value(in[i]);
	}
	return i == len && value == entity->character;
}
