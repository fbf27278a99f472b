/*
 * The auditor's functions: the end of the trail, and whether it is intact.
 */
#include "postgres.h"

#include "funcapi.h"
#include "utils/builtins.h"

#include "api/args.h"
#include "keys/accept.h"
#include "keys/service.h"
#include "keys/verify.h"
#include "pg/compat.h"
#include "pg/fault.h"

/* Columns of kms_audit_verify. */
enum
{
	INTACT, EVENTS, FIRST_TICKET, LAST_TICKET, SIGNED_TICKET, BAD_EPOCH,
	BAD_TICKET, FINDING, ANCHORED, COLUMNS
};

static void set_ticket(Datum *values, bool *nulls, int column, int64 ticket);

PG_FUNCTION_INFO_V1(kms_api_audit_head);
PG_FUNCTION_INFO_V1(kms_api_audit_verify);
PG_FUNCTION_INFO_V1(kms_api_audit_accept);

Datum
kms_api_audit_head(PG_FUNCTION_ARGS)
{
	char		head[KMS_AUDIT_HEAD_SIZE];

	kms_service_require();
	kms_verify_head(head);
	PG_RETURN_TEXT_P(cstring_to_text(head));
}

Datum
kms_api_audit_verify(PG_FUNCTION_ARGS)
{
	KmsVerifyHead head;
	KmsVerifyReport report;
	KmsFault	fault = {0};
	TupleDesc	desc;
	Datum		values[COLUMNS] = {0};
	bool		nulls[COLUMNS] = {false};

	kms_service_require();
	if (get_call_result_type(fcinfo, NULL, &desc) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "return type must be a row type");
	if (!PG_ARGISNULL(0) &&
		!kms_verify_head_read(text_to_cstring(PG_GETARG_TEXT_PP(0)), &head))
	{
		kms_fault_argument(&fault,
						   "head is not a ticket, a colon and 64 hexadecimal digits",
						   NULL, "Pass an earlier result of kms_audit_head().");
		kms_fault_raise(&fault);
	}
	kms_verify_trail(PG_ARGISNULL(0) ? NULL : &head, &report);

	values[INTACT] = BoolGetDatum(report.finding == NULL);
	values[EVENTS] = Int64GetDatum(report.events);
	set_ticket(values, nulls, FIRST_TICKET, report.first_ticket);
	set_ticket(values, nulls, LAST_TICKET, report.last_ticket);
	set_ticket(values, nulls, SIGNED_TICKET, report.signed_ticket);
	values[BAD_EPOCH] = Int64GetDatum(report.bad_epoch);
	values[BAD_TICKET] = Int64GetDatum(report.bad_ticket);
	nulls[BAD_EPOCH] = nulls[BAD_TICKET] = nulls[FINDING] =
		report.finding == NULL;
	if (report.finding != NULL)
		values[FINDING] = CStringGetTextDatum(report.finding);
	values[ANCHORED] = BoolGetDatum(report.anchored);
	PG_RETURN_DATUM(HeapTupleGetDatum(heap_form_tuple(BlessTupleDesc(desc),
													  values, nulls)));
}

Datum
kms_api_audit_accept(PG_FUNCTION_ARGS)
{
	KmsFault	fault = {0};
	KmsStatus	status;
	char	   *reason;
	int64		ticket = 0;

	kms_service_require();
	status = kms_args_reason(fcinfo, 0, &reason, &fault);
	if (status == KMS_OK)
		status = kms_accept_trail(reason, &ticket, &fault);
	if (status != KMS_OK)
		kms_fault_raise(&fault);
	PG_RETURN_INT64(ticket);
}

/* Set a column to a ticket, or to NULL if it is 0 (none). */
static void
set_ticket(Datum *values, bool *nulls, int column, int64 ticket)
{
	values[column] = Int64GetDatum(ticket);
	nulls[column] = ticket == 0;
}
