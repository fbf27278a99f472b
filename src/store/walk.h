/*
 * Reading the trail: the rows of kms.event and kms.event_quarantine together
 * in the order of tickets, as one snapshot sees them, and where it ends.
 */
#ifndef KMS_STORE_WALK_H
#define KMS_STORE_WALK_H

#include "crypto/chain.h"
#include "datatype/timestamp.h"
#include "nodes/pg_list.h"

typedef struct KmsWalk KmsWalk;

typedef struct KmsWalkRow
{
	int64		epoch;
	int64		ticket;
	bool		is_aside;		/* a row of kms.event_quarantine */
	KmsChainEvent event;		/* if it is not */
	KmsChainAside aside;		/* if it is */
	bool		has_salt;		/* of the right length, as the next */
	bool		has_hash;
	bool		was_forgotten;	/* has a proof, which must be checked */
	bool		malformed;		/* what it has of these is not well-formed */
	unsigned char salt[KMS_CHAIN_SALT_SIZE];
	unsigned char hash[KMS_CHAIN_SIZE];
	KmsForgotten forgotten;
} KmsWalkRow;

/*
 * Begin a walk under the active snapshot and with the extension owner's
 * rights, which last to its end.  Raises if it cannot be read.  An error needs
 * no clean-up.
 */
extern KmsWalk *kms_walk_begin(void);

/* A list of KmsEpochRow under the same snapshot, the newest first. */
extern List *kms_walk_epochs(const KmsWalk *walk);

/* A list of KmsCheckpoint under the same snapshot, by ticket and kind. */
extern List *kms_walk_checkpoints(const KmsWalk *walk);

/* The next row, which lives until the next call; NULL after the last one. */
extern const KmsWalkRow *kms_walk_next(KmsWalk *walk);

extern void kms_walk_end(KmsWalk *walk);

#endif							/* KMS_STORE_WALK_H */
