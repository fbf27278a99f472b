/*
 * Findings of kms_diagnose() about the form of a text that should be a
 * ciphertext.  No finding shows any of the text, because it may be a secret
 * that was never encrypted.
 */
#ifndef KMS_KEYS_DIAGNOSE_FORM_H
#define KMS_KEYS_DIAGNOSE_FORM_H

#include "nodes/pg_list.h"

#define KMS_SHORTEST_BLOCK 128	/* bytes of RSA-1024; anything shorter is no
								 * block */

/* The text that a caller sent, truncated at kms.max_ciphertext_size. */
typedef struct KmsSent
{
	const char *text;			/* NULL if the caller sent NULL */
	size_t		len;
	size_t		sent_len;		/* more than "len" if it was truncated */
} KmsSent;

/*
 * Decode the base64.  Return true with the bytes, palloc'd, or append what is
 * wrong with the form and return false.  "block" is the length of the key's
 * block in bytes, 0 if it is not known.
 */
extern bool kms_diagnose_form_decode(const KmsSent *sent, size_t block,
									 const unsigned char **data, size_t *len,
									 List **findings);

#endif							/* KMS_KEYS_DIAGNOSE_FORM_H */
