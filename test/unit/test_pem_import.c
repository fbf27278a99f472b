/*
 * PEM that comes from elsewhere: each form and type that is taken, and each
 * that is refused.
 */
#include <openssl/bn.h>
#include <openssl/crypto.h>

#include "crypto/pem_text.h"
#include "crypto/secure_heap.h"
#include "keys.h"
#include "pem.h"

#define SECURE_HEAP 65536		/* bytes */
#define PIECE		32
#define DER_MAX		8192
#define TEXT_MAX	(2 * KMS_PEM_IMPORT_MAX)

static const char body[] =
"MC4CAQAwBQYDK2VuBCIEIHcHbQpzGKV9PBbBclGyZkXfTC+H68CZKrF3+6UduSwq";

/* ---- Tools ------------------------------------------------------------ */

static EVP_PKEY *
open_pkey(const unsigned char *der, size_t len)
{
	return d2i_AutoPrivateKey(NULL, &der, (long) len);
}

static EVP_PKEY *
new_pkey(const char *type)
{
	EVP_PKEY_CTX *pkey_ctx = EVP_PKEY_CTX_new_from_name(NULL, type, NULL);
	EVP_PKEY   *pkey = NULL;

	require(EVP_PKEY_keygen_init(pkey_ctx) == 1 &&
			EVP_PKEY_generate(pkey_ctx, &pkey) == 1, type);
	EVP_PKEY_CTX_free(pkey_ctx);
	return pkey;
}

/* PEM of the key, which is freed. */
static char *
pem_of(EVP_PKEY *pkey, bool pkcs8, const EVP_CIPHER *cipher)
{
	BIO		   *bio = BIO_new(BIO_s_mem());
	int			ok;

	if (pkcs8)
		ok = PEM_write_bio_PKCS8PrivateKey(bio, pkey, cipher, "pass", 4,
										   NULL, NULL);
	else
		ok = PEM_write_bio_PrivateKey_traditional(bio, pkey, cipher,
												  (unsigned char *) "pass", 4,
												  NULL, NULL);
	require(pkey != NULL && ok == 1, "no PEM of a key");
	EVP_PKEY_free(pkey);
	return text_of(bio);
}

/* The text with "to" for each "from", to be freed. */
static char *
replaced(const char *in, const char *from, const char *to)
{
	char	   *out = calloc(TEXT_MAX, 1);
	char	   *at = out;

	while (*in != '\0')
	{
		if (strncmp(in, from, strlen(from)) == 0)
		{
			at = stpcpy(at, to);
			in += strlen(from);
		}
		else
			*at++ = *in++;
	}
	return out;
}

/* "before", the text and "after", to be freed. */
static char *
between(const char *before, const char *in, const char *after)
{
	char	   *out = calloc(TEXT_MAX, 1);

	snprintf(out, TEXT_MAX, "%s%s%s", before, in, after);
	return out;
}

/* Write an element around "content". */
static size_t
put(unsigned char *out, int first, const unsigned char *content, size_t len)
{
	unsigned char head[4] = {(unsigned char) first, 0x82,
	(unsigned char) (len >> 8), (unsigned char) len};

	memmove(out + sizeof(head), content, len);
	memcpy(out, head, sizeof(head));
	return sizeof(head) + len;
}

/* PEM of PKCS#8 of this version, algorithm, key and rest, to be freed. */
static char *
pkcs8_pem(unsigned char version, const char *oid, size_t oid_len,
		  const unsigned char *key, size_t key_len,
		  const char *rest, size_t rest_len)
{
	unsigned char der[DER_MAX] = {0x02, 0x01, version};
	unsigned char identifier[32];
	size_t		len;

	len = put(identifier, 0x06, (const unsigned char *) oid, oid_len);
	len = 3 + put(der + 3, 0x30, identifier, len);
	len += put(der + len, 0x04, key, key_len);
	memcpy(der + len, rest, rest_len);
	len = put(der, 0x30, der, len + rest_len);
	return new_pem("PRIVATE KEY", der, len);
}

/* ---- Text ------------------------------------------------------------- */

static void
test_taken_text(void)
{
	static const struct
	{
		const char *before;
		const char *line_end;
		const char *after;
		const char *name;
	}			cases[] = {
		{"", "\r\n", "", "lines that end in CR LF"},
		{" \r\n\t\n", "\n", "\n\r\n  ", "white space around"},
		{"", " \n", "", "a blank after each line"},
		{"", "\t  \n", "", "tabs and blanks after each line"},
		{"", " \t\r\n", "", "tabs and blanks before CR LF"},
		{"  ", "\n", "", "blanks before the BEGIN line"},
	};
	char	   *pem = new_pem("RSA PRIVATE KEY", BYTES(key_2048));
	char	   *other;
	char	   *framed;
	size_t		i;

	for (i = 0; i < LENGTH_OF(cases); i++)
	{
		other = replaced(pem, "\n", cases[i].line_end);
		framed = between(cases[i].before, other, cases[i].after);
		taken(framed, BYTES(key_2048), cases[i].name);
		free(framed);
		free(other);
	}
	other = replaced(pem, "-----\n", "----- \n");
	taken(other, BYTES(key_2048), "a blank after the BEGIN and END lines");
	free(other);
	other = replaced(pem, "KEY-----\nM", "KEY-----\n\nM");
	taken(other, BYTES(key_2048), "a blank line after the BEGIN line");
	free(other);
	other = replaced(pem, "\nM", "\n  M");
	taken(other, BYTES(key_2048), "blanks before a line of base64");
	free(other);
	other = replaced(pem, "KEY-----\nM", "KEY-----\nComment: x\n\nM");
	taken(other, BYTES(key_2048), "a header");
	free(other);
	pem[strlen(pem) - 1] = '\0';
	taken(pem, BYTES(key_2048), "no line end after the last line");
	free(pem);
}

/* The form decides, not its label. */
static void
test_labels(void)
{
	static const char *const labels[] = {
		"PRIVATE KEY", "RSA PRIVATE KEY", "EC PRIVATE KEY"
	};
	char		name[64];
	char	   *pem;
	size_t		i;

	for (i = 0; i < LENGTH_OF(labels); i++)
	{
		snprintf(name, sizeof(name), "PKCS#1 under %s", labels[i]);
		pem = new_pem(labels[i], BYTES(key_2048));
		taken(pem, BYTES(key_2048), name);
		free(pem);
		snprintf(name, sizeof(name), "PKCS#8 under %s", labels[i]);
		pem = new_pem(labels[i], BYTES(pkcs8_2048));
		taken(pem, BYTES(key_2048), name);
		free(pem);
	}
}

static void
test_sizes(void)
{
	static const struct
	{
		const unsigned char *der;
		size_t		len;
		const char *name;
	}			cases[] = {
		{BYTES(key_2048), "2048 bits"},
		{BYTES(key_3072), "3072 bits"},
		{BYTES(key_4096), "4096 bits"},
	};
	char	   *pem;
	size_t		i;

	for (i = 0; i < LENGTH_OF(cases); i++)
	{
		pem = new_pem("RSA PRIVATE KEY", cases[i].der, cases[i].len);
		taken(pem, cases[i].der, cases[i].len, cases[i].name);
		free(pem);
		pem = pem_of(open_pkey(cases[i].der, cases[i].len), true, NULL);
		taken(pem, cases[i].der, cases[i].len, cases[i].name);
		free(pem);
	}
}

static void
test_refused_text(void)
{
	static const struct
	{
		const char *before;
		const char *line_end;
		const char *after;
		KmsImportRefusal refusal;
		const char *name;
	}			cases[] = {
		{"", "\\n", "", KMS_REFUSED_LITERAL_LINE_ENDS, "literal \\n"},
		{"", "\\r\\n", "", KMS_REFUSED_LITERAL_LINE_ENDS, "literal \\r\\n"},
		{"", "\\r", "", KMS_REFUSED_LITERAL_LINE_ENDS, "literal \\r"},
		{"", "\\\\n", "", KMS_REFUSED_LITERAL_LINE_ENDS, "literal \\\\n"},
		{"\"", "\\n", "\"", KMS_REFUSED_LITERAL_LINE_ENDS, "a string of JSON"},
		{"", "", "", KMS_REFUSED_ONE_LINE, "one line without blanks"},
		{"", " ", "", KMS_REFUSED_ONE_LINE, "one line with blanks"},
		{"", "\r", "", KMS_REFUSED_ONE_LINE, "lines that end in CR"},
		{"  ", "\n  ", "", KMS_REFUSED_INDENTED, "indented lines"},
		{"\t", "\r\n\t", "", KMS_REFUSED_INDENTED, "lines indented by a tab"},
		{"", "\n\n", "", KMS_REFUSED_BLANK_LINES, "each line ends twice"},
		{"", "\r\n \r\n", "", KMS_REFUSED_BLANK_LINES, "each CR LF twice"},
		{"Key:\n", "\n", "", KMS_REFUSED_BESIDE, "text before"},
		{"Key: ", "\n", "", KMS_REFUSED_BESIDE, "text before, on its line"},
		{"\"", "\n", "\"", KMS_REFUSED_BESIDE, "quotes around"},
		{"", "\n", "Key\n", KMS_REFUSED_BESIDE, "text after"},
		{"", "\n", "-----BEGIN X-----\n", KMS_REFUSED_BESIDE, "another BEGIN"},
	};
	char	   *pem = new_pem("RSA PRIVATE KEY", BYTES(key_2048));
	size_t		i;

	for (i = 0; i < LENGTH_OF(cases); i++)
	{
		char	   *other = replaced(pem, "\n", cases[i].line_end);

		refused_pem(between(cases[i].before, other, cases[i].after),
					cases[i].refusal, cases[i].name);
		free(other);
	}
	refused_pem(between(pem, pem, ""), KMS_REFUSED_BESIDE, "two keys");
	refused_pem(replaced(pem, "\n-----END", "\n\n-----END"),
				KMS_REFUSED_BLANK_LINES, "a blank line before the END line");
	refused_pem(replaced(pem, "KEY-----\nM", "KEY-----\n\n\nM"),
				KMS_REFUSED_BLANK_LINES, "two blank lines after the BEGIN line");
	refused_pem(replaced(pem, "\n-----END", "-----END"),
				KMS_REFUSED_ONE_LINE, "the last line ends in the END line");
	refused_pem(replaced(pem, "KEY-----\nM", "KEY-----M"),
				KMS_REFUSED_ONE_LINE, "the first line begins in the BEGIN line");
	refused_pem(replaced(pem, "\n-----END", "\n -----END"),
				KMS_REFUSED_INDENTED, "an indented END line");
	free(pem);
}

static void
test_no_pem(void)
{
	static const struct
	{
		const char *given;
		KmsImportRefusal refusal;
		const char *name;
	}			cases[] = {
		{"", KMS_REFUSED_EMPTY, "nothing"},
		{" \r\n\t", KMS_REFUSED_EMPTY, "white space"},
		{"garbage", KMS_REFUSED_NOT_PEM, "garbage"},
		{"-----BEGIN ", KMS_REFUSED_NOT_PEM, "a dash short of a line"},
		{"----- BEGIN RSA PRIVATE KEY -----", KMS_REFUSED_NOT_PEM, "blanks inside"},
		{"-----BEGIN RSA PRIVATE KEY-----\n", KMS_REFUSED_DAMAGED, "no END line"},
		{"-----BEGIN RSA PRIVATE KEY", KMS_REFUSED_DAMAGED, "half a BEGIN line"},
		{"{\"kty\": \"RSA\", \"d\": \"\"}", KMS_REFUSED_JWK, "a JWK"},
		{"  {\"d\": \"\"}", KMS_REFUSED_JWK, "a JWK after blanks"},
		{"{\"kty\": \"RSA\"}", KMS_REFUSED_PUBLIC_JWK, "a public JWK"},
		{"{\"keys\": []}", KMS_REFUSED_NOT_PEM, "other JSON"},
		{body, KMS_REFUSED_BASE64_DER, "base64"},
		{"\\x302e020100300506032b656e0422042077076d0a7318a57d3c16c17251b26645df4c2f87ebc0992ab177fba51db92c2a",
		KMS_REFUSED_HEX_DER, "bytea of DER"},
		{"302E020100300506032B656E0422042077076D0A7318A57D3C16C17251B26645DF4C2F87EBC0992AB177FBA51DB92C2A",
		KMS_REFUSED_HEX_DER, "hexadecimal digits of DER"},
		{"\\x2d2d2d2d2d424547494e2050524956415445204b45592d2d2d2d2d0a4d43344341514177425159444b3256754243494549480a",
		KMS_REFUSED_HEX_PEM, "bytea of PEM"},
		{"LS0tLS1CRUdJTiBQUklWQVRFIEtFWS0tLS0tCk1DNENBUUF3QlFZREsyVnVCQ0lFSUgK",
		KMS_REFUSED_BASE64_PEM, "base64 of PEM"},
		{"302e020100300506032b656e", KMS_REFUSED_NOT_PEM, "few hexadecimal digits"},
		{"MC4CAQAwBQYDK2VuBCIEIHcHbQ==", KMS_REFUSED_NOT_PEM, "little base64"},
	};
	char	   *pem;
	char	   *out;
	size_t		cut;
	size_t		i;

	for (i = 0; i < LENGTH_OF(cases); i++)
		refused(cases[i].given, strlen(cases[i].given), cases[i].refusal,
				cases[i].name);
	refused((const char *) key_2048, sizeof(key_2048), KMS_REFUSED_NOT_PEM,
			"DER");
	refused_pem(between("", body, "="), KMS_REFUSED_BASE64_DER,
				"base64 with padding");
	out = between("", body, "");
	out[20] = '*';
	refused_pem(out, KMS_REFUSED_NOT_PEM, "not base64");
	out = between("", body, "");
	out[1] = 'Q';
	refused_pem(out, KMS_REFUSED_NOT_PEM, "base64 of no SEQUENCE");

	pem = new_pem("RSA PRIVATE KEY", BYTES(key_2048));
	for (cut = 1; cut < strlen(pem) - 2; cut += 97)
		refused(pem, cut, cut < 12 ? KMS_REFUSED_NOT_PEM : KMS_REFUSED_DAMAGED,
				"cut off");
	pem[100] = '*';
	refused(pem, strlen(pem), KMS_REFUSED_DAMAGED, "a character of none");
	free(pem);
	pem = new_pem("RSA PRIVATE KEY", BYTES(key_2048));
	memcpy(strstr(pem, "END RSA"), "END DSA", 7);
	refused_pem(pem, KMS_REFUSED_DAMAGED, "BEGIN and END differ");
	pem = new_pem("RSA PRIVATE KEY", BYTES(key_2048));
	memcpy(strstr(pem, "\nM"), "\n-", 2);
	refused_pem(pem, KMS_REFUSED_DAMAGED, "base64url");
	pem = new_pem("RSA PRIVATE KEY", BYTES(key_2048));
	out = replaced(pem, "KEY-----\nM", "KEY-----\nComment: x\n\nM");
	refused_pem(replaced(out, "\n-----END", "\n\n-----END"),
				KMS_REFUSED_DAMAGED, "a header, and a blank line at the end");
	free(out);
	free(pem);

	out = malloc(KMS_PEM_IMPORT_MAX + 1);
	memset(out, '\n', KMS_PEM_IMPORT_MAX + 1);
	pem = new_pem("RSA PRIVATE KEY", BYTES(key_2048));
	memcpy(out, pem, strlen(pem));
	refused(out, KMS_PEM_IMPORT_MAX + 1, KMS_REFUSED_NOT_PEM,
			"longer than any key");
	out[KMS_PEM_IMPORT_MAX] = '\0';
	taken(out, BYTES(key_2048), "the longest text");
	free(pem);
	free(out);
}

/* A DER key that was passed as something else. */
static void
test_is_key(void)
{
	static const struct
	{
		const char *from;
		const char *to;
		bool		is_key;
		const char *name;
	}			cases[] = {
		{"+", "+", true, "base64"},
		{"+", "-", true, "base64url with -"},
		{"+", "_", true, "base64url with _"},
		{"+", "*", false, "a character of none"},
		{"C+", "/-", false, "both alphabets"},
		{"MC4CAQ", "MC4AAQ", false, "base64 without a version"},
		{"+6UduSwq", "", false, "57 characters of base64"},
		{"MC4C", "MC4C ", true, "a blank between the first characters"},
		{"MC4C", "M\nC4C", true, "a line of one character"},
	};
	static const struct
	{
		const char *text;
		bool		is_key;
		const char *name;
	}			others[] = {
		{"30 2e 02 01 00 30 05 06 03 2b 65 6e 04 22 04 20 77 07 6d 0a 73 18 "
			"a5 7d 3c 16 c1 72 51 b2 66 45 df 4c 2f 92", true,
		"bytes in hexadecimal"},
		{"\\x 3 02e02010030050603 2b656e042204207707 6d0a7318a57d3c16c17251b2"
			"6645df4c2f92ebc099 2ac177fba51db92c2a", true,
		"blanks anywhere between digits"},
		{"30                                                              "
			"                              2e", false,
		"fewer digits than a version needs"},
		{"30 2e 04 01 00 30 05 06 03 2b 65 6e 04 22 04 20 77 07 6d 0a 73 18 "
			"a5 7d 3c 16 c1 72 51 b2 66 45 df 4c 2f 92", false,
		"bytes in hexadecimal without a version"},
		{"2D2D2D2D2D424547494E2050524956415445204B45592D2D2D2D2D0A4D43344341"
		"514177425159444B32567542434945494863486251707A474B563950", true, "PEM in upper case"},
		{"LS0t LS1CRUdJTiBQUklWQVRFIEtFWS0tLS0tCk1DNENBUUF3QlFZREsyVnVCQ0lF"
		"SUhjSGJRcHpHS1Y5", true, "PEM with a blank in it"},
	};
	size_t		i;

	for (i = 0; i < LENGTH_OF(cases); i++)
	{
		char	   *text = replaced(body, cases[i].from, cases[i].to);

		check(kms_pem_text_is_key(text, strlen(text)) == cases[i].is_key,
			  "%s: %s", cases[i].name, cases[i].is_key ? "a key" : "no key");
		free(text);
	}
	for (i = 0; i < LENGTH_OF(others); i++)
		check(kms_pem_text_is_key(others[i].text, strlen(others[i].text)) ==
			  others[i].is_key,
			  "%s: %s", others[i].name,
			  others[i].is_key ? "a key" : "no key");
}

/* ---- Types ------------------------------------------------------------ */

static void
test_types(void)
{
	static const unsigned char encrypted[] = {
		0x30, 0x0d, 0x30, 0x04, 0x06, 0x02, 0x2a, 0x03,
		0x04, 0x05, 1, 2, 3, 4, 5
	};

	refused_pem(pem_of(open_pkey(BYTES(key_2048)), true, EVP_aes_256_cbc()),
				KMS_REFUSED_ENCRYPTED, "PKCS#8");
	refused_pem(pem_of(open_pkey(BYTES(key_2048)), false, EVP_aes_128_cbc()),
				KMS_REFUSED_ENCRYPTED, "Proc-Type");
	refused_pem(new_pem("PRIVATE KEY", BYTES(encrypted)),
				KMS_REFUSED_ENCRYPTED, "under PRIVATE KEY");
	refused_pem(new_pem("OPENSSH PRIVATE KEY", BYTES(key_2048)),
				KMS_REFUSED_OPENSSH, "OpenSSH");
	refused_pem(new_pem("PUBLIC KEY", BYTES(public_2048)),
				KMS_REFUSED_NOT_PRIVATE, "SPKI");
	refused_pem(new_pem("RSA PUBLIC KEY", BYTES(public_2048)),
				KMS_REFUSED_NOT_PRIVATE, "PKCS#1");
	refused_pem(new_pem("CERTIFICATE", BYTES(public_2048)),
				KMS_REFUSED_NOT_PRIVATE, "X.509");
	refused_pem(new_pem("EC PARAMETERS", BYTES(public_2048)),
				KMS_REFUSED_NOT_PRIVATE, "parameters alone");
	refused_pem(new_pem("RSA PRIVATE KEY", BYTES(public_2048)),
				KMS_REFUSED_NOT_PRIVATE, "a public key that is called private");
	refused_pem(pem_of(new_pkey("RSA-PSS"), true, NULL), KMS_REFUSED_PSS,
				"RSASSA-PSS");
	refused_pem(pkcs8_pem(0, "\x2a\x86\x48\x86\xf7\x0d\x01\x01\x07", 9,
						  BYTES(key_2048), "", 0),
				KMS_REFUSED_OAEP, "RSAES-OAEP");
	refused_pem(pem_of(new_pkey("ED25519"), true, NULL), KMS_REFUSED_SIGNING,
				"Ed25519");
	refused_pem(pem_of(new_pkey("ED448"), true, NULL), KMS_REFUSED_SIGNING,
				"Ed448");
	refused_pem(pem_of(new_pkey("X448"), true, NULL), KMS_REFUSED_X448,
				"X448");
	refused_pem(pkcs8_pem(0, "\x2a\x86\x48\xce\x38\x04\x01", 7,
						  BYTES(key_2048), "", 0),
				KMS_REFUSED_OTHER_TYPE, "DSA");
	refused_pem(new_pem("DSA PRIVATE KEY", BYTES(key_2048)),
				KMS_REFUSED_OTHER_TYPE, "the label of DSA");
	refused_pem(new_pem("RSA PRIVATE KEY", BYTES(multiprime_2048)),
				KMS_REFUSED_MORE_PRIMES, "three primes");
	refused_pem(new_pem("RSA PRIVATE KEY", BYTES(key_1024)), KMS_REFUSED_SIZE,
				"1024 bits");
}

static void
test_pkcs8(void)
{
	static const char rsa[] = "\x2a\x86\x48\x86\xf7\x0d\x01\x01\x01";
	unsigned char der[sizeof(pkcs8_2048) + 1];
	char	   *pem;

	pem = pkcs8_pem(0, rsa, 9, BYTES(key_2048), "", 0);
	taken(pem, BYTES(key_2048), "no parameters");
	free(pem);
	pem = pkcs8_pem(0, rsa, 9, BYTES(key_2048), "\xa0\x00", 2);
	taken(pem, BYTES(key_2048), "no attributes");
	free(pem);
	pem = pkcs8_pem(0, rsa, 9, BYTES(key_2048),
					"\xa0\x0b\x30\x09\x06\x03\x2a\x03\x04\x31\x02\x05\x00", 13);
	taken(pem, BYTES(key_2048), "attributes");
	free(pem);
	refused_pem(pkcs8_pem(1, rsa, 9, BYTES(key_2048), "", 0),
				KMS_REFUSED_VERSION_2_RSA, "without a public key");
	refused_pem(pkcs8_pem(1, rsa, 9, BYTES(key_2048), "\x81\x02\x00\x01", 4),
				KMS_REFUSED_VERSION_2_RSA, "with a public key");
	refused_pem(pkcs8_pem(2, rsa, 9, BYTES(key_2048), "", 0),
				KMS_REFUSED_DAMAGED, "version 3");
	refused_pem(pkcs8_pem(0, rsa, 9, BYTES(key_2048), "\x81\x02\x00\x01", 4),
				KMS_REFUSED_DAMAGED, "version 1 with a public key");
	refused_pem(pkcs8_pem(0, rsa, 9, BYTES(key_2048), "\xa0\x09", 2),
				KMS_REFUSED_DAMAGED, "half an attribute");
	refused_pem(pkcs8_pem(0, rsa, 9, BYTES(pkcs8_2048), "", 0),
				KMS_REFUSED_DAMAGED, "PKCS#8 in PKCS#8");
	memcpy(der, pkcs8_2048, sizeof(pkcs8_2048));
	der[sizeof(pkcs8_2048)] = 0;
	refused_pem(new_pem("PRIVATE KEY", der, sizeof(der)),
				KMS_REFUSED_DAMAGED, "a byte after PKCS#8");
	refused_pem(new_pem("PRIVATE KEY", der, sizeof(der) - 2),
				KMS_REFUSED_DAMAGED, "PKCS#8 without its last byte");
}

/* ---- Refusals --------------------------------------------------------- */

/* The rules of messages: a phrase, and sentences that end in a fix. */
static void
test_rows(void)
{
	int			i;

	for (i = KMS_REFUSED_NONE + 1; i < KMS_REFUSED_COUNT; i++)
	{
		const KmsImportRefusalRow *row = kms_import_refusal_row((KmsImportRefusal) i);
		const char *end;

		if (!check(row->why != NULL && row->hint != NULL,
				   "refusal %d has both texts", i))
			continue;
		end = row->hint + strlen(row->hint) - 1;
		check(row->why[strlen(row->why) - 1] != '.' &&
			  row->hint[0] >= 'A' && row->hint[0] <= 'Z' &&
			  (*end == '.' || strchr(row->hint, ':') != NULL),
			  "%s: its hint is a sentence or ends in a fix", row->why);
	}
	check(kms_import_refusal_row(KMS_REFUSED_NONE)->why == NULL &&
		  kms_import_refusal_row(KMS_REFUSED_COUNT)->why == NULL,
		  "other numbers have none");
}

/* A full secure heap is not the key's fault. */
static void
test_full_heap(void)
{
	static void *pieces[SECURE_HEAP / PIECE + 1];
	char	   *pem = new_pem("RSA PRIVATE KEY", BYTES(key_2048));
	KmsKeyPair *key;
	KmsImportRefusal refusal;
	KmsStatus	status = KMS_NO_MEMORY;
	size_t		used;
	int			count = 0;
	int			failures = 0;

	require(kms_secure_heap_start(SECURE_HEAP) != 0, "no secure heap");
	taken(pem, BYTES(key_2048), "with a secure heap");
	used = CRYPTO_secure_used();
	status = kms_pem_import(opener, pem, strlen(pem), &key, &refusal);
	check(status == KMS_OK && CRYPTO_secure_used() >= used + 256 + 5 * 128,
		  "the private numbers are in it");
	kms_key_pair_free(key);
	check(CRYPTO_secure_used() == used,
		  "the private numbers leave the secure heap");

	while ((pieces[count] = OPENSSL_secure_malloc(PIECE)) != NULL)
		count++;
	while (count > 0)
	{
		int			i;

		status = kms_pem_import(opener, pem, strlen(pem), &key, &refusal);
		if (status != KMS_NO_MEMORY)
			break;
		failures++;
		if (key != NULL || refusal != KMS_REFUSED_NONE)
			break;
		for (i = 0; i < 8 && count > 0; i++)
			OPENSSL_secure_free(pieces[--count]);
	}
	check_number(status, KMS_OK, "with room enough it is taken");
	check(failures > 3, "before, %d times there is no memory", failures);
	kms_key_pair_free(key);
	while (count > 0)
		OPENSSL_secure_free(pieces[--count]);
	free(pem);
}

int
main(void)
{
	opener = kms_key_pair_opener_new();
	require(opener != NULL, "no RSA");

	test_sizes();
	test_taken_text();
	test_labels();
	test_refused_text();
	test_no_pem();
	test_is_key();
	test_types();
	test_pkcs8();
	test_rows();
	test_full_heap();

	kms_key_pair_opener_free(opener);
	return tap_done();
}
