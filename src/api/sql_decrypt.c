/*
 * The functions that return plaintext.
 *
 * Plaintext exists in a buffer on the stack, which is wiped before the frame
 * is left, and in the result, which is the caller's.  Whatever may raise
 * (allocation, look-up of an encoding conversion) is done before there is
 * any; but for the wait for the record (kms.audit = required), and in a batch,
 * where what has been opened is wiped if something raises.
 */
#include "postgres.h"

#include "catalog/namespace.h"
#include "catalog/pg_type.h"
#include "funcapi.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/memutils.h"

#include "api/args.h"
#include "keys/call.h"
#include "keys/cipher.h"
#include "pg/client.h"
#include "pg/compat.h"
#include "pg/fault.h"
#include "pg/settings.h"

#define BATCH_MAX 100000		/* pairs */

/* the most bytes that a byte of UTF-8 becomes in another encoding */
#define ENCODING_GROWTH MAX_CONVERSION_GROWTH

/* What a function of the family is. */
typedef enum DecryptKind
{
	DECRYPT,
	TRY_DECRYPT,
	RECOVER
} DecryptKind;

/* Where the plaintext goes. */
typedef struct Sink
{
	bool text;
	Oid			conversion;		/* InvalidOid: none is needed */
	struct varlena *result;
	size_t		size;
} Sink;

/* What has come of a pair of a batch. */
typedef struct BatchRow
{
	text	   *plaintext;		/* NULL: none */
	int			sqlstate;		/* 0: none */
} BatchRow;

typedef struct Batch
{
	FunctionCallInfo call;		/* of kms_decrypt, for one pair */
	Datum	   *key_ids;
	Datum	   *ciphertexts;
	bool	   *key_id_nulls;
	bool	   *ciphertext_nulls;
	int			count;
	BatchRow   *rows;
	MemoryContext scratch;		/* of one pair */
	Sink		sink;
} Batch;

static Datum decrypt(FunctionCallInfo fcinfo, DecryptKind kind, bool is_text);
static KmsStatus fetch(FunctionCallInfo fcinfo, DecryptKind kind, bool is_text,
					   KmsCall *call, KmsCipherRequest *request,
					   char **reason, KmsFault *fault);
static KmsStatus open_to(KmsCall *call, const KmsCipherRequest *request,
						 bool recover, Sink *sink, KmsFault *fault);
static void prepare(Sink *sink, bool is_text);
static void end(KmsCall *call, KmsStatus status, Sink *sink);
static KmsStatus fill(Sink *sink, const unsigned char *plain, size_t len);
static KmsStatus fill_text(Sink *sink, const unsigned char *plain, size_t len);
static void log_recovery(const char *key_id, const char *reason,
						 KmsStatus status);
static void fetch_batch(FunctionCallInfo fcinfo, Batch *batch);
static int	fetch_array(FunctionCallInfo fcinfo, int n, Datum **values,
						bool **nulls);
static void open_batch(Batch *batch);
static void open_pair(Batch *batch, int i);
static bool is_of_pair(KmsStatus status);
static void return_batch(ReturnSetInfo *result, const Batch *batch);
static void wipe_batch(Batch *batch);

PG_FUNCTION_INFO_V1(kms_api_decrypt);
PG_FUNCTION_INFO_V1(kms_api_decrypt_bytea);
PG_FUNCTION_INFO_V1(kms_api_try_decrypt);
PG_FUNCTION_INFO_V1(kms_api_try_decrypt_bytea);
PG_FUNCTION_INFO_V1(kms_api_decrypt_recover);
PG_FUNCTION_INFO_V1(kms_api_decrypt_recover_bytea);
PG_FUNCTION_INFO_V1(kms_api_decrypt_batch);

Datum
kms_api_decrypt(PG_FUNCTION_ARGS)
{
	return decrypt(fcinfo, DECRYPT, true);
}

Datum
kms_api_decrypt_bytea(PG_FUNCTION_ARGS)
{
	return decrypt(fcinfo, DECRYPT, false);
}

Datum
kms_api_try_decrypt(PG_FUNCTION_ARGS)
{
	return decrypt(fcinfo, TRY_DECRYPT, true);
}

Datum
kms_api_try_decrypt_bytea(PG_FUNCTION_ARGS)
{
	return decrypt(fcinfo, TRY_DECRYPT, false);
}

Datum
kms_api_decrypt_recover(PG_FUNCTION_ARGS)
{
	return decrypt(fcinfo, RECOVER, true);
}

Datum
kms_api_decrypt_recover_bytea(PG_FUNCTION_ARGS)
{
	return decrypt(fcinfo, RECOVER, false);
}

/* Each pair is a call of its own for the record; the wait is one for all. */
Datum
kms_api_decrypt_batch(PG_FUNCTION_ARGS)
{
	LOCAL_FCINFO(call, 6);
	Batch		batch = {0};

	kms_call_require_service();
	InitMaterializedSRF(fcinfo, 0);
	InitFunctionCallInfoData(*call, fcinfo->flinfo, 6, InvalidOid, NULL, NULL);
	batch.call = call;
	fetch_batch(fcinfo, &batch);
	prepare(&batch.sink, true);
	PG_TRY();
	{
		open_batch(&batch);
		kms_call_settle();
		return_batch((ReturnSetInfo *) fcinfo->resultinfo, &batch);
	}
	PG_FINALLY();
	{
		wipe_batch(&batch);
	}
	PG_END_TRY();
	return (Datum) 0;
}

static Datum
decrypt(FunctionCallInfo fcinfo, DecryptKind kind, bool is_text)
{
	KmsCipherRequest request = {0};
	KmsFault	fault = {0};
	Sink		sink;
	KmsCall    *call;
	char	   *reason = NULL;
	KmsStatus	status;

	if (PG_ARGISNULL(1))
		PG_RETURN_NULL();
	call = kms_call_begin(kind == RECOVER ? KMS_OP_RECOVER : KMS_OP_DECRYPT);
	status = fetch(fcinfo, kind, is_text, call, &request, &reason, &fault);
	if (status == KMS_OK)
	{
		prepare(&sink, is_text);
		status = open_to(call, &request, kind == RECOVER, &sink, &fault);
	}
	end(call, status, &sink);
	if (kind == RECOVER)
		log_recovery(kms_call_recorded_key(call), reason, status);
	if (status == KMS_OK)
		PG_RETURN_POINTER(sink.result);
	if (kind == TRY_DECRYPT && kms_fault_is_tried(status))
		PG_RETURN_NULL();
	kms_fault_raise(&fault);
}

static KmsStatus
fetch(FunctionCallInfo fcinfo, DecryptKind kind, bool is_text, KmsCall *call,
	  KmsCipherRequest *request, char **reason, KmsFault *fault)
{
	int			n = 2;
	KmsStatus	status;

	status = kms_args_key(fcinfo, 0, call, request, fault);
	if (status != KMS_OK)
		return status;
	if (kms_require_tls && kms_client_in_clear())
		return kms_fault(fault, KMS_NO_TLS);
	if (kind == RECOVER)
	{
		status = kms_args_reason(fcinfo, n, reason, fault);
		if (status != KMS_OK)
			return status;
		kms_call_remark(call, *reason);
		n++;
	}
	status = kms_args_options(fcinfo, n, request, fault);
	if (status != KMS_OK)
		return status;
	if (is_text)
		return kms_args_base64(fcinfo, 1, &request->data, &request->len, fault);
	return kms_args_ciphertext(fcinfo, 1, &request->data, &request->len, fault);
}

static KmsStatus
open_to(KmsCall *call, const KmsCipherRequest *request, bool recover,
		Sink *sink, KmsFault *fault)
{
	unsigned char plain[KMS_RSA_MAX_BLOCK];
	size_t		len;
	KmsStatus	status;

	status = kms_cipher_decrypt(call, request, recover, plain, &len, fault);
	if (status == KMS_OK)
	{
		status = kms_fault(fault, fill(sink, plain, len));
		explicit_bzero(plain, sizeof(plain));
	}
	return status;
}

/* It may raise, if the event cannot be recorded. */
static void
end(KmsCall *call, KmsStatus status, Sink *sink)
{
	PG_TRY();
	{
		kms_call_end(call, status);
	}
	PG_CATCH();
	{
		if (status == KMS_OK)
			explicit_bzero(sink->result, VARHDRSZ + sink->size);
		PG_RE_THROW();
	}
	PG_END_TRY();
}

/* Make room for any plaintext, and find the way to the database's encoding. */
static void
prepare(Sink *sink, bool is_text)
{
	int			encoding = GetDatabaseEncoding();

	sink->text = is_text;

	sink->conversion = InvalidOid;
	sink->size = KMS_RSA_MAX_BLOCK + 1;
	if (is_text && encoding != PG_UTF8 && encoding != PG_SQL_ASCII)
	{
		sink->conversion = FindDefaultConversionProc(PG_UTF8, encoding);
		if (!OidIsValid(sink->conversion))
			ereport(ERROR,
					(errcode(ERRCODE_UNDEFINED_FUNCTION),
					 errmsg("there is no conversion from UTF8 to the database's encoding"),
					 KMS_HIDE_STATEMENT));
		sink->size = KMS_RSA_MAX_BLOCK * ENCODING_GROWTH + 1;
	}
	sink->result = palloc(VARHDRSZ + sink->size);

	/* the first conversion loads its library, which may raise */
	if (OidIsValid(sink->conversion))
		(void) fill_text(sink, (const unsigned char *) "x", 1);
}

static KmsStatus
fill(Sink *sink, const unsigned char *plain, size_t len)
{
	if (sink->text)
		return fill_text(sink, plain, len);
	memcpy(VARDATA(sink->result), plain, len);
	SET_VARSIZE(sink->result, VARHDRSZ + len);
	return KMS_OK;
}

/* Nothing here may raise: PostgreSQL's messages would show the bytes. */
static KmsStatus
fill_text(Sink *sink, const unsigned char *plain, size_t len)
{
	char	   *out = VARDATA(sink->result);

	if (!pg_verify_mbstr(PG_UTF8, (const char *) plain, len, true))
		return KMS_NOT_TEXT;
	if (!OidIsValid(sink->conversion))
		memcpy(out, plain, len);
	else
	{
		int			done;

		done = pg_do_encoding_conversion_buf(sink->conversion, PG_UTF8,
											 GetDatabaseEncoding(),
											 unconstify(unsigned char *, plain),
											 len, (unsigned char *) out,
											 sink->size, true);
		if (done != (int) len)
		{
			explicit_bzero(out, sink->size);
			return KMS_NOT_TEXT;
		}
		len = strlen(out);
	}
	SET_VARSIZE(sink->result, VARHDRSZ + len);
	return KMS_OK;
}

/* Break-glass leaves a line in the server log each time. */
static void
log_recovery(const char *key_id, const char *reason, KmsStatus status)
{
	ereport(LOG,
			(errmsg("kms: role \"%s\" %s data of encryption key \"%s\" with kms_decrypt_recover",
					GetUserNameFromId(GetSessionUserId(), true),
					status == KMS_OK ? "opened" : "could not open",
					key_id),
			 errdetail("Reason given: %s", reason != NULL ? reason : "none"),
			 KMS_HIDE_STATEMENT));
}

static void
fetch_batch(FunctionCallInfo fcinfo, Batch *batch)
{
	KmsFault	fault = {0};
	int			count;

	if (PG_ARGISNULL(0) || PG_ARGISNULL(1))
	{
		kms_fault_null(&fault, "key_ids and ciphertexts must not be null");
		kms_fault_raise(&fault);
	}
	batch->count = fetch_array(fcinfo, 0, &batch->key_ids,
							   &batch->key_id_nulls);
	count = fetch_array(fcinfo, 1, &batch->ciphertexts,
						&batch->ciphertext_nulls);
	if (count != batch->count)
	{
		kms_fault_argument(&fault, "there is not a ciphertext for each key id",
						   psprintf("There are %d key ids and %d ciphertexts.",
									batch->count, count), NULL);
		kms_fault_raise(&fault);
	}
	batch->rows = palloc0(Max(1, count) * sizeof(BatchRow));
	batch->scratch = AllocSetContextCreate(CurrentMemoryContext,
										   "kms decrypt batch",
										   ALLOCSET_DEFAULT_SIZES);
}

static int
fetch_array(FunctionCallInfo fcinfo, int n, Datum **values, bool **nulls)
{
	ArrayType  *array = PG_GETARG_ARRAYTYPE_P(n);
	KmsFault	fault = {0};
	int			count;

	if (ARR_NDIM(array) > 1)
	{
		kms_fault_argument(&fault, "arrays of a batch must have one dimension",
						   NULL, NULL);
		kms_fault_raise(&fault);
	}
	deconstruct_array(array, TEXTOID, -1, false, TYPALIGN_INT, values, nulls,
					  &count);
	if (count > BATCH_MAX)
	{
		kms_fault_argument(&fault, "too many ciphertexts in a batch",
						   psprintf("There are %d, the limit is %d.", count,
									BATCH_MAX), "Send several batches.");
		kms_fault_raise(&fault);
	}
	return count;
}

static void
open_batch(Batch *batch)
{
	MemoryContext caller = CurrentMemoryContext;
	int			i;

	for (i = 0; i < batch->count; i++)
	{
		CHECK_FOR_INTERRUPTS();
		if (batch->ciphertext_nulls[i])
			continue;
		MemoryContextSwitchTo(batch->scratch);
		open_pair(batch, i);
		MemoryContextSwitchTo(caller);
		if (batch->rows[i].sqlstate == 0)
		{
			Size		size = VARSIZE(batch->sink.result);

			batch->rows[i].plaintext = palloc(size);
			memcpy(batch->rows[i].plaintext, batch->sink.result, size);
		}
		MemoryContextReset(batch->scratch);
	}
}

static void
open_pair(Batch *batch, int i)
{
	FunctionCallInfo pair = batch->call;
	KmsCipherRequest request = {0};
	KmsFault	fault = {0};
	KmsCall    *call;
	KmsStatus	status;
	int			n;

	for (n = 0; n < pair->nargs; n++)
		pair->args[n].isnull = true;
	pair->args[0].value = batch->key_ids[i];
	pair->args[0].isnull = batch->key_id_nulls[i];
	pair->args[1].value = batch->ciphertexts[i];
	pair->args[1].isnull = false;

	call = kms_call_begin(KMS_OP_DECRYPT);
	status = fetch(pair, DECRYPT, true, call, &request, NULL, &fault);
	if (status == KMS_OK)
		status = open_to(call, &request, false, &batch->sink, &fault);
	kms_call_submit(call, status);
	if (status == KMS_OK)
		return;
	if (!is_of_pair(status))
	{
		kms_call_settle();
		kms_fault_raise(&fault);
	}
	batch->rows[i].sqlstate = kms_fault_sqlstate(&fault);
}

/* What is wrong with a pair leaves the others alone. */
static bool
is_of_pair(KmsStatus status)
{
	return kms_fault_is_tried(status) || status == KMS_INVALID_ARGUMENT ||
		status == KMS_OTHER_MASTER_KEY;
}

/* All in memory: plaintext must not spill to a file. */
static void
return_batch(ReturnSetInfo *result, const Batch *batch)
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
		const BatchRow *row = &batch->rows[i];
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

static void
wipe_batch(Batch *batch)
{
	int			i;

	for (i = 0; i < batch->count; i++)
	{
		text	   *plaintext = batch->rows[i].plaintext;

		if (plaintext != NULL)
			explicit_bzero(plaintext, VARSIZE(plaintext));
	}
	explicit_bzero(batch->sink.result, VARHDRSZ + batch->sink.size);
}
