/*
 * The master keys, read once by the launcher into a mapping that all
 * processes share.
 */
#ifndef KMS_SHMEM_MASTER_H
#define KMS_SHMEM_MASTER_H

#include "datatype/timestamp.h"

#include "crypto/master_key.h"

typedef enum KmsMasterState
{
	KMS_MASTER_UNREAD,			/* the launcher has not come to it yet */
	KMS_MASTER_READY,
	KMS_MASTER_UNSET,			/* no setting names one */
	KMS_MASTER_REFUSED			/* they cannot be used; see the reason */
} KmsMasterState;

/* What was read last. */
typedef enum KmsMasterSource
{
	KMS_MASTER_NOWHERE,			/* nothing, or settings that contradict */
	KMS_MASTER_FILE,
	KMS_MASTER_COMMAND
} KmsMasterSource;

/* What the kernel gives for the page that holds the keys. */
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
	TimestampTz running_since;	/* of the command, 0: it does not run */
	bool		epochs;			/* kms.master_key_epochs, as it was when they
								 * were read */
	int			count;
	uint64		generation;		/* changes with every successful change of
								 * keys */
	TimestampTz read_at;
	char		reason[KMS_MASTER_REASON];	/* why the last read was refused,
											 * "" if it was not; never a byte
											 * of the content.  When READY:
											 * the keys read before are in
											 * force */
	/* of each key, without the key */
	unsigned char id[KMS_MASTER_KEYS_MAX][KMS_MASTER_KEY_ID_SIZE];
	char		label[KMS_MASTER_KEYS_MAX][KMS_MASTER_KEY_LABEL];
} KmsMasterStatus;

/* From _PG_init while preloading: makes the mapping. */
extern void kms_master_install(void);

/*
 * Wait for the first read after a start, cancellable and bounded (5 s; 1 s if
 * there is no launcher); may raise for a cancel only.
 */
extern void kms_master_await(void);

/*
 * Copy the key with fingerprint "id" (NULL: the current one) to *key, which
 * the caller wipes.  KMS_NO_MASTER_KEY: none is there; KMS_OTHER_MASTER_KEY:
 * not this one.  Waits for the first read as above.
 */
extern KmsStatus kms_master_get(const unsigned char *id, KmsMasterKey *key);

/* The same without waiting: raises nothing, so secrets may be in hand. */
extern KmsStatus kms_master_get_now(const unsigned char *id, KmsMasterKey *key);

/*
 * The one for keys of this month ("2026-11"), without waiting: where there
 * are epochs the key with that label, KMS_NO_EPOCH_KEY if there is none; else
 * the current one.
 */
extern KmsStatus kms_master_get_of_month(const char *month, KmsMasterKey *key);

/* Never waits. */
extern void kms_master_status(KmsMasterStatus *status);

/* Where the key with this fingerprint is in "status", -1 if it is not. */
extern int	kms_master_place(const KmsMasterStatus *status,
							 const unsigned char *id);

/*
 * Changes whenever the keys change; one atomic read.  0: not ready.  An
 * opened key is good for as long as this is what it was.
 */
extern uint64 kms_master_generation(void);

/* What holds the keys, from kms_master_install on. */
extern KmsMasterMemory kms_master_memory(void);

/* As messages call it: "master key file", …; static. */
extern const char *kms_master_source_name(KmsMasterSource source);

/*
 * As kms_master_key_parse; on false "reason" says why, with the line.  Raises
 * nothing.
 */
extern bool kms_master_parse(const char *content, size_t len,
							 KmsMasterKeys *keys,
							 char *reason, size_t reason_size);

/* The launcher's: the command runs, until something is published. */
extern void kms_master_running(void);

/*
 * The launcher's: put what was read into force and wipe *keys; then log it if
 * something is new or wrong.  When refused, *keys has none, and those in force
 * stay.
 */
extern void kms_master_publish(KmsMasterSource source, KmsMasterKeys *keys,
							   KmsMasterState state, const char *reason);

#endif							/* KMS_SHMEM_MASTER_H */
