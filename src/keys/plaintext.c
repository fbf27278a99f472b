#include "postgres.h"

#include "keys/plaintext.h"

static KmsStatus fill(KmsPlaintext *plaintext, const unsigned char *plain,
					  size_t len);
static const char *hint_for_bytes(const KmsCipherRequest *request,
								  bool recover);
static bool convert(const KmsEncoding *encoding, const unsigned char **data,
					size_t *len, unsigned char *buffer, size_t size);

void
kms_plaintext_prepare(KmsPlaintext *plaintext, bool is_text)
{
	memset(plaintext, 0, sizeof(*plaintext));
	plaintext->context = CurrentMemoryContext;
	plaintext->is_text = is_text;
	plaintext->encoding.conversion = InvalidOid;
	if (is_text && !kms_encoding_from_utf8(&plaintext->encoding))
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_FUNCTION),
				 errmsg("there is no conversion from UTF8 to the database's encoding"),
				 KMS_HIDE_STATEMENT));
}

void
kms_plaintext_make_room(KmsPlaintext *plaintext,
						const KmsCipherRequest *request)
{
	size_t		room = kms_cipher_room(request);

	if (plaintext->result != NULL && plaintext->plain_size >= room)
		return;
	kms_plaintext_wipe(plaintext);
	if (plaintext->result != NULL)
	{
		pfree(plaintext->plain);
		pfree(plaintext->result);
		plaintext->result = NULL;
	}
	plaintext->plain = MemoryContextAlloc(plaintext->context, room);
	plaintext->plain_size = room;
	plaintext->size = kms_encoding_room(&plaintext->encoding, room);
	plaintext->result = MemoryContextAlloc(plaintext->context,
										   VARHDRSZ + plaintext->size);
}

KmsStatus
kms_plaintext_decrypt(KmsPlaintext *plaintext, KmsCall *call,
					  const KmsCipherRequest *request, bool recover,
					  KmsFault *fault)
{
	KmsCipherOpened opened;
	KmsStatus	status;

	status = kms_cipher_open(call, request, recover, &opened, fault);
	if (status == KMS_OK)
		status = kms_cipher_check(request, &opened, fault);
	if (status != KMS_OK)
		return status;
	return kms_plaintext_finish(plaintext, call, request, &opened, recover,
								fault);
}

KmsStatus
kms_plaintext_finish(KmsPlaintext *plaintext, KmsCall *call,
					 const KmsCipherRequest *request,
					 const KmsCipherOpened *opened, bool recover,
					 KmsFault *fault)
{
	size_t		len;
	KmsStatus	status;

	status = kms_cipher_finish(call, request, opened, plaintext->plain, &len,
							   fault);
	if (status == KMS_OK)
	{
		status = kms_fault(fault, fill(plaintext, plaintext->plain, len));
		explicit_bzero(plaintext->plain, len);
		if (status == KMS_NOT_TEXT)
			fault->hint = hint_for_bytes(request, recover);
	}
	return status;
}

/*
 * Nothing here may raise an error, because there is plaintext.
 */
static KmsStatus
fill(KmsPlaintext *plaintext, const unsigned char *plain, size_t len)
{
	unsigned char *out = (unsigned char *) VARDATA(plaintext->result);

	if (!plaintext->is_text)
		memcpy(out, plain, len);
	else if (!kms_encoding_convert(&plaintext->encoding, plain, len, out,
								   plaintext->size, &len))
		return KMS_NOT_TEXT;
	SET_VARSIZE(plaintext->result, VARHDRSZ + len);
	return KMS_OK;
}

/* Return the hint, or NULL for that of the status. */
static const char *
hint_for_bytes(const KmsCipherRequest *request, bool recover)
{
	if (request->jwe != NULL)
		return recover ? "Pass convert_to(ciphertext, 'UTF8') to kms_decrypt_recover_bytea() for binary data."
			: "Use kms_decrypt_jwe_bytea() for binary data.";
	return recover ? "Use kms_decrypt_recover_bytea() for binary data."
		: NULL;
}

void
kms_plaintext_wipe(KmsPlaintext *plaintext)
{
	if (plaintext->result != NULL)
		explicit_bzero(plaintext->result, VARHDRSZ + plaintext->size);
}

KmsStatus
kms_plaintext_to_utf8(const unsigned char **data, size_t *len,
					  unsigned char *buffer, size_t size, KmsFault *fault)
{
	KmsEncoding encoding;
	bool		found = kms_encoding_to_utf8(&encoding);

	if (found && convert(&encoding, data, len, buffer, size))
		return kms_fault(fault, KMS_OK);
	return kms_fault_argument(fault, "plaintext cannot be converted to UTF8",
							  NULL, NULL);
}

static bool
convert(const KmsEncoding *encoding, const unsigned char **data, size_t *len,
		unsigned char *buffer, size_t size)
{
	/* the text of a database in SQL_ASCII may be anything */
	if (!OidIsValid(encoding->conversion))
		return pg_verify_mbstr(PG_UTF8, (const char *) *data, *len, true);
	if (!kms_encoding_convert(encoding, *data, *len, buffer, size, len))
		return false;
	*data = buffer;
	return true;
}
