/*
 * Text of callers that others read later, in the trail, in the server log and
 * on a terminal: device ids, app versions, reasons, subjects, contexts.
 */
#ifndef KMS_PG_LINE_H
#define KMS_PG_LINE_H

#include <stddef.h>

#define KMS_LINE_REFUSES "control, bidirectional or line-separator characters"

typedef enum KmsLine
{
	KMS_LINE_OK,
	KMS_LINE_REFUSED,			/* has one of KMS_LINE_REFUSES */
	KMS_LINE_NOT_TEXT			/* UTF-8 does not have it, or cannot say now */
} KmsLine;

/*
 * Judge text in the database's encoding by its form in UTF-8, see
 * kms_utf8_line_valid; SQL_ASCII must be UTF-8.  Raises nothing about its bytes,
 * because such a message would show them.
 */
extern KmsLine kms_line_judge(const char *text, size_t len);

/* Replace what is not printable ASCII by "?" unless the text is a line. */
extern void kms_line_clean(char *text);

#endif							/* KMS_PG_LINE_H */
