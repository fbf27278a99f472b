#ifndef FRONTEND
#include "postgres.h"
#else
#include "postgres_fe.h"
#endif

#include "common/jsonapi.h"
#include "mb/pg_wchar.h"
#ifndef FRONTEND
#include "miscadmin.h"
#endif

#include "pg/json.h"

#include "pg/compat.h"

/* A program is not canceled. */
#ifdef FRONTEND
#define CHECK_FOR_INTERRUPTS() ((void) 0)
#endif

#define VALUES_AT_ONCE	16		/* allocated together */

/* The state of the parser's actions. */
typedef struct JsonReader
{
	KmsJsonValue *root;
	KmsJsonValue *containers[KMS_JSON_DEPTH_MAX];	/* that are open */
	KmsJsonValue **ends[KMS_JSON_DEPTH_MAX];	/* where each goes on */
	int			depth;
	KmsText		name;			/* of the member that comes next */
	bool		has_twins;		/* a name is there twice in an object */
	KmsJsonValue *free;			/* values that are not used yet */
	int			free_count;
} JsonReader;

/* The state of the scan before the parser. */
typedef struct JsonScan
{
	const char *in;
	const char *end;
	char	   *out;
} JsonScan;

static KmsJweFlaw prepare(JsonScan *scan);
static KmsJweFlaw copy_string(JsonScan *scan);
static KmsJweFlaw copy_unicode_escape(JsonScan *scan);
static bool read_code_unit(JsonScan *scan, pg_wchar *unit);
static KMS_JSON_ACTION start_object(void *state);
static KMS_JSON_ACTION start_array(void *state);
static KMS_JSON_ACTION end_object(void *state);
static KMS_JSON_ACTION end_array(void *state);
static KMS_JSON_ACTION start_member(void *state, char *name, bool isnull);
static KMS_JSON_ACTION take_scalar(void *state, char *token,
								   JsonTokenType type);
static KmsJsonValue *add(JsonReader *reader, KmsJsonType type);
static void open_container(JsonReader *reader, KmsJsonType type);
static KmsText text_of(const char *string);

KmsJweFlaw
kms_json_read(const char *utf8, size_t len, const KmsJsonValue **value)
{
	JsonReader	reader = {0};
	JsonSemAction actions = {0};
	JsonScan	scan;
	JsonLexContext *lexer;
	KmsJweFlaw	flaw;
	char	   *prepared;

	*value = NULL;
	if (memchr(utf8, '\0', len) != NULL)
		return KMS_FLAW_NUL;
	if (pg_encoding_verifymbstr(PG_UTF8, utf8, (int) len) != (int) len)
		return KMS_FLAW_NOT_UNICODE;

	prepared = palloc(len + 1);
	scan.in = utf8;
	scan.end = utf8 + len;
	scan.out = prepared;
	flaw = prepare(&scan);
	if (flaw != KMS_FLAW_NONE)
		return flaw;

	actions.semstate = &reader;
	actions.object_start = start_object;
	actions.object_end = end_object;
	actions.array_start = start_array;
	actions.array_end = end_array;
	actions.object_field_start = start_member;
	actions.scalar = take_scalar;
	lexer = kms_json_lexer(prepared, (int) (scan.out - prepared));
	if (pg_parse_json(lexer, &actions) != JSON_SUCCESS)
		return KMS_FLAW_NOT_JSON;
	if (reader.has_twins)
		return KMS_FLAW_TWICE;
	*value = reader.root;
	return KMS_FLAW_NONE;
}

/*
 * Copy the text, which the copy does not exceed, for the parser.
 *
 * Depth is bounded here, because before PostgreSQL 16 an action cannot stop
 * the parser, which is recursive.  Escapes above U+007F become the characters,
 * because in a server the parser would convert them to the encoding of the
 * database, and raise an error that shows them if that is not possible.
 */
static KmsJweFlaw
prepare(JsonScan *scan)
{
	KmsJweFlaw	flaw = KMS_FLAW_NONE;
	int			depth = 0;

	while (flaw == KMS_FLAW_NONE && scan->in < scan->end)
	{
		char		c = *scan->in++;

		*scan->out++ = c;
		if (c == '{' || c == '[')
		{
			if (++depth > KMS_JSON_DEPTH_MAX)
				flaw = KMS_FLAW_TOO_DEEP;
		}
		else if (c == '}' || c == ']')
			depth--;
		else if (c == '"')
			flaw = copy_string(scan);
	}
	return flaw;
}

/* Copy the rest of a string. */
static KmsJweFlaw
copy_string(JsonScan *scan)
{
	while (scan->in < scan->end)
	{
		char		c = *scan->in++;

		if (c == '\\' && scan->in < scan->end && *scan->in == 'u')
		{
			KmsJweFlaw	flaw;

			scan->in++;
			flaw = copy_unicode_escape(scan);
			if (flaw != KMS_FLAW_NONE)
				return flaw;
			continue;
		}
		*scan->out++ = c;
		if (c == '"')
			return KMS_FLAW_NONE;
		if (c == '\\' && scan->in < scan->end)
			*scan->out++ = *scan->in++;
	}
	return KMS_FLAW_NOT_JSON;
}

/* Copy an escape whose "\u" has been read. */
static KmsJweFlaw
copy_unicode_escape(JsonScan *scan)
{
	const char *start = scan->in - 2;
	pg_wchar	unit;

	if (!read_code_unit(scan, &unit))
		return KMS_FLAW_NOT_JSON;
	if (unit == 0)
		return KMS_FLAW_NUL;
	if (unit <= 0x7f)
	{
		memcpy(scan->out, start, scan->in - start);
		scan->out += scan->in - start;
		return KMS_FLAW_NONE;
	}
	if (is_utf16_surrogate_first(unit))
	{
		pg_wchar	second;

		if (scan->end - scan->in < 2 || scan->in[0] != '\\' ||
			scan->in[1] != 'u')
			return KMS_FLAW_NOT_UNICODE;
		scan->in += 2;
		if (!read_code_unit(scan, &second))
			return KMS_FLAW_NOT_JSON;
		if (!is_utf16_surrogate_second(second))
			return KMS_FLAW_NOT_UNICODE;
		unit = surrogate_pair_to_codepoint(unit, second);
	}
	else if (is_utf16_surrogate_second(unit))
		return KMS_FLAW_NOT_UNICODE;
	unicode_to_utf8(unit, (unsigned char *) scan->out);
	scan->out += unit <= 0x7ff ? 2 : unit <= 0xffff ? 3 : 4;
	return KMS_FLAW_NONE;
}

/* Read four hexadecimal digits. */
static bool
read_code_unit(JsonScan *scan, pg_wchar *unit)
{
	int			i;

	if (scan->end - scan->in < 4)
		return false;
	*unit = 0;
	for (i = 0; i < 4; i++)
	{
		char		c = *scan->in++;
		int			digit;

		if (c >= '0' && c <= '9')
			digit = c - '0';
		else if (c >= 'a' && c <= 'f')
			digit = c - 'a' + 10;
		else if (c >= 'A' && c <= 'F')
			digit = c - 'A' + 10;
		else
			return false;
		*unit = *unit << 4 | digit;
	}
	return true;
}

/* ---- Actions of the parser --------------------------------------------- */

static KMS_JSON_ACTION
start_object(void *state)
{
	open_container(state, KMS_JSON_OBJECT);
	KMS_JSON_GO_ON;
}

static KMS_JSON_ACTION
start_array(void *state)
{
	open_container(state, KMS_JSON_ARRAY);
	KMS_JSON_GO_ON;
}

static void
open_container(JsonReader *reader, KmsJsonType type)
{
	KmsJsonValue *container = add(reader, type);

	/* prepare() has bounded the depth */
	Assert(reader->depth < KMS_JSON_DEPTH_MAX);
	reader->containers[reader->depth] = container;
	reader->ends[reader->depth] = &container->first;
	reader->depth++;
}

/* Add a value to the container that is open, or as the root. */
static KmsJsonValue *
add(JsonReader *reader, KmsJsonType type)
{
	KmsJsonValue *value;

	if (reader->free_count == 0)
	{
		CHECK_FOR_INTERRUPTS();
		reader->free = palloc0(VALUES_AT_ONCE * sizeof(KmsJsonValue));
		reader->free_count = VALUES_AT_ONCE;
	}
	value = reader->free++;
	reader->free_count--;

	value->type = type;
	value->name = reader->name;
	memset(&reader->name, 0, sizeof(reader->name));
	if (reader->depth == 0)
		reader->root = value;
	else
	{
		*reader->ends[reader->depth - 1] = value;
		reader->ends[reader->depth - 1] = &value->next;
	}
	return value;
}

static KMS_JSON_ACTION
end_object(void *state)
{
	JsonReader *reader = state;

	reader->depth--;
	if (!kms_json_value_sort(reader->containers[reader->depth]))
		reader->has_twins = true;
	KMS_JSON_GO_ON;
}

static KMS_JSON_ACTION
end_array(void *state)
{
	JsonReader *reader = state;

	reader->depth--;
	KMS_JSON_GO_ON;
}

static KMS_JSON_ACTION
start_member(void *state, char *name, bool isnull)
{
	JsonReader *reader = state;

	reader->name = text_of(name);
	KMS_JSON_GO_ON;
}

static KmsText
text_of(const char *string)
{
	KmsText		result;

	result.at = string;
	result.len = strlen(string);
	return result;
}

static KMS_JSON_ACTION
take_scalar(void *state, char *token, JsonTokenType type)
{
	JsonReader *reader = state;

	switch (type)
	{
		case JSON_TOKEN_STRING:
			add(reader, KMS_JSON_STRING)->scalar = text_of(token);
			break;
		case JSON_TOKEN_NUMBER:
			add(reader, KMS_JSON_NUMBER)->scalar = text_of(token);
			break;
		case JSON_TOKEN_TRUE:
			add(reader, KMS_JSON_TRUE);
			break;
		case JSON_TOKEN_FALSE:
			add(reader, KMS_JSON_FALSE);
			break;
		default:
			add(reader, KMS_JSON_NULL);
			break;
	}
	KMS_JSON_GO_ON;
}
