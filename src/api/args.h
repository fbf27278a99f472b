/*
 * Fetching and checking the arguments of SQL calls.
 *
 * Each check fills *fault and returns its status.  A check raises no error
 * itself (but detoasting may), and keeps nothing of a value that it refuses.
 */
#ifndef KMS_API_ARGS_H
#define KMS_API_ARGS_H

#include "fmgr.h"

#include "crypto/key_id.h"
#include "crypto/digest.h"
#include "keys/field.h"
#include "pg/fault.h"

/* Buffers for a checked key id or device id. */
typedef char KmsKeyIdBuffer[KMS_KEY_ID_MAX + 1];
typedef char KmsDeviceIdBuffer[KMS_DEVICE_ID_MAX + 1];

/* Fetch a key id, which must not be NULL. */
extern KmsStatus kms_args_key_id(FunctionCallInfo fcinfo, int n,
								 KmsKeyIdBuffer key_id, KmsFault *fault);

/* Fetch a device id, which must not be NULL. */
extern KmsStatus kms_args_device_id(FunctionCallInfo fcinfo, int n,
									KmsDeviceIdBuffer device_id,
									KmsFault *fault);

/* Fetch a device id.  If it is NULL, *given is false. */
extern KmsStatus kms_args_optional_device_id(FunctionCallInfo fcinfo, int n,
											 KmsDeviceIdBuffer device_id,
											 bool *given, KmsFault *fault);

/*
 * Fetch a text of 1 to "most" bytes without the characters of
 * KMS_LINE_REFUSES.  *value is NULL if the argument is NULL or refused.
 * "name" is for the message.
 */
extern KmsStatus kms_args_line(FunctionCallInfo fcinfo, int n, const char *name,
							   size_t most, char **value, KmsFault *fault);

/*
 * Fetch a reason, which must not be NULL: a line of 1 to KMS_REASON_MAX bytes.
 */
extern KmsStatus kms_args_reason(FunctionCallInfo fcinfo, int n, char **reason,
								 KmsFault *fault);

/* Fetch the name of a digest.  If it is NULL, leave *digest as it is. */
extern KmsStatus kms_args_digest(FunctionCallInfo fcinfo, int n,
								 const char *name, KmsDigest *digest,
								 KmsFault *fault);

/* Buffer for a checked name of a field key. */
typedef char KmsFieldNameBuffer[KMS_FIELD_NAME_MAX + 1];

/*
 * Fetch the name of a field key, which must not be NULL.  A name without the
 * form of one gives KMS_FIELD_KEY_NOT_FOUND.
 */
extern KmsStatus kms_args_field_name(FunctionCallInfo fcinfo, int n,
									 KmsFieldNameBuffer name,
									 KmsFault *fault);

/*
 * Fetch a text that a value or an index is bound to, as UTF-8: a context of 0
 * to KMS_FIELD_CONTEXT_MAX bytes, or a scope of 1 to
 * KMS_BLIND_INDEX_SCOPE_MAX.  It must not be NULL.
 */
extern KmsStatus kms_args_context(FunctionCallInfo fcinfo, int n,
								  KmsFieldData *context, KmsFault *fault);
extern KmsStatus kms_args_scope(FunctionCallInfo fcinfo, int n,
								KmsFieldData *scope, KmsFault *fault);

/*
 * Return the length in bytes of a text or bytea argument, without fetching it.
 */
extern Size kms_args_size(FunctionCallInfo fcinfo, int n);

#endif							/* KMS_API_ARGS_H */
