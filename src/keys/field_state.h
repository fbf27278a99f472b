/* Disabling and enabling field keys. */
#ifndef KMS_KEYS_FIELD_STATE_H
#define KMS_KEYS_FIELD_STATE_H

#include "keys/call.h"
#include "pg/fault.h"
#include "store/field_key_table.h"

/*
 * Disable or enable a version, or the whole key (KMS_FIELD_WHOLE).  To disable
 * needs no master key: without it the row is left unsealed, and maintenance
 * seals it later.
 */
extern KmsStatus kms_field_state_disable(KmsCall *call, const char *name,
										 int version, KmsFault *fault);
extern KmsStatus kms_field_state_enable(KmsCall *call, const char *name,
										int version, KmsFault *fault);

/* For maintenance: seal a disabled row.  Return whether that was done. */
extern bool kms_field_state_seal(const KmsFieldPlace *place);

#endif							/* KMS_KEYS_FIELD_STATE_H */
