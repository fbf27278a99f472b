/*
 * Reading JSON: what is accepted, as PostgreSQL's parser resolves it, and each
 * flaw.
 */
#include <stdlib.h>

#include "arena.h"
#include "pg/json.h"
#include "tap.h"

#define TEXT(text) text, sizeof(text) - 1

typedef struct JsonCase
{
	const char *in;
	size_t		len;
	KmsJweFlaw	flaw;
	const char *name;
} JsonCase;

static const JsonCase cases[] = {
	{TEXT("{}"), KMS_FLAW_NONE, "an empty object"},
	{TEXT(" {\"a\" : [1, -2.5e+3, true, false, null, \"\"]}\r\n\t"),
	KMS_FLAW_NONE, "each type, with white space"},
	{TEXT("\"x\""), KMS_FLAW_NONE, "a string alone"},
	{TEXT("[[[[[[[[]]]]]]]]"), KMS_FLAW_NONE, "8 levels"},
	{TEXT("[[],{},[],{},[],{},[],{},[],{}]"), KMS_FLAW_NONE,
	"10 brackets beside each other"},
	{TEXT("{\"a\":[{},{},[],[]],\"b\":\"[[[[[[[[[[\"}"), KMS_FLAW_NONE,
	"brackets in a string"},
	{TEXT("{\"\\\"[[[[[[[[[\":\"\\\\\"}"), KMS_FLAW_NONE,
	"escaped quotes and backslashes"},
	{TEXT("{\"\\u0061\":\"\\u00e9\\u20ac\\ud83d\\ude00\"}"), KMS_FLAW_NONE,
	"escapes of each length"},
	{TEXT("{\"a\":1,\"A\":1,\"\":1,\"a \":1,\"aa\":1}"), KMS_FLAW_NONE,
	"names that differ"},
	{TEXT("[{\"a\":1},{\"a\":1}]"), KMS_FLAW_NONE,
	"one name in two objects"},

	{TEXT(""), KMS_FLAW_NOT_JSON, "nothing"},
	{TEXT("{"), KMS_FLAW_NOT_JSON, "half an object"},
	{TEXT("}"), KMS_FLAW_NOT_JSON, "an end without a start"},
	{TEXT("{]"), KMS_FLAW_NOT_JSON, "another end"},
	{TEXT("{}{}"), KMS_FLAW_NOT_JSON, "two objects"},
	{TEXT("{\"a\":1,}"), KMS_FLAW_NOT_JSON, "a comma too much"},
	{TEXT("{a:1}"), KMS_FLAW_NOT_JSON, "a name without quotes"},
	{TEXT("{'a':1}"), KMS_FLAW_NOT_JSON, "single quotes"},
	{TEXT("{1:1}"), KMS_FLAW_NOT_JSON, "a number as name"},
	{TEXT("[01]"), KMS_FLAW_NOT_JSON, "a number with a leading zero"},
	{TEXT("[1.]"), KMS_FLAW_NOT_JSON, "a number cut off"},
	{TEXT("[NaN]"), KMS_FLAW_NOT_JSON, "another literal"},
	{TEXT("[\"a"), KMS_FLAW_NOT_JSON, "a string cut off"},
	{TEXT("[\"a\\"), KMS_FLAW_NOT_JSON, "an escape cut off"},
	{TEXT("[\"\\u12"), KMS_FLAW_NOT_JSON, "digits cut off"},
	{TEXT("[\"\\ud83d\\u"), KMS_FLAW_NOT_JSON, "a pair cut off"},
	{TEXT("[\"\\u12g4\"]"), KMS_FLAW_NOT_JSON, "another digit"},
	{TEXT("[\"\\x41\"]"), KMS_FLAW_NOT_JSON, "another escape"},
	{TEXT("[\"a\nb\"]"), KMS_FLAW_NOT_JSON, "a control character"},
	{TEXT("\357\273\277{}"), KMS_FLAW_NOT_JSON, "a byte order mark"},
	{TEXT("/* */ {}"), KMS_FLAW_NOT_JSON, "a comment"},

	{TEXT("[\"\377\"]"), KMS_FLAW_NOT_UNICODE, "a byte of no encoding"},
	{TEXT("[\"\351\"]"), KMS_FLAW_NOT_UNICODE, "LATIN1"},
	{TEXT("[\"\303"), KMS_FLAW_NOT_UNICODE, "a character cut off"},
	{TEXT("[\"\300\200\"]"), KMS_FLAW_NOT_UNICODE, "an overlong NUL"},
	{TEXT("[\"\355\240\200\"]"), KMS_FLAW_NOT_UNICODE, "a surrogate as bytes"},
	{TEXT("[\"\364\220\200\200\"]"), KMS_FLAW_NOT_UNICODE, "above U+10FFFF"},
	{TEXT("[\"\\ud83d\"]"), KMS_FLAW_NOT_UNICODE, "a first surrogate alone"},
	{TEXT("[\"\\ud83d\\n\"]"), KMS_FLAW_NOT_UNICODE, "and another escape"},
	{TEXT("[\"\\ud83d\\ud83d\"]"), KMS_FLAW_NOT_UNICODE, "two first ones"},
	{TEXT("[\"\\ude00\"]"), KMS_FLAW_NOT_UNICODE, "a second one alone"},

	{TEXT("{\"a\":\"\0\"}"), KMS_FLAW_NUL, "a NUL"},
	{TEXT("{}\0"), KMS_FLAW_NUL, "a NUL at the end"},
	{TEXT("{\"a\":\"\\u0000\"}"), KMS_FLAW_NUL, "an escaped NUL"},
	{TEXT("{\"\\u0000\":1}"), KMS_FLAW_NUL, "an escaped NUL in a name"},

	{TEXT("[[[[[[[[[]]]]]]]]]"), KMS_FLAW_TOO_DEEP, "9 levels"},
	{TEXT("{\"a\":[{\"a\":[{\"a\":[{\"a\":[{}]}]}]}]}"), KMS_FLAW_TOO_DEEP,
	"9 levels of both"},

	{TEXT("{\"a\":1,\"b\":2,\"a\":1}"), KMS_FLAW_TWICE, "a name twice"},
	{TEXT("{\"alg\":1,\"\\u0061lg\":1}"), KMS_FLAW_TWICE,
	"one of them escaped"},
	{TEXT("{\"\303\251\":1,\"\\u00E9\":1}"), KMS_FLAW_TWICE,
	"an escape above U+007F"},
	{TEXT("{\"\\/\":1,\"/\":1}"), KMS_FLAW_TWICE, "another escape"},
	{TEXT("{\"\":1,\"\":1}"), KMS_FLAW_TWICE, "an empty name"},
	{TEXT("{\"x\":[0,{\"y\":{\"a\":1,\"a\":1}}]}"), KMS_FLAW_TWICE,
	"far inside"}
};

static void
test_case(const JsonCase *c)
{
	/* of that very size, so that a read past it is seen */
	char	   *in = malloc(c->len);
	const KmsJsonValue *value;
	KmsJweFlaw	flaw;

	memcpy(in, c->in, c->len);
	flaw = kms_json_read(in, c->len, &value);
	if (!check(flaw == c->flaw && (value != NULL) == (flaw == KMS_FLAW_NONE),
			   "JSON: %s", c->name))
		printf("# flaw %d\n", (int) flaw);
	free(in);
	arena_reset();
}

static void
test_values(void)
{
	static const char in[] =
	"{\"s\":\"a\\u0062\\u0022\\u005c\\u000a\\u00e9\\ud83d\\ude00\\n\",\"n\":-1.50E+2,\"t\":true,"
	"\"f\":false,\"z\":null,\"o\":{},\"list\":[1,\"x\",[]]}";
	const KmsJsonValue *value = NULL;
	const KmsJsonValue *item;

	check(kms_json_read(in, strlen(in), &value) == KMS_FLAW_NONE &&
		  value->type == KMS_JSON_OBJECT, "values: an object");
	check(kms_json_value_is(kms_json_value_member(value, "s"),
							"ab\"\\\n\303\251\360\237\230\200\n"),
		  "values: escapes are resolved as UTF-8");
	item = kms_json_value_member(value, "n");
	check(item->type == KMS_JSON_NUMBER && item->scalar.len == 8 &&
		  memcmp(item->scalar.at, "-1.50E+2", 8) == 0,
		  "values: a number is as it was written");
	check(kms_json_value_member(value, "t")->type == KMS_JSON_TRUE &&
		  kms_json_value_member(value, "f")->type == KMS_JSON_FALSE &&
		  kms_json_value_member(value, "z")->type == KMS_JSON_NULL,
		  "values: literals");
	item = kms_json_value_member(value, "o");
	check(item->type == KMS_JSON_OBJECT && item->first == NULL,
		  "values: an empty object");
	item = kms_json_value_member(value, "list");
	check(item->type == KMS_JSON_ARRAY &&
		  item->first->type == KMS_JSON_NUMBER &&
		  kms_json_value_is(item->first->next, "x") &&
		  item->first->next->next->type == KMS_JSON_ARRAY &&
		  item->first->next->next->next == NULL &&
		  item->first->name.at == NULL,
		  "values: an array is in order and its elements have no names");
	check(kms_json_value_member(value, "x") == NULL &&
		  kms_json_value_member(value, "lis") == NULL,
		  "values: no other members");
	arena_reset();
}

/* Sorting names that are alike takes n log n steps, not n squared. */
static void
test_many(bool last_is_twin)
{
	const int	count = 100000;
	char	   *in = malloc((size_t) count * 16 + 32);
	const KmsJsonValue *value;
	size_t		len = 0;
	int			i;

	in[len++] = '{';
	for (i = 0; i < count; i++)
		len += (size_t) snprintf(in + len, 32, "\"xxxx%06d\":1,", (i * 7919) % count);
	len += (size_t) snprintf(in + len, 32, "\"xxxx%06d\":1}", last_is_twin ? 5 : count);
	check(kms_json_read(in, len, &value) ==
		  (last_is_twin ? KMS_FLAW_TWICE : KMS_FLAW_NONE),
		  "an object of %d members%s", count + 1,
		  last_is_twin ? ", two of which have one name" : "");
	free(in);
	arena_reset();
}

static void
test_overlap(void)
{
	static const struct
	{
		const char *a;
		const char *b;
		bool		overlaps;
	}			pairs[] = {
		{"{}", "{}", false},
		{"{\"a\":1}", "{}", false},
		{"{\"a\":1,\"c\":1}", "{\"b\":1,\"d\":1,\"aa\":1}", false},
		{"{\"a\":1,\"c\":1}", "{\"b\":1,\"c\":{}}", true},
		{"{\"kid\":1}", "{\"\\u006bid\":2,\"zz\":1}", true}
	};
	size_t		i;

	for (i = 0; i < LENGTH_OF(pairs); i++)
	{
		const KmsJsonValue *a;
		const KmsJsonValue *b;

		check(kms_json_read(pairs[i].a, strlen(pairs[i].a), &a) ==
			  KMS_FLAW_NONE &&
			  kms_json_read(pairs[i].b, strlen(pairs[i].b), &b) ==
			  KMS_FLAW_NONE &&
			  kms_json_value_overlap(a, b) == pairs[i].overlaps &&
			  kms_json_value_overlap(b, a) == pairs[i].overlaps &&
			  !kms_json_value_overlap(a, NULL) &&
			  !kms_json_value_overlap(NULL, b),
			  "names in common: %s %s", pairs[i].a, pairs[i].b);
	}
	arena_reset();
}

int
main(void)
{
	size_t		i;

	for (i = 0; i < LENGTH_OF(cases); i++)
		test_case(&cases[i]);
	test_values();
	test_many(false);
	test_many(true);
	test_overlap();
	return tap_done();
}
