#include "postgres.h"

#include "miscadmin.h"
#include "utils/guc.h"

#include "keys/caller.h"

#include "pg/client.h"
#include "pg/line.h"
#include "pg/settings.h"

void
kms_caller_identify(KmsEvent *event)
{
	const char *name;

	name = GetUserNameFromId(GetSessionUserId(), true);
	if (name != NULL)
		kms_line_copy(event->session_role, sizeof(event->session_role), name);
	name = GetUserNameFromId(GetOuterUserId(), true);
	if (name != NULL)
		kms_line_copy(event->caller_role, sizeof(event->caller_role), name);
	name = GetUserNameFromId(GetUserId(), true);
	if (name != NULL)
		kms_line_copy(event->effective_role, sizeof(event->effective_role), name);
	kms_line_copy(event->client_addr, sizeof(event->client_addr),
				  kms_client_address());
	if (application_name != NULL)
		kms_line_copy(event->application_name, sizeof(event->application_name),
					  application_name);
	kms_line_copy(event->audit_note, sizeof(event->audit_note),
				  kms_audit_context);
	kms_line_clean(event->audit_note);
}
