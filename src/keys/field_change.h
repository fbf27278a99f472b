/*
 * Steps that all changes of field keys share.
 *
 * A row is changed in one way only: it is locked, read, authenticated, brought
 * to its next version, sealed and written, in one transaction.
 */
#ifndef KMS_KEYS_FIELD_CHANGE_H
#define KMS_KEYS_FIELD_CHANGE_H

#include "keys/call.h"
#include "pg/fault.h"
#include "store/field_key_table.h"

/* Raise 55000 if field keys come by a subscription. */
extern void kms_field_change_check(void);

/*
 * Lock a row and read it.  Return KMS_FIELD_KEY_NOT_FOUND if there is none;
 * raise 40001 if it is newer than the transaction's snapshot.
 */
extern KmsStatus kms_field_change_lock(const char *name, int version,
									   KmsFieldLock lock, KmsFieldRow *row,
									   KmsFault *fault);

/* Fill the fault of a row that was destroyed, and return its status. */
extern KmsStatus kms_field_change_refuse_destroyed(const KmsFieldRow *row,
												   KmsFault *fault);

/*
 * Return KMS_OK if the row is sealed and authentic, and KMS_FIELD_KEY_STATE if
 * it was disabled without a master key and is not sealed yet.
 */
extern KmsStatus kms_field_change_check_sealed(const KmsFieldRow *row,
											   KmsFault *fault);

/*
 * Write the next version of a locked row with this state, with a seal if
 * row->sealed is set.
 */
extern void kms_field_change_write(KmsFieldRow *row, KmsFieldState state);

/* Record the key of a change as "name/version" or "name/all". */
extern void kms_field_change_label(KmsCall *call, const char *name,
								   int version);

#endif							/* KMS_KEYS_FIELD_CHANGE_H */
