/*
 * Plaintext on its way into the result of a SQL call.
 *
 * Plaintext exists in a buffer, which is wiped before the function returns,
 * and in the result, which belongs to the caller.  All steps that may raise an
 * error (allocation, look-up of an encoding conversion) are done before there
 * is any plaintext.  After that, only the wait for the event (kms.audit =
 * required) may raise an error.  In that case the caller wipes the result.
 */
#ifndef KMS_KEYS_PLAINTEXT_H
#define KMS_KEYS_PLAINTEXT_H

#include "keys/cipher.h"
#include "pg/encoding.h"

typedef struct KmsPlaintext
{
	MemoryContext context;		/* of the buffers */
	bool		is_text;		/* false: bytea */
	KmsEncoding encoding;		/* for text */
	unsigned char *plain;
	size_t		plain_size;
	struct varlena *result;		/* NULL until it is prepared */
	size_t		size;			/* bytes of data that fit into the result */
} KmsPlaintext;

/*
 * Prepare for a result in the current memory context.  Raise 42883 if it is
 * text and there is no conversion to the database's encoding.
 */
extern void kms_plaintext_prepare(KmsPlaintext *plaintext, bool is_text);

/*
 * Allocate a result for any plaintext of the request, unless there is one that
 * is large enough.
 */
extern void kms_plaintext_make_room(KmsPlaintext *plaintext,
									const KmsCipherRequest *request);

/*
 * Decrypt into the result, for which there is room, as kms_cipher_decrypt
 * does.  Return KMS_NOT_TEXT if the result is text and the plaintext is not.
 */
extern KmsStatus kms_plaintext_decrypt(KmsPlaintext *plaintext, KmsCall *call,
									   const KmsCipherRequest *request,
									   bool recover, KmsFault *fault);

/* Do the same for a ciphertext that was checked, as kms_cipher_finish does. */
extern KmsStatus kms_plaintext_finish(KmsPlaintext *plaintext, KmsCall *call,
									  const KmsCipherRequest *request,
									  const KmsCipherOpened *opened,
									  bool recover, KmsFault *fault);

/* Wipe the result, if one was prepared. */
extern void kms_plaintext_wipe(KmsPlaintext *plaintext);

/*
 * Convert a text that is to be encrypted to UTF-8, because clients encrypt
 * UTF-8, too.  Set *data to it, which may be "buffer"; that holds "size"
 * bytes, *len * KMS_ENCODING_GROWTH + 1 at least, and the caller wipes it.
 * Return KMS_INVALID_ARGUMENT, with a fault that has no hint, if that is not
 * possible or a text of SQL_ASCII is not UTF-8.
 */
extern KmsStatus kms_plaintext_to_utf8(const unsigned char **data, size_t *len,
									   unsigned char *buffer, size_t size,
									   KmsFault *fault);

#endif							/* KMS_KEYS_PLAINTEXT_H */
