/*
 * The file that kms.master_key_file names.
 */
#ifndef KMS_SHMEM_MASTER_FILE_H
#define KMS_SHMEM_MASTER_FILE_H

#include "crypto/master_key.h"

/*
 * Read it.  On false *keys is wiped, and "reason" says why without a byte of
 * the content.  The caller wipes *keys.  Raises for want of memory only, and
 * before there is anything to wipe.
 */
extern bool kms_master_file_read(KmsMasterKeys *keys,
								 char *reason, size_t reason_size);

/*
 * Things about the file that work but should not be: inside the data
 * directory, and the like; NULL or a palloc'd sentence.
 */
extern char *kms_master_file_warning(void);

#endif							/* KMS_SHMEM_MASTER_FILE_H */
