/*
 * Names, ids and newest versions of field keys, as this session has found
 * them.  They are not authenticated, and not secret.
 */
#ifndef KMS_KEYS_FIELD_FOUND_H
#define KMS_KEYS_FIELD_FOUND_H

#include "keys/field_stamp.h"
#include "store/field_key_table.h"

/*
 * Find the name and the newest version of the key with this id, or the newest
 * version of the key with this name.  Return false if there is none.  A
 * version 0 means that only row 0 is left.  The name is valid until the next
 * call of this file.
 */
extern bool kms_field_found_id(const unsigned char *id, instr_time now,
							   const char **name, int *newest);
extern bool kms_field_found_name(const char *name, instr_time now,
								 KmsFieldHead *newest);

/*
 * Do the same if no row has to be read, otherwise return false.  Raises no
 * error.
 */
extern bool kms_field_found_fresh(const char *name, instr_time now,
								  KmsFieldHead *newest);

#endif							/* KMS_KEYS_FIELD_FOUND_H */
