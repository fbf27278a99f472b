/*
 * A request of the trail's owner to accept that the trail is not intact.  The
 * event writer carries it out, because only the writer writes the trail and
 * its anchor.  A server handles one request at a time.
 */
#ifndef KMS_SHMEM_ACCEPTANCE_H
#define KMS_SHMEM_ACCEPTANCE_H

#include "crypto/chain.h"
#include "shmem/ring.h"
#include "shmem/shared.h"

typedef struct KmsAcceptance
{
	int64		after;			/* of the row before it */
	unsigned char hash[KMS_CHAIN_SIZE]; /* hash of that row */
	KmsEvent	gap;
} KmsAcceptance;

typedef struct KmsAcceptanceAnswer
{
	int64		ticket;			/* of the gap; 0 if it could not be written */
	char		error[KMS_ERROR_SIZE];	/* why not, or "" */
} KmsAcceptanceAnswer;

/*
 * Ask the writer of this database, and wait for its answer.  The wait can be
 * cancelled.  Return false if the writer has not answered in 30 s; it may
 * still carry out the request later.
 */
extern bool kms_acceptance_ask(const KmsAcceptance *wish,
							   KmsAcceptanceAnswer *answer);

/*
 * For the writer.  kms_acceptance_wanted returns true, with the request, if
 * there is one for its database; if not, it takes no lock.
 * kms_acceptance_answer ends the request.
 */
extern bool kms_acceptance_wanted(KmsAcceptance *wish);
extern void kms_acceptance_answer(const KmsAcceptanceAnswer *answer);

#endif							/* KMS_SHMEM_ACCEPTANCE_H */
