/*
 * From PEM to a key that can be stored.
 *
 * The text is copied to the secure heap if there is one, and decoded there in
 * place.  OpenSSL's PEM_read_bio would leave 64 characters of base64, which is
 * all of an X25519 key, in the ordinary heap.  After the numbers have been
 * checked, the DER is opened like any stored key.
 */
#include <stdbool.h>
#include <string.h>

#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/pem.h>

#include "crypto/pem_import.h"

#include "crypto/base64.h"
#include "crypto/der.h"
#include "crypto/ec_import.h"
#include "crypto/pem_text.h"
#include "crypto/rsa_import.h"
#include "crypto/rsa_oaep.h"
#include "crypto/secure_heap.h"

#define BEGIN "-----BEGIN "
#define END "-----END "
#define DASHES "-----"
#define BLANKS " \t\r"

/* A block whose parts are in a copy of the text. */
typedef struct PemBlock
{
	const char *name;
	const char *header;
	KmsDer		der;
} PemBlock;

/* A key as its DER has it. */
typedef struct RawKey
{
	KmsKeyType	type;
	KmsDer		der;			/* PKCS#1, SEC1 or CurvePrivateKey */
	KmsDer		curve;			/* of PKCS#8; empty: none */
} RawKey;

/* An algorithm of PKCS#8: the content of its OBJECT IDENTIFIER. */
typedef struct Algorithm
{
	size_t		len;
	unsigned char oid[9];
	KmsKeyType	type;			/* NONE: refused */
	KmsImportRefusal refusal;	/* of this algorithm, or of its version 2 */
} Algorithm;

static const Algorithm algorithms[] = {
	/* 1.2.840.113549.1.1: rsaEncryption, id-RSAES-OAEP, id-RSASSA-PSS */
	{9, {0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01},
	KMS_TYPE_RSA, KMS_REFUSED_VERSION_2_RSA},
	{9, {0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x07},
	KMS_TYPE_NONE, KMS_REFUSED_OAEP},
	{9, {0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x0a},
	KMS_TYPE_NONE, KMS_REFUSED_PSS},
	/* 1.2.840.10045.2.1: id-ecPublicKey */
	{7, {0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01},
	KMS_TYPE_EC_P256, KMS_REFUSED_VERSION_2_EC},
	/* 1.3.101: X25519, X448, Ed25519, Ed448 */
	{3, {0x2b, 0x65, 0x6e}, KMS_TYPE_X25519, KMS_REFUSED_VERSION_2_X25519},
	{3, {0x2b, 0x65, 0x6f}, KMS_TYPE_NONE, KMS_REFUSED_X448},
	{3, {0x2b, 0x65, 0x70}, KMS_TYPE_NONE, KMS_REFUSED_SIGNING},
	{3, {0x2b, 0x65, 0x71}, KMS_TYPE_NONE, KMS_REFUSED_SIGNING},
};

#define ALGORITHMS ((int) (sizeof(algorithms) / sizeof(algorithms[0])))

static KmsStatus import_text(KmsKeyOpener *opener, char *pem, size_t len,
							 KmsKeyPair **key, KmsImportRefusal *refusal);
static KmsStatus import_key(KmsKeyOpener *opener, const RawKey *raw,
							KmsKeyPair **key, KmsImportRefusal *refusal);
static KmsImportRefusal read_key_block(char *pem, size_t len,
									   PemBlock *block);
static bool read_block(char **rest, PemBlock *block);
static char *take_label(char **rest);
static char *find_blank_line(char *pem);
static bool decode(char *base64, KmsDer *der);
static KmsImportRefusal judge_name(const PemBlock *block);
static KmsImportRefusal read_key(KmsDer der, RawKey *raw);
static KmsImportRefusal judge_no_key(KmsDer sequence);
static KmsImportRefusal read_pkcs8(KmsDer version, KmsDer sequence,
								   RawKey *raw);
static const Algorithm *find_algorithm(KmsDer oid);
static bool is_number(KmsDer integer, int number);

KmsStatus
kms_pem_import(KmsKeyOpener *opener, const char *pem, size_t len,
			   KmsKeyPair **key, KmsImportRefusal *refusal)
{
	char	   *copy = NULL;
	KmsStatus	status = KMS_BAD_KEY;

	ERR_clear_error();
	*key = NULL;
	*refusal = KMS_REFUSED_NOT_PEM;
	if (len <= KMS_PEM_IMPORT_MAX)
		*refusal = kms_pem_text_judge(pem, len);
	if (*refusal == KMS_REFUSED_NONE)
	{
		copy = OPENSSL_secure_malloc(len + 1);
		status = KMS_NO_MEMORY;
	}
	if (copy != NULL)
	{
		memcpy(copy, pem, len);
		copy[len] = '\0';
		status = import_text(opener, copy, len, key, refusal);
		OPENSSL_secure_clear_free(copy, len + 1);
	}

	if (status != KMS_OK)
	{
		kms_key_pair_free(*key);
		*key = NULL;
	}
	if (status != KMS_BAD_KEY)
		*refusal = KMS_REFUSED_NONE;

	/* Arithmetic needs several times the room of the numbers. */
	if (status == KMS_FAILED && kms_secure_heap_is_full(2 * len))
		status = KMS_NO_MEMORY;
	ERR_clear_error();
	return status;
}

/* Change the text, which a NUL ends. */
static KmsStatus
import_text(KmsKeyOpener *opener, char *pem, size_t len, KmsKeyPair **key,
			KmsImportRefusal *refusal)
{
	PemBlock	block;
	RawKey		raw;

	*refusal = read_key_block(pem, len, &block);
	if (*refusal == KMS_REFUSED_NONE)
		*refusal = judge_name(&block);
	if (*refusal == KMS_REFUSED_NONE)
		*refusal = read_key(block.der, &raw);
	if (*refusal != KMS_REFUSED_NONE)
		return KMS_BAD_KEY;
	return import_key(opener, &raw, key, refusal);
}

static KmsStatus
import_key(KmsKeyOpener *opener, const RawKey *raw, KmsKeyPair **key,
		   KmsImportRefusal *refusal)
{
	unsigned char converted[KMS_KEY_PAIR_MAX_PRIVATE];
	KmsDer		der = {converted, 0};
	KmsStatus	status;

	if (raw->type == KMS_TYPE_RSA)
	{
		der = raw->der;
		status = kms_rsa_import_check(raw->der, refusal);
	}
	else if (raw->type == KMS_TYPE_EC_P256)
		status = kms_ec_import_p256(raw->der, raw->curve, converted,
									sizeof(converted), &der.len, refusal);
	else
		status = kms_ec_import_x25519(raw->der, converted, sizeof(converted),
									  &der.len, refusal);
	if (status == KMS_OK)
	{
		*refusal = KMS_REFUSED_DAMAGED;
		status = kms_key_pair_open_private(opener, raw->type, der.bytes,
										   der.len, key);
	}
	if (status == KMS_OK && raw->type == KMS_TYPE_RSA)
		status = kms_rsa_oaep_check_pair(*key);
	OPENSSL_cleanse(converted, sizeof(converted));
	return status;
}

/*
 * Read the only private key of the text.  The parameters of its curve may
 * stand before it, as "openssl ecparam -genkey" writes them.
 */
static KmsImportRefusal
read_key_block(char *pem, size_t len, PemBlock *block)
{
	const char *end = pem + len;
	char	   *rest = pem + kms_pem_text_space(pem, len);

	if (!read_block(&rest, block))
		return KMS_REFUSED_DAMAGED;
	if (strcmp(block->name, PEM_STRING_ECPARAMETERS) == 0 &&
		strncmp(rest, BEGIN, strlen(BEGIN)) == 0 && !read_block(&rest, block))
		return KMS_REFUSED_DAMAGED;
	return rest == end ? KMS_REFUSED_NONE : KMS_REFUSED_BESIDE;
}

/*
 * Read the block that begins at *rest, and move *rest behind it and the white
 * space that follows.  A blank line ends the header.  If there is none, there
 * is no header.
 */
static bool
read_block(char **rest, PemBlock *block)
{
	char	   *body;
	char	   *blank;
	char	   *end;
	const char *end_name;

	*rest += strlen(BEGIN);
	block->name = take_label(rest);
	block->header = "";
	body = *rest;
	end = strstr(body, END);
	if (block->name == NULL || end == NULL)
		return false;
	*rest = end + strlen(END);
	end_name = take_label(rest);
	if (end_name == NULL || strcmp(block->name, end_name) != 0)
		return false;
	*rest += kms_pem_text_space(*rest, strlen(*rest));

	*end = '\0';
	blank = find_blank_line(body);
	if (blank != NULL)
	{
		*blank = '\0';
		block->header = body;
		body = blank + 1;
	}
	return find_blank_line(body) == NULL && decode(body, &block->der);
}

/* Return the label of a BEGIN or END line, or NULL if it does not end. */
static char *
take_label(char **rest)
{
	char	   *label = *rest;
	char	   *dashes = strstr(label, DASHES);

	if (dashes == NULL || dashes > label + strcspn(label, "\n"))
		return NULL;
	*dashes = '\0';
	*rest = dashes + strlen(DASHES);
	return label;
}

/* Return the line end before the first blank line, or NULL. */
static char *
find_blank_line(char *pem)
{
	for (; (pem = strchr(pem, '\n')) != NULL; pem++)
	{
		if (pem[1 + strspn(pem + 1, BLANKS)] == '\n')
			return pem;
	}
	return NULL;
}

/* Decode in place.  The END line has room for the padding. */
static bool
decode(char *base64, KmsDer *der)
{
	unsigned char *out = (unsigned char *) base64;
	size_t		len;

	if (strpbrk(base64, "-_") != NULL ||
		kms_base64_normalize(base64, strlen(base64), base64, &len) != KMS_OK)
		return false;
	len = strcspn(base64, "=");
	kms_base64_url_decode(base64, len, out);
	der->bytes = out;
	der->len = kms_base64_url_size(len);
	return der->len > 0;
}

static KmsImportRefusal
judge_name(const PemBlock *block)
{
	if (strcmp(block->name, PEM_STRING_PKCS8) == 0 ||
		strstr(block->header, "ENCRYPTED") != NULL)
		return KMS_REFUSED_ENCRYPTED;
	if (strcmp(block->name, "OPENSSH PRIVATE KEY") == 0)
		return KMS_REFUSED_OPENSSH;
	if (strcmp(block->name, PEM_STRING_PKCS8INF) == 0 ||
		strcmp(block->name, PEM_STRING_RSA) == 0 ||
		strcmp(block->name, PEM_STRING_ECPRIVATEKEY) == 0)
		return KMS_REFUSED_NONE;
	if (strstr(block->name, "PUBLIC KEY") != NULL ||
		strstr(block->name, "CERTIFICATE") != NULL ||
		strstr(block->name, "PARAMETERS") != NULL)
		return KMS_REFUSED_NOT_PRIVATE;
	return KMS_REFUSED_OTHER_TYPE;
}

/*
 * Find the form by the element after the version: PKCS#1 has an INTEGER there,
 * PKCS#8 the SEQUENCE of its algorithm, and SEC1 an OCTET STRING.
 */
static KmsImportRefusal
read_key(KmsDer der, RawKey *raw)
{
	KmsDer		rest = der;
	KmsDer		sequence;
	KmsDer		version;

	raw->der = der;
	raw->curve.len = 0;
	if (!kms_der_read(&rest, KMS_DER_SEQUENCE, &sequence) || rest.len > 0)
		return KMS_REFUSED_DAMAGED;
	if (!kms_der_read(&sequence, KMS_DER_INTEGER, &version))
		return judge_no_key(sequence);
	if (kms_der_next_is(&sequence, KMS_DER_SEQUENCE))
		return read_pkcs8(version, sequence, raw);
	if (kms_der_next_is(&sequence, KMS_DER_OCTET_STRING))
		raw->type = KMS_TYPE_EC_P256;
	else if (kms_der_next_is(&sequence, KMS_DER_INTEGER))
		raw->type = KMS_TYPE_RSA;
	else
		return KMS_REFUSED_DAMAGED;
	return KMS_REFUSED_NONE;
}

/*
 * EncryptedPrivateKeyInfo and SubjectPublicKeyInfo begin with an algorithm,
 * which a string follows.
 */
static KmsImportRefusal
judge_no_key(KmsDer sequence)
{
	if (!kms_der_read(&sequence, KMS_DER_SEQUENCE, NULL))
		return KMS_REFUSED_DAMAGED;
	if (kms_der_next_is(&sequence, KMS_DER_OCTET_STRING))
		return KMS_REFUSED_ENCRYPTED;
	if (kms_der_next_is(&sequence, KMS_DER_BIT_STRING))
		return KMS_REFUSED_NOT_PRIVATE;
	return KMS_REFUSED_DAMAGED;
}

/* Read what follows the version of PrivateKeyInfo. */
static KmsImportRefusal
read_pkcs8(KmsDer version, KmsDer sequence, RawKey *raw)
{
	const Algorithm *algorithm;
	KmsImportRefusal refusal;
	KmsDer		identifier;
	KmsDer		oid;

	if (!kms_der_read(&sequence, KMS_DER_SEQUENCE, &identifier) ||
		!kms_der_read(&identifier, KMS_DER_OID, &oid) ||
		!kms_der_read(&sequence, KMS_DER_OCTET_STRING, &raw->der))
		return KMS_REFUSED_DAMAGED;
	algorithm = find_algorithm(oid);
	if (algorithm == NULL)
		return KMS_REFUSED_OTHER_TYPE;
	if (algorithm->type == KMS_TYPE_EC_P256 && identifier.len > 0)
	{
		refusal = kms_ec_import_judge_curve(identifier);
		if (refusal != KMS_REFUSED_NONE)
			return refusal;
		raw->curve = identifier;
	}
	if (algorithm->type == KMS_TYPE_NONE || is_number(version, 1))
		return algorithm->refusal;
	if (kms_der_next_is(&sequence, KMS_DER_CONTEXT_0))
		(void) kms_der_read(&sequence, KMS_DER_CONTEXT_0, NULL);
	if (!is_number(version, 0) || sequence.len > 0 ||
		(algorithm->type == KMS_TYPE_X25519 && identifier.len > 0))
		return KMS_REFUSED_DAMAGED;
	raw->type = algorithm->type;
	return KMS_REFUSED_NONE;
}

static const Algorithm *
find_algorithm(KmsDer oid)
{
	int			i;

	for (i = 0; i < ALGORITHMS; i++)
	{
		if (oid.len == algorithms[i].len &&
			memcmp(oid.bytes, algorithms[i].oid, oid.len) == 0)
			return &algorithms[i];
	}
	return NULL;
}

static bool
is_number(KmsDer integer, int number)
{
	return integer.len == 1 && integer.bytes[0] == number;
}
