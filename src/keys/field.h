/*
 * Stored values of fields: encrypt, decrypt and refresh them; make blind
 * indexes; and turn a device's ciphertext into either.
 *
 * No function ends its call: api/ does, also if a status other than KMS_OK is
 * returned.
 */
#ifndef KMS_KEYS_FIELD_H
#define KMS_KEYS_FIELD_H

#include "crypto/blind_index.h"
#include "keys/cipher.h"
#include "keys/field_call.h"

/* Text in UTF-8, or bytes. */
typedef struct KmsFieldData
{
	const unsigned char *data;
	size_t		len;
} KmsFieldData;

/* Return KMS_TOO_LARGE if a plaintext is larger than kms.max_field_size. */
extern KmsStatus kms_field_check_size(Size size, KmsFault *fault);

/*
 * Convert a text of the database to UTF-8, because devices encrypt UTF-8, too.
 * *copy is a copy of data->len bytes that the caller must wipe, or NULL if the
 * text stays where it is.  "name" is for the message, which shows no byte of
 * the text.
 */
extern KmsStatus kms_field_to_utf8(const char *name, KmsFieldData *data,
								   unsigned char **copy, KmsFault *fault);

/* Allocate a value of the newest version of a key. */
extern KmsStatus kms_field_encrypt(KmsFieldCall *call, const char *name,
								   const KmsFieldData *plain,
								   const KmsFieldData *context,
								   bytea **value, KmsFault *fault);

/*
 * Decrypt a value into an allocated text or bytea.  "name" is that of the key,
 * or NULL for any.  The caller wipes the result if an error is raised later.
 * Return KMS_BAD_FIELD_VALUE if it is no value or one of another key;
 * KMS_NOT_TEXT if the plaintext is not text in the database's encoding.
 */
extern KmsStatus kms_field_decrypt(KmsFieldCall *call, const bytea *value,
								   const KmsFieldData *context,
								   const char *name, bool is_text,
								   struct varlena **result, KmsFault *fault);

/*
 * Encrypt a value again with the newest version of its key, or of the key
 * "new_name", and for "new_context"; NULL means the same.  Set *result to
 * "value" and return KMS_UNCHANGED if there is nothing to do.
 */
extern KmsStatus kms_field_refresh(KmsFieldCall *call, bytea *value,
								   const KmsFieldData *context,
								   const KmsFieldData *new_context,
								   const char *new_name, bytea **result,
								   KmsFault *fault);

/* A blind index that is asked for. */
typedef struct KmsFieldIndex
{
	const char *name;			/* of the key */
	KmsFieldData scope;
	KmsFold		fold;
	int			bits;			/* 16 to 128, a multiple of 8 */
} KmsFieldIndex;

/* Allocate the blind index of a text in UTF-8. */
extern KmsStatus kms_field_index(KmsFieldCall *call,
								 const KmsFieldIndex *index,
								 const KmsFieldData *text, bytea **result,
								 KmsFault *fault);

/*
 * Decrypt what a device has sent, for which "decrypt" is the call, and encrypt
 * it as kms_field_encrypt does, or make its blind index.  Content that is not
 * text gives KMS_NOT_TEXT unless "bytes" is set.  *of_field tells which call
 * has failed: that of the field, or "decrypt".
 */
extern KmsStatus kms_field_encrypt_sent(KmsFieldCall *call, KmsCall *decrypt,
										const KmsCipherRequest *request,
										const char *name,
										const KmsFieldData *context,
										bool bytes, bytea **value,
										bool *of_field, KmsFault *fault);
extern KmsStatus kms_field_index_sent(KmsFieldCall *call, KmsCall *decrypt,
									  const KmsCipherRequest *request,
									  const KmsFieldIndex *index,
									  bytea **result, bool *of_field,
									  KmsFault *fault);

/*
 * Return whether a value is under the newest version of its key; or the name
 * of its key, palloc'd.  Nothing is opened or recorded.
 */
extern KmsStatus kms_field_is_current(const bytea *value, bool *current,
									  KmsFault *fault);
extern KmsStatus kms_field_key_of(const bytea *value, const char **name,
								  KmsFault *fault);

/* Read the head of a value, or return KMS_BAD_FIELD_VALUE. */
extern KmsStatus kms_field_head(const bytea *value, KmsFieldHead *head,
								KmsFault *fault);

#endif							/* KMS_KEYS_FIELD_H */
