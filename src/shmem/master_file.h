/*
 * Reading the file of kms.master_key_file.
 */
#ifndef KMS_SHMEM_MASTER_FILE_H
#define KMS_SHMEM_MASTER_FILE_H

#include "crypto/master_key.h"

/*
 * Read the file.  On failure return false with *keys wiped; "reason" then says
 * why, without a byte of the content.  The caller wipes *keys.  Raises an
 * error only for lack of memory, and only before there is anything to wipe.
 */
extern bool kms_master_file_read(KmsMasterKeys *keys,
								 char *reason, size_t reason_size);

/*
 * Return a warning about a file that works but is badly placed, for example
 * inside the data directory: a palloc'd sentence, or NULL.
 */
extern char *kms_master_file_warning(void);

#endif							/* KMS_SHMEM_MASTER_FILE_H */
