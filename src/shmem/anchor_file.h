/*
 * The file that holds the anchor of a database's trail where base backups
 * take it along: pg_stat/kms.<database oid>.
 */
#ifndef KMS_SHMEM_ANCHOR_FILE_H
#define KMS_SHMEM_ANCHOR_FILE_H

#include "shmem/anchor.h"

/*
 * False if there is none of this cluster, this database and that extension.
 * What it says is not exact: rows may have come since.
 */
extern bool kms_anchor_file_read(Oid extension_oid, KmsAnchor *anchor);

/*
 * Put a file into the place of the last one, synced to disk; false, with a
 * line in the log, if that cannot be done.  Raises nothing.
 */
extern bool kms_anchor_file_write(const KmsAnchor *anchor);

/* Delete the files of databases for which "exists" says no.  May raise. */
extern void kms_anchor_file_sweep(bool (*exists) (Oid database_oid, void *arg),
								  void *arg);

#endif							/* KMS_SHMEM_ANCHOR_FILE_H */
