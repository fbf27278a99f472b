#include <stddef.h>

#include "crypto/import_refusal.h"

#define LEAVE_OUT \
	"Leave it out: its device gets another key the next time it asks for one."
#define GIVE_PRIVATE \
	"Give the private key that belongs to it, or leave it out."
#define RESTORE \
	"Restore it from a copy, or leave it out: its device gets another key the next time it asks for one."

/* expressions of SQL */
#define BEGIN_LINE "E'-----BEGIN PRIVATE KEY-----\\n'"
#define END_LINE "E'\\n-----END PRIVATE KEY-----'"
#define PEM_OF(der) \
	BEGIN_LINE " || encode(" der ", 'base64') || " END_LINE
#define FROM_HEX "decode(ltrim(private_key, '\\x'), 'hex')"
#define JOIN_LINES \
	"regexp_replace(private_key, '\\s*\\n\\s*', E'\\n', 'g')"

/* commands; printf writes the DER around a key */
#define TAKE_OUT_DER \
	"openssl asn1parse -in old.pem -noout -out old.der -strparse $(openssl asn1parse -in old.pem | awk -F: '/:d=1 .*OCTET STRING/ {print $1}'); "
#define TAKE_OUT \
	TAKE_OUT_DER "openssl rsa -inform DER -in old.der -out new.pem"
#define TAKE_OUT_EC \
	TAKE_OUT_DER "(printf '0\\061\\002\\001\\001\\004 '; tail -c +8 old.der | head -c 32; printf '\\240\\012\\006\\010*\\206H\\316=\\003\\001\\007') | openssl pkey -inform DER -out new.pem"
#define TAKE_OUT_X25519 \
	TAKE_OUT_DER "(printf '0.\\002\\001\\000\\060\\005\\006\\003+en\\004\\042'; cat old.der) | openssl pkey -inform DER -out new.pem"

static const KmsImportRefusalRow rows[KMS_REFUSED_COUNT] = {
	[KMS_REFUSED_EMPTY] = {
		"it is empty",
		"Leave out rows without a private key."
	},
	[KMS_REFUSED_NOT_PEM] = {
		"it is not in PEM form",
		"Give one unencrypted private key in PEM, from its BEGIN line to its END line."
	},
	[KMS_REFUSED_JWK] = {
		"it is a JWK",
		"Convert it to PEM: node -p \"require('crypto').createPrivateKey({format: 'jwk', key: JSON.parse(require('fs').readFileSync('old.pem'))}).export({type: 'pkcs8', format: 'pem'})\" > new.pem"
	},
	[KMS_REFUSED_PUBLIC_JWK] = {
		"it is a public key (JWK)",
		GIVE_PRIVATE
	},
	[KMS_REFUSED_HEX_PEM] = {
		"it is PEM in hexadecimal digits",
		"Decode it: convert_from(" FROM_HEX ", 'UTF8')"
	},
	[KMS_REFUSED_HEX_DER] = {
		"it is DER in hexadecimal digits",
		"Convert it to PEM: " PEM_OF(FROM_HEX)
	},
	[KMS_REFUSED_BASE64_PEM] = {
		"it is PEM in base64",
		"Decode it: convert_from(decode(private_key, 'base64'), 'UTF8')"
	},
	[KMS_REFUSED_BASE64_DER] = {
		"it has no BEGIN line and no END line",
		"Add them: " BEGIN_LINE " || private_key || " END_LINE
	},
	[KMS_REFUSED_LITERAL_LINE_ENDS] = {
		"it has the two characters \\n instead of line ends",
		"Replace them: regexp_replace(private_key, '(\\\\+r)?\\\\+n', E'\\n', 'g')"
	},
	[KMS_REFUSED_ONE_LINE] = {
		"its BEGIN and END lines are not lines of their own",
		"Break the line: regexp_replace(private_key, '\\s*(-----(BEGIN|END) [A-Z0-9 ]+-----)\\s*', E'\\n\\\\1\\n', 'g')"
	},
	[KMS_REFUSED_INDENTED] = {
		"its lines are indented",
		"Remove the blanks: " JOIN_LINES
	},
	[KMS_REFUSED_BLANK_LINES] = {
		"it has blank lines",
		"Remove them: " JOIN_LINES
	},
	[KMS_REFUSED_BESIDE] = {
		"there is something else beside it",
		"Take the first private key alone: substring(private_key FROM '-----BEGIN [A-Z ]*?PRIVATE KEY-----.*?-----END [A-Z ]*?PRIVATE KEY-----')"
	},
	[KMS_REFUSED_ENCRYPTED] = {
		"it is encrypted",
		"Decrypt it with its passphrase: openssl pkey -in old.pem -out new.pem"
	},
	[KMS_REFUSED_OPENSSH] = {
		"it is in the form of OpenSSH",
		"Convert it to PKCS#8: ssh-keygen -p -N '' -m PKCS8 -f old.pem"
	},
	[KMS_REFUSED_NOT_PRIVATE] = {
		"it is a public key, a certificate, or the parameters of a curve",
		GIVE_PRIVATE
	},
	[KMS_REFUSED_PSS] = {
		"it is an RSASSA-PSS key, which is for signatures",
		"If clients encrypt with it, take the RSA key out of it: " TAKE_OUT
	},
	[KMS_REFUSED_OAEP] = {
		"it is an RSAES-OAEP key",
		"Take the RSA key out of it, and name its digests in the import: " TAKE_OUT
	},
	[KMS_REFUSED_VERSION_2_RSA] = {
		"it is PKCS#8 of version 2",
		"Take the RSA key out of it: " TAKE_OUT
	},
	[KMS_REFUSED_VERSION_2_EC] = {
		"it is PKCS#8 of version 2",
		"Take the number out of it: " TAKE_OUT_EC
	},
	[KMS_REFUSED_VERSION_2_X25519] = {
		"it is PKCS#8 of version 2",
		"Write it as version 1: " TAKE_OUT_X25519
	},
	[KMS_REFUSED_SIGNING] = {
		"it is an Ed25519 or Ed448 key, which is for signatures",
		LEAVE_OUT
	},
	[KMS_REFUSED_X448] = {
		"it is an X448 key",
		LEAVE_OUT
	},
	[KMS_REFUSED_EXPLICIT] = {
		"it has the parameters of its curve instead of the name",
		"Name the curve: openssl pkey -in old.pem -ec_param_enc named_curve -out new.pem"
	},
	[KMS_REFUSED_P384] = {
		"its curve is P-384, not P-256",
		LEAVE_OUT
	},
	[KMS_REFUSED_P521] = {
		"its curve is P-521, not P-256",
		LEAVE_OUT
	},
	[KMS_REFUSED_SECP256K1] = {
		"its curve is secp256k1, not P-256",
		LEAVE_OUT
	},
	[KMS_REFUSED_OTHER_CURVE] = {
		"its curve is not P-256",
		LEAVE_OUT
	},
	[KMS_REFUSED_OTHER_TYPE] = {
		"it is not an RSA, EC or X25519 key",
		LEAVE_OUT
	},
	[KMS_REFUSED_DAMAGED] = {
		"its content is damaged",
		RESTORE
	},
	[KMS_REFUSED_SIZE] = {
		"its modulus does not have 2048 to 4096 bits",
		LEAVE_OUT
	},
	[KMS_REFUSED_MORE_PRIMES] = {
		"it has more than two primes",
		LEAVE_OUT
	},
	[KMS_REFUSED_PUBLIC_EXPONENT] = {
		"its public exponent is even, too small or too large",
		LEAVE_OUT
	},
	[KMS_REFUSED_UNBALANCED] = {
		"its primes are not of the same size",
		LEAVE_OUT
	},
	[KMS_REFUSED_EQUAL_PRIMES] = {
		"its primes are equal",
		LEAVE_OUT
	},
	[KMS_REFUSED_CLOSE_PRIMES] = {
		"its primes are too close to each other",
		LEAVE_OUT
	},
	[KMS_REFUSED_MODULUS] = {
		"its modulus is not the product of its primes",
		RESTORE
	},
	[KMS_REFUSED_COMPOSITE] = {
		"one of its primes is not prime",
		RESTORE
	},
	[KMS_REFUSED_PRIVATE_EXPONENT] = {
		"its private exponent is wrong",
		RESTORE
	},
	[KMS_REFUSED_CRT] = {
		"its CRT values are wrong",
		RESTORE
	},
	[KMS_REFUSED_NUMBER] = {
		"its private number is 0 or not below the order of P-256",
		RESTORE
	},
	[KMS_REFUSED_PUBLIC_KEY] = {
		"its public key does not belong to its private number",
		RESTORE
	},
};

const KmsImportRefusalRow *
kms_import_refusal_row(KmsImportRefusal refusal)
{
	if ((int) refusal < 0 || (int) refusal >= KMS_REFUSED_COUNT)
		return &rows[KMS_REFUSED_NONE];
	return &rows[refusal];
}
