#include "postgres.h"

#include "fmgr.h"
#include "miscadmin.h"
#include "utils/builtins.h"

#include "keys/jwe_headers.h"

#include "keys/jwe_message.h"
#include "pg/encoding.h"

/*
 * A numeric holds more, but a number of a header is a time, a count or an
 * error.  As text, a number has as many digits as its exponent says, so the
 * exponent bounds how much longer than the JWE the result can be.
 */
#define NUMBER_MAX_LENGTH	1000	/* characters */
#define NUMBER_MAX_EXPONENT 30

/*
 * The state of building the result.  PostgreSQL's own functions from JSON to
 * jsonb raise errors that quote the text, so it is built value by value.
 */
typedef struct Builder
{
	JsonbParseState *state;
	KmsEncoding encoding;
	bool		converts;		/* false: to ASCII alone */
	KmsJweFlaw	flaw;			/* the first one */
} Builder;

static JsonbValue *build(Builder *builder, const KmsJweForm *form,
						 KmsJweProblem *problem);
static void push_header(Builder *builder, KmsJwePart part,
						const KmsJsonValue *header, KmsJweProblem *problem);
static void push_value(Builder *builder, JsonbIteratorToken token,
					   const KmsJsonValue *value);
static void push_string(Builder *builder, JsonbIteratorToken token,
						KmsText string);
static void push_constant(Builder *builder, JsonbIteratorToken token,
						  const char *string);
static void make_number(Builder *builder, KmsText number, JsonbValue *out);
static const char *from_utf8(Builder *builder, KmsText utf8, size_t *len);

KmsStatus
kms_jwe_headers_read(const char *sent, size_t len, Jsonb **headers,
					 KmsFault *fault)
{
	Builder		builder = {0};
	KmsJweProblem problem = {0};
	KmsJweForm	form;
	JsonbValue *built;
	KmsStatus	status = kms_jwe_message_read(sent, len, &form, fault);

	*headers = NULL;
	if (status != KMS_OK)
		return status;
	builder.converts = kms_encoding_from_utf8(&builder.encoding);
	built = build(&builder, &form, &problem);
	if (problem.flaw != KMS_FLAW_NONE)
		return kms_jwe_message_fault(&problem, fault);
	*headers = JsonbValueToJsonb(built);
	return kms_fault(fault, KMS_OK);
}

static JsonbValue *
build(Builder *builder, const KmsJweForm *form, KmsJweProblem *problem)
{
	static const char *const serializations[] = {
		[KMS_JWE_COMPACT] = "compact",
		[KMS_JWE_FLATTENED] = "flattened",
		[KMS_JWE_GENERAL] = "general"
	};

	pushJsonbValue(&builder->state, WJB_BEGIN_OBJECT, NULL);
	push_constant(builder, WJB_KEY, "form");
	push_constant(builder, WJB_VALUE, serializations[form->serialization]);
	push_header(builder, KMS_PART_PROTECTED, form->protected_header, problem);
	push_header(builder, KMS_PART_UNPROTECTED, form->unprotected, problem);
	push_header(builder, KMS_PART_HEADER, form->header, problem);
	return pushJsonbValue(&builder->state, WJB_END_OBJECT, NULL);
}

/* If a value cannot be shown, fill *problem, unless it is filled. */
static void
push_header(Builder *builder, KmsJwePart part, const KmsJsonValue *header,
			KmsJweProblem *problem)
{
	static const KmsJsonValue none = {KMS_JSON_NULL};

	push_constant(builder, WJB_KEY, kms_jwe_problem_part(part));
	push_value(builder, WJB_VALUE, header != NULL ? header : &none);
	if (builder->flaw != KMS_FLAW_NONE && problem->flaw == KMS_FLAW_NONE)
		(void) kms_jwe_problem(problem, builder->flaw, part);
}

/* Recursion is as deep as the value, at most KMS_JSON_DEPTH_MAX levels. */
static void
push_value(Builder *builder, JsonbIteratorToken token,
		   const KmsJsonValue *value)
{
	const KmsJsonValue *child;
	JsonbValue	out;

	CHECK_FOR_INTERRUPTS();
	switch (value->type)
	{
		case KMS_JSON_STRING:
			push_string(builder, token, value->scalar);
			return;
		case KMS_JSON_OBJECT:
			pushJsonbValue(&builder->state, WJB_BEGIN_OBJECT, NULL);
			for (child = value->first; child != NULL; child = child->next)
			{
				push_string(builder, WJB_KEY, child->name);
				push_value(builder, WJB_VALUE, child);
			}
			pushJsonbValue(&builder->state, WJB_END_OBJECT, NULL);
			return;
		case KMS_JSON_ARRAY:
			pushJsonbValue(&builder->state, WJB_BEGIN_ARRAY, NULL);
			for (child = value->first; child != NULL; child = child->next)
				push_value(builder, WJB_ELEM, child);
			pushJsonbValue(&builder->state, WJB_END_ARRAY, NULL);
			return;
		case KMS_JSON_NUMBER:
			make_number(builder, value->scalar, &out);
			break;
		case KMS_JSON_TRUE:
		case KMS_JSON_FALSE:
			out.type = jbvBool;
			out.val.boolean = value->type == KMS_JSON_TRUE;
			break;
		case KMS_JSON_NULL:
			out.type = jbvNull;
			break;
	}
	pushJsonbValue(&builder->state, token, &out);
}

static void
push_constant(Builder *builder, JsonbIteratorToken token, const char *string)
{
	KmsText		utf8;

	utf8.at = string;
	utf8.len = strlen(string);
	push_string(builder, token, utf8);
}

static void
push_string(Builder *builder, JsonbIteratorToken token, KmsText string)
{
	JsonbValue	out;
	size_t		len;

	out.type = jbvString;
	out.val.string.val = unconstify(char *, from_utf8(builder, string, &len));
	out.val.string.len = (int) len;
	pushJsonbValue(&builder->state, token, &out);
}

/*
 * Return a text in the database's encoding.  If there is none, return the
 * empty text and note the flaw.
 */
static const char *
from_utf8(Builder *builder, KmsText utf8, size_t *len)
{
	size_t		room;
	unsigned char *out;

	*len = utf8.len;
	if (kms_encoding_is_ascii(utf8.at, utf8.len))
		return utf8.at;
	if (builder->converts && !OidIsValid(builder->encoding.conversion))
		return utf8.at;
	if (builder->converts)
	{
		room = kms_encoding_room(&builder->encoding, utf8.len);
		out = palloc(room);
		if (kms_encoding_convert(&builder->encoding,
								 (const unsigned char *) utf8.at, utf8.len, out,
								 room, len))
			return (const char *) out;
	}
	builder->flaw = KMS_FLAW_ENCODING;
	*len = 0;
	return "";
}

/*
 * Make a numeric, or a null and note the flaw.  numeric_in() raises an error
 * that quotes a number that it cannot hold.
 */
static void
make_number(Builder *builder, KmsText number, JsonbValue *out)
{
	char		digits[NUMBER_MAX_LENGTH + 1];
	const char *exponent;
	long		power;

	out->type = jbvNull;
	if (number.len <= NUMBER_MAX_LENGTH)
	{
		memcpy(digits, number.at, number.len);
		digits[number.len] = '\0';
		exponent = strpbrk(digits, "eE");
		power = exponent != NULL ? strtol(exponent + 1, NULL, 10) : 0;
		if (power >= -NUMBER_MAX_EXPONENT && power <= NUMBER_MAX_EXPONENT)
		{
			out->type = jbvNumeric;
			out->val.numeric =
				DatumGetNumeric(DirectFunctionCall3(numeric_in,
													CStringGetDatum(digits),
													ObjectIdGetDatum(InvalidOid),
													Int32GetDatum(-1)));
			return;
		}
	}
	builder->flaw = KMS_FLAW_NUMBER;
}
