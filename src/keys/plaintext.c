#include "postgres.h"

#include "keys/plaintext.h"

static KmsStatus fill(KmsPlaintext *plaintext, const unsigned char *plain,
					  size_t len);

void
kms_plaintext_prepare(KmsPlaintext *plaintext, bool is_text)
{
	plaintext->is_text = is_text;
	plaintext->encoding.conversion = InvalidOid;
	if (is_text && !kms_encoding_from_utf8(&plaintext->encoding))
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_FUNCTION),
				 errmsg("there is no conversion from UTF8 to the database's encoding"),
				 KMS_HIDE_STATEMENT));
	plaintext->size = kms_encoding_room(&plaintext->encoding,
										KMS_RSA_MAX_BLOCK);
	plaintext->result = palloc(VARHDRSZ + plaintext->size);
}

KmsStatus
kms_plaintext_decrypt(KmsPlaintext *plaintext, KmsCall *call,
					  const KmsCipherRequest *request, bool recover,
					  KmsFault *fault)
{
	unsigned char plain[KMS_RSA_MAX_BLOCK];
	size_t		len;
	KmsStatus	status;

	status = kms_cipher_decrypt(call, request, recover, plain, &len, fault);
	if (status == KMS_OK)
	{
		status = kms_fault(fault, fill(plaintext, plain, len));
		explicit_bzero(plain, sizeof(plain));
	}
	return status;
}

/*
 * Nothing here may raise an error, because the caller's frame holds plaintext.
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

void
kms_plaintext_wipe(KmsPlaintext *plaintext)
{
	if (plaintext->result != NULL)
		explicit_bzero(plaintext->result, VARHDRSZ + plaintext->size);
}

KmsStatus
kms_plaintext_to_utf8(KmsCipherRequest *request, unsigned char *buffer,
					  size_t size, KmsFault *fault)
{
	KmsEncoding encoding;
	bool		found;

	if (request->len > KMS_RSA_MAX_BLOCK)
		return kms_fault(fault, KMS_OK);
	found = kms_encoding_to_utf8(&encoding);
	if (found && !OidIsValid(encoding.conversion))
		return kms_fault(fault, KMS_OK);
	if (!found || !kms_encoding_convert(&encoding, request->data, request->len,
										buffer, size, &request->len))
		return kms_fault_argument(fault,
								  "plaintext cannot be converted to UTF8", NULL,
								  "Use kms_encrypt_bytea() for binary data.");
	request->data = buffer;
	return kms_fault(fault, KMS_OK);
}
