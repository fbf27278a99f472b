/*
 * Plaintext on its way into the result of a SQL call.
 *
 * Plaintext exists in a buffer on the stack, which is wiped before the frame
 * is left, and in the result, which is the caller's.  Every step that may
 * raise (allocation, look-up of an encoding conversion) is done before there
 * is any.  After that only the wait for the record (kms.audit = required) may
 * raise; the caller wipes the result then.
 */
#ifndef KMS_KEYS_PLAINTEXT_H
#define KMS_KEYS_PLAINTEXT_H

#include "keys/cipher.h"
#include "pg/encoding.h"

typedef struct KmsPlaintext
{
	bool		is_text;		/* else bytea */
	KmsEncoding encoding;		/* of text */
	struct varlena *result;		/* palloc'd; NULL before it is prepared */
	size_t		size;			/* bytes of its data at most */
} KmsPlaintext;

/*
 * Make room for any plaintext.  Raises 42883 if text takes a conversion that
 * does not exist.
 */
extern void kms_plaintext_prepare(KmsPlaintext *plaintext, bool is_text);

/*
 * Decrypt into a result that was prepared, as kms_cipher_decrypt does;
 * KMS_NOT_TEXT if text is asked for and it is none.
 */
extern KmsStatus kms_plaintext_decrypt(KmsPlaintext *plaintext, KmsCall *call,
									   const KmsCipherRequest *request,
									   bool recover, KmsFault *fault);

/* Wipe the result; does nothing if none was prepared. */
extern void kms_plaintext_wipe(KmsPlaintext *plaintext);

/*
 * Convert the plaintext of a request to encrypt, which is text, to UTF-8, as
 * clients encrypt it.  "buffer" must hold kms_encoding_room() of
 * KMS_RSA_MAX_BLOCK bytes; the caller wipes it.  Plaintext that fits no key
 * is left as it is.
 */
extern KmsStatus kms_plaintext_to_utf8(KmsCipherRequest *request,
									   unsigned char *buffer, size_t size,
									   KmsFault *fault);

#endif							/* KMS_KEYS_PLAINTEXT_H */
