#include <crypt.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/rand.h>

#include "crypto/secret_hash.h"

#include "crypto/encoder.h"
#include "crypto/kdf.h"

/*
 * About 60 ms on a present-day core.  This is as much as a login can bear, and
 * it should not be less, because it is the price of each guess for an attacker
 * who has both the hashes and the master key.  Without the master key, the
 * pepper prevents the search.
 */
#define MADE_COST		10

#define OURS			"$kms1$"
#define OURS_LEN		6
#define BCRYPT_LEN		60
#define BCRYPT_SALT_AT	7		/* after "$2b$10$" */
#define BCRYPT_COST_MIN 4
#define BCRYPT_COST_MAX 14
#define YESCRYPT_HASH	43		/* characters */
#define YESCRYPT_SALT	86		/* characters at most */
#define PEPPERED_LEN	43		/* characters */

static const char alphabet[] =
"./0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/*
 * The parameters that crypt_gensalt makes for its counts 1 to 7.  The last set
 * takes 64 MiB.
 */
static const char *const yescrypt_parameters[] = {
	"$y$j75$", "$y$j85$", "$y$j7T$", "$y$j8T$", "$y$j9T$", "$y$jAT$",
	"$y$jBT$"
};

#define PARAMETER_SETS \
	(sizeof(yescrypt_parameters) / sizeof(yescrypt_parameters[0]))

/* A setting with the cost of the hashes that are made here. */
static const char default_setting[] = "$2b$10$kmskmskmskmskmskmskmse";

static bool is_crypt_string(const char *hash_text, size_t len);
static bool is_bcrypt(const char *hash_text, size_t len);
static bool is_yescrypt(const char *hash_text, size_t len);
static bool is_yescrypt_salt(const char *salt, size_t len);
static bool is_of_alphabet(const char *chars, size_t len);
static KmsStatus pepper_secret(const unsigned char *pepper,
							   const unsigned char *secret, size_t len,
							   char *phrase);
static KmsStatus run_crypt(const char *phrase, const char *setting,
						   struct crypt_data **data);
static void free_crypt(struct crypt_data *data);

KmsStatus
kms_secret_hash_make_pepper(char *id, unsigned char *pepper)
{
	KmsStatus	status;

	ERR_clear_error();
	status = kms_key_id_make_prefixed("pep_", id);
	if (status == KMS_OK && RAND_priv_bytes(pepper, KMS_PEPPER_SIZE) != 1)
		status = KMS_FAILED;
	if (status != KMS_OK)
	{
		OPENSSL_cleanse(pepper, KMS_PEPPER_SIZE);
		id[0] = '\0';
	}
	ERR_clear_error();
	return status;
}

bool
kms_secret_hash_pepper_id_made(const char *id)
{
	return strlen(id) == KMS_PEPPER_ID_MADE && strncmp(id, "pep_", 4) == 0 &&
		strspn(id + 4, "0123456789abcdef") == KMS_ID_RANDOM;
}

KmsStatus
kms_secret_hash_parse(const char *hash_text, size_t len, KmsSecretHash *hash)
{
	const char *end;
	size_t		id_len;

	memset(hash, 0, sizeof(*hash));
	if (len > KMS_SECRET_HASH_MAX)
		return KMS_BAD_FORMAT;
	if (len > OURS_LEN && memcmp(hash_text, OURS, OURS_LEN) == 0)
	{
		hash_text += OURS_LEN;
		len -= OURS_LEN;
		end = memchr(hash_text, '$', len);
		if (end == NULL)
			return KMS_BAD_FORMAT;
		id_len = (size_t) (end - hash_text);
		if (!kms_key_id_valid_service(hash_text, id_len) ||
			!is_crypt_string(end + 1, len - id_len - 1))
			return KMS_BAD_FORMAT;
		memcpy(hash->pepper_id, hash_text, id_len);
		hash_text = end + 1;
		len -= id_len + 1;
	}
	else if (!is_crypt_string(hash_text, len))
		return KMS_BAD_FORMAT;
	memcpy(hash->crypted, hash_text, len);
	return KMS_OK;
}

static bool
is_crypt_string(const char *hash_text, size_t len)
{
	return is_bcrypt(hash_text, len) || is_yescrypt(hash_text, len);
}

static bool
is_bcrypt(const char *hash_text, size_t len)
{
	int			cost;

	if (len != BCRYPT_LEN || hash_text[0] != '$' || hash_text[1] != '2' ||
		(hash_text[2] != 'a' && hash_text[2] != 'b' && hash_text[2] != 'y') ||
		hash_text[3] != '$' || hash_text[6] != '$' ||
		hash_text[4] < '0' || hash_text[4] > '9' ||
		hash_text[5] < '0' || hash_text[5] > '9')
		return false;
	cost = 10 * (hash_text[4] - '0') + hash_text[5] - '0';
	return cost >= BCRYPT_COST_MIN && cost <= BCRYPT_COST_MAX &&
		is_of_alphabet(hash_text + BCRYPT_SALT_AT, len - BCRYPT_SALT_AT);
}

static bool
is_yescrypt(const char *hash_text, size_t len)
{
	size_t		i;

	for (i = 0; i < PARAMETER_SETS; i++)
	{
		size_t		head = strlen(yescrypt_parameters[i]);
		size_t		salt_len;

		if (len < head + 1 + 1 + YESCRYPT_HASH ||
			memcmp(hash_text, yescrypt_parameters[i], head) != 0)
			continue;
		salt_len = len - head - 1 - YESCRYPT_HASH;
		return is_yescrypt_salt(hash_text + head, salt_len) &&
			hash_text[head + salt_len] == '$' &&
			is_of_alphabet(hash_text + head + salt_len + 1, YESCRYPT_HASH);
	}
	return false;
}

/*
 * Check a salt as libcrypt decodes it: 4 characters are 3 bytes, low bits
 * first.  The remaining characters must be whole bytes, with no bit set beyond
 * them.
 */
static bool
is_yescrypt_salt(const char *salt, size_t len)
{
	long		last;

	if (len < 1 || len > YESCRYPT_SALT || !is_of_alphabet(salt, len))
		return false;
	last = strchr(alphabet, salt[len - 1]) - alphabet;
	switch (len % 4)
	{
		case 1:
			return false;
		case 2:
			return last < 4;
		case 3:
			return last < 16;
		default:
			return true;
	}
}

static bool
is_of_alphabet(const char *chars, size_t len)
{
	size_t		i;

	for (i = 0; i < len; i++)
	{
		if (chars[i] == '\0' || strchr(alphabet, chars[i]) == NULL)
			return false;
	}
	return true;
}

KmsStatus
kms_secret_hash_make(const char *pepper_id, const unsigned char *pepper,
					 const unsigned char *secret, size_t len, char *out)
{
	char		salt[16];
	char		setting[CRYPT_GENSALT_OUTPUT_SIZE];
	char		phrase[PEPPERED_LEN + 1];
	struct crypt_data *data = NULL;
	size_t		id_len = strlen(pepper_id);
	KmsStatus	status = KMS_BAD_FORMAT;

	ERR_clear_error();
	out[0] = '\0';
	if (!kms_key_id_valid_service(pepper_id, id_len))
		goto done;
	status = KMS_FAILED;
	if (RAND_bytes((unsigned char *) salt, sizeof(salt)) != 1)
		goto done;
	if (crypt_gensalt_rn("$2b$", MADE_COST, salt, sizeof(salt),
						 setting, sizeof(setting)) == NULL)
		goto done;
	status = pepper_secret(pepper, secret, len, phrase);
	if (status != KMS_OK)
		goto done;
	status = run_crypt(phrase, setting, &data);
	if (status == KMS_OK && strlen(data->output) != BCRYPT_LEN)
		status = KMS_FAILED;
	if (status != KMS_OK)
		goto done;
	memcpy(out, OURS, OURS_LEN);
	memcpy(out + OURS_LEN, pepper_id, id_len);
	out[OURS_LEN + id_len] = '$';
	memcpy(out + OURS_LEN + id_len + 1, data->output, BCRYPT_LEN + 1);

done:
	OPENSSL_cleanse(phrase, sizeof(phrase));
	free_crypt(data);
	ERR_clear_error();
	return status;
}

KmsStatus
kms_secret_hash_verify(const KmsSecretHash *hash, const unsigned char *pepper,
					   const unsigned char *secret, size_t len, bool *match)
{
	char		phrase[CRYPT_MAX_PASSPHRASE_SIZE];
	struct crypt_data *data = NULL;
	bool		possible = true;
	size_t		hash_len = strlen(hash->crypted);
	KmsStatus	status = KMS_OK;

	*match = false;
	phrase[0] = '\0';
	if ((pepper != NULL) != (hash->pepper_id[0] != '\0'))
		status = KMS_FAILED;
	else if (pepper != NULL)
		status = pepper_secret(pepper, secret, len, phrase);
	else if (len >= sizeof(phrase) ||
			 (len > 0 && memchr(secret, '\0', len) != NULL))
		possible = false;
	else
	{
		if (len > 0)
			memcpy(phrase, secret, len);
		phrase[len] = '\0';
	}
	if (status == KMS_OK)
		status = run_crypt(phrase, hash->crypted, &data);
	if (status == KMS_OK)
		*match = strlen(data->output) == hash_len &&
			CRYPTO_memcmp(data->output, hash->crypted, hash_len) == 0 &&
			possible;
	OPENSSL_cleanse(phrase, sizeof(phrase));
	free_crypt(data);
	return status;
}

KmsStatus
kms_secret_hash_burn(const KmsSecretHash *hash)
{
	struct crypt_data *data;
	KmsStatus	status;

	status = run_crypt("", hash != NULL ? hash->crypted : default_setting,
					   &data);
	free_crypt(data);
	return status;
}

/*
 * Write the input of crypt for a peppered secret.  "phrase" holds PEPPERED_LEN
 * + 1 bytes.
 */
static KmsStatus
pepper_secret(const unsigned char *pepper, const unsigned char *secret,
			  size_t len, char *phrase)
{
	unsigned char head[32];
	unsigned char mac[KMS_HMAC_SIZE];
	unsigned char encoded[PEPPERED_LEN + 2];
	KmsEncoder	enc;
	KmsStatus	status = KMS_FAILED;
	int			i;

	memset(phrase, 0, PEPPERED_LEN + 1);
	memset(mac, 0, sizeof(mac));
	memset(encoded, 0, sizeof(encoded));
	kms_encoder_init(&enc, head, sizeof(head));
	kms_encoder_text(&enc, "kms/pepper/v1");
	kms_encoder_length(&enc, (uint32_t) len);
	if (!kms_encoder_ok(&enc) || len > UINT32_MAX)
		goto done;
	if (!kms_kdf_hmac_sha256(pepper, KMS_PEPPER_SIZE, head, enc.len, secret, len,
							 mac))
		goto done;
	if (EVP_EncodeBlock(encoded, mac, sizeof(mac)) != PEPPERED_LEN + 1)
		goto done;
	for (i = 0; i < PEPPERED_LEN; i++)
	{
		if (encoded[i] == '+')
			encoded[i] = '-';
		else if (encoded[i] == '/')
			encoded[i] = '_';
	}
	memcpy(phrase, encoded, PEPPERED_LEN);
	status = KMS_OK;

done:
	OPENSSL_cleanse(mac, sizeof(mac));
	OPENSSL_cleanse(encoded, sizeof(encoded));
	return status;
}

/*
 * Run crypt; the result is (*data)->output.  The data has 32 kB, too much for
 * the stack.  The caller frees it, also on failure.
 */
static KmsStatus
run_crypt(const char *phrase, const char *setting, struct crypt_data **data)
{
	*data = calloc(1, sizeof(**data));
	if (*data == NULL)
		return KMS_NO_MEMORY;
	errno = 0;
	if (crypt_rn(phrase, setting, *data, sizeof(**data)) != NULL)
		return KMS_OK;
	if (errno == ENOMEM)
		return KMS_NO_MEMORY;
	return errno == EINVAL ? KMS_BAD_FORMAT : KMS_FAILED;
}

static void
free_crypt(struct crypt_data *data)
{
	if (data == NULL)
		return;
	OPENSSL_cleanse(data, sizeof(*data));
	free(data);
}
