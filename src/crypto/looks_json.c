/*
 * JSON is read here, and not by PostgreSQL's parser, because this layer knows
 * no PostgreSQL.  The reader is strict: it accepts no text that a cast to
 * jsonb refuses, because the SQL of the forms makes that cast.
 */
#include <stdio.h>

#include "crypto/looks_family.h"

#define DEPTH_MAX		32
#define NUMBER_MAX		40		/* characters */
#define EXPONENT_MAX	3		/* digits */

/* Members of a JWE (RFC 7516, 7.2) and of a JWS (RFC 7515, 7.2). */
#define HAS_CIPHERTEXT	0x01
#define HAS_HEADER		0x02	/* any but the one of a recipient */
#define HAS_PAYLOAD		0x04
#define HAS_SIGNATURE	0x08

/* Members of a JWK and of a set of them (RFC 7517, 4 and 5). */
#define HAS_KTY			0x10
#define HAS_KEYS		0x20

#define IS_JWE			(HAS_CIPHERTEXT | HAS_HEADER)
#define IS_JWS			(HAS_PAYLOAD | HAS_SIGNATURE)

typedef enum Type
{
	NO_VALUE = 0,				/* it is not valid */
	STRING,
	BYTE,						/* a number that can be one */
	OTHER
} Type;

/* Values of one kind: how many there are, and the first. */
typedef struct Values
{
	size_t		count;
	size_t		at;				/* its content, without quotes or bracket; a
								 * JWE has its braces */
	size_t		len;
	size_t		size;			/* characters without escapes, or elements */
} Values;

/* A document while it is read, and what was found in it. */
typedef struct Reader
{
	const char *in;
	size_t		len;
	size_t		at;
	int			depth;
	size_t		block;
	size_t		wanted;			/* count values of this size */
	size_t		of_wanted_size; /* strings, arrays */
	size_t		numbers;
	Values		strings;		/* of KMS_LOOKS_VALUE_MIN characters */
	Values		fitting;		/* the same in base64, of the block's length */
	Values		arrays;			/* of KMS_LOOKS_NUMBERS_MIN bytes */
	Values		indexed;		/* objects of as many, named 0, 1, 2 ... */
	Values		jwes;
	int			outermost;		/* members of the outermost object */
	int			members;		/* of all objects */
	int			byte;			/* the last number */
} Reader;

static KmsLooks take_document(const char *in, size_t len, size_t block,
							  KmsLooksUndone *undone);
static bool is_jwk(const Reader *reader);
static KmsLooks take_broken(const char *in, size_t len,
							KmsLooksUndone *undone);
static KmsLooks take_bytes(KmsLooks looks, const Reader *reader,
						   const Values *values, KmsLooksUndone *undone);
static KmsLooks take_string(const Reader *reader, KmsLooksUndone *undone);
static size_t count_of_size(const Reader *reader, size_t size);
static KmsLooks take_quoted(const char *in, size_t len,
							KmsLooksUndone *undone);
static bool read_document(Reader *reader);
static Type read_value(Reader *reader);
static Type read_string(Reader *reader, size_t *at, size_t *len);
static void note_string(Reader *reader, size_t at, size_t len);
static bool is_of_block(const char *in, size_t len, size_t block);
static Type read_array(Reader *reader);
static Type read_object(Reader *reader);
static int	jose_member(const char *name, size_t len);
static void note(Values *values, size_t at, size_t len, size_t size);
static Type read_number(Reader *reader);
static size_t read_digits(Reader *reader);
static Type read_word(Reader *reader, const char *word);
static bool take(Reader *reader, char c);
static void skip_space(Reader *reader);

KmsLooks
kms_looks_json(const char *in, size_t len, size_t block,
			   KmsLooksUndone *undone)
{
	if (len > 0 && (in[0] == '{' || in[0] == '['))
		return take_document(in, len, block, undone);
	return take_quoted(in, len, undone);
}

static KmsLooks
take_document(const char *in, size_t len, size_t block, KmsLooksUndone *undone)
{
	Reader		reader = {.in = in,.len = len,.block = block};

	if (!read_document(&reader))
		return take_broken(in, len, undone);
	if ((reader.outermost & IS_JWE) == IS_JWE)
		return KMS_LOOKS_JWE;
	if ((reader.outermost & IS_JWS) == IS_JWS)
		return KMS_LOOKS_JWS;
	if (reader.jwes.count == 1)
		return kms_looks_leave(KMS_LOOKS_JSON_JWE, in + reader.jwes.at,
							   reader.jwes.len, undone);
	if (is_jwk(&reader))
		return KMS_LOOKS_KEY;
	if (reader.strings.count > 0)
		return take_string(&reader, undone);
	if (reader.arrays.count == 1 &&
		count_of_size(&reader, reader.arrays.size) == 1)
		return take_bytes(KMS_LOOKS_JSON_ARRAY, &reader, &reader.arrays,
						  undone);
	if (reader.indexed.count == 1 && reader.indexed.size == reader.numbers)
		return take_bytes(KMS_LOOKS_JSON_INDEXES, &reader, &reader.indexed,
						  undone);
	return KMS_LOOKS_JSON_WITHOUT;
}

static bool
is_jwk(const Reader *reader)
{
	return (reader->outermost & HAS_KTY) != 0 ||
		((reader->outermost & HAS_KEYS) != 0 &&
		 (reader->members & HAS_KTY) != 0);
}

/*
 * Recognize what begins like JSON but is not: escapes may have been added to
 * all of it, or other quotes taken.
 */
static KmsLooks
take_broken(const char *in, size_t len, KmsLooksUndone *undone)
{
	KmsLooks	looks = kms_looks_escaped(in, len, undone);
	Reader		reader = {.in = (const char *) undone->data,.len = len};
	size_t		i;

	if (looks != KMS_LOOKS_PLAIN)
		return looks;
	for (i = 0; i < len && in[i] != '"'; i++)
		undone->data[i] = in[i] == '\'' ? '"' : in[i];
	if (i == len && read_document(&reader))
	{
		undone->len = len;
		return KMS_LOOKS_JSON_SINGLE;
	}
	return kms_looks_digits_shortened(in, len) ? KMS_LOOKS_SHORTENED
		: KMS_LOOKS_JSON_BROKEN;
}

static KmsLooks
take_bytes(KmsLooks looks, const Reader *reader, const Values *values,
		   KmsLooksUndone *undone)
{
	Reader		again = {.in = reader->in,.len = values->at + values->len,
	.at = values->at};
	size_t		name;
	size_t		name_len;

	while (undone->len < values->size)
	{
		skip_space(&again);
		if (looks == KMS_LOOKS_JSON_INDEXES)
		{
			(void) read_string(&again, &name, &name_len);
			skip_space(&again);
			(void) take(&again, ':');
		}
		(void) read_value(&again);
		undone->data[undone->len++] = (unsigned char) again.byte;
		skip_space(&again);
		(void) take(&again, ',');
	}
	undone->number = values->size;
	return looks;
}

/*
 * Leave the only string that is long enough, or else the only one that has the
 * length of the block.  Its length must tell it from all other strings,
 * because the SQL of the form knows nothing else of it.
 */
static KmsLooks
take_string(const Reader *reader, KmsLooksUndone *undone)
{
	const Values *values = reader->strings.count == 1 ? &reader->strings
	: &reader->fitting;

	if (values->count != 1 || count_of_size(reader, values->size) > 1)
		return KMS_LOOKS_JSON_VALUES;
	undone->number = values->size;
	(void) kms_looks_json_string_unescape(reader->in + values->at, values->len,
										  undone->data, &undone->len);
	return KMS_LOOKS_JSON_VALUE;
}

/* Return how many strings and arrays of a document have this size. */
static size_t
count_of_size(const Reader *reader, size_t size)
{
	Reader		again = {.in = reader->in,.len = reader->len,.wanted = size};

	(void) read_document(&again);
	return again.of_wanted_size;
}

static KmsLooks
take_quoted(const char *in, size_t len, KmsLooksUndone *undone)
{
	if (len < 2 || in[0] != in[len - 1])
		return KMS_LOOKS_PLAIN;
	if (in[0] == '"' && memchr(in, '\\', len) != NULL &&
		kms_looks_json_string_unescape(in + 1, len - 2, undone->data,
									   &undone->len))
		return KMS_LOOKS_JSON_STRING;
	if (in[0] == '"')
		return kms_looks_leave(KMS_LOOKS_QUOTED, in + 1, len - 2, undone);
	if (in[0] == '\'')
		return kms_looks_leave(KMS_LOOKS_SINGLE_QUOTED, in + 1, len - 2,
							   undone);
	if (in[0] == '`')
		return kms_looks_leave(KMS_LOOKS_BACKQUOTED, in + 1, len - 2, undone);
	return KMS_LOOKS_PLAIN;
}

static bool
read_document(Reader *reader)
{
	if (read_value(reader) == NO_VALUE)
		return false;
	skip_space(reader);
	return reader->at == reader->len;
}

static Type
read_value(Reader *reader)
{
	size_t		at;
	size_t		len;
	Type		type;

	skip_space(reader);
	if (reader->at == reader->len)
		return NO_VALUE;
	switch (reader->in[reader->at])
	{
		case '{':
			return read_object(reader);
		case '[':
			return read_array(reader);
		case '"':
			type = read_string(reader, &at, &len);
			if (type != NO_VALUE)
				note_string(reader, at, len);
			return type;
		case 't':
			return read_word(reader, "true");
		case 'f':
			return read_word(reader, "false");
		case 'n':
			return read_word(reader, "null");
		default:
			return read_number(reader);
	}
}

/* Read a string, or the name of a member; "at" and "len" are its content. */
static Type
read_string(Reader *reader, size_t *at, size_t *len)
{
	size_t		unescaped;

	if (!take(reader, '"'))
		return NO_VALUE;
	*at = reader->at;
	while (reader->at < reader->len && reader->in[reader->at] != '"')
		reader->at += reader->in[reader->at] == '\\' ? 2 : 1;
	if (reader->at >= reader->len)
		return NO_VALUE;
	*len = reader->at++ - *at;
	if (!kms_looks_json_string_unescape(reader->in + *at, *len, NULL,
										&unescaped))
		return NO_VALUE;
	return STRING;
}

static void
note_string(Reader *reader, size_t at, size_t len)
{
	const char *in = reader->in + at;
	size_t		characters = kms_looks_json_string_characters(in, len);

	if (characters == reader->wanted)
		reader->of_wanted_size++;
	if (characters < KMS_LOOKS_VALUE_MIN)
		return;
	note(&reader->strings, at, len, characters);
	if (is_of_block(in, len, reader->block))
		note(&reader->fitting, at, len, characters);
}

static bool
is_of_block(const char *in, size_t len, size_t block)
{
	size_t		i;

	while (len > 0 && in[len - 1] == '=')
		len--;
	for (i = 0; i < len; i++)
	{
		if (!kms_looks_is_base64(in[i]))
			return false;
	}
	return len * 3 / 4 == block;
}

static Type
read_array(Reader *reader)
{
	size_t		start = ++reader->at;
	size_t		size = 0;
	bool		only_bytes = true;

	if (++reader->depth > DEPTH_MAX)
		return NO_VALUE;
	skip_space(reader);
	if (!take(reader, ']'))
	{
		do
		{
			Type		type = read_value(reader);

			if (type == NO_VALUE)
				return NO_VALUE;
			only_bytes = only_bytes && type == BYTE;
			size++;
			skip_space(reader);
		} while (take(reader, ','));
		if (!take(reader, ']'))
			return NO_VALUE;
	}
	reader->depth--;
	if (size == reader->wanted)
		reader->of_wanted_size++;
	if (only_bytes && size >= KMS_LOOKS_NUMBERS_MIN)
		note(&reader->arrays, start, reader->at - 1 - start, size);
	return OTHER;
}

static Type
read_object(Reader *reader)
{
	size_t		start = ++reader->at;
	size_t		size = 0;
	int			members = 0;
	bool		indexed = true;

	if (++reader->depth > DEPTH_MAX)
		return NO_VALUE;
	skip_space(reader);
	if (!take(reader, '}'))
	{
		do
		{
			char		index[24];
			size_t		name;
			size_t		name_len;
			Type		type;

			skip_space(reader);
			if (read_string(reader, &name, &name_len) == NO_VALUE)
				return NO_VALUE;
			skip_space(reader);
			if (!take(reader, ':'))
				return NO_VALUE;
			type = read_value(reader);
			if (type == NO_VALUE)
				return NO_VALUE;
			members |= jose_member(reader->in + name, name_len);
			(void) snprintf(index, sizeof(index), "%zu", size++);
			indexed = indexed && type == BYTE &&
				kms_looks_is(reader->in + name, name_len, index);
			skip_space(reader);
		} while (take(reader, ','));
		if (!take(reader, '}'))
			return NO_VALUE;
	}
	reader->members |= members;
	if (reader->depth == 1)
		reader->outermost = members;
	if ((members & IS_JWE) == IS_JWE)
		note(&reader->jwes, start - 1, reader->at - start + 1, size);
	reader->depth--;
	if (indexed && size >= KMS_LOOKS_NUMBERS_MIN)
		note(&reader->indexed, start, reader->at - 1 - start, size);
	return OTHER;
}

static int
jose_member(const char *name, size_t len)
{
	if (kms_looks_is(name, len, "ciphertext"))
		return HAS_CIPHERTEXT;
	if (kms_looks_is(name, len, "protected") ||
		kms_looks_is(name, len, "unprotected") ||
		kms_looks_is(name, len, "recipients"))
		return HAS_HEADER;
	if (kms_looks_is(name, len, "payload"))
		return HAS_PAYLOAD;
	if (kms_looks_is(name, len, "signature") ||
		kms_looks_is(name, len, "signatures"))
		return HAS_SIGNATURE;
	if (kms_looks_is(name, len, "kty"))
		return HAS_KTY;
	if (kms_looks_is(name, len, "keys"))
		return HAS_KEYS;
	return 0;
}

static void
note(Values *values, size_t at, size_t len, size_t size)
{
	if (values->count++ > 0)
		return;
	values->at = at;
	values->len = len;
	values->size = size;
}

static Type
read_number(Reader *reader)
{
	size_t		start = reader->at;
	bool		negative = take(reader, '-');
	size_t		first = reader->at;
	size_t		digits = read_digits(reader);
	bool		whole = true;
	int			value = 0;
	size_t		i;

	if (digits == 0 || (digits > 1 && reader->in[first] == '0'))
		return NO_VALUE;
	for (i = 0; i < digits && value <= 255; i++)
		value = value * 10 + (reader->in[first + i] - '0');
	if (take(reader, '.'))
	{
		whole = false;
		if (read_digits(reader) == 0)
			return NO_VALUE;
	}
	if (take(reader, 'e') || take(reader, 'E'))
	{
		whole = false;
		if (!take(reader, '+'))
			(void) take(reader, '-');
		digits = read_digits(reader);
		if (digits == 0 || digits > EXPONENT_MAX)
			return NO_VALUE;
	}
	if (reader->at - start > NUMBER_MAX)
		return NO_VALUE;
	reader->numbers++;
	if (!whole || value > (negative ? 128 : 255))
		return OTHER;
	reader->byte = negative ? 256 - value : value;
	return BYTE;
}

static size_t
read_digits(Reader *reader)
{
	size_t		start = reader->at;

	while (reader->at < reader->len &&
		   kms_looks_is_decimal(reader->in[reader->at]))
		reader->at++;
	return reader->at - start;
}

static Type
read_word(Reader *reader, const char *word)
{
	if (!kms_looks_begins(reader->in + reader->at, reader->len - reader->at,
						  word))
		return NO_VALUE;
	reader->at += strlen(word);
	return OTHER;
}

static bool
take(Reader *reader, char c)
{
	if (reader->at == reader->len || reader->in[reader->at] != c)
		return false;
	reader->at++;
	return true;
}

static void
skip_space(Reader *reader)
{
	while (reader->at < reader->len &&
		   kms_looks_is_space(reader->in[reader->at]))
		reader->at++;
}
