/*
 * kms_decrypt_batch: two arrays of equal length, one row for each pair.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "funcapi.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/guc.h"

#include "api/request.h"
#include "keys/batch.h"
#include "keys/service.h"
#include "pg/compat.h"

#define BATCH_MAX 100000		/* pairs */

/* An array argument, deconstructed. */
typedef struct Array
{
	Datum	   *values;
	bool	   *nulls;
	int			count;
} Array;

typedef struct Pairs
{
	Array		key_ids;
	Array		ciphertexts;
	FunctionCallInfo call;		/* a call of kms_decrypt for one pair */
} Pairs;

static void fetch_pairs(FunctionCallInfo fcinfo, Pairs *pairs);
static void fetch_array(FunctionCallInfo fcinfo, int n, Array *array);
static KmsStatus fetch_pair(void *arg, int i, KmsCall *call,
							KmsCipherRequest *request, KmsFault *fault);
static void return_batch(ReturnSetInfo *result, const KmsBatch *batch);

PG_FUNCTION_INFO_V1(kms_api_decrypt_batch);

Datum
kms_api_decrypt_batch(PG_FUNCTION_ARGS)
{
	LOCAL_FCINFO(call, 6);
	Pairs		pairs = {.call = call};
	KmsBatch	batch;
	int			i;

	kms_service_require();
	InitMaterializedSRF(fcinfo, 0);
	InitFunctionCallInfoData(*call, fcinfo->flinfo, 6, InvalidOid, NULL, NULL);
	fetch_pairs(fcinfo, &pairs);
	kms_batch_prepare(&batch, pairs.ciphertexts.count);
	for (i = 0; i < batch.count; i++)
		batch.rows[i].given = !pairs.ciphertexts.nulls[i];
	PG_TRY();
	{
		kms_batch_decrypt(&batch, fetch_pair, &pairs);
		return_batch((ReturnSetInfo *) fcinfo->resultinfo, &batch);
	}
	PG_FINALLY();
	{
		kms_batch_wipe(&batch);
	}
	PG_END_TRY();
	return (Datum) 0;
}

static void
fetch_pairs(FunctionCallInfo fcinfo, Pairs *pairs)
{
	KmsFault	fault = {0};

	if (PG_ARGISNULL(0) || PG_ARGISNULL(1))
	{
		kms_fault_null(&fault, "key_ids and ciphertexts must not be null");
		kms_fault_raise(&fault);
	}
	fetch_array(fcinfo, 0, &pairs->key_ids);
	fetch_array(fcinfo, 1, &pairs->ciphertexts);
	if (pairs->key_ids.count != pairs->ciphertexts.count)
	{
		kms_fault_argument(&fault, "there is not a ciphertext for each key id",
						   psprintf("There are %d key ids and %d ciphertexts.",
									pairs->key_ids.count,
									pairs->ciphertexts.count), NULL);
		kms_fault_raise(&fault);
	}
}

static void
fetch_array(FunctionCallInfo fcinfo, int n, Array *array)
{
	ArrayType  *value = PG_GETARG_ARRAYTYPE_P(n);
	KmsFault	fault = {0};

	if (ARR_NDIM(value) > 1)
	{
		kms_fault_argument(&fault, "arrays of a batch must have one dimension",
						   NULL, NULL);
		kms_fault_raise(&fault);
	}
	deconstruct_array(value, TEXTOID, -1, false, TYPALIGN_INT, &array->values,
					  &array->nulls, &array->count);
	if (array->count > BATCH_MAX)
	{
		kms_fault_argument(&fault, "too many ciphertexts in a batch",
						   psprintf("There are %d, the limit is %d.",
									array->count, BATCH_MAX),
						   "Send several batches.");
		kms_fault_raise(&fault);
	}
}

/* A KmsBatchFetch: "arg" is the Pairs of the call. */
static KmsStatus
fetch_pair(void *arg, int i, KmsCall *call, KmsCipherRequest *request,
		   KmsFault *fault)
{
	Pairs	   *pairs = arg;
	FunctionCallInfo pair = pairs->call;
	int			n;

	for (n = 0; n < pair->nargs; n++)
		pair->args[n].isnull = true;
	pair->args[0].value = pairs->key_ids.values[i];
	pair->args[0].isnull = pairs->key_ids.nulls[i];
	pair->args[1].value = pairs->ciphertexts.values[i];
	pair->args[1].isnull = false;
	return kms_request_decrypt(pair, true, call, request, NULL, fault);
}

/* Return all rows from memory, because plaintext must not spill to a file. */
static void
return_batch(ReturnSetInfo *result, const KmsBatch *batch)
{
	MemoryContext caller;
	int			i;

	caller = MemoryContextSwitchTo(result->econtext->ecxt_per_query_memory);
	tuplestore_end(result->setResult);
	result->setResult =
		tuplestore_begin_heap((result->allowedModes & SFRM_Materialize_Random) != 0,
							  false, MAX_KILOBYTES);
	MemoryContextSwitchTo(caller);
	for (i = 0; i < batch->count; i++)
	{
		const KmsBatchRow *row = &batch->rows[i];
		Datum		values[3];
		bool		nulls[3];

		values[0] = Int32GetDatum(i + 1);
		nulls[0] = false;
		values[1] = PointerGetDatum(row->plaintext);
		nulls[1] = row->plaintext == NULL;
		nulls[2] = row->sqlstate == 0;
		values[2] = nulls[2] ? (Datum) 0
			: CStringGetTextDatum(unpack_sql_state(row->sqlstate));
		tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
	}
}
