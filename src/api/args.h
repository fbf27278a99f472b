/*
 * Fetching and checking the arguments of SQL calls.
 *
 * Each check fills *fault and returns its status; none raises by itself (but
 * detoasting may), none keeps what it refused.
 */
#ifndef KMS_API_ARGS_H
#define KMS_API_ARGS_H

#include "fmgr.h"

#include "crypto/key_id.h"
#include "crypto/digest.h"
#include "pg/fault.h"

/* Buffers that a checked key id or device id is copied to. */
typedef char KmsKeyIdBuffer[KMS_KEY_ID_MAX + 1];
typedef char KmsDeviceIdBuffer[KMS_DEVICE_ID_MAX + 1];

extern KmsStatus kms_args_key_id(FunctionCallInfo fcinfo, int n,
								 KmsKeyIdBuffer key_id, KmsFault *fault);

/* A device id that must be given. */
extern KmsStatus kms_args_device_id(FunctionCallInfo fcinfo, int n,
									KmsDeviceIdBuffer device_id,
									KmsFault *fault);

/* NULL leaves *given unset. */
extern KmsStatus kms_args_optional_device_id(FunctionCallInfo fcinfo, int n,
											 KmsDeviceIdBuffer device_id,
											 bool *given, KmsFault *fault);

/*
 * Text of 1 to "most" bytes, without what KMS_LINE_REFUSES names; NULL gives
 * NULL, as does what is refused.
 */
extern KmsStatus kms_args_line(FunctionCallInfo fcinfo, int n, const char *name,
							   size_t most, char **value, KmsFault *fault);

/* A reason that must be given: a line of 1 to KMS_REASON_MAX bytes. */
extern KmsStatus kms_args_reason(FunctionCallInfo fcinfo, int n, char **reason,
								 KmsFault *fault);

/* The name of a digest; NULL leaves *digest as it is. */
extern KmsStatus kms_args_digest(FunctionCallInfo fcinfo, int n,
								 const char *name, KmsDigest *digest,
								 KmsFault *fault);

/* Length in bytes of a text or bytea argument, without fetching it. */
extern Size kms_args_size(FunctionCallInfo fcinfo, int n);

#endif							/* KMS_API_ARGS_H */
