/*
 * The master keys, read by the launcher into a mapping that all processes
 * share.  docs/design/master-key-memory.md describes it.
 */
#ifndef KMS_SHMEM_MASTER_H
#define KMS_SHMEM_MASTER_H

#include "datatype/timestamp.h"

#include "crypto/master_key.h"

typedef enum KmsMasterState
{
	KMS_MASTER_UNREAD,			/* the launcher has not read them yet */
	KMS_MASTER_READY,
	KMS_MASTER_UNSET,			/* neither setting is set */
	KMS_MASTER_REFUSED			/* cannot be used; see the reason */
} KmsMasterState;

/* The source that was read last. */
typedef enum KmsMasterSource
{
	KMS_MASTER_NOWHERE,			/* none, or both settings are set */
	KMS_MASTER_FILE,
	KMS_MASTER_COMMAND
} KmsMasterSource;

/* The protection of the memory that holds the keys. */
typedef enum KmsMasterMemory
{
	KMS_MASTER_PLAIN,			/* may be swapped out or dumped */
	KMS_MASTER_LOCKED,			/* locked, and left out of core dumps */
	KMS_MASTER_SECRET			/* memfd_secret: hidden from the kernel, too */
} KmsMasterMemory;

#define KMS_MASTER_REASON	256 /* bytes with the NUL */

typedef struct KmsMasterStatus
{
	KmsMasterState state;
	KmsMasterSource source;
	TimestampTz running_since;	/* of the command; 0 if it is not running */
	bool		epochs;			/* kms.master_key_epochs when they were read */
	int			count;
	uint64		generation;		/* changes whenever the keys change */
	TimestampTz read_at;
	char		reason[KMS_MASTER_REASON];	/* why the last read was refused,
											 * or ""; never a byte of the
											 * content.  If the state is
											 * READY, the earlier keys are in
											 * force */
	/* Of each key, without the key itself. */
	unsigned char id[KMS_MASTER_KEYS_MAX][KMS_MASTER_KEY_ID_SIZE];
	char		label[KMS_MASTER_KEYS_MAX][KMS_MASTER_KEY_LABEL];
} KmsMasterStatus;

/* Create the mapping.  Call it from _PG_init while preloading. */
extern void kms_master_install(void);

/*
 * Wait for the first read after a start, at most 5 s, or 1 s if there is no
 * launcher.  The wait can be cancelled; it raises no other error.
 */
extern void kms_master_await(void);

/*
 * Copy the key with fingerprint "id" (NULL: the current key) to *key.  The
 * caller wipes it.  Return KMS_NO_MASTER_KEY if there are no keys, and
 * KMS_OTHER_MASTER_KEY if this one is not among them.  Waits for the first
 * read as above.
 */
extern KmsStatus kms_master_get(const unsigned char *id, KmsMasterKey *key);

/*
 * The same without waiting.  Raises no error, so the caller may hold secrets.
 */
extern KmsStatus kms_master_get_now(const unsigned char *id, KmsMasterKey *key);

/*
 * Copy the master key for keys of this month ("2026-11") to *key, without
 * waiting.  With kms.master_key_epochs that is the key with this label, or
 * KMS_NO_MONTH_KEY if there is none; otherwise it is the current key.
 */
extern KmsStatus kms_master_get_of_month(const char *month, KmsMasterKey *key);

/* Copy the status.  Never waits. */
extern void kms_master_status(KmsMasterStatus *status);

/* Return the index of the key with this fingerprint in "status", or -1. */
extern int	kms_master_place(const KmsMasterStatus *status,
							 const unsigned char *id);

/*
 * Return a number that changes whenever the keys change, or 0 if there are
 * none.  An opened key is valid as long as the number is the same.  Costs one
 * atomic read.
 */
extern uint64 kms_master_generation(void);

/* Return the protection of the keys; valid after kms_master_install. */
extern KmsMasterMemory kms_master_memory(void);

/*
 * Return the name of the source for messages: "master key file", … The text is
 * static.
 */
extern const char *kms_master_source_name(KmsMasterSource source);

/*
 * Parse as kms_master_key_parse does.  On failure return false; "reason" then
 * says why, with the line.  Raises no error.
 */
extern bool kms_master_parse(const char *content, size_t len,
							 KmsMasterKeys *keys,
							 char *reason, size_t reason_size);

/* For the launcher: record that the command runs, until keys are published. */
extern void kms_master_running(void);

/*
 * For the launcher: publish what was read, wipe *keys, and log it if anything
 * is new or wrong.  If the state is KMS_MASTER_REFUSED, *keys is empty and the
 * current keys stay in force.
 */
extern void kms_master_publish(KmsMasterSource source, KmsMasterKeys *keys,
							   KmsMasterState state, const char *reason);

#endif							/* KMS_SHMEM_MASTER_H */
