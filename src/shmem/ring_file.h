/*
 * The files in pg_stat_tmp that hold event rings: kms.<database oid>, and
 * kms.<database oid>.<epoch> for a ring that was replaced.
 */
#ifndef KMS_SHMEM_RING_FILE_H
#define KMS_SHMEM_RING_FILE_H

#include "shmem/ring.h"

/*
 * Install the hooks: when the server starts, databases that have a ring file
 * get a place; when it stops, rings are synced and marked as closed.  Call it
 * once, from _PG_init, after kms_shared_install.
 */
extern void kms_ring_file_install(void);

/*
 * Write the path of a ring file to "path", which has MAXPGPATH bytes.  Epoch 0
 * means the ring in use.
 */
extern void kms_ring_file_path(char *path, Oid database_oid, int64 epoch);

/*
 * Return true if a file of this name in pg_stat_tmp may be a ring: one of
 * these two, or "kms.<database oid>.new".  *epoch is 0 if the name has none.
 */
extern bool kms_ring_file_parse(const char *name, Oid *database_oid,
								int64 *epoch);

/*
 * Return true if a database has a ring file, which means that events were
 * recorded there before.
 */
extern bool kms_ring_file_exists(Oid database_oid);

/*
 * Delete the ring files and the anchor files of databases for which "exists"
 * returns false.  May raise an error.
 */
extern void kms_ring_file_sweep(bool (*exists) (Oid database_oid, void *arg),
								void *arg);

typedef enum KmsRingFileState
{
	KMS_RING_FILE_OPENED,
	KMS_RING_FILE_ABSENT,		/* no file, or no ring of ours */
	KMS_RING_FILE_UNREADABLE	/* there may be a ring */
} KmsRingFileState;

/*
 * Map the file if it is a ring of this cluster and database, and set
 * *extension to the extension that it belongs to.  Otherwise *found is NULL,
 * with a line in the log unless there is no file.
 */
extern KmsRingFileState kms_ring_file_open(const char *path, KmsRing **found,
										   size_t *size, Oid *extension);

/*
 * Make an empty ring in a new file, which replaces any other file of this
 * name, and map it.  All blocks of the file are allocated.  Return NULL on
 * failure, with a line in the log.
 */
extern KmsRing *kms_ring_file_make(const char *path, size_t size,
								   Oid extension_oid);

/* Return a random epoch, or 0 if no random bytes are available. */
extern int64 kms_ring_file_new_epoch(void);

/* Set *identity to that of a ring of this database and that extension. */
extern void kms_ring_file_identity(KmsRingIdentity *identity,
								   Oid extension_oid);

/*
 * Return a number for this run of the operating system, or 0 if it is not
 * known.
 */
extern uint64 kms_ring_file_boot(void);

/*
 * Log, at most once a minute for each database, that a ring file cannot be
 * opened, made, …, so that events may not be recorded.  "error" is an errno or
 * 0.
 */
extern void kms_ring_file_complain(const char *path, const char *cannot_be,
								   int error);

#endif							/* KMS_SHMEM_RING_FILE_H */
