/* The table of the fields of an event. */
#include <string.h>

#include "crypto/status.h"
#include "shmem/event.h"
#include "tap.h"

/* Of kms.event: epoch, ticket, salt, hash and forgotten. */
static const int other_columns[] = {0, 1, 15, 16, 17};

#define OTHER_COUNT ((int) (sizeof(other_columns) / sizeof(other_columns[0])))

static void
test_members(void)
{
	unsigned char used[sizeof(KmsEvent)] = {0};
	bool		good = true;
	size_t		byte;
	int			i;

	memset(used + offsetof(KmsEvent, reserved), 1,
		   sizeof(((KmsEvent *) 0)->reserved));
	for (i = 0; i < kms_event_field_count; i++)
	{
		const KmsEventField *field = &kms_event_fields[i];

		for (byte = field->offset; byte < (size_t) field->offset + field->size; byte++)
			used[byte]++;
	}
	for (byte = 0; byte < sizeof(used); byte++)
		good = good && used[byte] == 1;
	check(good, "each member of an event is one field");
	check(kms_event_fields[kms_event_field_at(offsetof(KmsEvent, remark))].offset ==
		  offsetof(KmsEvent, remark), "a field is found by its member");
	check_number(kms_event_field_at(1), -1, "no field begins within a member");
}

static void
test_columns(void)
{
	int			count = kms_event_field_count + OTHER_COUNT;
	int			used[KMS_CHAIN_VALUES_MAX + OTHER_COUNT] = {0};
	bool		good = true;
	int			i;

	for (i = 0; i < OTHER_COUNT; i++)
		used[other_columns[i]]++;
	for (i = 0; i < kms_event_field_count; i++)
	{
		int			column = kms_event_fields[i].column;

		good = good && column >= 0 && column < count && ++used[column] == 1;
	}
	check(good, "each field has a column of its own, and none is left over");
}

static const char *
text_of(const KmsEvent *event, const char *name)
{
	int			i;

	for (i = 0; i < kms_event_field_count; i++)
	{
		if (strcmp(kms_event_fields[i].name, name) == 0)
			return kms_event_text(event, &kms_event_fields[i]);
	}
	return "no such field";
}

static bool
is(const char *value, const char *expected)
{
	return value == NULL ? expected == NULL
		: expected != NULL && strcmp(value, expected) == 0;
}

static void
test_values(void)
{
	KmsEvent	event;

	memset(&event, 0, sizeof(event));
	event.operation = KMS_OP_REVOKE;
	event.calls = 77;
	snprintf(event.remark, sizeof(event.remark), "stolen");
	check(is(text_of(&event, "operation"), "revoke"), "an operation by name");
	check(is(text_of(&event, "status"), "success"), "a success");
	check(is(text_of(&event, "reason"), "stolen"),
		  "whose reason is the caller's");
	check(is(text_of(&event, "context"), "stolen"), "a text");
	check(is(text_of(&event, "audit_context"), NULL), "\"\" is none");
	check_number(kms_event_number(&event,
								  &kms_event_fields[kms_event_field_at(offsetof(KmsEvent, calls))]),
				 77, "a number");
	event.operation = KMS_OP_VERIFY;
	check(is(text_of(&event, "reason"), NULL), "a subject is no reason");
	event.status = KMS_REJECTED;
	check(is(text_of(&event, "status"), "failure"), "a failure");
	check(is(text_of(&event, "reason"), "Failed to decrypt data"),
		  "whose reason is ours");
	event.status = KMS_UNCHANGED;
	check(is(text_of(&event, "status"), "success") &&
		  is(text_of(&event, "reason"), "No change"),
		  "what changed nothing is a success and says so");
	event.operation = KMS_OP_GAP;
	check(is(text_of(&event, "reason"), "Events may be missing"),
		  "a gap has a reason of its own");
}

static void
test_names(void)
{
	int			i;
	bool		named = true;

	check(strcmp(kms_event_operation_name(KMS_OP_SCHEDULE_DELETION),
				 "schedule_deletion") == 0, "an operation has its name");
	for (i = 1; i < KMS_OPERATION_COUNT; i++)
		named = named && strcmp(kms_event_operation_name(i), "unknown") != 0;
	check(named, "every operation has a name");
	check(strcmp(kms_event_operation_name(0), "unknown") == 0 &&
		  strcmp(kms_event_operation_name(-1), "unknown") == 0 &&
		  strcmp(kms_event_operation_name(255), "unknown") == 0,
		  "other numbers are unknown");
}

static void
test_numbers(void)
{
	int			i;
	bool		good = true;

	for (i = 1; i < KMS_OPERATION_COUNT; i++)
		good = good &&
			kms_event_operation_number(kms_event_operation_name(i)) == i;
	check(good, "an operation is found by its name");
	check(kms_event_operation_number("unknown") == 0 &&
		  kms_event_operation_number("") == 0,
		  "no operation is found by another name");
}

int
main(void)
{
	test_members();
	test_columns();
	test_values();
	test_names();
	test_numbers();
	return tap_done();
}
