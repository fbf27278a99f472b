/*
 * kms_diagnose(): the reasons why a ciphertext cannot be decrypted, in rows of
 * finding and hint.
 */
#include "postgres.h"

#include "funcapi.h"
#include "utils/builtins.h"

#include "api/args.h"
#include "api/finish.h"
#include "keys/diagnose.h"
#include "keys/finding.h"
#include "pg/compat.h"

static void fetch_ciphertext(FunctionCallInfo fcinfo, KmsSent *sent);
static void put(ReturnSetInfo *result, const KmsFinding *finding);

PG_FUNCTION_INFO_V1(kms_api_diagnose);

Datum
kms_api_diagnose(PG_FUNCTION_ARGS)
{
	KmsKeyIdBuffer key_id;
	KmsSent		sent = {0};
	List	   *findings = NIL;
	ListCell   *cell;
	KmsFault	fault = {0};
	KmsCall    *call = kms_call_begin(KMS_OP_DIAGNOSE);
	KmsStatus	status;

	InitMaterializedSRF(fcinfo, 0);
	status = kms_args_key_id(fcinfo, 0, key_id, &fault);
	if (status == KMS_OK)
	{
		kms_call_key(call, key_id);
		fetch_ciphertext(fcinfo, &sent);
		status = kms_diagnose_ciphertext(call, key_id, &sent, &findings,
										 &fault);
	}
	kms_finish(call, status, &fault);
	foreach(cell, findings)
		put((ReturnSetInfo *) fcinfo->resultinfo, lfirst(cell));
	return (Datum) 0;
}

/* Fetch the ciphertext, or the part of it that is examined. */
static void
fetch_ciphertext(FunctionCallInfo fcinfo, KmsSent *sent)
{
	text	   *value;

	if (PG_ARGISNULL(1))
		return;
	sent->sent_len = kms_args_size(fcinfo, 1);
	value = PG_GETARG_TEXT_P_SLICE(1, 0, (int32) kms_diagnose_form_most());
	sent->text = VARDATA_ANY(value);
	sent->len = VARSIZE_ANY_EXHDR(value);
}

static void
put(ReturnSetInfo *result, const KmsFinding *finding)
{
	Datum		values[2];
	bool		nulls[2] = {false, false};

	values[0] = CStringGetTextDatum(finding->finding);
	values[1] = CStringGetTextDatum(finding->hint);
	tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
}
