/*
 * The form of a JWE: each rule with a message that breaks it, and the examples
 * of RFC 7516, RFC 7517 and RFC 7518.
 */
#include <stdlib.h>

#include <openssl/evp.h>

#include "arena.h"
#include "crypto/base64.h"
#include "crypto/jwe_judge.h"
#include "pg/jwe_text.h"
#include "tap.h"

#define RSA KMS_TYPE_RSA
#define EC KMS_TYPE_EC_P256
#define X25519 KMS_TYPE_X25519

/*
 * A protected header and a message, with these abbreviations:
 *	'		double quotes
 *	@		the protected header in base64url
 *	<N>		N zero bytes in base64url
 *	<EC>, <OKP>, <KEY>, <REST>	see abbreviations[]
 */
typedef struct AcceptedCase
{
	const char *name;
	const char *header;
	const char *sent;
	KmsKeyType	type;
} AcceptedCase;

typedef struct RefusedCase
{
	const char *name;
	const char *header;
	const char *sent;
	KmsKeyType	type;
	KmsJweFlaw	flaw;
	KmsJwePart	part;
	size_t		found;
	size_t		expected;
} RefusedCase;

/* pg_bsd_indent lays out calls over several lines, but not rows in braces. */
#define ROW(...) {__VA_ARGS__}

static const AcceptedCase accepted[] = {
	ROW("RSA-OAEP with GCM",
		"{'alg':'RSA-OAEP','enc':'A256GCM'}",
		"@.<256>.<12>.<3>.<16>",
		RSA),
	ROW("white space at either end",
		"{'alg':'RSA-OAEP','enc':'A256GCM'}",
		"\r\n\t @.<256>.<12>.<3>.<16> \v\f\n",
		RSA),
	ROW("RSA-OAEP-512 with A128GCM",
		"{'alg':'RSA-OAEP-512','enc':'A128GCM'}",
		"@.<256>.<12>.<3>.<16>",
		RSA),
	ROW("empty content",
		"{'alg':'RSA-OAEP','enc':'A256GCM'}",
		"@.<256>.<12>..<16>",
		RSA),
	ROW("A256CBC-HS512",
		"{'alg':'RSA-OAEP-256','enc':'A256CBC-HS512'}",
		"@.<256>.<16>.<32>.<32>",
		RSA),
	ROW("A192CBC-HS384",
		"{'alg':'RSA-OAEP-384','enc':'A192CBC-HS384'}",
		"@.<256>.<16>.<16>.<24>",
		RSA),
	ROW("ECDH-ES on P-256",
		"{'alg':'ECDH-ES','enc':'A256GCM','epk':<EC>}",
		"@..<12>.<3>.<16>",
		EC),
	ROW("ECDH-ES on X25519",
		"{'alg':'ECDH-ES','enc':'A256GCM','epk':<OKP>}",
		"@..<12>.<3>.<16>",
		X25519),
	ROW("ECDH-ES+A256KW",
		"{'alg':'ECDH-ES+A256KW','enc':'A256GCM','epk':<EC>}",
		"@.<40>.<12>.<3>.<16>",
		EC),
	ROW("ECDH-ES+A128KW with A256CBC-HS512",
		"{'alg':'ECDH-ES+A128KW','enc':'A256CBC-HS512','epk':<OKP>}",
		"@.<72>.<16>.<16>.<32>",
		X25519),
	ROW("parties of 64 bytes",
		"{'alg':'ECDH-ES','enc':'A256GCM','epk':<EC>,'apu':'<64>','apv':'<64>'}",
		"@..<12>.<3>.<16>",
		EC),
	ROW("empty parties",
		"{'alg':'ECDH-ES','enc':'A256GCM','epk':<EC>,'apu':'','apv':''}",
		"@..<12>.<3>.<16>",
		EC),
	ROW("parameters that nobody reads",
		"{'alg':'RSA-OAEP','enc':'A256GCM','jku':'https://a.example/','x5u':1,'jwk':{'d':[]},'x5c':{},'typ':null,'epk':'','apu':7,'cty':'JWT','x':[{}]}",
		"@.<256>.<12>.<3>.<16>",
		RSA),
	ROW("other members of epk",
		"{'alg':'ECDH-ES','enc':'A256GCM','epk':{'kty':'OKP','crv':'X25519','x':'<32>','kid':1,'y':2}}",
		"@..<12>.<3>.<16>",
		X25519),
	ROW("the flattened form",
		"{'alg':'RSA-OAEP','enc':'A256GCM'}",
		"{'protected':'@',<KEY>,<REST>}",
		RSA),
	ROW("the flattened form with white space",
		"{'alg':'RSA-OAEP','enc':'A256GCM'}",
		" \n{'protected':'@' , <KEY>\n,\t<REST>} \r\n",
		RSA),
	ROW("the flattened form with aad",
		"{'alg':'RSA-OAEP','enc':'A256GCM'}",
		"{'protected':'@',<KEY>,'aad':'AAAA',<REST>}",
		RSA),
	ROW("a direct key without encrypted_key",
		"{'alg':'ECDH-ES','enc':'A256GCM','epk':<EC>}",
		"{'protected':'@',<REST>}",
		EC),
	ROW("a direct key with an empty encrypted_key",
		"{'alg':'ECDH-ES','enc':'A256GCM','epk':<EC>}",
		"{'protected':'@','encrypted_key':'',<REST>}",
		EC),
	ROW("alg in the header of the recipient",
		"{'enc':'A256GCM'}",
		"{'protected':'@','header':{'alg':'RSA-OAEP'},<KEY>,<REST>}",
		RSA),
	ROW("alg in the shared unprotected header",
		"{'enc':'A256GCM'}",
		"{'protected':'@','unprotected':{'alg':'RSA-OAEP'},<KEY>,<REST>}",
		RSA),
	ROW("epk, apu and apv in other headers",
		"{'enc':'A256GCM','apu':'AAAA'}",
		"{'protected':'@','unprotected':{'alg':'ECDH-ES','apv':'AAAA'},'header':{'epk':<EC>},<REST>}",
		EC),
	ROW("the general form",
		"{'alg':'RSA-OAEP','enc':'A256GCM'}",
		"{'protected':'@','recipients':[{<KEY>}],<REST>}",
		RSA),
	ROW("the general form with all headers",
		"{'enc':'A256GCM'}",
		"{'protected':'@','unprotected':{'a':1},'recipients':[{<KEY>,'header':{'alg':'RSA-OAEP'},'x':0}],<REST>}",
		RSA),
	ROW("the general form of a direct key",
		"{'alg':'ECDH-ES','enc':'A256GCM','epk':<EC>}",
		"{'protected':'@','recipients':[{}],<REST>}",
		EC),
	ROW("members that nobody reads",
		"{'alg':'RSA-OAEP','enc':'A256GCM'}",
		"{'protected':'@',<KEY>,<REST>,'payload':1,'x':{'y':[]}}",
		RSA),
	ROW("escapes in names and texts",
		"{'alg':'RSA-OAEP','enc':'A256GCM'}",
		"{'\\u0070rotected':'@',<KEY>,'i\\u0076':'\\u0041AAAAAAAAAAAAAAA','ciphertext':'','tag':'<16>'}",
		RSA)
};

static const RefusedCase refused[] = {

	/* the text */
	ROW("nothing",
		NULL,
		"",
		RSA, KMS_FLAW_EMPTY, KMS_PART_WHOLE, 0, 0),
	ROW("white space",
		NULL,
		" \n",
		RSA, KMS_FLAW_EMPTY, KMS_PART_WHOLE, 0, 0),
	ROW("base64",
		NULL,
		"<48>",
		RSA, KMS_FLAW_NOT_JWE, KMS_PART_WHOLE, 0, 0),
	ROW("an array",
		NULL,
		"['a.b']",
		RSA, KMS_FLAW_CUT_OFF, KMS_PART_WHOLE, 2, 5),
	ROW("a JWS",
		"{'alg':'RS256','x':'enc','jwk':{'use':'enc'}}",
		"@.AAAA.AAAA",
		RSA, KMS_FLAW_JWS, KMS_PART_WHOLE, 0, 0),
	ROW("a JWS whose header is not base64url",
		NULL,
		"eyJlbmMiOjF9=.AAAA.AAAA",
		RSA, KMS_FLAW_JWS, KMS_PART_WHOLE, 0, 0),
	ROW("no header, and three parts",
		NULL,
		".AAAA.AAAA",
		RSA, KMS_FLAW_JWS, KMS_PART_WHOLE, 0, 0),
	ROW("a JWE that was cut off in its IV",
		"{'alg':'RSA-OAEP','enc':'A256GCM'}",
		"@.<256>.AAAA",
		RSA, KMS_FLAW_CUT_OFF, KMS_PART_WHOLE, 3, 5),
	ROW("a JWE that was cut off before its IV",
		"{'enc':'A256GCM','alg':'RSA-OAEP'}",
		"@.<256>.",
		RSA, KMS_FLAW_CUT_OFF, KMS_PART_WHOLE, 3, 5),
	ROW("a JWS as JSON",
		"{'alg':'RSA-OAEP','enc':'A256GCM'}",
		"{'protected':'@','payload':'','signature':''}",
		RSA, KMS_FLAW_JWS, KMS_PART_WHOLE, 0, 0),
	ROW("two parts",
		"{'alg':'RSA-OAEP','enc':'A256GCM'}",
		"@.",
		RSA, KMS_FLAW_CUT_OFF, KMS_PART_WHOLE, 2, 5),
	ROW("four parts",
		"{'alg':'RSA-OAEP','enc':'A256GCM'}",
		"@.A.A.A",
		RSA, KMS_FLAW_CUT_OFF, KMS_PART_WHOLE, 4, 5),
	ROW("six parts",
		"{'alg':'RSA-OAEP','enc':'A256GCM'}",
		"@.A.A.A.A.A",
		RSA, KMS_FLAW_PARTS, KMS_PART_WHOLE, 0, 0),
	ROW("many parts",
		"{'alg':'RSA-OAEP','enc':'A256GCM'}",
		"................",
		RSA, KMS_FLAW_PARTS, KMS_PART_WHOLE, 0, 0),

	/* base64url */
	ROW("no protected header",
		NULL,
		".<256>.<12>.<3>.<16>",
		RSA, KMS_FLAW_NOT_JSON, KMS_PART_PROTECTED, 0, 0),
	ROW("padding after the protected header",
		NULL,
		"e30=.<256>.<12>.<3>.<16>",
		RSA, KMS_FLAW_NOT_BASE64URL, KMS_PART_PROTECTED, 0, 0),
	ROW("a protected header that is not encoded",
		NULL,
		"{}.<256>.<12>.<3>.<16>",
		RSA, KMS_FLAW_NOT_JSON, KMS_PART_WHOLE, 0, 0),
	ROW("bits left over after the protected header",
		NULL,
		"e31.<256>.<12>.<3>.<16>",
		RSA, KMS_FLAW_NOT_BASE64URL, KMS_PART_PROTECTED, 0, 0),
	ROW("a line break in the encrypted key",
		"{'alg':'RSA-OAEP','enc':'A256GCM'}",
		"@.\n<256>.<12>.<3>.<16>",
		RSA, KMS_FLAW_NOT_BASE64URL, KMS_PART_ENCRYPTED_KEY, 0, 0),
	ROW("a blank in the IV",
		"{'alg':'RSA-OAEP','enc':'A256GCM'}",
		"@.<256>. <12>.<3>.<16>",
		RSA, KMS_FLAW_NOT_BASE64URL, KMS_PART_IV, 0, 0),
	ROW("the standard alphabet in the ciphertext",
		"{'alg':'RSA-OAEP','enc':'A256GCM'}",
		"@.<256>.<12>.AAA+.<16>",
		RSA, KMS_FLAW_NOT_BASE64URL, KMS_PART_CIPHERTEXT, 0, 0),
	ROW("a slash in the ciphertext",
		"{'alg':'RSA-OAEP','enc':'A256GCM'}",
		"@.<256>.<12>.AAA/.<16>",
		RSA, KMS_FLAW_NOT_BASE64URL, KMS_PART_CIPHERTEXT, 0, 0),
	ROW("a character left over in the ciphertext",
		"{'alg':'RSA-OAEP','enc':'A256GCM'}",
		"@.<256>.<12>.AAAAA.<16>",
		RSA, KMS_FLAW_END, KMS_PART_CIPHERTEXT, 0, 0),
	ROW("padding after the tag",
		"{'alg':'RSA-OAEP','enc':'A256GCM'}",
		"@.<256>.<12>.<3>.<16>==",
		RSA, KMS_FLAW_NOT_BASE64URL, KMS_PART_TAG, 0, 0),
	ROW("bits left over after the tag",
		"{'alg':'RSA-OAEP','enc':'A256GCM'}",
		"@.<256>.<12>.<3>.<12><3>AB",
		RSA, KMS_FLAW_END, KMS_PART_TAG, 0, 0),
	ROW("a tag of which a character is missing",
		"{'alg':'RSA-OAEP','enc':'A256GCM'}",
		"@.<256>.<12>.<3>.<15>A",
		RSA, KMS_FLAW_END, KMS_PART_TAG, 0, 0),
	ROW("padding after a tag of which characters are missing",
		"{'alg':'RSA-OAEP','enc':'A256GCM'}",
		"@.<256>.<12>.<3>.<15>=",
		RSA, KMS_FLAW_NOT_BASE64URL, KMS_PART_TAG, 0, 0),
	ROW("aad that is not base64url",
		"{'alg':'RSA-OAEP','enc':'A256GCM'}",
		"{'protected':'@',<KEY>,'aad':'a b',<REST>}",
		RSA, KMS_FLAW_NOT_BASE64URL, KMS_PART_AAD, 0, 0),

	/* JSON */
	ROW("half a JSON form",
		"{'alg':'RSA-OAEP','enc':'A256GCM'}",
		"{'protected':'@',<KEY>",
		RSA, KMS_FLAW_NOT_JSON, KMS_PART_WHOLE, 0, 0),
	ROW("two JSON forms",
		"{'alg':'RSA-OAEP','enc':'A256GCM'}",
		"{'protected':'@',<KEY>,<REST>}{}",
		RSA, KMS_FLAW_NOT_JSON, KMS_PART_WHOLE, 0, 0),
	ROW("a JSON form of nothing",
		NULL,
		"{}",
		RSA, KMS_FLAW_OTHER_JSON, KMS_PART_WHOLE, 0, 0),
	ROW("a JWE as a value of JSON",
		NULL,
		"{'ciphertext':'e30.a.b.c.d','alg':'RSA-OAEP'}",
		RSA, KMS_FLAW_OTHER_JSON, KMS_PART_WHOLE, 0, 0),
	ROW("an IV alone",
		NULL,
		"{'iv':'<12>'}",
		RSA, KMS_FLAW_MISSING, KMS_PART_ALG, 0, 0),
	ROW("a tag alone",
		NULL,
		"{'tag':'<16>'}",
		RSA, KMS_FLAW_MISSING, KMS_PART_ALG, 0, 0),
	ROW("a protected header that is not JSON",
		"alg=RSA-OAEP",
		"@.<256>.<12>.<3>.<16>",
		RSA, KMS_FLAW_NOT_JSON, KMS_PART_PROTECTED, 0, 0),
	ROW("a protected header that is an array",
		"[]",
		"@.<256>.<12>.<3>.<16>",
		RSA, KMS_FLAW_NOT_OBJECT, KMS_PART_PROTECTED, 0, 0),
	ROW("a protected header that is a string",
		"''",
		"@.<256>.<12>.<3>.<16>",
		RSA, KMS_FLAW_NOT_OBJECT, KMS_PART_PROTECTED, 0, 0),
	ROW("LATIN1 in the protected header",
		"{'alg':'RSA-OAEP','enc':'A256GCM','a':'\351'}",
		"@.<256>.<12>.<3>.<16>",
		RSA, KMS_FLAW_NOT_UNICODE, KMS_PART_PROTECTED, 0, 0),
	ROW("half a surrogate pair in the JSON form",
		"{'alg':'RSA-OAEP','enc':'A256GCM'}",
		"{'protected':'@','a':'\\ud83d',<KEY>,<REST>}",
		RSA, KMS_FLAW_NOT_UNICODE, KMS_PART_WHOLE, 0, 0),
	ROW("an escaped NUL in the protected header",
		"{'alg':'RSA-OAEP\\u0000','enc':'A256GCM'}",
		"@.<256>.<12>.<3>.<16>",
		RSA, KMS_FLAW_NUL, KMS_PART_PROTECTED, 0, 0),
	ROW("an escaped NUL in the JSON form",
		"{'alg':'RSA-OAEP','enc':'A256GCM'}",
		"{'protected':'@','a\\u0000':1,<KEY>,<REST>}",
		RSA, KMS_FLAW_NUL, KMS_PART_WHOLE, 0, 0),
	ROW("9 levels in the protected header",
		"{'a':[[[[[[[[]]]]]]]]}",
		"@.<256>.<12>.<3>.<16>",
		RSA, KMS_FLAW_TOO_DEEP, KMS_PART_PROTECTED, 0, 0),
	ROW("9 levels in the JSON form",
		"{'alg':'RSA-OAEP','enc':'A256GCM'}",
		"{'protected':'@','a':[[[[[[[[]]]]]]]],<KEY>,<REST>}",
		RSA, KMS_FLAW_TOO_DEEP, KMS_PART_WHOLE, 0, 0),
	ROW("alg twice",
		"{'alg':'RSA-OAEP','enc':'A256GCM','alg':'RSA-OAEP'}",
		"@.<256>.<12>.<3>.<16>",
		RSA, KMS_FLAW_TWICE, KMS_PART_PROTECTED, 0, 0),
	ROW("alg twice, once escaped",
		"{'alg':'RSA-OAEP','enc':'A256GCM','\\u0061lg':'RSA-OAEP'}",
		"@.<256>.<12>.<3>.<16>",
		RSA, KMS_FLAW_TWICE, KMS_PART_PROTECTED, 0, 0),
	ROW("a name twice in epk",
		"{'alg':'ECDH-ES','enc':'A256GCM','epk':{'kty':'EC','kty':'EC','crv':'P-256'}}",
		"@..<12>.<3>.<16>",
		EC, KMS_FLAW_TWICE, KMS_PART_PROTECTED, 0, 0),
	ROW("iv twice in the JSON form",
		"{'alg':'RSA-OAEP','enc':'A256GCM'}",
		"{'protected':'@',<KEY>,<REST>,'\\u0069v':''}",
		RSA, KMS_FLAW_TWICE, KMS_PART_WHOLE, 0, 0),
	ROW("a name in the protected and the shared header",
		"{'alg':'RSA-OAEP','enc':'A256GCM'}",
		"{'protected':'@','unprotected':{'alg':'RSA-OAEP'},<KEY>,<REST>}",
		RSA, KMS_FLAW_OVERLAP, KMS_PART_WHOLE, 0, 0),
	ROW("a name in the protected header and that of the recipient",
		"{'alg':'RSA-OAEP','enc':'A256GCM'}",
		"{'protected':'@','header':{'e\\u006ec':1},<KEY>,<REST>}",
		RSA, KMS_FLAW_OVERLAP, KMS_PART_WHOLE, 0, 0),
	ROW("an unknown name in both unprotected headers",
		"{'alg':'RSA-OAEP','enc':'A256GCM'}",
		"{'protected':'@','unprotected':{'x':1},'recipients':[{'header':{'x':1},<KEY>}],<REST>}",
		RSA, KMS_FLAW_OVERLAP, KMS_PART_WHOLE, 0, 0),

	/* the JSON form */
	ROW("protected of another type",
		NULL,
		"{'protected':{},<KEY>,<REST>}",
		RSA, KMS_FLAW_NOT_STRING, KMS_PART_PROTECTED, 0, 0),
	ROW("iv of another type",
		"{'alg':'RSA-OAEP','enc':'A256GCM'}",
		"{'protected':'@',<KEY>,'iv':null,'ciphertext':'','tag':''}",
		RSA, KMS_FLAW_NOT_STRING, KMS_PART_IV, 0, 0),
	ROW("ciphertext of another type",
		"{'alg':'RSA-OAEP','enc':'A256GCM'}",
		"{'protected':'@',<KEY>,'iv':'','ciphertext':[],'tag':''}",
		RSA, KMS_FLAW_NOT_STRING, KMS_PART_CIPHERTEXT, 0, 0),
	ROW("tag of another type",
		"{'alg':'RSA-OAEP','enc':'A256GCM'}",
		"{'protected':'@',<KEY>,'iv':'','ciphertext':'','tag':1}",
		RSA, KMS_FLAW_NOT_STRING, KMS_PART_TAG, 0, 0),
	ROW("aad of another type",
		"{'alg':'RSA-OAEP','enc':'A256GCM'}",
		"{'protected':'@',<KEY>,'aad':false,<REST>}",
		RSA, KMS_FLAW_NOT_STRING, KMS_PART_AAD, 0, 0),
	ROW("encrypted_key of another type",
		"{'alg':'RSA-OAEP','enc':'A256GCM'}",
		"{'protected':'@','encrypted_key':null,<REST>}",
		RSA, KMS_FLAW_NOT_STRING, KMS_PART_ENCRYPTED_KEY, 0, 0),
	ROW("unprotected of another type",
		"{'alg':'RSA-OAEP','enc':'A256GCM'}",
		"{'protected':'@','unprotected':'e30',<KEY>,<REST>}",
		RSA, KMS_FLAW_NOT_OBJECT, KMS_PART_UNPROTECTED, 0, 0),
	ROW("header of another type",
		"{'alg':'RSA-OAEP','enc':'A256GCM'}",
		"{'protected':'@','header':null,<KEY>,<REST>}",
		RSA, KMS_FLAW_NOT_OBJECT, KMS_PART_HEADER, 0, 0),
	ROW("recipients of another type",
		"{'alg':'RSA-OAEP','enc':'A256GCM'}",
		"{'protected':'@','recipients':{<KEY>},<REST>}",
		RSA, KMS_FLAW_NOT_ARRAY, KMS_PART_RECIPIENTS, 0, 0),
	ROW("a recipient of another type",
		"{'alg':'RSA-OAEP','enc':'A256GCM'}",
		"{'protected':'@','recipients':[[]],<REST>}",
		RSA, KMS_FLAW_NOT_OBJECT, KMS_PART_RECIPIENT, 0, 0),
	ROW("no recipient",
		"{'alg':'RSA-OAEP','enc':'A256GCM'}",
		"{'protected':'@','recipients':[],<REST>}",
		RSA, KMS_FLAW_RECIPIENTS, KMS_PART_WHOLE, 0, 0),
	ROW("two recipients",
		"{'alg':'RSA-OAEP','enc':'A256GCM'}",
		"{'protected':'@','recipients':[{<KEY>},{<KEY>}],<REST>}",
		RSA, KMS_FLAW_RECIPIENTS, KMS_PART_WHOLE, 0, 0),
	ROW("header beside recipients",
		"{'alg':'RSA-OAEP','enc':'A256GCM'}",
		"{'protected':'@','header':{},'recipients':[{<KEY>}],<REST>}",
		RSA, KMS_FLAW_BESIDE, KMS_PART_HEADER, 0, 0),
	ROW("encrypted_key beside recipients",
		"{'alg':'RSA-OAEP','enc':'A256GCM'}",
		"{'protected':'@',<KEY>,'recipients':[{}],<REST>}",
		RSA, KMS_FLAW_BESIDE, KMS_PART_ENCRYPTED_KEY, 0, 0),
	ROW("a header of another type in the recipient",
		"{'alg':'RSA-OAEP','enc':'A256GCM'}",
		"{'protected':'@','recipients':[{'header':[],<KEY>}],<REST>}",
		RSA, KMS_FLAW_NOT_OBJECT, KMS_PART_HEADER, 0, 0),
	ROW("no iv",
		"{'alg':'RSA-OAEP','enc':'A256GCM'}",
		"{'protected':'@',<KEY>,'ciphertext':'','tag':'<16>'}",
		RSA, KMS_FLAW_MISSING, KMS_PART_IV, 0, 0),
	ROW("no ciphertext",
		"{'alg':'RSA-OAEP','enc':'A256GCM'}",
		"{'protected':'@',<KEY>,'iv':'<12>','tag':'<16>'}",
		RSA, KMS_FLAW_MISSING, KMS_PART_CIPHERTEXT, 0, 0),
	ROW("no tag",
		"{'alg':'RSA-OAEP','enc':'A256GCM'}",
		"{'protected':'@',<KEY>,'iv':'<12>','ciphertext':''}",
		RSA, KMS_FLAW_MISSING, KMS_PART_TAG, 0, 0),
	ROW("no encrypted_key",
		"{'alg':'RSA-OAEP','enc':'A256GCM'}",
		"{'protected':'@',<REST>}",
		RSA, KMS_FLAW_MISSING, KMS_PART_ENCRYPTED_KEY, 0, 0),
	ROW("no protected header in the JSON form",
		NULL,
		"{'header':{'alg':'RSA-OAEP'},<KEY>,<REST>}",
		RSA, KMS_FLAW_MISSING, KMS_PART_ENC, 0, 0),

	/* alg, enc, crit, zip */
	ROW("no alg",
		"{'enc':'A256GCM'}",
		"@.<256>.<12>.<3>.<16>",
		RSA, KMS_FLAW_MISSING, KMS_PART_ALG, 0, 0),
	ROW("no enc",
		"{'alg':'RSA-OAEP'}",
		"@.<256>.<12>.<3>.<16>",
		RSA, KMS_FLAW_MISSING, KMS_PART_ENC, 0, 0),
	ROW("alg of another type",
		"{'alg':['RSA-OAEP'],'enc':'A256GCM'}",
		"@.<256>.<12>.<3>.<16>",
		RSA, KMS_FLAW_NOT_STRING, KMS_PART_ALG, 0, 0),
	ROW("enc of another type",
		"{'alg':'RSA-OAEP','enc':256}",
		"@.<256>.<12>.<3>.<16>",
		RSA, KMS_FLAW_NOT_STRING, KMS_PART_ENC, 0, 0),
	ROW("enc in the shared unprotected header",
		"{'alg':'RSA-OAEP'}",
		"{'protected':'@','unprotected':{'enc':'A256GCM'},<KEY>,<REST>}",
		RSA, KMS_FLAW_NOT_PROTECTED, KMS_PART_ENC, 0, 0),
	ROW("enc in the header of the recipient",
		NULL,
		"{'header':{'alg':'RSA-OAEP','enc':'A256GCM'},<KEY>,<REST>}",
		RSA, KMS_FLAW_NOT_PROTECTED, KMS_PART_ENC, 0, 0),
	ROW("crit in the protected header",
		"{'alg':'RSA-OAEP','enc':'A256GCM','crit':[]}",
		"@.<256>.<12>.<3>.<16>",
		RSA, KMS_FLAW_CRIT, KMS_PART_CRIT, 0, 0),
	ROW("crit in the shared unprotected header",
		"{'alg':'RSA-OAEP','enc':'A256GCM'}",
		"{'protected':'@','unprotected':{'crit':null},<KEY>,<REST>}",
		RSA, KMS_FLAW_CRIT, KMS_PART_CRIT, 0, 0),
	ROW("crit in the header of the recipient",
		"{'alg':'RSA-OAEP','enc':'A256GCM'}",
		"{'protected':'@','recipients':[{'header':{'\\u0063rit':['exp']},<KEY>}],<REST>}",
		RSA, KMS_FLAW_CRIT, KMS_PART_CRIT, 0, 0),
	ROW("zip",
		"{'alg':'RSA-OAEP','enc':'A256GCM','zip':'DEF'}",
		"@.<256>.<12>.<3>.<16>",
		RSA, KMS_FLAW_ZIP, KMS_PART_ZIP, 0, 0),
	ROW("zip in the header of the recipient",
		"{'alg':'RSA-OAEP','enc':'A256GCM'}",
		"{'protected':'@','header':{'zip':null},<KEY>,<REST>}",
		RSA, KMS_FLAW_ZIP, KMS_PART_ZIP, 0, 0),
	ROW("RSA1_5",
		"{'alg':'RSA1_5','enc':'A256GCM'}",
		"@.<256>.<12>.<3>.<16>",
		RSA, KMS_FLAW_RSA1_5, KMS_PART_ALG, 0, 0),
	ROW("RSA1_5 with an EC key",
		"{'alg':'RSA1_5','enc':'A256GCM'}",
		"@.<256>.<12>.<3>.<16>",
		EC, KMS_FLAW_RSA1_5, KMS_PART_ALG, 0, 0),
	ROW("dir",
		"{'alg':'dir','enc':'A256GCM'}",
		"@..<12>.<3>.<16>",
		RSA, KMS_FLAW_ALG, KMS_PART_ALG, 0, 0),
	ROW("A256KW",
		"{'alg':'A256KW','enc':'A256GCM'}",
		"@.<40>.<12>.<3>.<16>",
		RSA, KMS_FLAW_ALG, KMS_PART_ALG, 0, 0),
	ROW("A256GCMKW",
		"{'alg':'A256GCMKW','enc':'A256GCM'}",
		"@.<40>.<12>.<3>.<16>",
		RSA, KMS_FLAW_ALG, KMS_PART_ALG, 0, 0),
	ROW("none",
		"{'alg':'none','enc':'A256GCM'}",
		"@.<256>.<12>.<3>.<16>",
		RSA, KMS_FLAW_ALG, KMS_PART_ALG, 0, 0),
	ROW("alg in lower case",
		"{'alg':'rsa-oaep','enc':'A256GCM'}",
		"@.<256>.<12>.<3>.<16>",
		RSA, KMS_FLAW_ALG, KMS_PART_ALG, 0, 0),
	ROW("a longer alg",
		"{'alg':'RSA-OAEP-256 ','enc':'A256GCM'}",
		"@.<256>.<12>.<3>.<16>",
		RSA, KMS_FLAW_ALG, KMS_PART_ALG, 0, 0),
	ROW("an empty alg",
		"{'alg':'','enc':'A256GCM'}",
		"@.<256>.<12>.<3>.<16>",
		RSA, KMS_FLAW_ALG, KMS_PART_ALG, 0, 0),
	ROW("enc that is alg",
		"{'alg':'RSA-OAEP','enc':'RSA-OAEP'}",
		"@.<256>.<12>.<3>.<16>",
		RSA, KMS_FLAW_ENC, KMS_PART_ENC, 0, 0),
	ROW("A256CBC",
		"{'alg':'RSA-OAEP','enc':'A256CBC'}",
		"@.<256>.<12>.<3>.<16>",
		RSA, KMS_FLAW_ENC, KMS_PART_ENC, 0, 0),
	ROW("RSA-OAEP with an EC key",
		"{'alg':'RSA-OAEP','enc':'A256GCM'}",
		"@.<256>.<12>.<3>.<16>",
		EC, KMS_FLAW_ALG_OF_OTHER_KEY, KMS_PART_ALG, 0, 0),
	ROW("RSA-OAEP with an X25519 key",
		"{'alg':'RSA-OAEP','enc':'A256GCM'}",
		"@.<256>.<12>.<3>.<16>",
		X25519, KMS_FLAW_ALG_OF_OTHER_KEY, KMS_PART_ALG, 0, 0),
	ROW("ECDH-ES with an RSA key",
		"{'alg':'ECDH-ES','enc':'A256GCM','epk':<EC>}",
		"@..<12>.<3>.<16>",
		RSA, KMS_FLAW_ALG_OF_OTHER_KEY, KMS_PART_ALG, 0, 0),

	/* lengths */
	ROW("a GCM IV of 16 bytes",
		"{'alg':'RSA-OAEP','enc':'A256GCM'}",
		"@.<256>.<16>.<3>.<16>",
		RSA, KMS_FLAW_GCM_IV, KMS_PART_IV, 0, 0),
	ROW("a GCM IV of 11 bytes",
		"{'alg':'RSA-OAEP','enc':'A256GCM'}",
		"@.<256>.<11>.<3>.<16>",
		RSA, KMS_FLAW_SIZE, KMS_PART_IV, 11, 12),
	ROW("no IV",
		"{'alg':'RSA-OAEP','enc':'A256GCM'}",
		"@.<256>..<3>.<16>",
		RSA, KMS_FLAW_SIZE, KMS_PART_IV, 0, 12),
	ROW("a CBC IV of 12 bytes",
		"{'alg':'RSA-OAEP','enc':'A128CBC-HS256'}",
		"@.<256>.<12>.<16>.<16>",
		RSA, KMS_FLAW_SIZE, KMS_PART_IV, 12, 16),
	ROW("a GCM tag of 15 bytes",
		"{'alg':'RSA-OAEP','enc':'A256GCM'}",
		"@.<256>.<12>.<3>.<15>",
		RSA, KMS_FLAW_SHORT_TAG, KMS_PART_TAG, 15, 16),
	ROW("a GCM tag of 17 bytes",
		"{'alg':'RSA-OAEP','enc':'A256GCM'}",
		"@.<256>.<12>.<3>.<17>",
		RSA, KMS_FLAW_SIZE, KMS_PART_TAG, 17, 16),
	ROW("no tag in the compact form",
		"{'alg':'RSA-OAEP','enc':'A256GCM'}",
		"@.<256>.<12>.<3>.",
		RSA, KMS_FLAW_SHORT_TAG, KMS_PART_TAG, 0, 16),
	ROW("a tag of 16 bytes with A256CBC-HS512",
		"{'alg':'RSA-OAEP','enc':'A256CBC-HS512'}",
		"@.<256>.<16>.<16>.<16>",
		RSA, KMS_FLAW_SHORT_TAG, KMS_PART_TAG, 16, 32),
	ROW("empty CBC content",
		"{'alg':'RSA-OAEP','enc':'A128CBC-HS256'}",
		"@.<256>.<16>..<16>",
		RSA, KMS_FLAW_BLOCKS, KMS_PART_CIPHERTEXT, 0, 16),
	ROW("CBC content of 17 bytes",
		"{'alg':'RSA-OAEP','enc':'A128CBC-HS256'}",
		"@.<256>.<16>.<17>.<16>",
		RSA, KMS_FLAW_BLOCKS, KMS_PART_CIPHERTEXT, 17, 16),
	ROW("an encrypted key of another RSA key",
		"{'alg':'RSA-OAEP','enc':'A256GCM'}",
		"@.<384>.<12>.<3>.<16>",
		RSA, KMS_FLAW_SIZE, KMS_PART_ENCRYPTED_KEY, 384, 256),
	ROW("an empty encrypted key with RSA",
		"{'alg':'RSA-OAEP','enc':'A256GCM'}",
		"@..<12>.<3>.<16>",
		RSA, KMS_FLAW_SIZE, KMS_PART_ENCRYPTED_KEY, 0, 256),
	ROW("an encrypted key with ECDH-ES",
		"{'alg':'ECDH-ES','enc':'A256GCM','epk':<EC>}",
		"@.<40>.<12>.<3>.<16>",
		EC, KMS_FLAW_NOT_EMPTY, KMS_PART_ENCRYPTED_KEY, 0, 0),
	ROW("an empty encrypted key with key wrap",
		"{'alg':'ECDH-ES+A128KW','enc':'A256GCM','epk':<EC>}",
		"@..<12>.<3>.<16>",
		EC, KMS_FLAW_SIZE, KMS_PART_ENCRYPTED_KEY, 0, 40),
	ROW("no encrypted key with key wrap",
		"{'alg':'ECDH-ES+A128KW','enc':'A256GCM','epk':<EC>}",
		"{'protected':'@',<REST>}",
		EC, KMS_FLAW_MISSING, KMS_PART_ENCRYPTED_KEY, 0, 0),
	ROW("an encrypted key of another enc",
		"{'alg':'ECDH-ES+A128KW','enc':'A128GCM','epk':<EC>}",
		"@.<40>.<12>.<3>.<16>",
		EC, KMS_FLAW_SIZE, KMS_PART_ENCRYPTED_KEY, 40, 24),

	/* epk, apu, apv */
	ROW("no epk",
		"{'alg':'ECDH-ES','enc':'A256GCM'}",
		"@..<12>.<3>.<16>",
		EC, KMS_FLAW_MISSING, KMS_PART_EPK, 0, 0),
	ROW("epk of another type",
		"{'alg':'ECDH-ES','enc':'A256GCM','epk':'x'}",
		"@..<12>.<3>.<16>",
		EC, KMS_FLAW_NOT_OBJECT, KMS_PART_EPK, 0, 0),
	ROW("no kty",
		"{'alg':'ECDH-ES','enc':'A256GCM','epk':{'crv':'P-256'}}",
		"@..<12>.<3>.<16>",
		EC, KMS_FLAW_MISSING, KMS_PART_EPK_KTY, 0, 0),
	ROW("kty of another type",
		"{'alg':'ECDH-ES','enc':'A256GCM','epk':{'kty':{},'crv':'P-256'}}",
		"@..<12>.<3>.<16>",
		EC, KMS_FLAW_NOT_STRING, KMS_PART_EPK_KTY, 0, 0),
	ROW("no crv",
		"{'alg':'ECDH-ES','enc':'A256GCM','epk':{'kty':'EC'}}",
		"@..<12>.<3>.<16>",
		EC, KMS_FLAW_MISSING, KMS_PART_EPK_CRV, 0, 0),
	ROW("crv of another type",
		"{'alg':'ECDH-ES','enc':'A256GCM','epk':{'kty':'EC','crv':256}}",
		"@..<12>.<3>.<16>",
		EC, KMS_FLAW_NOT_STRING, KMS_PART_EPK_CRV, 0, 0),
	ROW("P-384",
		"{'alg':'ECDH-ES','enc':'A256GCM','epk':{'kty':'EC','crv':'P-384','x':'<32>'}}",
		"@..<12>.<3>.<16>",
		EC, KMS_FLAW_CURVE, KMS_PART_EPK, 0, 0),
	ROW("X448",
		"{'alg':'ECDH-ES','enc':'A256GCM','epk':{'kty':'OKP','crv':'X448','x':'<32>'}}",
		"@..<12>.<3>.<16>",
		X25519, KMS_FLAW_CURVE, KMS_PART_EPK, 0, 0),
	ROW("kty and crv that do not belong together",
		"{'alg':'ECDH-ES','enc':'A256GCM','epk':{'kty':'OKP','crv':'P-256','x':'<32>'}}",
		"@..<12>.<3>.<16>",
		EC, KMS_FLAW_CURVE, KMS_PART_EPK, 0, 0),
	ROW("X25519 with an EC key",
		"{'alg':'ECDH-ES','enc':'A256GCM','epk':<OKP>}",
		"@..<12>.<3>.<16>",
		EC, KMS_FLAW_CURVE, KMS_PART_EPK, 0, 0),
	ROW("P-256 with an X25519 key",
		"{'alg':'ECDH-ES','enc':'A256GCM','epk':<EC>}",
		"@..<12>.<3>.<16>",
		X25519, KMS_FLAW_CURVE, KMS_PART_EPK, 0, 0),
	ROW("epk with d",
		"{'alg':'ECDH-ES','enc':'A256GCM','epk':{'kty':'OKP','crv':'X25519','x':'<32>','d':null}}",
		"@..<12>.<3>.<16>",
		X25519, KMS_FLAW_PRIVATE, KMS_PART_EPK_D, 0, 0),
	ROW("no x",
		"{'alg':'ECDH-ES','enc':'A256GCM','epk':{'kty':'EC','crv':'P-256'}}",
		"@..<12>.<3>.<16>",
		EC, KMS_FLAW_MISSING, KMS_PART_EPK_X, 0, 0),
	ROW("x of another type",
		"{'alg':'ECDH-ES','enc':'A256GCM','epk':{'kty':'EC','crv':'P-256','x':1}}",
		"@..<12>.<3>.<16>",
		EC, KMS_FLAW_NOT_STRING, KMS_PART_EPK_X, 0, 0),
	ROW("x with padding",
		"{'alg':'ECDH-ES','enc':'A256GCM','epk':{'kty':'OKP','crv':'X25519','x':'<32>='}}",
		"@..<12>.<3>.<16>",
		X25519, KMS_FLAW_NOT_BASE64URL, KMS_PART_EPK_X, 0, 0),
	ROW("x of 31 bytes",
		"{'alg':'ECDH-ES','enc':'A256GCM','epk':{'kty':'OKP','crv':'X25519','x':'<31>'}}",
		"@..<12>.<3>.<16>",
		X25519, KMS_FLAW_SIZE, KMS_PART_EPK_X, 31, 32),
	ROW("no y",
		"{'alg':'ECDH-ES','enc':'A256GCM','epk':{'kty':'EC','crv':'P-256','x':'<32>'}}",
		"@..<12>.<3>.<16>",
		EC, KMS_FLAW_MISSING, KMS_PART_EPK_Y, 0, 0),
	ROW("y of 33 bytes",
		"{'alg':'ECDH-ES','enc':'A256GCM','epk':{'kty':'EC','crv':'P-256','x':'<32>','y':'<33>'}}",
		"@..<12>.<3>.<16>",
		EC, KMS_FLAW_SIZE, KMS_PART_EPK_Y, 33, 32),
	ROW("apu of 65 bytes",
		"{'alg':'ECDH-ES','enc':'A256GCM','epk':<EC>,'apu':'<65>'}",
		"@..<12>.<3>.<16>",
		EC, KMS_FLAW_TOO_LONG, KMS_PART_APU, 65, 64),
	ROW("apv of 65 bytes",
		"{'alg':'ECDH-ES','enc':'A256GCM','epk':<EC>,'apv':'<65>'}",
		"@..<12>.<3>.<16>",
		EC, KMS_FLAW_TOO_LONG, KMS_PART_APV, 65, 64),
	ROW("apu of another type",
		"{'alg':'ECDH-ES','enc':'A256GCM','epk':<EC>,'apu':null}",
		"@..<12>.<3>.<16>",
		EC, KMS_FLAW_NOT_STRING, KMS_PART_APU, 0, 0),
	ROW("apv that is not base64url",
		"{'alg':'ECDH-ES','enc':'A256GCM','epk':<EC>,'apv':'a b'}",
		"@..<12>.<3>.<16>",
		EC, KMS_FLAW_NOT_BASE64URL, KMS_PART_APV, 0, 0)
};

/* RFC 7516, A.1 */
static const char rfc7516_a1[] =
"eyJhbGciOiJSU0EtT0FFUCIsImVuYyI6IkEyNTZHQ00ifQ."
"OKOawDo13gRp2ojaHV7LFpZcgV7T6DVZKTyKOMTYUmKoTCVJRgckCL9kiMT03JGe"
"ipsEdY3mx_etLbbWSrFr05kLzcSr4qKAq7YN7e9jwQRb23nfa6c9d-StnImGyFDb"
"Sv04uVuxIp5Zms1gNxKKK2Da14B8S4rzVRltdYwam_lDp5XnZAYpQdb76FdIKLaV"
"mqgfwX7XWRxv2322i-vDxRfqNzo_tETKzpVLzfiwQyeyPGLBIO56YJ7eObdv0je8"
"1860ppamavo35UgoRdbYaBcoh9QcfylQr66oc6vFWXRcZ_ZT2LawVCWTIy3brGPi"
"6UklfCpIMfIjf7iGdXKHzg.48V1_ALb6US04U3b."
"5eym8TW_c8SuK0ltJ3rpYIzOeDQz7TALvtu6UG9oMo4vpzs9tX_EFShS8iB7j6ji"
"SdiwkIr3ajwQzaBtQD_A.XFBoMYUZodetZdvTiFvSkQ";

/* RFC 7518, C: the header of the example, and parts that it does not have */
static const char rfc7518_c[] =
"{'alg':'ECDH-ES','enc':'A128GCM','apu':'QWxpY2U','apv':'Qm9i',"
"'epk':{'kty':'EC','crv':'P-256',"
"'x':'gI0GAILBdu7T53akrFmMyGcsF3n5dO7MmwNBHKW5SV0',"
"'y':'SLW_xSffzlPWrHEVI30DHM_4egVwt3NQqeUD7nMFpps'}}";

static const struct
{
	const char *name;
	const char *text;
}			abbreviations[] = {
	{"<EC>", "{'kty':'EC','crv':'P-256','x':'<32>','y':'<32>'}"},
	{"<OKP>", "{'kty':'OKP','crv':'X25519','x':'<32>'}"},
	{"<KEY>", "'encrypted_key':'<256>'"},
	{"<REST>", "'iv':'<12>','ciphertext':'','tag':'<16>'"}
};

static const size_t rsa_block = 256;

static const char rfc7516_a2[] =
"eyJhbGciOiJSU0ExXzUiLCJlbmMiOiJBMTI4Q0JDLUhTMjU2In0."
"UGhIOguC7IuEvf_NPVaXsGMoLOmwvc1GyqlIKOK1nN94nHPoltGRhWhw7Zx0-kFm"
"1NJn8LE9XShH59_i8J0PH5ZZyNfGy2xGdULU7sHNF6Gp2vPLgNZ__deLKxGHZ7Pc"
"HALUzoOegEI-8E66jX2E4zyJKx-YxzZIItRzC5hlRirb6Y5Cl_p-ko3YvkkysZIF"
"NPccxRU7qve1WYPxqbb2Yw8kZqa2rMWI5ng8OtvzlV7elprCbuPhcCdZ6XDP0_F8"
"rkXds2vE4X-ncOIM8hAYHHi29NX0mcKiRaD0-D-ljQTP-cFPgwCp6X-nZZd9OHBv"
"-B3oWh2TbqmScqXMR4gp_A.AxY8DCtDaGlsbGljb3RoZQ."
"KDlTtXchhZTGufMYmOYGS4HffxPSUrfmqCHXaI9wOGY.9hH0vgRfYgPnAHOd8stkvw";

static const char rfc7516_a4[] =
"{'protected':'eyJlbmMiOiJBMTI4Q0JDLUhTMjU2In0',"
"'unprotected':{'jku':'https://server.example.com/keys.jwks'},"
"'recipients':[{'header':{'alg':'RSA1_5','kid':'2011-04-29'},"
"'encrypted_key':'UGhIOguC7IuEvf_NPVaXsGMoLOmwvc1GyqlIKOK1nN94nHPoltGR"
"hWhw7Zx0-kFm1NJn8LE9XShH59_i8J0PH5ZZyNfGy2xGdULU7sHNF6Gp2vPLgNZ__deLKx"
"GHZ7PcHALUzoOegEI-8E66jX2E4zyJKx-YxzZIItRzC5hlRirb6Y5Cl_p-ko3YvkkysZIF"
"NPccxRU7qve1WYPxqbb2Yw8kZqa2rMWI5ng8OtvzlV7elprCbuPhcCdZ6XDP0_F8rkXds2"
"vE4X-ncOIM8hAYHHi29NX0mcKiRaD0-D-ljQTP-cFPgwCp6X-nZZd9OHBv-B3oWh2TbqmS"
"cqXMR4gp_A'},"
"{'header':{'alg':'A128KW','kid':'7'},"
"'encrypted_key':'6KB707dM9YTIgHtLvtgWQ8mKwboJW3of9locizkDTHzBC2IlrT1oOQ'}],"
"'iv':'AxY8DCtDaGlsbGljb3RoZQ',"
"'ciphertext':'KDlTtXchhZTGufMYmOYGS4HffxPSUrfmqCHXaI9wOGY',"
"'tag':'Mz-VPPyU4RlcuYv1IwIvzw'}";

static const char rfc7516_a5[] =
"{'protected':'eyJlbmMiOiJBMTI4Q0JDLUhTMjU2In0',"
"'unprotected':{'jku':'https://server.example.com/keys.jwks'},"
"'header':{'alg':'A128KW','kid':'7'},"
"'encrypted_key':'6KB707dM9YTIgHtLvtgWQ8mKwboJW3of9locizkDTHzBC2IlrT1oOQ',"
"'iv':'AxY8DCtDaGlsbGljb3RoZQ',"
"'ciphertext':'KDlTtXchhZTGufMYmOYGS4HffxPSUrfmqCHXaI9wOGY',"
"'tag':'Mz-VPPyU4RlcuYv1IwIvzw'}";

/* Its content, of 1,800 bytes, is left out. */
static const char rfc7517_c[] =
"eyJhbGciOiJQQkVTMi1IUzI1NitBMTI4S1ciLCJwMnMiOiIyV0NUY0paMVJ2ZF9DSnVKcmlw"
"UTF3IiwicDJjIjo0MDk2LCJlbmMiOiJBMTI4Q0JDLUhTMjU2IiwiY3R5IjoiandrK2pzb24i"
"fQ.TrqXOwuNUfDV9VPTNbyGvEJ9JMjefAVn-TR1uIxR9p6hsRQh9Tk7BA."
"Ye9j1qs22DmRSAddIh-VnA.<16>.0HFmhOzsQ98nNWJjIHkR7A";

static const RefusedCase refused_examples[] = {
	ROW("RFC 7516, A.2",
		NULL, rfc7516_a2, RSA, KMS_FLAW_RSA1_5, KMS_PART_ALG, 0, 0),
	ROW("RFC 7516, A.4",
		NULL, rfc7516_a4, RSA, KMS_FLAW_RECIPIENTS, KMS_PART_WHOLE, 0, 0),
	ROW("RFC 7516, A.5",
		NULL, rfc7516_a5, RSA, KMS_FLAW_ALG, KMS_PART_ALG, 0, 0),
	ROW("RFC 7517, C",
		NULL, rfc7517_c, RSA, KMS_FLAW_ALG, KMS_PART_ALG, 0, 0)
};

static void
encode_url(const char *in, size_t len, char *out)
{
	char	   *c;

	EVP_EncodeBlock((unsigned char *) out, (const unsigned char *) in,
					(int) len);
	out[strcspn(out, "=")] = '\0';
	for (c = out; *c != '\0'; c++)
	{
		if (*c == '+')
			*c = '-';
		else if (*c == '/')
			*c = '_';
	}
}

/* Append "in" with its abbreviations written out; return the new length. */
static size_t
expand(const char *in, const char *header, char *out, size_t len)
{
	for (; *in != '\0'; in++)
	{
		size_t		i;

		if (*in == '\'')
			out[len++] = '"';
		else if (*in == '@')
		{
			memcpy(out + len, header, strlen(header));
			len += strlen(header);
		}
		else if (*in == '<' && in[1] >= '0' && in[1] <= '9')
		{
			size_t		size = (size_t) atoi(in + 1);
			size_t		digits = (size * 8 + 5) / 6;

			memset(out + len, 'A', digits);
			len += digits;
			in += strcspn(in, ">");
		}
		else if (*in == '<')
		{
			for (i = 0; i < LENGTH_OF(abbreviations); i++)
			{
				const char *name = abbreviations[i].name;

				if (strncmp(in, name, strlen(name)) == 0)
					len = expand(abbreviations[i].text, header, out, len);
			}
			in += strcspn(in, ">");
		}
		else
			out[len++] = *in;
	}
	return len;
}

/* Return the message in malloc'd memory, without a NUL at its end. */
static char *
make_message(const char *header, const char *sent, size_t *len)
{
	static char json[4096];
	static char encoded[8192];
	static char message[16384];
	char	   *copy;

	encoded[0] = '\0';
	if (header != NULL)
		encode_url(json, expand(header, "", json, 0), encoded);
	*len = expand(sent, encoded, message, 0);
	copy = malloc(*len);
	memcpy(copy, message, *len);
	return copy;
}

/* Read and judge; *buffer is malloc'd, and of the size that was asked for. */
static KmsStatus
judge(const char *sent, size_t len, KmsKeyType type, KmsJweForm *form,
	  unsigned char **buffer, KmsJwe *jwe, KmsJweProblem *problem)
{
	KmsStatus	status = kms_jwe_text_read(sent, len, form, problem);

	*buffer = NULL;
	if (status == KMS_OK)
		status = kms_jwe_judge_form(form, problem);
	if (status == KMS_OK)
	{
		size_t		size = kms_jwe_judge_size(form);

		if (size > len)
			return KMS_FAILED;
		*buffer = malloc(size);
		status = kms_jwe_judge_key(form, type, rsa_block, *buffer, jwe,
								   problem);
	}
	return status;
}

static void
test_accepted(const AcceptedCase *c)
{
	KmsJweProblem problem = {0};
	KmsJweForm	form;
	KmsJwe		jwe;
	unsigned char *buffer;
	size_t		len;
	char	   *sent = make_message(c->header, c->sent, &len);
	KmsStatus	status = judge(sent, len, c->type, &form, &buffer, &jwe,
							   &problem);

	if (!check(status == KMS_OK && jwe.alg == form.alg && jwe.enc == form.enc &&
			   jwe.iv.len == kms_jwe_algorithm_iv_size(jwe.enc) &&
			   jwe.tag.len == kms_jwe_algorithm_tag_size(jwe.enc),
			   "accepted: %s", c->name))
		printf("# status %d, flaw %d, part %d\n", (int) status,
			   (int) problem.flaw, (int) problem.part);
	free(buffer);
	free(sent);
	arena_reset();
}

static void
test_refused(const RefusedCase *c)
{
	KmsJweProblem problem = {0};
	KmsJweForm	form;
	KmsJwe		jwe;
	unsigned char *buffer;
	size_t		len;
	char	   *sent = make_message(c->header, c->sent, &len);
	KmsStatus	status = judge(sent, len, c->type, &form, &buffer, &jwe,
							   &problem);

	if (!check(status == KMS_BAD_FORMAT && problem.flaw == c->flaw &&
			   problem.part == c->part && problem.found == c->found &&
			   problem.expected == c->expected, "refused: %s", c->name))
		printf("# status %d, flaw %d, part %d, %zu, %zu\n", (int) status,
			   (int) problem.flaw, (int) problem.part, problem.found,
			   problem.expected);
	free(buffer);
	free(sent);
	arena_reset();
}

static bool
is_bytes(KmsJweBytes bytes, const void *expected, size_t len)
{
	return bytes.len == len && memcmp(bytes.at, expected, len) == 0;
}

static void
test_rsa_message(void)
{
	static const unsigned char iv[] = {
		227, 197, 117, 252, 2, 219, 233, 68, 180, 225, 77, 219
	};
	static const unsigned char tag[] = {
		92, 80, 104, 49, 133, 25, 161, 215, 173, 101, 219, 211, 136, 91, 210,
		145
	};
	KmsJweProblem problem;
	KmsJweForm	form;
	KmsJwe		jwe;
	KmsText		kid;
	unsigned char *buffer;

	check(judge(rfc7516_a1, strlen(rfc7516_a1), RSA, &form, &buffer, &jwe,
				&problem) == KMS_OK &&
		  form.serialization == KMS_JWE_COMPACT &&
		  jwe.alg == KMS_RSA_OAEP && jwe.enc == KMS_A256GCM,
		  "RFC 7516, A.1: algorithms");
	check(jwe.encrypted_key.len == 256 && jwe.encrypted_key.at[0] == 56 &&
		  jwe.encrypted_key.at[255] == 206 && is_bytes(jwe.iv, iv, sizeof(iv)) &&
		  jwe.ciphertext.len == 63 && jwe.ciphertext.at[0] == 229 &&
		  jwe.ciphertext.at[62] == 192 && is_bytes(jwe.tag, tag, sizeof(tag)),
		  "RFC 7516, A.1: parts");
	check(is_bytes(jwe.aad, rfc7516_a1, strcspn(rfc7516_a1, ".")),
		  "RFC 7516, A.1: what is authenticated");
	check(kms_jwe_form_kid(&form, &kid, &problem) == KMS_BAD_FORMAT &&
		  problem.flaw == KMS_FLAW_MISSING && problem.part == KMS_PART_KID,
		  "RFC 7516, A.1: no kid");
	free(buffer);
	arena_reset();
}

static void
test_agreement(void)
{
	static const unsigned char epk_x[] = {0x80, 0x8d, 0x06, 0x00};
	static const unsigned char epk_y[] = {0x48, 0xb5, 0xbf, 0xc5};
	KmsJweProblem problem;
	KmsJweForm	form;
	KmsJwe		jwe;
	unsigned char *buffer;
	size_t		len;
	char	   *sent = make_message(rfc7518_c, "@..<12>.<3>.<16>", &len);

	check(judge(sent, len, EC, &form, &buffer, &jwe, &problem) == KMS_OK &&
		  jwe.alg == KMS_ECDH_ES && jwe.enc == KMS_A128GCM &&
		  jwe.encrypted_key.len == 0, "RFC 7518, C: algorithms");
	check(memcmp(jwe.epk_x, epk_x, sizeof(epk_x)) == 0 &&
		  jwe.epk_x[31] == 0x5d &&
		  memcmp(jwe.epk_y, epk_y, sizeof(epk_y)) == 0 &&
		  jwe.epk_y[31] == 0x9b, "RFC 7518, C: epk");
	check(jwe.apu_len == 5 && memcmp(jwe.apu, "Alice", 5) == 0 &&
		  jwe.apv_len == 3 && memcmp(jwe.apv, "Bob", 3) == 0,
		  "RFC 7518, C: parties");
	free(buffer);
	free(sent);
	arena_reset();
}

/* "aad" is added to what is authenticated, as it was sent. */
static void
test_aad(const char *sent, const char *expected)
{
	KmsJweProblem problem;
	KmsJweForm	form;
	KmsJwe		jwe;
	unsigned char *buffer;
	size_t		len;
	char	   *message = make_message("{'alg':'RSA-OAEP','enc':'A256GCM'}",
									   sent, &len);

	check(judge(message, len, RSA, &form, &buffer, &jwe, &problem) == KMS_OK &&
		  form.serialization == KMS_JWE_FLATTENED &&
		  is_bytes(jwe.aad, expected, strlen(expected)),
		  "what is authenticated: %s", sent);
	free(buffer);
	free(message);
	arena_reset();
}

static void
test_kid(const char *header, const char *sent, KmsJweFlaw flaw)
{
	KmsJweProblem problem = {0};
	KmsJweForm	form;
	KmsText		kid;
	size_t		len;
	char	   *message = make_message(header, sent, &len);

	check(kms_jwe_text_read(message, len, &form, &problem) == KMS_OK,
		  "headers are read before anything is judged");
	if (flaw == KMS_FLAW_NONE)
		check(kms_jwe_form_kid(&form, &kid, &problem) == KMS_OK &&
			  kid.len == 3 && memcmp(kid.at, "k/1", 3) == 0,
			  "kid in the protected header %s", header);
	else
		check(kms_jwe_form_kid(&form, &kid, &problem) == KMS_BAD_FORMAT &&
			  problem.flaw == flaw && problem.part == KMS_PART_KID,
			  "no kid in %s and %s", header != NULL ? header : "no header", sent);
	free(message);
	arena_reset();
}

/* The reader of the text never asks for this. */
static void
test_not_an_object(void)
{
	const KmsJsonValue array = {.type = KMS_JSON_ARRAY};
	KmsJweProblem problem = {0};
	KmsJweForm	form;

	check(kms_jwe_form_take(&array, &form, &problem) == KMS_BAD_FORMAT &&
		  problem.flaw == KMS_FLAW_NOT_JSON && problem.part == KMS_PART_WHOLE,
		  "an array is not the JSON form");
}

static void
test_kind(const char *sent, KmsJweKind kind)
{
	check(kms_jwe_form_kind(sent, strlen(sent)) == kind, "kind %d: \"%s\"",
		  (int) kind, *sent == ' ' ? sent + 2 : sent);
}

/*
 * Each flaw has a message and a hint, without what is in braces and without
 * being cut off; a message has no full stop and a hint is a sentence.
 */
static void
test_texts(void)
{
	bool		good = true;
	KmsJweFlaw	flaw;
	KmsJwePart	part;

	for (flaw = KMS_FLAW_NONE + 1; flaw < KMS_FLAW_COUNT; flaw++)
	{
		for (part = KMS_PART_WHOLE; part < KMS_PART_COUNT; part++)
		{
			KmsJweProblem problem;
			KmsJweProblemBuffer message;
			KmsJweProblemBuffer hint;

			kms_jwe_problem_size(&problem, flaw, part, 2000000, 2000001);
			kms_jwe_problem_message(&problem, message);
			kms_jwe_problem_hint(&problem, hint);
			if (strlen(message) < 8 || strpbrk(message, "{}.") != strchr(message, '.') ||
				message[strlen(message) - 1] == '.' ||
				strpbrk(hint, "{}") != NULL ||
				strlen(hint) >= KMS_JWE_PROBLEM_SIZE - 1 ||
				hint[strlen(hint) - 1] != '.')
			{
				printf("# %s: %s\n", message, hint);
				good = false;
			}
		}
	}
	check(good, "each flaw has a message and a hint");
}

static void
test_message(KmsJweFlaw flaw, KmsJwePart part, const char *expected)
{
	KmsJweProblem problem;
	KmsJweProblemBuffer message;

	kms_jwe_problem_size(&problem, flaw, part, 7, 12);
	kms_jwe_problem_message(&problem, message);
	check(strcmp(message, expected) == 0, "message: %s", message);
}

int
main(void)
{
	size_t		i;

	for (i = 0; i < LENGTH_OF(accepted); i++)
		test_accepted(&accepted[i]);
	for (i = 0; i < LENGTH_OF(refused); i++)
		test_refused(&refused[i]);
	for (i = 0; i < LENGTH_OF(refused_examples); i++)
		test_refused(&refused_examples[i]);
	test_rsa_message();
	test_agreement();
	test_aad("{'protected':'@',<KEY>,<REST>}",
			 "eyJhbGciOiJSU0EtT0FFUCIsImVuYyI6IkEyNTZHQ00ifQ");
	test_aad("{'aad':'AAEC','protected':'@',<KEY>,<REST>}",
			 "eyJhbGciOiJSU0EtT0FFUCIsImVuYyI6IkEyNTZHQ00ifQ.AAEC");
	test_aad("{'protected':'@','aad':'',<KEY>,<REST>}",
			 "eyJhbGciOiJSU0EtT0FFUCIsImVuYyI6IkEyNTZHQ00ifQ.");
	test_kid("{'kid':'k/1'}", "{'protected':'@'}", KMS_FLAW_NONE);
	test_kid("{'kid':'k\\u002f1'}", "@....", KMS_FLAW_NONE);
	test_kid("{'kid':7}", "@....", KMS_FLAW_NOT_STRING);
	test_kid("{}", "{'protected':'@','header':{'kid':'k/1'}}",
			 KMS_FLAW_NOT_PROTECTED);
	test_kid("{}", "@....", KMS_FLAW_MISSING);
	test_kid(NULL, "{'header':{'kid':'k/1'}}", KMS_FLAW_NOT_PROTECTED);
	test_not_an_object();
	test_kind("", KMS_JWE_KIND_NONE);
	test_kind(" \n", KMS_JWE_KIND_NONE);
	test_kind("AAAA", KMS_JWE_KIND_NONE);
	test_kind(" {", KMS_JWE_KIND_JSON);
	test_kind("{a.b", KMS_JWE_KIND_JSON);
	test_kind("a.b", KMS_JWE_KIND_COMPACT);
	test_kind(".", KMS_JWE_KIND_COMPACT);
	test_texts();
	test_message(KMS_FLAW_EMPTY, KMS_PART_WHOLE, "JWE is empty");
	test_message(KMS_FLAW_NOT_JSON, KMS_PART_WHOLE, "JWE is not JSON");
	test_message(KMS_FLAW_NOT_JSON, KMS_PART_PROTECTED,
				 "\"protected\" of the JWE is not JSON");
	test_message(KMS_FLAW_SIZE, KMS_PART_IV,
				 "\"iv\" of the JWE has 7 bytes instead of 12");
	return tap_done();
}
