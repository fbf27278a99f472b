/*
 * Plaintext on its way into the result of a SQL call.
 *
 * Plaintext exists in a buffer on the stack, which is wiped before the
 * function returns, and in the result, which belongs to the caller.  All steps
 * that may raise an error (allocation, look-up of an encoding conversion) are
 * done before there is any plaintext.  After that, only the wait for the event
 * (kms.audit = required) may raise an error.  In that case the caller wipes
 * the result.
 */
#ifndef KMS_KEYS_PLAINTEXT_H
#define KMS_KEYS_PLAINTEXT_H

#include "keys/cipher.h"
#include "pg/encoding.h"

typedef struct KmsPlaintext
{
	bool		is_text;		/* false: bytea */
	KmsEncoding encoding;		/* for text */
	struct varlena *result;		/* palloc'd; NULL until it is prepared */
	size_t		size;			/* bytes of data that fit into the result */
} KmsPlaintext;

/*
 * Allocate a result for any plaintext.  Raise 42883 if it is text and there is
 * no conversion to the database's encoding.
 */
extern void kms_plaintext_prepare(KmsPlaintext *plaintext, bool is_text);

/*
 * Decrypt into the prepared result, as kms_cipher_decrypt does.  Return
 * KMS_NOT_TEXT if the result is text and the plaintext is not.
 */
extern KmsStatus kms_plaintext_decrypt(KmsPlaintext *plaintext, KmsCall *call,
									   const KmsCipherRequest *request,
									   bool recover, KmsFault *fault);

/* Wipe the result, if one was prepared. */
extern void kms_plaintext_wipe(KmsPlaintext *plaintext);

/*
 * Convert the text of a request to encrypt to UTF-8, because clients encrypt
 * UTF-8, too.  "buffer" must hold kms_encoding_room() of KMS_RSA_MAX_BLOCK
 * bytes; the caller wipes it.  A text that is too long for any key is left as
 * it is.
 */
extern KmsStatus kms_plaintext_to_utf8(KmsCipherRequest *request,
									   unsigned char *buffer, size_t size,
									   KmsFault *fault);

#endif							/* KMS_KEYS_PLAINTEXT_H */
