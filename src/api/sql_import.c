#include "postgres.h"

#include "access/detoast.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "api/args.h"
#include "api/finish.h"
#include "keys/call.h"
#include "keys/import.h"
#include "pg/compat.h"

/* Arguments of kms_import_key. */
enum
{
	ARG_DEVICE_ID, ARG_PRIVATE_KEY, ARG_KEY_ID, ARG_APP_VERSION,
	ARG_CREATED_AT, ARG_EXPIRES_AT, ARG_OAEP_HASH, ARG_DEPRECATED
};

/*
 * Our copies of the private key.  A step that needs no copy keeps the pointer
 * of the step before.
 */
typedef struct Copies
{
	MemoryContextCallback callback;
	struct varlena *given;
	struct varlena *stored;		/* fetched from the TOAST table */
	struct varlena *plain;		/* and decompressed */
} Copies;

static KmsStatus fetch(FunctionCallInfo fcinfo, KmsCall *call,
					   KmsImportRequest *request, KmsFault *fault);
static KmsStatus fetch_key_id(FunctionCallInfo fcinfo, KmsCall *call,
							  KmsImportRequest *request, KmsFault *fault);
static KmsStatus check_private_key(FunctionCallInfo fcinfo, KmsFault *fault);
static KmsStatus read_private_key(FunctionCallInfo fcinfo,
								  const KmsImport *import, KmsRsaKey **key,
								  KmsFault *fault);
static void wipe(void *arg);

PG_FUNCTION_INFO_V1(kms_api_import_key);

Datum
kms_api_import_key(PG_FUNCTION_ARGS)
{
	KmsImport  *import = palloc(sizeof(KmsImport));
	KmsImportRequest request = {0};
	KmsRsaKey  *key;
	KmsFault	fault = {0};
	KmsCall    *call = kms_call_begin(KMS_OP_IMPORT);
	KmsStatus	status;

	status = fetch(fcinfo, call, &request, &fault);
	if (status == KMS_OK)
		status = kms_import_prepare(call, &request, import, &fault);
	if (status == KMS_OK)
		status = read_private_key(fcinfo, import, &key, &fault);
	if (status == KMS_OK)
		status = kms_import_store(call, import, key, &fault);
	kms_finish(call, status, &fault);
	PG_RETURN_TEXT_P(cstring_to_text(import->row.key_id));
}

/*
 * Fetch all arguments except the private key, of which only the size is
 * checked.
 */
static KmsStatus
fetch(FunctionCallInfo fcinfo, KmsCall *call, KmsImportRequest *request,
	  KmsFault *fault)
{
	char	   *device_id = palloc(sizeof(KmsDeviceIdBuffer));
	char	   *app_version;
	KmsStatus	status;

	status = kms_args_device_id(fcinfo, ARG_DEVICE_ID, device_id, fault);
	if (status != KMS_OK)
		return status;
	request->device_id = device_id;
	kms_call_device(call, device_id);
	status = fetch_key_id(fcinfo, call, request, fault);
	if (status == KMS_OK)
		status = check_private_key(fcinfo, fault);
	if (status == KMS_OK)
		status = kms_args_line(fcinfo, ARG_APP_VERSION, "app version",
							   KMS_APP_VERSION_MAX, &app_version, fault);
	if (status == KMS_OK)
		status = kms_args_digest(fcinfo, ARG_OAEP_HASH, "oaep_hash",
								 &request->oaep_hash, fault);
	if (status != KMS_OK)
		return status;

	request->app_version = app_version;
	request->has_created_at = !PG_ARGISNULL(ARG_CREATED_AT);
	if (request->has_created_at)
		request->created_at = PG_GETARG_TIMESTAMPTZ(ARG_CREATED_AT);
	request->has_expires_at = !PG_ARGISNULL(ARG_EXPIRES_AT);
	if (request->has_expires_at)
		request->expires_at = PG_GETARG_TIMESTAMPTZ(ARG_EXPIRES_AT);
	request->deprecated = PG_ARGISNULL(ARG_DEPRECATED) ||
		PG_GETARG_BOOL(ARG_DEPRECATED);
	return status;
}

static KmsStatus
fetch_key_id(FunctionCallInfo fcinfo, KmsCall *call, KmsImportRequest *request,
			 KmsFault *fault)
{
	char	   *key_id = palloc(sizeof(KmsKeyIdBuffer));
	KmsStatus	status;

	if (PG_ARGISNULL(ARG_KEY_ID))
		return kms_fault(fault, KMS_OK);
	status = kms_args_key_id(fcinfo, ARG_KEY_ID, key_id, fault);
	if (status != KMS_OK)
	{
		fault->hint = "Check the order of the arguments, or pass NULL as the key id to have one generated.";
		return status;
	}
	request->key_id = key_id;
	kms_call_key(call, key_id);
	return status;
}

static KmsStatus
check_private_key(FunctionCallInfo fcinfo, KmsFault *fault)
{
	if (PG_ARGISNULL(ARG_PRIVATE_KEY))
		return kms_fault_null(fault, "private key must not be null");
	if (kms_args_size(fcinfo, ARG_PRIVATE_KEY) > KMS_RSA_MAX_IMPORT)
		return kms_fault_argument(fault, "private key is too long",
								  psprintf("The private key may have at most %d bytes.",
										   KMS_RSA_MAX_IMPORT),
								  NULL);
	return kms_fault(fault, KMS_OK);
}

/*
 * Read the private key in place if it is stored in the row uncompressed.
 * Otherwise fetch and decompress it in two steps, so that both copies are ours
 * to wipe.  Both are in a memory context of their own, so they are wiped also
 * if decompression raises an error.  (If fetching raises an error because a
 * table is damaged, the server frees the part that was read without wiping
 * it.)
 */
static KmsStatus
read_private_key(FunctionCallInfo fcinfo, const KmsImport *import,
				 KmsRsaKey **key, KmsFault *fault)
{
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext,
												  "kms import",
												  ALLOCSET_SMALL_SIZES);
	MemoryContext caller = MemoryContextSwitchTo(context);
	Copies	   *copies = palloc0(sizeof(Copies));
	KmsStatus	status;

	copies->given = (struct varlena *) PG_GETARG_POINTER(ARG_PRIVATE_KEY);
	copies->callback.func = wipe;
	copies->callback.arg = copies;
	MemoryContextRegisterResetCallback(context, &copies->callback);
	copies->stored = detoast_external_attr(copies->given);
	copies->plain = VARATT_IS_COMPRESSED(copies->stored)
		? detoast_attr(copies->stored) : copies->stored;

	MemoryContextSwitchTo(caller);
	status = kms_import_read(import, VARDATA_ANY(copies->plain),
							 VARSIZE_ANY_EXHDR(copies->plain), key, fault);
	MemoryContextDelete(context);
	return status;
}

/* Called before the memory is freed. */
static void
wipe(void *arg)
{
	Copies	   *copies = arg;

	if (copies->plain != NULL && copies->plain != copies->stored)
		explicit_bzero(copies->plain, VARSIZE_ANY(copies->plain));
	if (copies->stored != NULL && copies->stored != copies->given)
		explicit_bzero(copies->stored, VARSIZE_ANY(copies->stored));
}
