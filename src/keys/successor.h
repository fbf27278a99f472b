/*
 * The successor of a key: the next key of its kind, which replaces it from its
 * time of renewal on.
 */
#ifndef KMS_KEYS_SUCCESSOR_H
#define KMS_KEYS_SUCCESSOR_H

#include "keys/call.h"
#include "keys/new_key.h"

/*
 * Return whether it is worth trying now to make the successor of a key that is
 * due to be renewed.  Waits for no lock and writes nothing.
 */
extern bool kms_successor_is_possible(const KmsKeyRow *old);

/*
 * Try to make it and to deprecate "old", and record both as changes of the
 * call.  Return false, with nothing changed, if that did not work.  Waits for
 * no lock, and raises no error except for a cancel.  Afterwards "old" may be
 * in any state.
 */
extern bool kms_successor_make(KmsCall *call, const KmsKey *old,
							   const char *app_version, KmsIssued *issued);

#endif							/* KMS_KEYS_SUCCESSOR_H */
