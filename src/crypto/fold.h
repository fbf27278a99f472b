/*
 * Folds: what of a text a blind index takes, so that values that a person
 * would call equal have the same index.
 *
 * Stored indexes depend on the names and on what each fold keeps, so neither
 * ever changes.
 */
#ifndef KMS_CRYPTO_FOLD_H
#define KMS_CRYPTO_FOLD_H

#include <stdbool.h>
#include <stddef.h>

typedef enum KmsFold
{
	KMS_FOLD_NONE,				/* all bytes as they are */
	KMS_FOLD_DIGITS,			/* only 0 to 9 */
	KMS_FOLD_ALNUM				/* only ASCII letters, in lower case, and 0 to
								 * 9 */
} KmsFold;

#define KMS_FOLD_COUNT		3
#define KMS_FOLD_NAME_MAX	6	/* bytes */

/*
 * Find the fold with this name ("none", "digits", "alnum"; lower case).
 * Return false, and leave *fold alone, if there is none.
 */
extern bool kms_fold_by_name(const char *name, KmsFold *fold);

/* Return the name as above. */
extern const char *kms_fold_name(KmsFold fold);

/*
 * Fold "len" bytes.  "out" must hold as many, and may be "in".  Return the
 * length of the result.  Bytes that are not ASCII, also invalid UTF-8, are
 * left out except by KMS_FOLD_NONE.
 */
extern size_t kms_fold(KmsFold fold, const unsigned char *in, size_t len,
					   unsigned char *out);

#endif							/* KMS_CRYPTO_FOLD_H */
