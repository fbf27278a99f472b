#include <stddef.h>

#include "crypto/status.h"

#define STATUS_ROW(name, number, kind, sqlstate, reason, message, hint) \
	[number] = {kind, sqlstate, reason, message, hint},

static const KmsStatusRow rows[] = {
	KMS_STATUS_LIST(STATUS_ROW)
};

const KmsStatusRow *
kms_status_row(KmsStatus status)
{
	/* a number from a file may be none of ours */
	if ((unsigned int) status >= sizeof(rows) / sizeof(rows[0]) ||
		rows[status].sqlstate == NULL)
		return &rows[KMS_FAILED];
	return &rows[status];
}

const char *
kms_status_reason(KmsStatus status)
{
	return kms_status_row(status)->reason;
}

bool
kms_status_is_success(KmsStatus status)
{
	return kms_status_row(status)->kind == KMS_STATUS_SUCCESS;
}
