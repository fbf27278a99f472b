/* Lists of names in findings. */
#ifndef KMS_KEYS_NAME_LIST_H
#define KMS_KEYS_NAME_LIST_H

#include "nodes/pg_list.h"

#define KMS_NAME_LIST_MAX	10	/* names shown */

/* Return "a, b, c", palloc'd.  Names beyond the first ten become "...". */
extern char *kms_name_list_join(const List *names);

#endif							/* KMS_KEYS_NAME_LIST_H */
