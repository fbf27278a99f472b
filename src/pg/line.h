/*
 * Checking callers' texts that other people read later, in the trail, in the
 * server log and on a terminal: device ids, app versions, reasons, subjects,
 * contexts.
 */
#ifndef KMS_PG_LINE_H
#define KMS_PG_LINE_H

#include <stddef.h>

#define KMS_LINE_REFUSES "control, bidirectional or line-separator characters"

typedef enum KmsLine
{
	KMS_LINE_OK,
	KMS_LINE_REFUSED,			/* has one of KMS_LINE_REFUSES */
	KMS_LINE_NOT_TEXT			/* cannot be converted to UTF-8 (now) */
} KmsLine;

/*
 * Check text in the database's encoding by its form in UTF-8, see
 * kms_utf8_line_valid.  In SQL_ASCII it must be UTF-8.  Raises no error about
 * the bytes, because the message would show them.
 */
extern KmsLine kms_line_judge(const char *text, size_t len);

/*
 * If the text is not a valid line, replace all characters that are not
 * printable ASCII by "?".
 */
extern void kms_line_clean(char *line);

/*
 * Copy a text in the database's encoding to "out" of "size" bytes.  A text
 * that does not fit is cut at a character boundary.
 */
extern void kms_line_copy(char *out, size_t size, const char *in);

#endif							/* KMS_PG_LINE_H */
