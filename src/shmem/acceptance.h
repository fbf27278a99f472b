/*
 * The wish of a trail's owner to accept that the trail is not intact, which
 * the event writer fulfils: only it writes the trail and its anchor.  One at a
 * time in a server.
 */
#ifndef KMS_SHMEM_ACCEPTANCE_H
#define KMS_SHMEM_ACCEPTANCE_H

#include "crypto/chain.h"
#include "shmem/ring.h"
#include "shmem/shared.h"

typedef struct KmsAcceptance
{
	int64		after;			/* ticket from which the gap is to follow */
	unsigned char hash[KMS_CHAIN_SIZE]; /* and its hash */
	KmsEvent	gap;
} KmsAcceptance;

typedef struct KmsAcceptanceAnswer
{
	int64		ticket;			/* of the gap; 0: it could not be written */
	char		error[KMS_ERROR_SIZE];	/* why not */
} KmsAcceptanceAnswer;

/*
 * Ask the writer of this database and wait for it, cancellable; what it has
 * been asked it may do all the same.  False if it has not answered in time.
 */
extern bool kms_acceptance_ask(const KmsAcceptance *wish,
							   KmsAcceptanceAnswer *answer);

/* The writer: whether it is asked, which costs nothing; and its answer. */
extern bool kms_acceptance_wanted(KmsAcceptance *wish);
extern void kms_acceptance_answer(const KmsAcceptanceAnswer *answer);

#endif							/* KMS_SHMEM_ACCEPTANCE_H */
