#include "postgres.h"

#include "access/detoast.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "api/args.h"
#include "api/finish.h"
#include "crypto/pem_text.h"
#include "keys/call.h"
#include "keys/import.h"
#include "pg/compat.h"

/* Arguments of kms_import_key. */
enum
{
	ARG_DEVICE_ID, ARG_PRIVATE_KEY, ARG_KEY_ID, ARG_APP_VERSION,
	ARG_CREATED_AT, ARG_EXPIRES_AT, ARG_OAEP_HASH,
	ARG_MGF1_HASH, ARG_DEPRECATED
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
static KmsStatus refuse_key(const char *text, const char *what,
							KmsFault *fault);
static KmsStatus check_private_key(FunctionCallInfo fcinfo, KmsFault *fault);
static KmsStatus read_private_key(FunctionCallInfo fcinfo,
								  const KmsImport *import, KmsKeyPair **key,
								  KmsFault *fault);
static void wipe(void *arg);

PG_FUNCTION_INFO_V1(kms_api_import_key);

Datum
kms_api_import_key(PG_FUNCTION_ARGS)
{
	KmsImport  *import = palloc(sizeof(KmsImport));
	KmsImportRequest request = {0};
	KmsKeyPair *key;
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
	if (status != KMS_OK)
		kms_import_name_key(&request, &fault);
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
	KmsFault	ignored = {0};
	KmsStatus	status;

	status = kms_args_device_id(fcinfo, ARG_DEVICE_ID, device_id, fault);
	if (status != KMS_OK)
	{
		if (!PG_ARGISNULL(ARG_DEVICE_ID))
			fault->hint = "Check the order of the arguments: the device id comes first, the private key second.";

		/* the fault names the key, too */
		(void) fetch_key_id(fcinfo, call, request, &ignored);
		return status;
	}
	status = refuse_key(device_id, "device id", fault);
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
	if (status == KMS_OK && app_version != NULL)
		status = refuse_key(app_version, "app version", fault);
	if (status == KMS_OK)
		status = kms_args_digest(fcinfo, ARG_OAEP_HASH, "oaep_hash",
								 &request->named.oaep_hash, fault);
	if (status == KMS_OK)
		status = kms_args_digest(fcinfo, ARG_MGF1_HASH, "mgf1_hash",
								 &request->named.mgf1_hash, fault);
	if (status != KMS_OK)
		return status;

	request->app_version = app_version;
	if (app_version != NULL)
		kms_call_app_version(call, app_version);
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
	status = refuse_key(key_id, "key id", fault);
	if (status != KMS_OK)
		return status;
	request->key_id = key_id;
	kms_call_key(call, key_id);
	return status;
}

/* Arguments that are shown and recorded must not be a key. */
static KmsStatus
refuse_key(const char *text, const char *what, KmsFault *fault)
{
	if (!kms_pem_text_is_key(text, strlen(text)))
		return kms_fault(fault, KMS_OK);
	return kms_fault_argument(fault, psprintf("%s is a private key", what),
							  NULL, "Check the order of the arguments.");
}

static KmsStatus
check_private_key(FunctionCallInfo fcinfo, KmsFault *fault)
{
	if (PG_ARGISNULL(ARG_PRIVATE_KEY))
	{
		(void) kms_fault_null(fault, "private key must not be null");
		fault->hint = "Leave out rows without a private key.";
		return fault->status;
	}
	if (kms_args_size(fcinfo, ARG_PRIVATE_KEY) > KMS_PEM_IMPORT_MAX)
		return kms_fault_argument(fault, "private key is too long",
								  psprintf("The private key may have at most %d bytes.",
										   KMS_PEM_IMPORT_MAX),
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
				 KmsKeyPair **key, KmsFault *fault)
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
