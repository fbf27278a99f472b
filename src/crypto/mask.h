/*
 * What a program says, made fit for a log: lines of printable ASCII, bounded
 * in all, in which no run of 64 or more hexadecimal digits is seen, as that
 * may be a master key.
 *
 * It is taken in pieces as they come.  A run is one wherever the pieces, or
 * the lines of the log, are divided.
 */
#ifndef KMS_CRYPTO_MASK_H
#define KMS_CRYPTO_MASK_H

#include <stdbool.h>
#include <stddef.h>

#define KMS_MASK_LINE	512		/* a longer one is given in several */
#define KMS_MASK_RUN	64		/* digits that are not shown */

typedef struct KmsMask
{
	size_t		left;			/* characters that may still be given */
	bool		cut;			/* something was left out for that */
	bool		masking;		/* in a run that is not shown */
	size_t		run_len;		/* of digits that have not been given yet */
	char		run[KMS_MASK_RUN];
	size_t		len;
	char		line[KMS_MASK_LINE + KMS_MASK_RUN + 1];
} KmsMask;

/* Give at most "limit" characters in all. */
extern void kms_mask_begin(KmsMask *mask, size_t limit);

/*
 * Take a piece, until a line is complete: true, with the line, which is not
 * empty, in mask->line until the next call, and in *used how much was taken.
 * On false all was.
 */
extern bool kms_mask_take(KmsMask *mask, const char *piece, size_t len,
						  size_t *used);

/*
 * There is no more: true if there is a last line without an end.  All but the
 * line is wiped.
 */
extern bool kms_mask_end(KmsMask *mask);

#endif							/* KMS_CRYPTO_MASK_H */
