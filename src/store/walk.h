/*
 * Reading the trail: the rows of kms.event and kms.event_quarantine, merged in
 * the order of tickets, as one snapshot sees them; and the end of the trail.
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
	bool		is_quarantined; /* a row of kms.event_quarantine */
	KmsChainEvent event;		/* if not is_quarantined */
	KmsChainQuarantine quarantined; /* if is_quarantined */
	bool		has_salt;		/* it has one of the right length; has_hash
								 * likewise */
	bool		has_hash;
	bool		was_forgotten;	/* it has a proof, which must be verified */
	bool		malformed;		/* salt, hash or proof exists but is not
								 * well-formed */
	unsigned char salt[KMS_CHAIN_SALT_SIZE];
	unsigned char hash[KMS_CHAIN_SIZE];
	KmsForgotten forgotten;
} KmsWalkRow;

/*
 * Begin a walk under the active snapshot, with the extension owner's rights
 * until its end.  Raise an error if the tables cannot be read.  An error needs
 * no clean-up.
 */
extern KmsWalk *kms_walk_begin(void);

/* Return a list of KmsEpochRow under the same snapshot, newest first. */
extern List *kms_walk_epochs(const KmsWalk *walk);

/*
 * Return a list of KmsCheckpoint under the same snapshot, ordered by ticket
 * and kind.
 */
extern List *kms_walk_checkpoints(const KmsWalk *walk);

/*
 * Return the next row, which is valid until the next call, or NULL after the
 * last one.
 */
extern const KmsWalkRow *kms_walk_next(KmsWalk *walk);

/* End the walk, and the extension owner's rights. */
extern void kms_walk_end(KmsWalk *walk);

#endif							/* KMS_STORE_WALK_H */
