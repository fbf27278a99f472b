/* Destroying field keys. */
#ifndef KMS_KEYS_FIELD_DESTROY_H
#define KMS_KEYS_FIELD_DESTROY_H

#include "keys/call.h"
#include "pg/fault.h"

/*
 * Destroy a version, or all versions and the index key (KMS_FIELD_WHOLE), also
 * those of the keys under a field.  Return KMS_FIELD_KEY_STATE unless it has
 * been disabled for kms.field_destroy_after, or if it is the newest version.
 */
extern KmsStatus kms_field_destroy(KmsCall *call, const char *name,
								   int version, KmsFault *fault);

#endif							/* KMS_KEYS_FIELD_DESTROY_H */
