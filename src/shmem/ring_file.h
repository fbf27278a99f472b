/*
 * The files in pg_stat_tmp that hold event rings: kms.<database oid>, and
 * kms.<database oid>.<epoch> of a ring that was replaced.
 */
#ifndef KMS_SHMEM_RING_FILE_H
#define KMS_SHMEM_RING_FILE_H

#include "shmem/ring.h"

/*
 * Once, from _PG_init, after kms_shared_install.  When the server starts,
 * databases that have a ring get a place; when it stops, rings are marked as
 * closed and synced.
 */
extern void kms_ring_file_install(void);

/* The path, of MAXPGPATH bytes; epoch 0: of the ring in use. */
extern void kms_ring_file_path(char *path, Oid database_oid, int64 epoch);

/*
 * Whether a file in pg_stat_tmp may be a ring by its name: one of these two or
 * "kms.<database oid>.new".  The epoch is 0 if the name has none.
 */
extern bool kms_ring_file_parse(const char *name, Oid *database_oid,
								int64 *epoch);

/* Whether a database has a ring file: events were recorded there before. */
extern bool kms_ring_file_exists(Oid database_oid);

/*
 * Delete the ring files and the anchor files of databases for which "exists"
 * returns false.  May raise.
 */
extern void kms_ring_file_sweep(bool (*exists) (Oid database_oid, void *arg),
								void *arg);

typedef enum KmsRingFileState
{
	KMS_RING_FILE_OPENED,
	KMS_RING_FILE_ABSENT,		/* or something that is no ring of ours */
	KMS_RING_FILE_UNREADABLE	/* there may be one */
} KmsRingFileState;

/*
 * Map the file if it is a ring of this cluster and database, and tell of which
 * extension it is.  Otherwise *found is NULL, with a line in the log unless
 * there is no file.
 */
extern KmsRingFileState kms_ring_file_open(const char *path, KmsRing **found,
										   size_t *size, Oid *extension);

/*
 * Make an empty ring in a new file, which replaces any other of this name, and
 * map it; NULL, with a line in the log, on failure.  All blocks of the file
 * are allocated.
 */
extern KmsRing *kms_ring_file_make(const char *path, size_t size,
								   Oid extension_oid);

/* A random epoch; 0 if there is no randomness for one. */
extern int64 kms_ring_file_new_epoch(void);

/* The identity that a ring of this database and that extension has. */
extern void kms_ring_file_identity(KmsRingIdentity *identity,
								   Oid extension_oid);

/* A number for this run of the operating system; 0 if it is not known. */
extern uint64 kms_ring_file_boot(void);

/*
 * Say in the log, at most once a minute for each database, that a ring file
 * cannot be opened, made, …, so that events may not be recorded.  "error" is
 * an errno or 0.
 */
extern void kms_ring_file_complain(const char *path, const char *cannot_be,
								   int error);

#endif							/* KMS_SHMEM_RING_FILE_H */
