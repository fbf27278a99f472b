/*
 * Findings of kms_diagnose() about the form of a text that should be a
 * ciphertext, and the bytes or the JWE that remain when all forms are undone.
 *
 * The forms are in crypto/looks_list.h.  No finding shows any of the text,
 * because it may be a secret that was never encrypted.
 */
#ifndef KMS_KEYS_DIAGNOSE_FORM_H
#define KMS_KEYS_DIAGNOSE_FORM_H

#include "nodes/pg_list.h"

/*
 * Return the most bytes of a ciphertext that are examined.  A block in another
 * form may be longer than kms.max_ciphertext_size: as a list of numbers, one
 * of RSA-4096 has up to 2,560 bytes.  A JWE of kms.max_jwe_size may be in
 * hexadecimal.
 */
extern size_t kms_diagnose_form_most(void);

/* The text that a caller sent, truncated if it is too long to be examined. */
typedef struct KmsSent
{
	const char *text;			/* NULL if the caller sent NULL */
	size_t		len;
	size_t		sent_len;		/* more than "len" if it was truncated */
} KmsSent;

/*
 * A block or a JWE that was sent, and SQL expressions that make it of
 * "ciphertext".
 */
typedef struct KmsUnpacked
{
	bool		is_jwe;
	const unsigned char *data;	/* bytes; of a JWE, a text in UTF-8 */
	size_t		len;
	const char *as_bytes;		/* bytea; NULL if it is a JWE */
	const char *as_text;		/* the text that kms_decrypt() takes: the same
								 * in base64, or the JWE */
} KmsUnpacked;

/* Return the expression of base64 for an expression of bytes. */
extern const char *kms_diagnose_form_base64(const char *as_bytes);

/*
 * Undo the forms and append a finding for each.  Return true with *unpacked
 * filled, palloc'd, or false if the last form cannot be undone, or if a JWE is
 * longer than kms.max_jwe_size.  "block" is the length of the key's block in
 * bytes, or 0 if it has none.
 */
extern bool kms_diagnose_form_unpack(const KmsSent *sent, size_t block,
									 KmsUnpacked *unpacked, List **findings);

#endif							/* KMS_KEYS_DIAGNOSE_FORM_H */
