#include <string.h>

#include "shmem/event.h"

#include "crypto/status.h"

#define GAP_REASON "Events may be missing"

#define MEMBER(name) offsetof(KmsEvent, name), sizeof(((KmsEvent *) 0)->name)
#define NO_MEMBER sizeof(KmsEvent), 0

const KmsEventField kms_event_fields[] = {
	{"occurred_at", 2, KMS_FIELD_TIME, KMS_CHAIN_HASHED, MEMBER(occurred_at)},
	{"operation", 3, KMS_FIELD_OPERATION, KMS_CHAIN_HASHED, MEMBER(operation)},
	{"status", 4, KMS_FIELD_STATUS, KMS_CHAIN_STATUS, MEMBER(status)},
	{"reason", 5, KMS_FIELD_REASON, KMS_CHAIN_REASON, NO_MEMBER},
	{"duration_ms", 6, KMS_FIELD_DURATION, KMS_CHAIN_HASHED, MEMBER(duration_us)},
	{"key_id", 7, KMS_FIELD_TEXT, KMS_CHAIN_HASHED, MEMBER(key_id)},
	{"session_role", 9, KMS_FIELD_TEXT, KMS_CHAIN_HASHED, MEMBER(session_role)},
	{"caller_role", 18, KMS_FIELD_TEXT, KMS_CHAIN_HASHED, MEMBER(caller_role)},
	{"effective_role", 10, KMS_FIELD_TEXT, KMS_CHAIN_HASHED, MEMBER(effective_role)},
	{"application_name", 12, KMS_FIELD_TEXT, KMS_CHAIN_HASHED, MEMBER(application_name)},
	{"calls", 19, KMS_FIELD_NUMBER, KMS_CHAIN_HASHED, MEMBER(calls)},
	{"form", 20, KMS_FIELD_TEXT, KMS_CHAIN_HASHED, MEMBER(form)},
	{"app_version", 21, KMS_FIELD_TEXT, KMS_CHAIN_HASHED, MEMBER(app_version)},
	{"device_id", 8, KMS_FIELD_TEXT, KMS_CHAIN_PERSONAL, MEMBER(device_id)},
	{"client_addr", 11, KMS_FIELD_TEXT, KMS_CHAIN_PERSONAL, MEMBER(client_addr)},
	{"context", 13, KMS_FIELD_TEXT, KMS_CHAIN_PERSONAL, MEMBER(remark)},
	{"audit_context", 14, KMS_FIELD_TEXT, KMS_CHAIN_PERSONAL, MEMBER(audit_note)},
};

#define FIELD_COUNT (sizeof(kms_event_fields) / sizeof(kms_event_fields[0]))

const int	kms_event_field_count = FIELD_COUNT;

typedef char fields_fit[FIELD_COUNT <= KMS_CHAIN_VALUES_MAX ? 1 : -1];

static const char *reason_of(const KmsEvent *event);

int
kms_event_field_at(size_t offset)
{
	int			i = kms_event_field_count - 1;

	while (i >= 0 && kms_event_fields[i].offset != offset)
		i--;
	return i;
}

const char *
kms_event_text(const KmsEvent *event, const KmsEventField *field)
{
	const char *text;

	switch (field->kind)
	{
		case KMS_FIELD_OPERATION:
			return kms_event_operation_name(event->operation);
		case KMS_FIELD_STATUS:
			return kms_status_is_success((KmsStatus) event->status) ?
				"success" : "failure";
		case KMS_FIELD_REASON:
			text = reason_of(event);

			break;
		default:
			text = (const char *) event + field->offset;

			break;
	}
	return text == NULL || text[0] == '\0' ? NULL : text;
}

int64_t
kms_event_number(const KmsEvent *event, const KmsEventField *field)
{
	int64_t		number;

	memcpy(&number, (const char *) event + field->offset, sizeof(number));
	return number;
}

void
kms_event_terminate(KmsEvent *event)
{
	int			i;

	for (i = 0; i < kms_event_field_count; i++)
	{
		const KmsEventField *field = &kms_event_fields[i];

		if (field->kind == KMS_FIELD_TEXT)
			((char *) event)[field->offset + field->size - 1] = '\0';
	}
}

const char *
kms_event_operation_name(int operation)
{
	static const char *const names[KMS_OPERATION_COUNT] = {
		[KMS_OP_GENERATE] = "generate",
		[KMS_OP_ISSUE] = "issue",
		[KMS_OP_ROTATE] = "rotate",
		[KMS_OP_IMPORT] = "import",
		[KMS_OP_ENCRYPT] = "encrypt",
		[KMS_OP_DECRYPT] = "decrypt",
		[KMS_OP_RECOVER] = "recover",
		[KMS_OP_VERIFY] = "verify",
		[KMS_OP_DEPRECATE] = "deprecate",
		[KMS_OP_DISABLE] = "disable",
		[KMS_OP_ENABLE] = "enable",
		[KMS_OP_REVOKE] = "revoke",
		[KMS_OP_SCHEDULE_DELETION] = "schedule_deletion",
		[KMS_OP_CANCEL_DELETION] = "cancel_deletion",
		[KMS_OP_DESTROY] = "destroy",
		[KMS_OP_PURGE] = "purge",
		[KMS_OP_GAP] = "gap",
		[KMS_OP_DIAGNOSE] = "diagnose",
		[KMS_OP_FORGET] = "forget",
		[KMS_OP_ENCRYPT_FIELD] = "encrypt_field",
		[KMS_OP_DECRYPT_FIELD] = "decrypt_field",
		[KMS_OP_REFRESH_FIELD] = "refresh_field",
		[KMS_OP_BLIND_INDEX] = "blind_index",
		[KMS_OP_CREATE_FIELD_KEY] = "create_field_key",
		[KMS_OP_ROTATE_FIELD_KEY] = "rotate_field_key",
		[KMS_OP_DISABLE_FIELD_KEY] = "disable_field_key",
		[KMS_OP_ENABLE_FIELD_KEY] = "enable_field_key",
		[KMS_OP_DESTROY_FIELD_KEY] = "destroy_field_key",
	};

	if (operation <= 0 || operation >= KMS_OPERATION_COUNT ||
		names[operation] == NULL)
		return "unknown";
	return names[operation];
}

int
kms_event_operation_number(const char *name)
{
	int			i;

	for (i = 1; i < KMS_OPERATION_COUNT; i++)
	{
		if (strcmp(kms_event_operation_name(i), name) == 0)
			return i;
	}
	return 0;
}

/* Return the caller's reason for a change, or our reason for a failure. */
static const char *
reason_of(const KmsEvent *event)
{
	if (event->operation == KMS_OP_GAP)
		return GAP_REASON;
	if (event->status != KMS_OK)
		return kms_status_reason((KmsStatus) event->status);
	return event->operation == KMS_OP_VERIFY ? NULL : event->remark;
}
