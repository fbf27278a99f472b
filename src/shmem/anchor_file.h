/*
 * The file pg_stat/kms.<database oid>, which holds the anchor of a database's
 * trail and is part of base backups.
 */
#ifndef KMS_SHMEM_ANCHOR_FILE_H
#define KMS_SHMEM_ANCHOR_FILE_H

#include "shmem/anchor.h"

/*
 * Read the file.  Return false if there is none, or if it is not of this
 * cluster, this database and that extension.  The anchor is not exact: rows
 * may have been added since.
 */
extern bool kms_anchor_file_read(Oid extension_oid, KmsAnchor *anchor);

/*
 * Replace the file, synced to disk.  Return false, with a line in the log, if
 * that fails.  Raises no error.
 */
extern bool kms_anchor_file_write(const KmsAnchor *anchor);

/*
 * Delete the files of databases for which "exists" returns false.  May raise
 * an error.
 */
extern void kms_anchor_file_sweep(bool (*exists) (Oid database_oid, void *arg),
								  void *arg);

#endif							/* KMS_SHMEM_ANCHOR_FILE_H */
