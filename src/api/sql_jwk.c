/*
 * Public keys as JSON Web Keys (RFC 7517, RFC 7518).
 */
#include "postgres.h"

#include "utils/builtins.h"
#include "utils/jsonb.h"

#include "api/args.h"
#include "api/finish.h"
#include "keys/call.h"
#include "keys/public.h"
#include "pg/encoding.h"

static Datum end(KmsCall *call, KmsStatus status, const KmsFault *fault,
				 JsonbValue *json);
static JsonbValue *push_jwk(JsonbParseState **state, const KmsPublicKey *key);
static void push_member(JsonbParseState **state, const char *name,
						const char *value);
static void push_string(JsonbParseState **state, JsonbIteratorToken token,
						const char *value);
static char *base64url(const unsigned char *data, size_t len);

PG_FUNCTION_INFO_V1(kms_api_jwk);
PG_FUNCTION_INFO_V1(kms_api_jwks);

Datum
kms_api_jwk(PG_FUNCTION_ARGS)
{
	KmsKeyIdBuffer key_id;
	KmsPublicKey key;
	KmsFault	fault = {0};
	KmsCall    *call = kms_call_begin(KMS_OP_ISSUE);
	JsonbParseState *state = NULL;
	JsonbValue *json = NULL;
	KmsStatus	status;

	status = kms_args_key_id(fcinfo, 0, key_id, &fault);
	if (status == KMS_OK)
	{
		kms_call_key(call, key_id);
		status = kms_public_numbers(call, key_id, &key, &fault);
	}
	if (status == KMS_OK)
		json = push_jwk(&state, &key);
	return end(call, status, &fault, json);
}

Datum
kms_api_jwks(PG_FUNCTION_ARGS)
{
	KmsDeviceIdBuffer device_id;
	KmsFault	fault = {0};
	KmsCall    *call = kms_call_begin(KMS_OP_ISSUE);
	JsonbParseState *state = NULL;
	JsonbValue *json = NULL;
	List	   *keys = NIL;
	ListCell   *cell;
	KmsStatus	status;

	status = kms_args_device_id(fcinfo, 0, device_id, &fault);
	if (status == KMS_OK)
	{
		kms_call_device(call, device_id);
		fault.device_id = device_id;
		status = kms_public_device_numbers(call, device_id, &keys, &fault);
	}
	if (status == KMS_OK)
	{
		pushJsonbValue(&state, WJB_BEGIN_OBJECT, NULL);
		push_string(&state, WJB_KEY, "keys");
		pushJsonbValue(&state, WJB_BEGIN_ARRAY, NULL);
		foreach(cell, keys)
			push_jwk(&state, lfirst(cell));
		pushJsonbValue(&state, WJB_END_ARRAY, NULL);
		json = pushJsonbValue(&state, WJB_END_OBJECT, NULL);
	}
	return end(call, status, &fault, json);
}

static Datum
end(KmsCall *call, KmsStatus status, const KmsFault *fault, JsonbValue *json)
{
	Jsonb	   *result = status == KMS_OK ? JsonbValueToJsonb(json) : NULL;

	kms_finish(call, status, fault);
	PG_RETURN_JSONB_P(result);
}

/*
 * Push the members of a JWK.  "alg" is left out if the digest has no
 * registered name.
 */
static JsonbValue *
push_jwk(JsonbParseState **state, const KmsPublicKey *key)
{
	const KmsPublicNumbers *numbers = &key->numbers;
	const char *alg = kms_public_alg(key);

	pushJsonbValue(state, WJB_BEGIN_OBJECT, NULL);
	switch (key->type)
	{
		case KMS_TYPE_EC_P256:
			push_member(state, "kty", "EC");
			push_member(state, "crv", "P-256");
			push_member(state, "x", base64url(numbers->x, sizeof(numbers->x)));
			push_member(state, "y", base64url(numbers->y, sizeof(numbers->y)));
			break;
		case KMS_TYPE_X25519:
			push_member(state, "kty", "OKP");
			push_member(state, "crv", "X25519");
			push_member(state, "x", base64url(numbers->x, sizeof(numbers->x)));
			break;
		default:
			push_member(state, "kty", "RSA");
			push_member(state, "n", base64url(numbers->n, numbers->n_len));
			push_member(state, "e", base64url(numbers->e, numbers->e_len));
			break;
	}
	push_member(state, "kid", key->key_id);
	push_member(state, "use", "enc");
	if (alg != NULL)
		push_member(state, "alg", alg);
	return pushJsonbValue(state, WJB_END_OBJECT, NULL);
}

static void
push_member(JsonbParseState **state, const char *name, const char *value)
{
	push_string(state, WJB_KEY, name);
	push_string(state, WJB_VALUE, value);
}

/* Push a string; "value" must live until the document is complete. */
static void
push_string(JsonbParseState **state, JsonbIteratorToken token,
			const char *value)
{
	JsonbValue	string;

	string.type = jbvString;
	string.val.string.val = unconstify(char *, value);
	string.val.string.len = strlen(value);
	pushJsonbValue(state, token, &string);
}

static char *
base64url(const unsigned char *data, size_t len)
{
	char	   *out = palloc(kms_encoding_url_room(len));

	(void) kms_encoding_encode_url(data, len, out);
	return out;
}
