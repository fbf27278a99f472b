#include "postgres.h"

#include "mb/pg_wchar.h"

#include "keys/field.h"

#include "crypto/nonces.h"
#include "keys/field_found.h"
#include "pg/encoding.h"
#include "pg/settings.h"

#define CONTEXT_HINT \
	"Pass the context with which the value was encrypted. If that is the one, the value was changed, or belongs to another row or column."

/*
 * Nonces of this process.  The first ones are drawn when they are needed, so
 * no two processes have the same.
 */
static KmsNonces nonces;

typedef KmsStatus (*Opener) (const char *name, const KmsFieldCaller *caller,
							 char *label, const KmsFieldKey **key,
							 KmsFault *fault);

static KmsStatus admit_head(KmsFieldCall *call, const KmsFieldHead *head,
							const KmsFieldKey **key, KmsFault *fault);
static KmsStatus admit_name(KmsFieldCall *call, const char *name,
							const KmsFieldKey *got, Opener open_key,
							const KmsFieldKey **key, KmsFault *fault);
static KmsStatus admit_newest(KmsFieldCall *call, const char *name,
							  const KmsFieldKey **key, KmsFault *fault);
static KmsStatus admit_index(KmsFieldCall *call, const char *name,
							 const KmsFieldKey **key, KmsFault *fault);
static bytea *allocate(size_t len);
static KmsStatus encrypt(const KmsFieldKey *key, const KmsFieldData *plain,
						 const KmsFieldData *context, bytea *value,
						 KmsFault *fault);
static KmsStatus open_bytes(const KmsFieldKey *key, const bytea *value,
							const KmsFieldData *context, unsigned char *out,
							KmsFault *fault);
static KmsStatus open_text(const KmsFieldKey *key, const bytea *value,
						   const KmsFieldData *context,
						   struct varlena **result, KmsFault *fault);
static KmsStatus no_conversion(KmsFault *fault);
static KmsStatus not_text(KmsFault *fault, const char *hint);
static KmsStatus move(KmsFieldCall *call, const KmsFieldHead *old,
					  const KmsFieldKey *new, const bytea *value,
					  const KmsFieldData *context,
					  const KmsFieldData *new_context, bytea **result,
					  KmsFault *fault);
static KmsStatus make_index(const KmsFieldKey *key, const KmsFieldIndex *index,
							const KmsFieldData *text, bytea *result,
							KmsFault *fault);
static void claim_room(KmsCall *decrypt);
static KmsStatus receive(KmsCall *decrypt, const KmsCipherRequest *request,
						 bool bytes, unsigned char *plain, size_t *len,
						 KmsFault *fault);
static bool is_text(const unsigned char *data, size_t len);

/* ---- Values ------------------------------------------------------------- */

KmsStatus
kms_field_check_size(Size size, KmsFault *fault)
{
	if (size <= (Size) kms_max_field_size)
		return kms_fault(fault, KMS_OK);
	fault->message = "size of the field's plaintext exceeds the limit";
	fault->detail = psprintf("The plaintext has %zu bytes, the limit is %d.",
							 size, kms_max_field_size);
	fault->hint = "The limit is kms.max_field_size.";
	return kms_fault(fault, KMS_TOO_LARGE);
}

KmsStatus
kms_field_to_utf8(const char *name, KmsFieldData *data, unsigned char **copy,
				  KmsFault *fault)
{
	KmsEncoding encoding;
	size_t		size;

	*copy = NULL;
	if (GetDatabaseEncoding() == PG_UTF8)
		return kms_fault(fault, KMS_OK);
	if (kms_encoding_to_utf8(&encoding))
	{
		size = kms_encoding_room(&encoding, data->len);
		*copy = palloc(size);
		if (kms_encoding_convert(&encoding, data->data, data->len, *copy, size,
								 &data->len) && is_text(*copy, data->len))
		{
			data->data = *copy;
			return kms_fault(fault, KMS_OK);
		}
		explicit_bzero(*copy, size);
		*copy = NULL;
	}
	return kms_fault_argument(fault,
							  psprintf("%s cannot be converted to UTF8", name),
							  NULL, NULL);
}

KmsStatus
kms_field_encrypt(KmsFieldCall *call, const char *name,
				  const KmsFieldData *plain, const KmsFieldData *context,
				  bytea **value, KmsFault *fault)
{
	const KmsFieldKey *key;
	KmsStatus	status = admit_newest(call, name, &key, fault);

	if (status != KMS_OK)
		return status;
	*value = allocate(plain->len + KMS_FIELD_VALUE_OVERHEAD);
	return encrypt(key, plain, context, *value, fault);
}

KmsStatus
kms_field_decrypt(KmsFieldCall *call, const bytea *value,
				  const KmsFieldData *context, const char *name, bool text,
				  struct varlena **result, KmsFault *fault)
{
	const KmsFieldKey *key;
	KmsFieldHead head;
	KmsStatus	status;

	status = kms_field_head(value, &head, fault);
	if (status == KMS_OK)
		status = admit_head(call, &head, &key, fault);
	if (status != KMS_OK)
		return status;
	if (name != NULL && strcmp(name, key->name) != 0)
	{
		fault->message = psprintf("value is of field key \"%s\", not of the one that was named",
								  key->name);
		return kms_fault(fault, KMS_BAD_FIELD_VALUE);
	}
	if (call->call != NULL)
		kms_call_opens(call->call);
	if (text)
		return open_text(key, value, context, result, fault);
	*result = allocate(VARSIZE_ANY_EXHDR(value) - KMS_FIELD_VALUE_OVERHEAD);
	return open_bytes(key, value, context, (unsigned char *) VARDATA(*result),
					  fault);
}

KmsStatus
kms_field_refresh(KmsFieldCall *call, bytea *value,
				  const KmsFieldData *context,
				  const KmsFieldData *new_context, const char *new_name,
				  bytea **result, KmsFault *fault)
{
	const KmsFieldData *to = new_context != NULL ? new_context : context;
	bool		same_context = context->len == to->len &&
	memcmp(context->data, to->data, to->len) == 0;
	const KmsFieldKey *key;
	KmsFieldHead head;
	const char *name;
	int			newest;
	KmsStatus	status;

	status = kms_field_head(value, &head, fault);
	if (status != KMS_OK)
		return status;
	if (!kms_field_found_id(head.id, call->caller.now, &name, &newest))
		return kms_fault(fault, KMS_FIELD_KEY_NOT_FOUND);
	name = pstrdup(name);
	if (new_name == NULL)
		new_name = name;
	if (!same_context || strcmp(name, new_name) != 0)
		call->caller.right = KMS_RIGHT_ENCRYPT;
	status = admit_newest(call, new_name, &key, fault);
	if (status != KMS_OK)
		return status;
	if (same_context && memcmp(&key->head, &head, sizeof(head)) == 0)
	{
		*result = value;
		return kms_fault(fault, KMS_UNCHANGED);
	}
	return move(call, &head, key, value, context, to, result, fault);
}

/*
 * Encrypt a value again.  The new key stays open while the old one is opened,
 * because the cache holds at least two.
 */
static KmsStatus
move(KmsFieldCall *call, const KmsFieldHead *old, const KmsFieldKey *new,
	 const bytea *value, const KmsFieldData *context,
	 const KmsFieldData *new_context, bytea **result, KmsFault *fault)
{
	size_t		len = VARSIZE_ANY_EXHDR(value) - KMS_FIELD_VALUE_OVERHEAD;
	unsigned char *buffer = palloc(len + 1);
	KmsFieldData plain = {buffer, len};
	KmsFieldCaller reader = call->caller;
	char		label[KMS_FIELD_LABEL_SIZE];
	const KmsFieldKey *key;
	KmsStatus	status;

	if (reader.right == KMS_RIGHT_ENCRYPT)
		reader.right = KMS_RIGHT_DECRYPT;
	*result = allocate(VARSIZE_ANY_EXHDR(value));
	key = kms_field_opened_get(old, &reader);
	status = KMS_OK;
	if (key == NULL)
		status = kms_field_opened_version(old, &reader, label, &key, fault);
	if (status != KMS_OK)
		return status;

	/*
	 * The right "refresh" is enough only within one key.  The rows by which
	 * the new key was chosen have not been authenticated.
	 */
	if (reader.right == KMS_RIGHT_REFRESH &&
		memcmp(old->id, new->head.id, sizeof(old->id)) != 0)
		return kms_field_rows_not_authentic(key->name, fault);
	status = open_bytes(key, value, context, buffer, fault);
	if (status == KMS_OK)
		status = encrypt(new, &plain, new_context, *result, fault);
	explicit_bzero(buffer, len);
	return status;
}

KmsStatus
kms_field_head(const bytea *value, KmsFieldHead *head, KmsFault *fault)
{
	if (kms_field_value_head((const unsigned char *) VARDATA_ANY(value),
							 VARSIZE_ANY_EXHDR(value), head) == KMS_OK)
		return kms_fault(fault, KMS_OK);
	fault->message = "malformed field value";
	fault->detail = "A value that kms_encrypt_field() returned begins with \\x6b6601 and has at least 53 bytes.";
	return kms_fault(fault, KMS_BAD_FIELD_VALUE);
}

KmsStatus
kms_field_is_current(const bytea *value, bool *current, KmsFault *fault)
{
	KmsFieldHead head;
	instr_time	now;
	const char *name;
	int			newest;
	KmsStatus	status = kms_field_head(value, &head, fault);

	if (status != KMS_OK)
		return status;
	INSTR_TIME_SET_CURRENT(now);
	if (!kms_field_found_id(head.id, now, &name, &newest))
		return kms_fault(fault, KMS_FIELD_KEY_NOT_FOUND);
	*current = head.version == newest;
	return kms_fault(fault, KMS_OK);
}

KmsStatus
kms_field_key_of(const bytea *value, const char **name, KmsFault *fault)
{
	KmsFieldHead head;
	instr_time	now;
	int			newest;
	KmsStatus	status = kms_field_head(value, &head, fault);

	if (status != KMS_OK)
		return status;
	INSTR_TIME_SET_CURRENT(now);
	if (!kms_field_found_id(head.id, now, name, &newest))
		return kms_fault(fault, KMS_FIELD_KEY_NOT_FOUND);
	*name = pstrdup(*name);
	return kms_fault(fault, KMS_OK);
}

/* ---- Blind indexes ------------------------------------------------------ */

KmsStatus
kms_field_index(KmsFieldCall *call, const KmsFieldIndex *index,
				const KmsFieldData *text, bytea **result, KmsFault *fault)
{
	const KmsFieldKey *key;
	KmsStatus	status = admit_index(call, index->name, &key, fault);

	if (status != KMS_OK)
		return status;
	*result = allocate(index->bits / 8);
	return make_index(key, index, text, *result, fault);
}

/* Raises no error. */
static KmsStatus
make_index(const KmsFieldKey *key, const KmsFieldIndex *index,
		   const KmsFieldData *text, bytea *result, KmsFault *fault)
{
	unsigned char out[KMS_BLIND_INDEX_MAX];
	KmsStatus	status;

	status = kms_blind_index(key->index_key, key->head.id, index->scope.data,
							 index->scope.len, index->fold, text->data,
							 text->len, out);
	if (status == KMS_OK)
		memcpy(VARDATA(result), out, index->bits / 8);
	return kms_fault(fault, status);
}

/* ---- Ciphertexts of devices --------------------------------------------- */

KmsStatus
kms_field_encrypt_sent(KmsFieldCall *call, KmsCall *decrypt,
					   const KmsCipherRequest *request, const char *name,
					   const KmsFieldData *context, bool bytes,
					   bytea **value, bool *of_field, KmsFault *fault)
{
	size_t		room = kms_cipher_room(request);
	unsigned char *plain = palloc(room + 1);
	KmsFieldData data = {plain, 0};
	const KmsFieldKey *key;
	KmsStatus	status;

	*value = allocate(room + KMS_FIELD_VALUE_OVERHEAD);
	claim_room(decrypt);
	*of_field = true;
	status = admit_newest(call, name, &key, fault);
	if (status != KMS_OK)
		return status;
	*of_field = false;
	status = receive(decrypt, request, bytes, plain, &data.len, fault);
	if (status != KMS_OK)
		return status;
	*of_field = true;
	SET_VARSIZE(*value, VARHDRSZ + data.len + KMS_FIELD_VALUE_OVERHEAD);
	status = encrypt(key, &data, context, *value, fault);
	explicit_bzero(plain, room);
	return status;
}

KmsStatus
kms_field_index_sent(KmsFieldCall *call, KmsCall *decrypt,
					 const KmsCipherRequest *request,
					 const KmsFieldIndex *index, bytea **result,
					 bool *of_field, KmsFault *fault)
{
	size_t		room = kms_cipher_room(request);
	unsigned char *plain = palloc(room + 1);
	KmsFieldData data = {plain, 0};
	const KmsFieldKey *key;
	KmsStatus	status;

	*result = allocate(index->bits / 8);
	claim_room(decrypt);
	*of_field = true;
	status = admit_index(call, index->name, &key, fault);
	if (status != KMS_OK)
		return status;
	*of_field = false;
	status = receive(decrypt, request, false, plain, &data.len, fault);
	if (status != KMS_OK)
		return status;
	*of_field = true;
	status = make_index(key, index, &data, *result, fault);
	explicit_bzero(plain, room);
	return status;
}

/*
 * Wait for room for the event of the call that decrypts before the field key
 * is judged, so that no denial comes between that and its use.
 */
static void
claim_room(KmsCall *decrypt)
{
	(void) kms_call_make_room(decrypt);
}

/*
 * Decrypt.  On any failure nothing is left in "plain".  Text is refused now,
 * and not in years, if this database could not return it as text.
 */
static KmsStatus
receive(KmsCall *decrypt, const KmsCipherRequest *request, bool bytes,
		unsigned char *plain, size_t *len, KmsFault *fault)
{
	unsigned char *scratch = NULL;
	KmsEncoding encoding;
	size_t		size = 0;
	size_t		converted;
	bool		good;
	KmsStatus	status;

	if (!bytes && !kms_encoding_from_utf8(&encoding))
		return no_conversion(fault);
	if (!bytes && OidIsValid(encoding.conversion))
	{
		size = kms_encoding_room(&encoding, kms_cipher_room(request));
		scratch = palloc(size);
	}
	status = kms_cipher_decrypt(decrypt, request, false, plain, len, fault);
	if (status == KMS_OK && *len > (size_t) kms_max_field_size)
	{
		explicit_bzero(plain, *len);
		return kms_field_check_size(*len, fault);
	}
	if (status != KMS_OK || bytes)
		return status;
	if (scratch == NULL)
		good = is_text(plain, *len);
	else
	{
		good = kms_encoding_convert(&encoding, plain, *len, scratch, size,
									&converted);
		explicit_bzero(scratch, size);
	}
	if (good)
		return status;
	explicit_bzero(plain, *len);
	return not_text(fault, "Set \"bytes\" to store binary data.");
}

/* Raises no error. */
static bool
is_text(const unsigned char *data, size_t len)
{
	return pg_verify_mbstr(PG_UTF8, (const char *) data, len, true);
}

/* ---- Keys --------------------------------------------------------------- */

static KmsStatus
admit_head(KmsFieldCall *call, const KmsFieldHead *head,
		   const KmsFieldKey **key, KmsFault *fault)
{
	KmsStatus	status;

	*key = kms_field_opened_get(head, &call->caller);
	if (*key != NULL && kms_field_call_is_summed(call, *key))
		return kms_fault(fault, KMS_OK);
	kms_field_call_record(call);
	do
	{
		status = kms_field_opened_version(head, &call->caller, call->label,
										  key, fault);
	} while (status == KMS_OK && kms_field_call_make_room(call));
	return status;
}

static KmsStatus
admit_newest(KmsFieldCall *call, const char *name, const KmsFieldKey **key,
			 KmsFault *fault)
{
	return admit_name(call, name,
					  kms_field_opened_get_newest(name, &call->caller),
					  kms_field_opened_newest, key, fault);
}

static KmsStatus
admit_index(KmsFieldCall *call, const char *name, const KmsFieldKey **key,
			KmsFault *fault)
{
	return admit_name(call, name,
					  kms_field_opened_get_index(name, &call->caller),
					  kms_field_opened_index, key, fault);
}

/* "got" is the key if it can be used without reading a row. */
static KmsStatus
admit_name(KmsFieldCall *call, const char *name, const KmsFieldKey *got,
		   Opener open_key, const KmsFieldKey **key, KmsFault *fault)
{
	*key = got;
	if (got != NULL && kms_field_call_is_summed(call, got))
		return kms_fault(fault, KMS_OK);
	kms_field_call_record(call);
	return open_key(name, &call->caller, call->label, key, fault);
}

/* ---- Steps -------------------------------------------------------------- */

static bytea *
allocate(size_t len)
{
	bytea	   *value = palloc(VARHDRSZ + len);

	SET_VARSIZE(value, VARHDRSZ + len);
	return value;
}

/* Raises no error. */
static KmsStatus
encrypt(const KmsFieldKey *key, const KmsFieldData *plain,
		const KmsFieldData *context, bytea *value, KmsFault *fault)
{
	unsigned char nonce[KMS_XAES_NONCE_SIZE];
	KmsStatus	status = kms_nonces_next(&nonces, nonce);

	if (status == KMS_OK)
		status = kms_field_value_encrypt(key->xaes, &key->head, nonce,
										 context->data, context->len,
										 plain->data, plain->len,
										 (unsigned char *) VARDATA(value));
	return kms_fault(fault, status);
}

/* Raises no error. */
static KmsStatus
open_bytes(const KmsFieldKey *key, const bytea *value,
		   const KmsFieldData *context, unsigned char *out, KmsFault *fault)
{
	KmsStatus	status;

	status = kms_field_value_decrypt(key->xaes,
									 (const unsigned char *) VARDATA_ANY(value),
									 VARSIZE_ANY_EXHDR(value), context->data,
									 context->len, out);
	if (status == KMS_REJECTED)
		fault->hint = CONTEXT_HINT;
	return kms_fault(fault, status);
}

/*
 * Everything that may raise an error is done before there is plaintext.  If
 * the encoding stays, the text is checked where it is.
 */
static KmsStatus
open_text(const KmsFieldKey *key, const bytea *value,
		  const KmsFieldData *context, struct varlena **result,
		  KmsFault *fault)
{
	size_t		len = VARSIZE_ANY_EXHDR(value) - KMS_FIELD_VALUE_OVERHEAD;
	KmsEncoding encoding;
	unsigned char *plain;
	size_t		size;
	bool		good;
	KmsStatus	status;

	if (!kms_encoding_from_utf8(&encoding))
		return no_conversion(fault);
	size = kms_encoding_room(&encoding, len);
	*result = allocate(size);
	plain = OidIsValid(encoding.conversion) ? palloc(len + 1)
		: (unsigned char *) VARDATA(*result);
	status = open_bytes(key, value, context, plain, fault);
	if (status != KMS_OK)
		return status;
	if (!OidIsValid(encoding.conversion))
		good = is_text(plain, len);
	else
	{
		good = kms_encoding_convert(&encoding, plain, len,
									(unsigned char *) VARDATA(*result), size,
									&size);
		explicit_bzero(plain, len);
		len = size;
	}
	if (!good)
	{
		explicit_bzero(VARDATA(*result), VARSIZE(*result) - VARHDRSZ);
		return not_text(fault, "Use kms_decrypt_field_bytea() for binary data.");
	}
	SET_VARSIZE(*result, VARHDRSZ + len);
	return kms_fault(fault, KMS_OK);
}

static KmsStatus
no_conversion(KmsFault *fault)
{
	return kms_fault_argument(fault, "there is no conversion from UTF8 to the database's encoding",
							  NULL, NULL);
}

static KmsStatus
not_text(KmsFault *fault, const char *hint)
{
	fault->hint = hint;
	return kms_fault(fault, KMS_NOT_TEXT);
}
