/*
 * A JWE as a caller of the database sends it.
 */
#ifndef KMS_KEYS_JWE_MESSAGE_H
#define KMS_KEYS_JWE_MESSAGE_H

#include "crypto/jwe_form.h"
#include "pg/fault.h"

/*
 * Read a text in the database's encoding up to its headers, as
 * kms_jwe_text_read does.  Return KMS_OK, or KMS_BAD_CIPHERTEXT with *fault
 * filled.  The form points into the text and into palloc'd memory.
 */
extern KmsStatus kms_jwe_message_read(const char *sent, size_t len,
									  KmsJweForm *form, KmsFault *fault);

/* Do the same, and judge what does not depend on the key. */
extern KmsStatus kms_jwe_message_judge(const char *sent, size_t len,
									   KmsJweForm *form, KmsFault *fault);

/*
 * Return the key id in the protected header, which is palloc'd.  Return
 * KMS_BAD_CIPHERTEXT if there is none, or if it cannot be a key id.
 */
extern KmsStatus kms_jwe_message_key_id(const KmsJweForm *form, char **key_id,
										KmsFault *fault);

/* Fill *fault with a problem of the form, and return KMS_BAD_CIPHERTEXT. */
extern KmsStatus kms_jwe_message_fault(const KmsJweProblem *problem,
									   KmsFault *fault);

#endif							/* KMS_KEYS_JWE_MESSAGE_H */
