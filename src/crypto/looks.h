/*
 * The form of what should be a ciphertext in base64: other forms that clients
 * send by mistake, and how to undo them.
 *
 * The forms are in crypto/looks_list.h.  Each file crypto/looks_<family>.c
 * recognizes those of one family; crypto/looks.c has the order.
 *
 * A form is undone a layer at a time: base64 of hexadecimal with a newline
 * after it is base64 of a text, and that text is hexadecimal.  Nothing else
 * reveals anything of the content, because it may be a secret in the wrong
 * place: a finding shows lengths and positions at most.
 */
#ifndef KMS_CRYPTO_LOOKS_H
#define KMS_CRYPTO_LOOKS_H

#include <stddef.h>

#include "crypto/looks_list.h"

#define KMS_LOOKS_ENUM(name, holds, finding, hint, sql) name,

typedef enum KmsLooks
{
	KMS_LOOKS_PLAIN,			/* none of these */
	KMS_LOOKS_JWE,				/* as it should be, but its parts may not be */
	KMS_LOOKS_LIST(KMS_LOOKS_ENUM)
	KMS_LOOKS_COUNT
} KmsLooks;

/* The rest when a form is undone. */
typedef enum KmsLooksHolds
{
	KMS_HOLDS_NOTHING,			/* the form cannot be undone */
	KMS_HOLDS_TEXT,
	KMS_HOLDS_BYTES
} KmsLooksHolds;

typedef struct KmsLooksRow
{
	KmsLooksHolds holds;
	const char *finding;
	const char *hint;
	const char *sql;			/* NULL: nothing can be done */
} KmsLooksRow;

typedef struct KmsLooksUndone
{
	unsigned char *data;		/* room for as many bytes as there are, and
								 * KMS_LOOKS_ROOM */
	size_t		len;			/* 0 unless the form can be undone */
	size_t		number;			/* for <n> in the row */
} KmsLooksUndone;

#define KMS_LOOKS_ROOM			4

/*
 * The least that a text must have to be taken for one of these: shorter ones
 * occur by chance, or are no ciphertext.
 */
#define KMS_LOOKS_HEX_MIN		128 /* hexadecimal digits */
#define KMS_LOOKS_NUMBERS_MIN	64	/* numbers of a list of bytes */
#define KMS_LOOKS_VALUE_MIN		128 /* characters of a value in JSON or PHP */
#define KMS_LOOKS_DECIMAL_MIN	300 /* digits of a number */
#define KMS_LOOKS_BASE64_MIN	171 /* digits of a block: RSA-1024 */

/*
 * Return the form of a text in UTF-8, or of bytes, and fill *undone if the
 * form can be undone.  A text that is not UTF-8 is taken as it is; its NULs
 * have no meaning.
 *
 * "block" is the length in bytes that the ciphertext should have, or 0 if it
 * is not known; then forms are not recognized that only the length reveals,
 * as blanks for plus signs are.  Bytes that have this length are taken for the
 * ciphertext, KMS_LOOKS_PLAIN.
 *
 * KMS_LOOKS_PLAIN also means that a text may be base64; kms_base64_normalize()
 * decides.  KMS_LOOKS_JWE means that kms_decrypt() takes the text for a JWE.
 */
extern KmsLooks kms_looks_text(const char *in, size_t len, size_t block,
							   KmsLooksUndone *undone);
extern KmsLooks kms_looks_bytes(const unsigned char *in, size_t len,
								size_t block, KmsLooksUndone *undone);

/* Return the row of a form.  KMS_LOOKS_PLAIN and KMS_LOOKS_JWE have none. */
extern const KmsLooksRow *kms_looks_row(KmsLooks looks);

#endif							/* KMS_CRYPTO_LOOKS_H */
