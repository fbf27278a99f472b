/*
 * To check a pair, its public key is computed from the private number and
 * compared with the given one.  An agreement would not check more, and OpenSSL
 * would leave the number in the ordinary heap.
 */
#include <stdbool.h>
#include <string.h>

#include <openssl/bn.h>
#include <openssl/crypto.h>
#include <openssl/ec.h>
#include <openssl/obj_mac.h>

#include "crypto/ec_import.h"

#include "crypto/ec_key.h"

#define NUMBER		KMS_COORDINATE_SIZE
#define COMPRESSED	(1 + NUMBER)	/* bytes of a point */
#define UNCOMPRESSED	(1 + 2 * NUMBER)

/* A curve: the content of its OBJECT IDENTIFIER. */
typedef struct Curve
{
	size_t		len;
	unsigned char oid[8];
	KmsImportRefusal refusal;
} Curve;

static const Curve curves[] = {
	/* 1.2.840.10045.3.1.7: P-256 */
	{8, {0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07}, KMS_REFUSED_NONE},
	/* 1.3.132.0: P-384, P-521, secp256k1 */
	{5, {0x2b, 0x81, 0x04, 0x00, 0x22}, KMS_REFUSED_P384},
	{5, {0x2b, 0x81, 0x04, 0x00, 0x23}, KMS_REFUSED_P521},
	{5, {0x2b, 0x81, 0x04, 0x00, 0x0a}, KMS_REFUSED_SECP256K1},
};

#define CURVES ((int) (sizeof(curves) / sizeof(curves[0])))

/* ECPrivateKey.  A missing part is empty. */
typedef struct EcPrivateKey
{
	KmsDer		number;
	KmsDer		curve;
	KmsDer		point;
} EcPrivateKey;

static bool read_key(KmsDer der, EcPrivateKey *key);
static bool read_point(KmsDer *sequence, KmsDer *point);
static KmsImportRefusal judge_curves(KmsDer outer, KmsDer inner);
static bool pad(KmsDer number, unsigned char *out);
static KmsStatus multiply(const unsigned char *number, unsigned char *point);
static bool is_point(KmsDer given, const unsigned char *point);

KmsImportRefusal
kms_ec_import_judge_curve(KmsDer parameters)
{
	KmsDer		oid;
	int			i;

	if (kms_der_next_is(&parameters, KMS_DER_SEQUENCE))
		return KMS_REFUSED_EXPLICIT;
	if (!kms_der_read(&parameters, KMS_DER_OID, &oid) || parameters.len > 0)
		return KMS_REFUSED_DAMAGED;
	for (i = 0; i < CURVES; i++)
	{
		if (oid.len == curves[i].len &&
			memcmp(oid.bytes, curves[i].oid, oid.len) == 0)
			return curves[i].refusal;
	}
	return KMS_REFUSED_OTHER_CURVE;
}

KmsStatus
kms_ec_import_p256(KmsDer der, KmsDer curve, unsigned char *out, size_t size,
				   size_t *out_len, KmsImportRefusal *refusal)
{
	EcPrivateKey key = {{NULL, 0}, {NULL, 0}, {NULL, 0}};
	unsigned char number[NUMBER] = {0};
	unsigned char point[UNCOMPRESSED];
	KmsStatus	status = KMS_BAD_KEY;

	*out_len = 0;
	*refusal = KMS_REFUSED_DAMAGED;
	if (!read_key(der, &key))
		goto done;
	*refusal = judge_curves(curve, key.curve);
	if (*refusal != KMS_REFUSED_NONE)
		goto done;
	*refusal = KMS_REFUSED_NUMBER;
	if (!pad(key.number, number) || !kms_ec_key_is_in_order(number))
		goto done;
	status = multiply(number, point);
	if (status != KMS_OK)
		goto done;
	*refusal = KMS_REFUSED_PUBLIC_KEY;
	status = KMS_BAD_KEY;
	if (key.point.len > 0 && !is_point(key.point, point))
		goto done;
	status = kms_ec_key_compose(KMS_TYPE_EC_P256, number, point + 1, out,
								size, out_len);

done:
	OPENSSL_cleanse(number, sizeof(number));
	return status;
}

static bool
read_key(KmsDer der, EcPrivateKey *key)
{
	KmsDer		sequence;
	KmsDer		version;

	if (!kms_der_read(&der, KMS_DER_SEQUENCE, &sequence) || der.len > 0 ||
		!kms_der_read(&sequence, KMS_DER_INTEGER, &version) ||
		version.len != 1 || version.bytes[0] != 1 ||
		!kms_der_read(&sequence, KMS_DER_OCTET_STRING, &key->number))
		return false;
	if (kms_der_next_is(&sequence, KMS_DER_CONTEXT_0) &&
		(!kms_der_read(&sequence, KMS_DER_CONTEXT_0, &key->curve) ||
		 key->curve.len == 0))
		return false;
	if (kms_der_next_is(&sequence, KMS_DER_CONTEXT_1) &&
		!read_point(&sequence, &key->point))
		return false;
	return sequence.len == 0;
}

/* Read a BIT STRING without unused bits. */
static bool
read_point(KmsDer *sequence, KmsDer *point)
{
	KmsDer		tagged;

	if (!kms_der_read(sequence, KMS_DER_CONTEXT_1, &tagged) ||
		!kms_der_read(&tagged, KMS_DER_BIT_STRING, point) || tagged.len > 0 ||
		point->len < 2 || point->bytes[0] != 0)
		return false;
	point->bytes++;
	point->len--;
	return true;
}

/* The curve may stand in PKCS#8, in the key or in both. */
static KmsImportRefusal
judge_curves(KmsDer outer, KmsDer inner)
{
	KmsImportRefusal refusal;

	if (outer.len == 0)
		return kms_ec_import_judge_curve(inner);
	refusal = kms_ec_import_judge_curve(outer);
	if (refusal == KMS_REFUSED_NONE && inner.len > 0)
		refusal = kms_ec_import_judge_curve(inner);
	return refusal;
}

/* Some programs omit leading zeros of the number, or have more of them. */
static bool
pad(KmsDer number, unsigned char *out)
{
	while (number.len > NUMBER && number.bytes[0] == 0)
	{
		number.bytes++;
		number.len--;
	}
	if (number.len > NUMBER)
		return false;
	memset(out, 0, NUMBER);
	memcpy(out + NUMBER - number.len, number.bytes, number.len);
	return true;
}

/* Write the number times the base point, uncompressed. */
static KmsStatus
multiply(const unsigned char *number, unsigned char *point)
{
	EC_GROUP   *group = EC_GROUP_new_by_curve_name(NID_X9_62_prime256v1);
	EC_POINT   *product = group != NULL ? EC_POINT_new(group) : NULL;
	BIGNUM	   *scalar = BN_secure_new();
	BN_CTX	   *ctx = BN_CTX_secure_new();
	KmsStatus	status = KMS_FAILED;

	if (product == NULL || scalar == NULL || ctx == NULL ||
		BN_bin2bn(number, NUMBER, scalar) == NULL)
		goto done;
	BN_set_flags(scalar, BN_FLG_CONSTTIME);
	if (EC_POINT_mul(group, product, scalar, NULL, NULL, ctx) == 1 &&
		EC_POINT_point2oct(group, product, POINT_CONVERSION_UNCOMPRESSED,
						   point, UNCOMPRESSED, ctx) == UNCOMPRESSED)
		status = KMS_OK;

done:
	BN_CTX_free(ctx);
	BN_clear_free(scalar);
	EC_POINT_free(product);
	EC_GROUP_free(group);
	return status;
}

/* Compare a point of any form (SEC 1, 2.3.3) with an uncompressed one. */
static bool
is_point(KmsDer given, const unsigned char *point)
{
	int			parity = point[UNCOMPRESSED - 1] & 1;

	if (given.len == COMPRESSED)
		return given.bytes[0] == (POINT_CONVERSION_COMPRESSED | parity) &&
			memcmp(given.bytes + 1, point + 1, NUMBER) == 0;
	return given.len == UNCOMPRESSED &&
		(given.bytes[0] == POINT_CONVERSION_UNCOMPRESSED ||
		 given.bytes[0] == (POINT_CONVERSION_HYBRID | parity)) &&
		memcmp(given.bytes + 1, point + 1, 2 * NUMBER) == 0;
}

KmsStatus
kms_ec_import_x25519(KmsDer der, unsigned char *out, size_t size,
					 size_t *out_len, KmsImportRefusal *refusal)
{
	KmsDer		number;

	*out_len = 0;
	*refusal = KMS_REFUSED_DAMAGED;
	if (!kms_der_read(&der, KMS_DER_OCTET_STRING, &number) || der.len > 0 ||
		number.len != NUMBER)
		return KMS_BAD_KEY;
	return kms_ec_key_compose(KMS_TYPE_X25519, number.bytes, NULL, out, size,
							  out_len);
}
