#include "postgres.h"

#include "utils/builtins.h"

#include "keys/jwe_writer.h"

#include "crypto/aead.h"
#include "crypto/jwe_encrypt.h"
#include "keys/admit.h"
#include "keys/cipher.h"
#include "keys/opened.h"
#include "pg/encoding.h"
#include "pg/settings.h"

/* bytes of a protected header, whose longest part is a key id */
#define HEADER_MAX		512

/* Room for all that is needed while there is a CEK. */
typedef struct Room
{
	unsigned char *ciphertext;
	text	   *jwe;
	size_t		jwe_size;		/* bytes of its data */
} Room;

static KmsStatus choose_alg(const KmsJweRequest *request, const KmsKeyRow *row,
							KmsJweAlg *alg, KmsFault *fault);
static void make_room(const KmsJweRequest *request, Room *room);
static KmsStatus encrypt(const KmsJweRequest *request, const KmsKeyRow *row,
						 KmsJweDraft *draft, Room *room);
static size_t write_header(const KmsKeyRow *row, const KmsJweDraft *draft,
						   char *out);
static char *add_part(char *out, const void *data, size_t len);

KmsStatus
kms_jwe_writer_encrypt(KmsCall *call, const KmsJweRequest *request, text **jwe,
					   KmsFault *fault)
{
	KmsKeySecret *secret = palloc(sizeof(KmsKeySecret));
	KmsJweAlg	alg = KMS_JWE_ALG_NONE;
	KmsKey		key;
	KmsKeyPair *public_key;
	KmsJweDraft draft;
	Room		room;
	KmsStatus	status;

	status = kms_admit_public(call, request->key_id, NULL, KMS_USE_ENCRYPT,
							  &key, secret, fault);
	if (status == KMS_OK)
		status = choose_alg(request, &key.row, &alg, fault);
	if (status == KMS_OK)
		make_room(request, &room);
	if (status != KMS_OK)
		return status;
	kms_cipher_record_jwe(call, alg, request->enc);
	status = kms_key_pair_open_public(kms_opened_opener(),
									  kms_key_algorithm_type_by_name(key.row.algorithm),
									  secret->public_key, secret->public_len,
									  &public_key);
	pfree(secret);
	if (status != KMS_OK)
		return kms_fault(fault, status);

	/* nothing may raise an error until the key is freed and the CEK wiped */
	do
	{
		status = kms_jwe_encrypt_begin(public_key, alg, request->enc, &draft);
	} while (status == KMS_NO_MEMORY && kms_opened_make_room());
	kms_key_pair_free(public_key);
	if (status == KMS_OK)
		status = encrypt(request, &key.row, &draft, &room);
	if (status != KMS_OK)
		return kms_fault(fault, status);
	*jwe = room.jwe;
	if (VARSIZE(room.jwe) - VARHDRSZ > (Size) kms_max_jwe_size)
		return kms_jwe_writer_too_long(fault);
	return kms_fault(fault, status);
}

KmsStatus
kms_jwe_writer_too_long(KmsFault *fault)
{
	return kms_fault_argument(fault, "plaintext is too long for a JWE",
							  psprintf("A JWE may have at most %d bytes.",
									   kms_max_jwe_size),
							  "Raise kms.max_jwe_size, which limits JWE that are decrypted, too.");
}

/* Without "alg", take that of the key's JWK, or else RSA-OAEP-256. */
static KmsStatus
choose_alg(const KmsJweRequest *request, const KmsKeyRow *row, KmsJweAlg *alg,
		   KmsFault *fault)
{
	KmsKeyType	type = kms_key_algorithm_type_by_name(row->algorithm);
	const char *name = NULL;

	*alg = request->alg;
	if (*alg == KMS_JWE_ALG_NONE && type != KMS_TYPE_RSA)
		*alg = KMS_ECDH_ES;
	if (*alg == KMS_JWE_ALG_NONE && strcmp(row->oaep_hash, row->mgf1_hash) == 0)
		name = kms_digest_jwa_name(kms_digest_by_name(row->oaep_hash));
	if (name != NULL)
		*alg = kms_jwe_algorithm_alg_by_name(name, strlen(name));
	if (*alg == KMS_JWE_ALG_NONE)
		*alg = KMS_RSA_OAEP_256;
	if (kms_jwe_algorithm_fits(*alg, type))
		return kms_fault(fault, KMS_OK);
	return kms_fault_argument(fault, "alg is for another type of key",
							  psprintf("The key is %s.", row->algorithm),
							  KMS_JWE_WRITER_ALGS_HINT);
}

static void
make_room(const KmsJweRequest *request, Room *room)
{
	size_t		size = kms_aead_ciphertext_size(request->enc, request->len);

	room->jwe_size = kms_encoding_url_room(HEADER_MAX) +
		kms_encoding_url_room(KMS_RSA_MAX_BLOCK) +
		kms_encoding_url_room(KMS_JWE_IV_MAX) + kms_encoding_url_room(size) +
		kms_encoding_url_room(KMS_JWE_TAG_MAX);
	room->ciphertext = palloc(size);
	room->jwe = palloc(VARHDRSZ + room->jwe_size);
}

/* Raises no error. */
static KmsStatus
encrypt(const KmsJweRequest *request, const KmsKeyRow *row, KmsJweDraft *draft,
		Room *room)
{
	char		header[HEADER_MAX];
	char	   *begin = VARDATA(room->jwe);
	char	   *out = begin;
	size_t		len;
	KmsStatus	status;

	out = add_part(out, header, write_header(row, draft, header));
	status = kms_jwe_encrypt_finish(draft, (unsigned char *) begin,
									out - begin, request->data, request->len,
									room->ciphertext, &len);
	if (status != KMS_OK)
		return status;
	*out++ = '.';
	out = add_part(out, draft->encrypted_key, draft->encrypted_key_len);
	*out++ = '.';
	out = add_part(out, draft->iv, draft->iv_len);
	*out++ = '.';
	out = add_part(out, room->ciphertext, len);
	*out++ = '.';
	out = add_part(out, draft->tag, draft->tag_len);
	SET_VARSIZE(room->jwe, VARHDRSZ + (out - begin));
	return KMS_OK;
}

static char *
add_part(char *out, const void *data, size_t len)
{
	return out + kms_encoding_encode_url(data, len, out);
}

/* Return the length of the header.  A key id needs no escapes in JSON. */
static size_t
write_header(const KmsKeyRow *row, const KmsJweDraft *draft, char *out)
{
	char		x[KMS_COORDINATE_SIZE * 2];
	char		y[KMS_COORDINATE_SIZE * 2];
	int			len;

	len = snprintf(out, HEADER_MAX, "{\"alg\":\"%s\",\"enc\":\"%s\",\"kid\":\"%s\"",
				   kms_jwe_algorithm_alg_name(draft->alg),
				   kms_jwe_algorithm_enc_name(draft->enc), row->key_id);
	(void) kms_encoding_encode_url(draft->epk_x, sizeof(draft->epk_x), x);
	(void) kms_encoding_encode_url(draft->epk_y, sizeof(draft->epk_y), y);
	switch (kms_key_algorithm_type_by_name(row->algorithm))
	{
		case KMS_TYPE_EC_P256:
			len += snprintf(out + len, HEADER_MAX - len,
							",\"epk\":{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"%s\",\"y\":\"%s\"}",
							x, y);
			break;
		case KMS_TYPE_X25519:
			len += snprintf(out + len, HEADER_MAX - len,
							",\"epk\":{\"kty\":\"OKP\",\"crv\":\"X25519\",\"x\":\"%s\"}",
							x);
			break;
		default:
			break;
	}
	return len + snprintf(out + len, HEADER_MAX - len, "}");
}
