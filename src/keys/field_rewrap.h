/*
 * Moving rows of field keys from one master key to another; see keys/rewrap.
 */
#ifndef KMS_KEYS_FIELD_REWRAP_H
#define KMS_KEYS_FIELD_REWRAP_H

#include "crypto/key_id.h"
#include "keys/each.h"
#include "keys/field_opened.h"

/* bytes of a key id, or of the id of a row of a field key, with the NUL */
#define KMS_FIELD_REWRAP_ID_SIZE Max(KMS_KEY_ID_MAX + 1, KMS_FIELD_LABEL_SIZE)

/*
 * Wrap the secret of a row again, under the current master key, and seal the
 * row.  "id" is "name/version".  Neither state nor row version changes, and
 * the trail records nothing.
 */
extern KmsOutcome kms_field_rewrap_row(const char *id, void *arg);

/* Wait for the transaction that holds the row. */
extern void kms_field_rewrap_wait(const char *id);

/* Find the row that an id names. */
extern void kms_field_rewrap_place(const char *id, KmsFieldPlace *place);

#endif							/* KMS_KEYS_FIELD_REWRAP_H */
