/*
 * Whether a text that should be a ciphertext has the form of one, in findings
 * of kms_diagnose().  No finding shows any of the text: it may be a secret
 * that was never encrypted.
 */
#ifndef KMS_KEYS_DIAGNOSE_FORM_H
#define KMS_KEYS_DIAGNOSE_FORM_H

#include "nodes/pg_list.h"

#define KMS_SHORTEST_BLOCK 128	/* bytes: RSA-1024; what is shorter is none */

/* The text that a caller sent, cut off at kms.max_ciphertext_size. */
typedef struct KmsSent
{
	const char *text;			/* NULL: it was NULL */
	size_t		len;
	size_t		sent_len;		/* more than "len" if that is not all of it */
} KmsSent;

/*
 * Append what is wrong with the form and return false; or return true, with
 * the palloc'd bytes that the base64 holds.  "block" is the length of the
 * key's block in bytes, or 0 if it is not known.
 */
extern bool kms_diagnose_form_decode(const KmsSent *sent, size_t block,
									 const unsigned char **data, size_t *len,
									 List **findings);

#endif							/* KMS_KEYS_DIAGNOSE_FORM_H */
