/*
 * Creating and rotating field keys, and making the functions of rights.
 *
 * Each writes its event in the same transaction.  The status says nothing
 * about rows that are written: an error undoes them.
 */
#ifndef KMS_KEYS_FIELD_KEY_H
#define KMS_KEYS_FIELD_KEY_H

#include "keys/call.h"
#include "pg/fault.h"
#include "store/field_key_table.h"

/*
 * Return whether a text is the name of a field or of a key under one: 1 to 55
 * of a-z 0-9 _ -, then perhaps a dot and 1 to 64 of the same.
 */
extern bool kms_field_key_is_name(const char *text, size_t len);

/*
 * Create a field key with its first version.  "rotate_after" is the age at
 * which maintenance makes the next version, or NULL.
 */
extern KmsStatus kms_field_key_create(KmsCall *call, const char *name,
									  const Interval *rotate_after,
									  KmsFault *fault);

/* Make the next version, and set *version to its number. */
extern KmsStatus kms_field_key_rotate(KmsCall *call, const char *name,
									  int *version, KmsFault *fault);

/*
 * For maintenance.  Make the next version of a key if it is due, and return
 * whether that was done.
 */
extern bool kms_field_key_rotate_due(const KmsFieldPlace *place,
									 TimestampTz now);

/*
 * For maintenance.  Return the names of the functions of rights that are
 * missing, as "tax/decrypt"; make one of them, granted to nobody, and return
 * whether that was done.  Raise an error if another role has a function of
 * this name.
 */
extern List *kms_field_key_missing_rights(void);
extern bool kms_field_key_make_right(const char *function);

#endif							/* KMS_KEYS_FIELD_KEY_H */
