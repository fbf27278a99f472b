/*
 * Output of a program, made fit for a log: lines of printable ASCII, limited
 * in all.  A run of 64 or more hexadecimal digits is not shown, because it may
 * be a master key.
 *
 * The output is taken in pieces of any size.  A run is recognized even if it
 * is divided between pieces or between lines of the log.
 */
#ifndef KMS_CRYPTO_MASK_H
#define KMS_CRYPTO_MASK_H

#include <stdbool.h>
#include <stddef.h>

#define KMS_MASK_LINE	512		/* characters; a longer line is split */
#define KMS_MASK_RUN	64		/* digits in a run that is not shown */

typedef struct KmsMask
{
	size_t		left;			/* characters that may still be returned */
	bool		cut;			/* the limit has cut something off */
	bool		masking;		/* in a run that is not shown */
	size_t		run_len;		/* digits of a run not returned yet */
	char		run[KMS_MASK_RUN];
	size_t		len;
	char		line[KMS_MASK_LINE + KMS_MASK_RUN + 1];
} KmsMask;

/* Begin.  At most "limit" characters are returned in all. */
extern void kms_mask_begin(KmsMask *mask, size_t limit);

/*
 * Take a piece until a line is complete.  Return true with the line, which is
 * not empty, in mask->line until the next call, and with *used set to the
 * number of characters taken.  Return false if all were taken and no line is
 * complete.
 */
extern bool kms_mask_take(KmsMask *mask, const char *piece, size_t len,
						  size_t *used);

/*
 * End.  Return true if there is a last, unterminated line in mask->line.
 * Everything but the line is wiped.
 */
extern bool kms_mask_end(KmsMask *mask);

#endif							/* KMS_CRYPTO_MASK_H */
