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
	KMS_MASTER_REFUSED			/* the file cannot be used; see the reason */
} KmsMasterState;

typedef struct KmsMasterStatus
{
	KmsMasterState state;
	int			count;
	uint64		generation;		/* changes with every successful change of
								 * keys */
	TimestampTz read_at;
	char		reason[256];	/* why the last read was refused, "" if it was
								 * not; never a byte of the content.  When
								 * READY: the keys read before are in force */
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

/* The same by label; KMS_OTHER_MASTER_KEY if no key has this one. */
extern KmsStatus kms_master_get_labelled(const char *label, KmsMasterKey *key);

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

/* The launcher's: read kms.master_key_file and publish it; logs what is wrong. */
extern void kms_master_read(void);

/*
 * Things about the file that work but should not be: inside the data
 * directory, and the like; NULL or a palloc'd sentence.
 */
extern char *kms_master_file_warning(void);

#endif							/* KMS_SHMEM_MASTER_H */
