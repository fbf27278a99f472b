/*
 * kms_decrypt_batch and kms_decrypt_batch_bytea: arrays of equal length, one
 * row for each element.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "funcapi.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/guc.h"

#include "api/args.h"
#include "api/request.h"
#include "keys/batch.h"
#include "keys/service.h"
#include "pg/client.h"
#include "pg/compat.h"
#include "pg/settings.h"

#define BATCH_MAX 100000		/* pairs */

/* An array argument, deconstructed. */
typedef struct Array
{
	Datum	   *values;
	bool	   *nulls;
	int			count;
} Array;

typedef struct Batch
{
	bool		is_text;
	Array		key_ids;
	Array		ciphertexts;
	Array		device_ids;
	bool		has_device_ids;
	KmsOaep		oaep;			/* of all blocks */
	FunctionCallInfo row;		/* the arguments of one row */
} Batch;

/* Arguments of the functions. */
enum
{
	KEY_IDS, CIPHERTEXTS, DEVICE_IDS, OAEP_HASH
};

/* Arguments of a row. */
enum
{
	ROW_KEY_ID, ROW_CIPHERTEXT, ROW_DEVICE_ID, ROW_ARGUMENTS
};

static Datum decrypt_batch(FunctionCallInfo fcinfo, bool is_text);
static void fetch_batch(FunctionCallInfo fcinfo, Batch *batch);
static void fetch_array(FunctionCallInfo fcinfo, int n, Oid type,
						Array *array);
static void check_counts(const Batch *batch);
static void set_row(FunctionCallInfo row, int n, const Array *array, int i);
static KmsStatus fetch_row(void *arg, int i, KmsCall *call,
						   KmsCipherRequest *request, KmsFault *fault);
static void return_batch(ReturnSetInfo *result, const KmsBatch *batch);

PG_FUNCTION_INFO_V1(kms_api_decrypt_batch);
PG_FUNCTION_INFO_V1(kms_api_decrypt_batch_bytea);

Datum
kms_api_decrypt_batch(PG_FUNCTION_ARGS)
{
	return decrypt_batch(fcinfo, true);
}

Datum
kms_api_decrypt_batch_bytea(PG_FUNCTION_ARGS)
{
	return decrypt_batch(fcinfo, false);
}

static Datum
decrypt_batch(FunctionCallInfo fcinfo, bool is_text)
{
	LOCAL_FCINFO(row, ROW_ARGUMENTS);
	Batch		arguments = {.is_text = is_text,.row = row};
	KmsBatch	batch;
	int			i;

	kms_service_require();
	InitMaterializedSRF(fcinfo, 0);
	InitFunctionCallInfoData(*row, fcinfo->flinfo, ROW_ARGUMENTS, InvalidOid,
							 NULL, NULL);
	fetch_batch(fcinfo, &arguments);
	kms_batch_prepare(&batch, arguments.ciphertexts.count, is_text);
	for (i = 0; i < batch.count; i++)
		batch.rows[i].given = !arguments.ciphertexts.nulls[i];
	PG_TRY();
	{
		kms_batch_decrypt(&batch, fetch_row, &arguments);
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
fetch_batch(FunctionCallInfo fcinfo, Batch *batch)
{
	KmsFault	fault = {0};

	if (PG_ARGISNULL(KEY_IDS) || PG_ARGISNULL(CIPHERTEXTS))
	{
		kms_fault_null(&fault, "key_ids and ciphertexts must not be null");
		kms_fault_raise(&fault);
	}
	fetch_array(fcinfo, KEY_IDS, TEXTOID, &batch->key_ids);
	fetch_array(fcinfo, CIPHERTEXTS, batch->is_text ? TEXTOID : BYTEAOID,
				&batch->ciphertexts);
	batch->has_device_ids = !PG_ARGISNULL(DEVICE_IDS);
	if (batch->has_device_ids)
		fetch_array(fcinfo, DEVICE_IDS, TEXTOID, &batch->device_ids);
	check_counts(batch);
	if (kms_request_oaep(fcinfo, OAEP_HASH, &batch->oaep, &fault) != KMS_OK)
		kms_fault_raise(&fault);
}

static void
check_counts(const Batch *batch)
{
	int			count = batch->ciphertexts.count;
	KmsFault	fault = {0};

	if (batch->key_ids.count != count)
		kms_fault_argument(&fault, "there is not a ciphertext for each key id",
						   psprintf("There are %d key ids and %d ciphertexts.",
									batch->key_ids.count, count), NULL);
	else if (batch->has_device_ids && batch->device_ids.count != count)
		kms_fault_argument(&fault,
						   "there is not a device id for each ciphertext",
						   psprintf("There are %d device ids and %d ciphertexts.",
									batch->device_ids.count, count),
						   "Leave device_ids NULL to check no device.");
	else
		return;
	kms_fault_raise(&fault);
}

static void
fetch_array(FunctionCallInfo fcinfo, int n, Oid type, Array *array)
{
	ArrayType  *value = PG_GETARG_ARRAYTYPE_P(n);
	int			count = ArrayGetNItems(ARR_NDIM(value), ARR_DIMS(value));
	KmsFault	fault = {0};

	if (ARR_NDIM(value) > 1)
	{
		kms_fault_argument(&fault, "arrays of a batch must have one dimension",
						   NULL, NULL);
		kms_fault_raise(&fault);
	}
	if (count > BATCH_MAX)
	{
		kms_fault_argument(&fault, "too many ciphertexts in a batch",
						   psprintf("There are %d, the limit is %d.", count,
									BATCH_MAX),
						   "Send several batches.");
		kms_fault_raise(&fault);
	}
	deconstruct_array(value, type, -1, false, TYPALIGN_INT, &array->values,
					  &array->nulls, &array->count);
}

/* A KmsBatchFetch: "arg" is the Batch of the call. */
static KmsStatus
fetch_row(void *arg, int i, KmsCall *call, KmsCipherRequest *request,
		  KmsFault *fault)
{
	Batch	   *batch = arg;
	char	   *device_id = palloc(sizeof(KmsDeviceIdBuffer));
	KmsStatus	status;

	set_row(batch->row, ROW_KEY_ID, &batch->key_ids, i);
	set_row(batch->row, ROW_CIPHERTEXT, &batch->ciphertexts, i);
	status = kms_request_key(batch->row, ROW_KEY_ID, call, request, fault);
	if (status == KMS_OK && kms_require_tls && kms_client_in_clear())
		return kms_fault(fault, KMS_NO_TLS);
	if (status == KMS_OK && batch->has_device_ids)
	{
		set_row(batch->row, ROW_DEVICE_ID, &batch->device_ids, i);
		status = kms_args_device_id(batch->row, ROW_DEVICE_ID, device_id,
									fault);
		request->device_id = device_id;
	}
	request->oaep = batch->oaep;
	if (status != KMS_OK)
		return status;
	if (batch->is_text)
		return kms_request_text(batch->row, ROW_CIPHERTEXT, request, fault);
	return kms_request_block(batch->row, ROW_CIPHERTEXT, request, fault);
}

static void
set_row(FunctionCallInfo row, int n, const Array *array, int i)
{
	row->args[n].value = array->values[i];
	row->args[n].isnull = array->nulls[i];
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
