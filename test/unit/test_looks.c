#include <stdlib.h>

#include "crypto/base64.h"
#include "crypto/looks.h"
#include "tap.h"

#define TEXT(text) text, sizeof(text) - 1
#define NOTHING NULL, 0

#define X16(text) text text text text text text text text text text text text text text text text
#define X64(text) X16(text) X16(text) X16(text) X16(text)
#define HEX16 "0123456789abcdef"
#define HEX64 HEX16 HEX16 HEX16 HEX16
#define HEX128 HEX64 HEX64
#define BYTES8 "\x01\x23\x45\x67\x89\xab\xcd\xef"
#define BYTES64 BYTES8 BYTES8 BYTES8 BYTES8 BYTES8 BYTES8 BYTES8 BYTES8
#define BASE64_16 "ABCDwxyz0189GHI/"
#define BASE64_128 BASE64_16 BASE64_16 BASE64_16 BASE64_16 BASE64_16 BASE64_16 BASE64_16 BASE64_16
/* 171 digits and padding: a block of 128 bytes */
#define BLOCK_128 X64("AA") "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="
/* a list of 64 bytes in octal, decimal, hexadecimal */
#define OCTALS X16("\\001\\377\\\\a")
#define OCTAL_BYTES X16("\001\377\\a")
#define NUMBERS X16("1, 255,-1, 0,")
#define NUMBER_BYTES X16("\x01\xff\xff\x00")
#define GO_NUMBERS X16("0x1, 0xff, 0x0, 0x10, ")
#define GO_BYTES X16("\x01\xff\x00\x10")
#define TENS "10,20,30,40,50,60,70,80,90,100"
#define TENS_BYTES "\x0a\x14\x1e\x28\x32\x3c\x46\x50\x5a\x64"
#define SEVENTY TENS "," TENS "," TENS "," TENS "," TENS "," TENS "," TENS
#define SEVENTY_BYTES TENS_BYTES TENS_BYTES TENS_BYTES TENS_BYTES TENS_BYTES TENS_BYTES TENS_BYTES
/* {"0":0,"1":37, ... of a Uint8Array, and its bytes */
#define INDEXES \
	"\"0\":0,\"1\":37,\"2\":74,\"3\":111,\"4\":148,\"5\":185,\"6\":222,\"7\":3" \
	",\"8\":40,\"9\":77,\"10\":114,\"11\":151,\"12\":188,\"13\":225,\"14\":6,\"15\":43" \
	",\"16\":80,\"17\":117,\"18\":154,\"19\":191,\"20\":228,\"21\":9,\"22\":46,\"23\":83" \
	",\"24\":120,\"25\":157,\"26\":194,\"27\":231,\"28\":12,\"29\":49,\"30\":86,\"31\":123" \
	",\"32\":160,\"33\":197,\"34\":234,\"35\":15,\"36\":52,\"37\":89,\"38\":126,\"39\":163" \
	",\"40\":200,\"41\":237,\"42\":18,\"43\":55,\"44\":92,\"45\":129,\"46\":166,\"47\":203" \
	",\"48\":240,\"49\":21,\"50\":58,\"51\":95,\"52\":132,\"53\":169,\"54\":206,\"55\":243" \
	",\"56\":24,\"57\":61,\"58\":98,\"59\":135,\"60\":172,\"61\":209,\"62\":246,\"63\":27"
#define INDEXED \
	"\x00\x25\x4a\x6f\x94\xb9\xde\x03" \
	"\x28\x4d\x72\x97\xbc\xe1\x06\x2b" \
	"\x50\x75\x9a\xbf\xe4\x09\x2e\x53" \
	"\x78\x9d\xc2\xe7\x0c\x31\x56\x7b" \
	"\xa0\xc5\xea\x0f\x34\x59\x7e\xa3" \
	"\xc8\xed\x12\x37\x5c\x81\xa6\xcb" \
	"\xf0\x15\x3a\x5f\x84\xa9\xce\xf3" \
	"\x18\x3d\x62\x87\xac\xd1\xf6\x1b"
#define PEM_BEGIN "-----BEGIN CIPHERTEXT-----\n"
#define PEM_END "-----END CIPHERTEXT-----"

typedef struct LooksCase
{
	const char *in;
	size_t		len;
	size_t		block;
	KmsLooks	looks;
	const char *out;			/* NULL: it cannot be undone */
	size_t		out_len;
	size_t		number;
	const char *name;
} LooksCase;

static const LooksCase texts[] = {
	{TEXT(BASE64_16), 0, KMS_LOOKS_PLAIN, NOTHING, 0, "base64"},
	{TEXT(BASE64_16 "=="), 12, KMS_LOOKS_PLAIN, NOTHING, 0, "base64 with padding"},
	{TEXT("AB-_"), 0, KMS_LOOKS_PLAIN, NOTHING, 0, "URL-safe base64"},
	{TEXT("no secret!"), 0, KMS_LOOKS_PLAIN, NOTHING, 0, "some words"},
	{TEXT("\303\244\377"), 0, KMS_LOOKS_PLAIN, NOTHING, 0, "other bytes"},

	/* characters */
	{TEXT(""), 0, KMS_LOOKS_EMPTY, NOTHING, 0, "nothing"},
	{TEXT(" \t\r\n\v\f"), 0, KMS_LOOKS_EMPTY, NOTHING, 0, "white space"},
	{TEXT(" AAA BBB DDDAAAA"), 12, KMS_LOOKS_BLANKED, TEXT("+AAA+BBB+DDDAAAA"), 0, "blanks for plus signs"},
	{TEXT("AAAA BBB"), 6, KMS_LOOKS_BLANKED, TEXT("AAAA+BBB"), 0, "one blank"},
	{TEXT(" AAA"), 3, KMS_LOOKS_BLANKED, TEXT("+AAA"), 0, "a blank that begins it"},
	{TEXT("AAA "), 3, KMS_LOOKS_BLANKED, TEXT("AAA+"), 0, "a blank that ends it"},
	{TEXT("AAA CCC/BA==\n"), 7, KMS_LOOKS_BLANKED, TEXT("AAA+CCC/BA==\n"), 0, "with padding and a newline"},
	{TEXT("AAAA BBBB"), 6, KMS_LOOKS_PLAIN, NOTHING, 0, "a blank between"},
	{TEXT("AAA+ BBB"), 6, KMS_LOOKS_PLAIN, NOTHING, 0, "a plus sign is there"},
	{TEXT("AAAA BBB"), 0, KMS_LOOKS_PLAIN, NOTHING, 0, "of no known length"},
	{TEXT("AAAA BBB"), 9, KMS_LOOKS_PLAIN, NOTHING, 0, "of another length"},
	{TEXT("AAAA\357\277\275AAA"), 0, KMS_LOOKS_REPLACED, NOTHING, 5, "a replacement character"},
	{TEXT(X16("a?b?")), 0, KMS_LOOKS_QUESTION_MARKS, NOTHING, 32, "question marks"},
	{TEXT("a?b?"), 0, KMS_LOOKS_PLAIN, NOTHING, 0, "few question marks"},
	{TEXT(X16("a\302\200\303\277\001b")), 0, KMS_LOOKS_LATIN1, TEXT(X16("a\200\377\001b")), 0, "bytes as Latin-1"},
	{TEXT("a\302\200\303\277\001b"), 0, KMS_LOOKS_PLAIN, NOTHING, 0, "few bytes as Latin-1"},
	{TEXT(X16("a\302\200\304\200")), 0, KMS_LOOKS_PLAIN, NOTHING, 0, "other letters than those of Latin-1"},
	{TEXT("\357\273\277AA\342\200\213AA\302\255\n"), 0, KMS_LOOKS_INVISIBLE, TEXT("AAAA\n"), 1, "a byte order mark, a zero-width space, a soft hyphen"},
	{TEXT("AA\302\240AA\342\201\250"), 0, KMS_LOOKS_INVISIBLE, TEXT("AAAA"), 3, "a no-break space, an isolate"},
	{TEXT("AAAA\033\177\v"), 0, KMS_LOOKS_INVISIBLE, TEXT("AAAA"), 5, "controls"},
	{TEXT("AA\342\200\213\303\244"), 0, KMS_LOOKS_PLAIN, NOTHING, 0, "invisible, and another letter"},

	/* foreign */
	{TEXT(PEM_BEGIN "MII\nABC\n" PEM_END "\n"), 0, KMS_LOOKS_PEM, TEXT("\nMII\nABC\n"), 0, "PEM"},
	{TEXT("\n " PEM_BEGIN "MII"), 0, KMS_LOOKS_PEM, TEXT("\nMII"), 0, "PEM after white space, without END"},
	{TEXT("-----BEGIN"), 0, KMS_LOOKS_PLAIN, NOTHING, 0, "half a line of PEM"},
	{TEXT("-----BEGIN X-Y"), 0, KMS_LOOKS_PLAIN, NOTHING, 0, "a line without its end"},
	{TEXT("-----BEGIN PUBLIC KEY-----\nMII"), 0, KMS_LOOKS_KEY, NOTHING, 0, "a public key"},
	{TEXT("-----BEGIN CERTIFICATE-----"), 0, KMS_LOOKS_KEY, NOTHING, 0, "a certificate"},
	{TEXT("ssh-rsa AAAA"), 0, KMS_LOOKS_KEY, NOTHING, 0, "a key of SSH"},
	{TEXT("data:;base64,AAAA"), 0, KMS_LOOKS_DATA_URL, TEXT("AAAA"), 0, "a data URL"},
	{TEXT("data:AAAA"), 0, KMS_LOOKS_PLAIN, NOTHING, 0, "a data URL without data"},
	{TEXT("base64:AAAA"), 0, KMS_LOOKS_BASE64_PREFIX, TEXT("AAAA"), 0, "the encoding's name"},
	{TEXT("b64:AAAA"), 0, KMS_LOOKS_BASE64_PREFIX, TEXT("AAAA"), 0, "the encoding's short name"},
	{TEXT("vault:v12:AAAA"), 0, KMS_LOOKS_VAULT, TEXT("AAAA"), 0, "Vault"},
	{TEXT("vault:v:AAAA"), 0, KMS_LOOKS_PLAIN, NOTHING, 0, "Vault without a version"},
	{TEXT("vault:v1"), 0, KMS_LOOKS_PLAIN, NOTHING, 0, "Vault without a colon"},
	{TEXT("{cipher}AAAA"), 0, KMS_LOOKS_SPRING, TEXT("AAAA"), 0, "Spring"},
	{TEXT("{cipher}{key:a}{secret:b}AAAA"), 0, KMS_LOOKS_SPRING, TEXT("AAAA"), 0, "Spring with a key"},
	{TEXT("{cipher}{key"), 0, KMS_LOOKS_SPRING, TEXT("{key"), 0, "Spring with half a key"},
	{TEXT("ENC(AAAA)"), 0, KMS_LOOKS_JASYPT, TEXT("AAAA"), 0, "Jasypt"},
	{TEXT("ENC(AAAA"), 0, KMS_LOOKS_PLAIN, NOTHING, 0, "half of Jasypt"},
	{TEXT("$ANSIBLE_VAULT;1.1;AES256\n6162"), 0, KMS_LOOKS_ANSIBLE, NOTHING, 0, "Ansible"},
	{TEXT("ENC[PKCS7,AAAA]"), 0, KMS_LOOKS_EYAML, NOTHING, 0, "eyaml"},
	{TEXT("ENC[AES256_GCM,data:AAAA"), 0, KMS_LOOKS_SOPS, NOTHING, 0, "SOPS"},
	{TEXT("age-encryption.org/v1\n"), 0, KMS_LOOKS_AGE, NOTHING, 0, "age"},
	{TEXT("-----BEGIN AGE ENCRYPTED FILE-----\n"), 0, KMS_LOOKS_AGE, NOTHING, 0, "age with armor"},
	{TEXT("-----BEGIN PGP MESSAGE-----\n"), 0, KMS_LOOKS_PGP, NOTHING, 0, "OpenPGP"},
	{TEXT("sm://pin"), 0, KMS_LOOKS_REFERENCE, NOTHING, 0, "a reference"},
	{TEXT("$2b$12$abcdefghijklmnopqrstuv"), 0, KMS_LOOKS_HASH, NOTHING, 0, "bcrypt"},
	{TEXT("$argon2id$v=19$m=1"), 0, KMS_LOOKS_HASH, NOTHING, 0, "argon2"},
	{TEXT("$$a"), 0, KMS_LOOKS_PLAIN, NOTHING, 0, "dollars"},
	{TEXT("$a b$"), 0, KMS_LOOKS_PLAIN, NOTHING, 0, "an amount"},
	{TEXT("key_1751374800000_5f0c3f1a9f0b4f5e8a7d6c5b"), 0, KMS_LOOKS_KEY_ID, NOTHING, 0, "a key id"},
	{TEXT("eyJhbGciOi.a.b.c.d"), 0, KMS_LOOKS_JWE, NOTHING, 0, "a JWE"},
	{TEXT("eyJhbGciOi..b.c.d"), 0, KMS_LOOKS_JWE, NOTHING, 0, "a JWE of a direct key"},
	{TEXT("eyJhbGciOi.a.b"), 0, KMS_LOOKS_JWS, NOTHING, 0, "a JWS"},
	{TEXT("eyJlbmMiOiJB.a.b"), 0, KMS_LOOKS_JWE, NOTHING, 0, "a JWE that was cut off"},
	{TEXT("eyJlbmMiOiJB.a."), 0, KMS_LOOKS_JWE, NOTHING, 0, "a JWE that was cut off after a dot"},
	{TEXT("eyJhbGciOi.a.b."), 0, KMS_LOOKS_JWE, NOTHING, 0, "four parts"},
	{TEXT("eyJhbGciOi.a.b.c.d.e"), 0, KMS_LOOKS_JWE, NOTHING, 0, "six parts"},
	{TEXT("eyJhbGciOi.a.b.c!.d"), 0, KMS_LOOKS_JWE, NOTHING, 0, "another character"},
	{TEXT("eyJhbGciO.a.b.c.d"), 0, KMS_LOOKS_PLAIN, NOTHING, 0, "too short a header"},
	{TEXT("eyJhbGciO!i.a.b.c.d"), 0, KMS_LOOKS_PLAIN, NOTHING, 0, "another character in the header"},
	{TEXT("eyJhbGciOiJB"), 0, KMS_LOOKS_PLAIN, NOTHING, 0, "a header alone"},
	{TEXT(" eyJhbGciOi.a\n.b. c.d\n"), 0, KMS_LOOKS_JWE_SPACED, TEXT("eyJhbGciOi.a.b.c.d"), 0, "a JWE in lines"},
	{TEXT("eyJhbGciOi=.a+.b/c==..d"), 0, KMS_LOOKS_JWE_BASE64, TEXT("eyJhbGciOi.a-.b_c..d"), 0, "a JWE in standard base64"},
	{TEXT("eyJhbGciOi=\n.a..c.d"), 0, KMS_LOOKS_JWE_SPACED, TEXT("eyJhbGciOi=.a..c.d"), 0, "a JWE with padding in lines"},
	{TEXT("eyJhbGciOi.a%3D.b.c.d"), 0, KMS_LOOKS_PERCENT_ENCODED, TEXT("eyJhbGciOi.a=.b.c.d"), 0, "a JWE that is percent-encoded"},
	{TEXT("eyJhbGciOi..."), 0, KMS_LOOKS_SHORTENED, NOTHING, 0, "a shortened JWE"},
	{TEXT("eyJhbGciOi.a.="), 0, KMS_LOOKS_JWS, NOTHING, 0, "a JWS with padding"},
	{TEXT("eyJhbGciOi.a."), 0, KMS_LOOKS_JWT, NOTHING, 0, "a plain JWT"},
	{TEXT("Bearer eyJ.a"), 0, KMS_LOOKS_BEARER, TEXT("eyJ.a"), 0, "Bearer"},
	{TEXT("\nauthorization:BEARER \tAAAA"), 0, KMS_LOOKS_BEARER, TEXT("AAAA"), 0, "a header of HTTP"},
	{TEXT("BearerAAAA"), 0, KMS_LOOKS_PLAIN, NOTHING, 0, "Bearer without a blank"},
	{TEXT("Bearer"), 0, KMS_LOOKS_PLAIN, NOTHING, 0, "Bearer and nothing"},
	{TEXT("MIIhbGciOi.a.b"), 0, KMS_LOOKS_PLAIN, NOTHING, 0, "parts without a header"},
	{TEXT("192.168.1.10.1"), 0, KMS_LOOKS_PLAIN, NOTHING, 0, "other numbers"},

	/* printed */
	{TEXT("[object Object]"), 0, KMS_LOOKS_OBJECT, NOTHING, 0, "an object of JavaScript"},
	{TEXT("System.Byte[]"), 0, KMS_LOOKS_OBJECT, NOTHING, 0, "an array of .NET"},
	{TEXT("[B@1a2b3c"), 0, KMS_LOOKS_OBJECT, NOTHING, 0, "an array of Java"},
	{TEXT("256 bytes"), 0, KMS_LOOKS_OBJECT, NOTHING, 0, "Data of Swift"},
	{TEXT("undefined"), 0, KMS_LOOKS_NO_VALUE, NOTHING, 0, "no value"},
	{TEXT("null"), 0, KMS_LOOKS_NO_VALUE, NOTHING, 0, "null"},
	{TEXT("nullA"), 0, KMS_LOOKS_PLAIN, NOTHING, 0, "more than null"},
	{TEXT("<" HEX64 " " HEX64 ">"), 0, KMS_LOOKS_PRINTED_HEX, TEXT(HEX64 " " HEX64), 0, "NSData"},
	{TEXT("<Buffer " HEX64 " " HEX64 ">"), 0, KMS_LOOKS_PRINTED_HEX, TEXT(HEX64 " " HEX64), 0, "a Buffer"},
	{TEXT("<Buffer 3a ff>"), 0, KMS_LOOKS_PLAIN, NOTHING, 0, "a short Buffer"},
	{TEXT("<Buffer 3a ff ... 206 more bytes>"), 0, KMS_LOOKS_SHORTENED, NOTHING, 0, "a shortened Buffer"},
	{TEXT("b'AAAA'"), 0, KMS_LOOKS_PYTHON_TEXT, TEXT("AAAA"), 0, "base64 as Python prints it"},
	{TEXT("bytearray(b\"AAAA\")"), 0, KMS_LOOKS_PYTHON_TEXT, TEXT("AAAA"), 0, "a bytearray"},
	{TEXT("b'a\\x00\\xfF\\t\\r\\n\\\\\\'\\\"z'"), 0, KMS_LOOKS_PYTHON_BYTES, TEXT("a\0\xff\t\r\n\\'\"z"), 0, "bytes as Python prints them"},
	{TEXT("b'a\\q'"), 0, KMS_LOOKS_PLAIN, NOTHING, 0, "an escape that Python does not print"},
	{TEXT("b'a\\x0'"), 0, KMS_LOOKS_PLAIN, NOTHING, 0, "half an escape"},
	{TEXT("b'a\\'"), 0, KMS_LOOKS_SLASHED, TEXT("b'a'"), 0, "an escape of the quote that ends it"},
	{TEXT(NUMBERS), 0, KMS_LOOKS_NUMBERS, TEXT(NUMBER_BYTES), 0, "numbers"},
	{TEXT("[" NUMBERS "]"), 0, KMS_LOOKS_NUMBERS, TEXT(NUMBER_BYTES), 0, "numbers in brackets"},
	{TEXT("Uint8Array(64) [ " NUMBERS " ]"), 0, KMS_LOOKS_NUMBERS, TEXT(NUMBER_BYTES), 0, "numbers of JavaScript"},
	{TEXT("{\"type\":\"Buffer\",\"data\":[" SEVENTY "]}"), 0, KMS_LOOKS_NUMBERS, TEXT(SEVENTY_BYTES), 0, "a Buffer in JSON"},
	{TEXT("{\"a\":1,\"type\":\"Buffer\",\"of\":\"the client\",\"data\":[" SEVENTY "]}"), 0, KMS_LOOKS_JSON_ARRAY, TEXT(SEVENTY_BYTES), 70, "a Buffer among others"},
	{TEXT(X64("256,")), 0, KMS_LOOKS_PLAIN, NOTHING, 0, "numbers above a byte"},
	{TEXT(X64("-129,")), 0, KMS_LOOKS_PLAIN, NOTHING, 0, "numbers below a byte"},
	{TEXT(X64("0001,")), 0, KMS_LOOKS_HEX_SEPARATED, TEXT(X64("\0\1")), 256, "numbers of four digits"},
	{TEXT("[1,2,3]"), 0, KMS_LOOKS_JSON_WITHOUT, NOTHING, 0, "few numbers"},
	{TEXT("[]byte{" GO_NUMBERS "}"), 0, KMS_LOOKS_HEX_NUMBERS, TEXT(GO_BYTES), 0, "hexadecimal numbers of Go"},
	{TEXT(X64("0x100,")), 0, KMS_LOOKS_PLAIN, NOTHING, 0, "hexadecimal numbers above a byte"},

	/* JSON and quotes */
	{TEXT("{\"a\":1}"), 0, KMS_LOOKS_JSON_WITHOUT, NOTHING, 0, "an object"},
	{TEXT(" [true,false,null,-1.5e+3,0,{\"a\":[]},\"\\u00e4\"] "), 0, KMS_LOOKS_JSON_WITHOUT, NOTHING, 0, "an array of everything"},
	{TEXT("{\"protected\":1,\"ciphertext\":\"" BASE64_128 "\"}"), 0, KMS_LOOKS_JWE, NOTHING, 0, "a JWE"},
	{TEXT("{\"recipients\":[{\"header\":{}}],\"ciphertext\":1}"), 0, KMS_LOOKS_JWE, NOTHING, 0, "a JWE with recipients"},
	{TEXT("{\"ciphertext\":\"" BASE64_128 "\",\"iv\":\"\"}"), 0, KMS_LOOKS_JSON_VALUE, TEXT(BASE64_128), 128, "a ciphertext that is no JWE"},
	{TEXT("{\"payload\":\"\",\"signatures\":[]}"), 0, KMS_LOOKS_JWS, NOTHING, 0, "a JWS"},
	{TEXT("[{\"unprotected\":{},\"ciphertext\":\"\"},0]"), 0, KMS_LOOKS_JSON_JWE, TEXT("{\"unprotected\":{},\"ciphertext\":\"\"}"), 0, "a JWE in JSON"},
	{TEXT("[{\"protected\":\"\",\"ciphertext\":\"\"},{\"protected\":\"\",\"ciphertext\":\"\"}]"), 0, KMS_LOOKS_JSON_WITHOUT, NOTHING, 0, "two JWE in JSON"},
	{TEXT("{\"kty\":\"RSA\",\"n\":\"" BASE64_128 "\"}"), 0, KMS_LOOKS_KEY, NOTHING, 0, "a JWK"},
	{TEXT("{\"keys\":[{\"kty\":\"RSA\",\"n\":\"" BASE64_128 "\"}]}"), 0, KMS_LOOKS_KEY, NOTHING, 0, "a JWK set"},
	{TEXT("{\"jwk\":{\"kty\":\"EC\"},\"a\":\"" BASE64_128 "\"}"), 0, KMS_LOOKS_JSON_VALUE, TEXT(BASE64_128), 128, "a value beside a JWK"},
	{TEXT("{\"keys\":[],\"a\":\"" BASE64_128 "\"}"), 0, KMS_LOOKS_JSON_VALUE, TEXT(BASE64_128), 128, "a value beside other keys"},
	{TEXT("{\"a\":\"" BASE64_128 "\"}"), 0, KMS_LOOKS_JSON_VALUE, TEXT(BASE64_128), 128, "a value"},
	{TEXT("{\"a\":[{\"" BASE64_128 "AA\":\"x\"},\"" BASE64_128 "\\/\\u002b\\ud83d\\ude00\"]}"), 0, KMS_LOOKS_JSON_VALUE, TEXT(BASE64_128 "/+\360\237\230\200"), 131, "a value with escapes, and a long name"},
	{TEXT("{\"a\":\"" BASE64_128 "\",\"b\":\"" BLOCK_128 "\"}"), 128, KMS_LOOKS_JSON_VALUE, TEXT(BLOCK_128), 172, "the value that has the length"},
	{TEXT("{\"a\":\"" BASE64_128 "\",\"b\":\"" BLOCK_128 "\"}"), 0, KMS_LOOKS_JSON_VALUES, NOTHING, 0, "two values, and no length"},
	{TEXT("[\"" BLOCK_128 "\",\"" BLOCK_128 "\"]"), 128, KMS_LOOKS_JSON_VALUES, NOTHING, 0, "two values of the length"},
	{TEXT("{\"b\":[" SEVENTY "],\"c\":[" SEVENTY "]}"), 0, KMS_LOOKS_JSON_WITHOUT, NOTHING, 0, "two lists of bytes"},
	{TEXT("{\"c\":[" SEVENTY ",256],\"x\":0}"), 0, KMS_LOOKS_JSON_WITHOUT, NOTHING, 0, "a list of other numbers"},
	{TEXT("{\"c\":{" INDEXES "}}"), 0, KMS_LOOKS_JSON_INDEXES, TEXT(INDEXED), 64, "bytes by their index"},
	{TEXT("{\"c\":{" INDEXES "},\"x\":0}"), 0, KMS_LOOKS_JSON_WITHOUT, NOTHING, 0, "bytes by their index, and a number"},
	{TEXT("{" INDEXES ",\"63\":0}"), 0, KMS_LOOKS_JSON_WITHOUT, NOTHING, 0, "an index twice"},
	{TEXT("{'a': '" BASE64_128 "'}"), 0, KMS_LOOKS_JSON_SINGLE, TEXT("{\"a\": \"" BASE64_128 "\"}"), 0, "a dictionary of Python"},
	{TEXT("{'a': b'" BASE64_128 "'}"), 0, KMS_LOOKS_JSON_BROKEN, NOTHING, 0, "a dictionary of bytes"},
	{TEXT("{\"a\":\"AAAA"), 0, KMS_LOOKS_JSON_BROKEN, NOTHING, 0, "half an object"},
	{TEXT("{\"a\":1}}"), 0, KMS_LOOKS_JSON_BROKEN, NOTHING, 0, "a brace too many"},
	{TEXT("[01]"), 0, KMS_LOOKS_JSON_BROKEN, NOTHING, 0, "a number that begins with 0"},
	{TEXT("[1.]"), 0, KMS_LOOKS_JSON_BROKEN, NOTHING, 0, "a number that ends with a dot"},
	{TEXT("[1e1000]"), 0, KMS_LOOKS_JSON_BROKEN, NOTHING, 0, "a huge number"},
	{TEXT("[\"\\u0000\"]"), 0, KMS_LOOKS_JSON_BROKEN, NOTHING, 0, "a NUL"},
	{TEXT("[\"\\udc00\"]"), 0, KMS_LOOKS_JSON_BROKEN, NOTHING, 0, "half a character"},
	{TEXT("[\"\t\"]"), 0, KMS_LOOKS_JSON_BROKEN, NOTHING, 0, "a tab in a string"},
	{TEXT("[1,]"), 0, KMS_LOOKS_JSON_BROKEN, NOTHING, 0, "a comma too many"},
	{TEXT("{\"a\"}"), 0, KMS_LOOKS_JSON_BROKEN, NOTHING, 0, "a name without a value"},
	{TEXT("[" X64("[") "]"), 0, KMS_LOOKS_JSON_BROKEN, NOTHING, 0, "too many levels"},
	{TEXT("{length = 256, bytes = 0x3a4b ... 1f }"), 0, KMS_LOOKS_SHORTENED, NOTHING, 0, "NSData of today"},
	{TEXT("{\\\"a\\\":\\\"AA\\/A\\\"}"), 0, KMS_LOOKS_JSON_ESCAPED, TEXT("{\"a\":\"AA/A\"}"), 0, "JSON in JSON"},
	{TEXT("{&quot;a&quot;:&quot;AA&#x2B;A&quot;}"), 0, KMS_LOOKS_HTML, TEXT("{\"a\":\"AA+A\"}"), 0, "JSON in HTML"},
	{TEXT("\"AA\\/A\\u002b\\n\""), 0, KMS_LOOKS_JSON_STRING, TEXT("AA/A+\n"), 0, "a string with escapes"},
	{TEXT("\"AAAA\""), 0, KMS_LOOKS_QUOTED, TEXT("AAAA"), 0, "double quotes"},
	{TEXT(" 'AAAA'\n"), 0, KMS_LOOKS_SINGLE_QUOTED, TEXT("AAAA"), 0, "single quotes"},
	{TEXT("`AAAA`"), 0, KMS_LOOKS_BACKQUOTED, TEXT("AAAA"), 0, "backquotes"},
	{TEXT("\""), 0, KMS_LOOKS_PLAIN, NOTHING, 0, "one quote"},
	{TEXT("\"AAAA'"), 0, KMS_LOOKS_PLAIN, NOTHING, 0, "quotes that differ"},

	/* escapes */
	{TEXT("s:128:\"" BASE64_128 "\";"), 0, KMS_LOOKS_SERIALIZED, TEXT(BASE64_128), 128, "serialize() of PHP"},
	{TEXT("a:2:{s:1:\"x\";i:1;s:3:\"pin\";s:128:\"" BASE64_128 "\";}"), 0, KMS_LOOKS_SERIALIZED, TEXT(BASE64_128), 128, "an array of PHP"},
	{TEXT("s:129:\"" BASE64_128 "\";"), 0, KMS_LOOKS_PLAIN, NOTHING, 0, "a length that is wrong"},
	{TEXT("s:99999999999999999999999:\""), 0, KMS_LOOKS_PLAIN, NOTHING, 0, "a length that is too long"},
	{TEXT(OCTALS), 0, KMS_LOOKS_BYTEA_ESCAPE, TEXT(OCTAL_BYTES), 0, "bytea in octal"},
	{TEXT("\\001\\377"), 0, KMS_LOOKS_PLAIN, NOTHING, 0, "few octal numbers"},
	{TEXT("AA\\/\r\nA\\u002b\\u002F\\n"), 0, KMS_LOOKS_JSON_ESCAPED, TEXT("AA/A+/\n"), 0, "escapes of JSON"},
	{TEXT("AA\\"), 0, KMS_LOOKS_PLAIN, NOTHING, 0, "half an escape"},
	{TEXT("AA\\u002"), 0, KMS_LOOKS_PLAIN, NOTHING, 0, "a shorter escape"},
	{TEXT("AA\\'A\\\"A\\\\"), 0, KMS_LOOKS_SLASHED, TEXT("AA'A\"A\\"), 0, "addslashes()"},
	{TEXT("AAAA%2BAA"), 0, KMS_LOOKS_PERCENT_ENCODED, TEXT("AAAA+AA"), 0, "percent-encoded"},
	{TEXT("AAAA%3d"), 0, KMS_LOOKS_PERCENT_ENCODED, TEXT("AAAA="), 0, "at the end"},
	{TEXT("AAAA%252B%c3%A4%"), 0, KMS_LOOKS_PERCENT_ENCODED, TEXT("AAAA%2B\303\244%"), 0, "twice, and another character"},
	{TEXT("AAAA%00"), 0, KMS_LOOKS_PLAIN, NOTHING, 0, "a NUL"},
	{TEXT("AAAA%ff"), 0, KMS_LOOKS_PLAIN, NOTHING, 0, "another byte"},
	{TEXT("AAAA%3"), 0, KMS_LOOKS_PLAIN, NOTHING, 0, "cut off"},
	{TEXT("AAAA%zz"), 0, KMS_LOOKS_PLAIN, NOTHING, 0, "a percent sign"},
	{TEXT("AA&#43;&#x2f;&#061;&plus;&amp;quot;&nbsp;&"), 0, KMS_LOOKS_HTML, TEXT("AA+/=+&quot;&nbsp;&"), 0, "HTML"},
	{TEXT("AA&#;&#x;&#xx;&;&p;"), 0, KMS_LOOKS_PLAIN, NOTHING, 0, "other entities"},

	/* digits */
	{TEXT("\\x00ffAA"), 0, KMS_LOOKS_BYTEA, TEXT("\x00\xff\xaa"), 0, "bytea"},
	{TEXT("\\x00fg"), 0, KMS_LOOKS_PLAIN, NOTHING, 0, "bytea with another character"},
	{TEXT(HEX128), 0, KMS_LOOKS_HEX, TEXT(BYTES64), 128, "hexadecimal"},
	{TEXT(HEX64 "\n" HEX64 " "), 0, KMS_LOOKS_HEX, TEXT(BYTES64), 128, "hexadecimal in lines"},
	{TEXT("0x" HEX128), 0, KMS_LOOKS_HEX_SEPARATED, TEXT(BYTES64), 128, "hexadecimal after 0x"},
	{TEXT("\\x" HEX64 "\n" HEX64), 0, KMS_LOOKS_HEX_SEPARATED, TEXT(BYTES64), 128, "bytea in lines"},
	{TEXT(X16("01:23-45,67;89\\xAB\\xCD\\xEF")), 0, KMS_LOOKS_HEX_SEPARATED, TEXT(BYTES64 BYTES64), 256, "with marks"},
	{TEXT(HEX64 HEX16 HEX16 HEX16 "0123456789ABCDE"), 0, KMS_LOOKS_PLAIN, NOTHING, 0, "one digit too few"},
	{TEXT("1" HEX128), 65, KMS_LOOKS_HEX_ODD, TEXT("\x01" BYTES64), 129, "a lost zero"},
	{TEXT("1" HEX128), 64, KMS_LOOKS_HEX_CUT, NOTHING, 129, "an odd number"},
	{TEXT("1" HEX128), 0, KMS_LOOKS_HEX_CUT, NOTHING, 129, "an odd number, and no length"},
	{TEXT(HEX128 "g"), 0, KMS_LOOKS_PLAIN, NOTHING, 0, "another digit"},
	{TEXT(X64("12345")), 0, KMS_LOOKS_DECIMAL, NOTHING, 320, "a decimal number"},
	{TEXT("AA+_"), 0, KMS_LOOKS_BASE64_MIXED, TEXT("AA+/"), 0, "both alphabets"},
	{TEXT("AA-_A"), 0, KMS_LOOKS_PLAIN, NOTHING, 0, "one alphabet, and a digit too much"},
	{TEXT("AA==="), 0, KMS_LOOKS_BASE64_PADDED, TEXT("AA"), 0, "too much padding"},
	{TEXT("=="), 0, KMS_LOOKS_PLAIN, NOTHING, 0, "nothing but padding"},
	{TEXT(BLOCK_128 BLOCK_128), 0, KMS_LOOKS_BASE64_ROW, TEXT(X64("\0\0\0\0")), 2, "two blocks in a row"},
	{TEXT(BLOCK_128 ",\n" BLOCK_128 ";" BLOCK_128), 0, KMS_LOOKS_BASE64_ROW, TEXT(X64("\0\0\0\0\0\0")), 3, "blocks with marks"},
	{TEXT(BLOCK_128 "AAAA"), 0, KMS_LOOKS_PLAIN, NOTHING, 0, "a block and more"},
	{TEXT(BLOCK_128 "!" BLOCK_128), 0, KMS_LOOKS_PLAIN, NOTHING, 0, "blocks with another mark"},
	{TEXT("AAB=="), 0, KMS_LOOKS_PLAIN, NOTHING, 0, "unused bits of no known length"},
	{TEXT("__B="), 2, KMS_LOOKS_BASE64_BITS, TEXT("\xff\xf0"), 4, "unused bits"},
	{TEXT("AAB="), 3, KMS_LOOKS_PLAIN, NOTHING, 0, "unused bits of another length"},
	{TEXT("AAAA..."), 0, KMS_LOOKS_SHORTENED, NOTHING, 0, "three dots"},
	{TEXT("AAAA\342\200\246"), 0, KMS_LOOKS_SHORTENED, NOTHING, 0, "an ellipsis"}
};

static const LooksCase bytes[] = {
	{TEXT(BYTES64), 0, KMS_LOOKS_PLAIN, NOTHING, 0, "bytes"},
	{TEXT("short"), 0, KMS_LOOKS_PLAIN, NOTHING, 0, "a few letters"},
	{TEXT("12345678"), 8, KMS_LOOKS_PLAIN, NOTHING, 0, "a block"},
	{TEXT("a\357\277\275\0zzzzz"), 0, KMS_LOOKS_BYTES_REPLACED, NOTHING, 0, "a replacement character"},
	{TEXT("a\302\200\303\277\0b\303\200"), 0, KMS_LOOKS_BYTES_LATIN1, TEXT("a\200\377\0b\300"), 0, "bytes as Latin-1"},
	{TEXT("a\302\200\303\277\0b\304\200"), 0, KMS_LOOKS_PLAIN, NOTHING, 0, "other letters, and a NUL"},
	{TEXT("A\0B\0\n\0D\0"), 0, KMS_LOOKS_BYTES_UTF16, TEXT("AB\nD"), 0, "UTF-16"},
	{TEXT("\376\377\0A\0B\0C"), 0, KMS_LOOKS_BYTES_UTF16, TEXT("ABC"), 0, "UTF-16 of the other order"},
	{TEXT("\377\376A\0B\0C\0"), 0, KMS_LOOKS_BYTES_UTF16, TEXT("ABC"), 0, "UTF-16 with a mark"},
	{TEXT("A\0B\0\\\0D\0"), 0, KMS_LOOKS_PLAIN, NOTHING, 0, "UTF-16 with a backslash"},
	{TEXT("A\0B\0C\0D\0E"), 0, KMS_LOOKS_PLAIN, NOTHING, 0, "UTF-16 that was cut off"},
	{TEXT("{\"\303\244\":1}\n"), 0, KMS_LOOKS_BYTES_TEXT, TEXT("{\"\303\244\":1}\n"), 0, "a text"},
	{TEXT("a text\033"), 0, KMS_LOOKS_PLAIN, NOTHING, 0, "a text with a control"},
	{TEXT("\x30\x06" "abcdef"), 0, KMS_LOOKS_BYTES_DER, NOTHING, 0, "short DER"},
	{TEXT("\x30\x82\x00\x04" "abcd"), 0, KMS_LOOKS_BYTES_DER, NOTHING, 0, "DER"},
	{TEXT("\x30\x82\x00\x05" "abc\xff"), 0, KMS_LOOKS_PLAIN, NOTHING, 0, "DER of another length"},
	{TEXT("Salted__12345678"), 0, KMS_LOOKS_BYTES_SALTED, NOTHING, 0, "openssl enc"},
	{TEXT("\x01\x02\x02\x00\x78\x00\x00\x00"), 0, KMS_LOOKS_BYTES_AWS, NOTHING, 0, "AWS KMS"},
	{TEXT("\x0a\x24\x00\x78\xff\x00\x00\x00"), 0, KMS_LOOKS_BYTES_GOOGLE, NOTHING, 0, "Google Cloud KMS"},
	{TEXT("\x80\0\0\0\0" X16("1234") "12345678"), 0, KMS_LOOKS_PLAIN, NOTHING, 0, "Fernet of another length"},
	{TEXT("\x80\0\0\0\0" X16("1234") "1234"), 0, KMS_LOOKS_BYTES_FERNET, NOTHING, 0, "Fernet"},
	{TEXT("\x01\x00\x00\x00\xd0\x8c\x9d\xdf\x01\x15\xd1\x11\x8c\x7a\x00\xc0"), 0, KMS_LOOKS_BYTES_DPAPI, NOTHING, 0, "the data protection of Windows"}
};

typedef struct FaultCase
{
	const char *in;
	size_t		len;
	size_t		fault;
} FaultCase;

static const FaultCase faults[] = {
	{TEXT("!AAA"), 0},
	{TEXT("AAA!"), 3},
	{TEXT("A A\n=A"), 5},
	{TEXT("AA==="), 4},
	{TEXT("A+_"), 2},
	{TEXT("AAAAA"), 5},
	{TEXT("Zh=="), 4},
	{TEXT(""), 0}
};

static bool seen[KMS_LOOKS_COUNT];

static void
test_looks(const LooksCase *c, bool is_text)
{
	/* of that very size, so that a read behind it is seen */
	char	   *copy = malloc(c->len > 0 ? c->len : 1);
	KmsLooksUndone undone = {.data = malloc(c->len + KMS_LOOKS_ROOM)};
	KmsLooks	looks;

	memcpy(copy, c->in, c->len);
	if (is_text)
		looks = kms_looks_text(copy, c->len, c->block, &undone);
	else
		looks = kms_looks_bytes((unsigned char *) copy, c->len, c->block,
								&undone);
	check_number(looks, c->looks, c->name);
	seen[looks] = true;
	if (c->out != NULL)
		check(undone.len == c->out_len &&
			  memcmp(undone.data, c->out, c->out_len) == 0,
			  "%s: undone", c->name);
	if (looks > KMS_LOOKS_JWE && strstr(kms_looks_row(looks)->finding, "<n>"))
		check_number(undone.number, c->number, "the number of the finding");
	free(copy);
	free(undone.data);
}

static void
test_row(KmsLooks looks)
{
	const KmsLooksRow *row = kms_looks_row(looks);

	check(seen[looks], "\"%s\" is tested", row->finding);
	check(strchr(".:", row->hint[strlen(row->hint) - 1]) != NULL,
		  "its hint is of sentences");
	check(row->holds == KMS_HOLDS_NOTHING || row->sql != NULL,
		  "its hint says how to undo it");
	check(row->sql == NULL || strstr(row->sql, "<in>") != NULL,
		  "its SQL takes what has the form");
}

int
main(void)
{
	size_t		i;

	for (i = 0; i < LENGTH_OF(texts); i++)
		test_looks(&texts[i], true);
	for (i = 0; i < LENGTH_OF(bytes); i++)
		test_looks(&bytes[i], false);
	for (i = KMS_LOOKS_JWE + 1; i < KMS_LOOKS_COUNT; i++)
		test_row(i);
	for (i = 0; i < LENGTH_OF(faults); i++)
		check_number((long long) kms_base64_fault(faults[i].in, faults[i].len),
					 (long long) faults[i].fault, "where base64 goes wrong");
	return tap_done();
}
