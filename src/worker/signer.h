/*
 * Signing the trail and accepting a gap of it, which the writer does between
 * two rounds.  Callers that wait for events have been told by then, so an
 * error here is no failure of the round.
 */
#ifndef KMS_WORKER_SIGNER_H
#define KMS_WORKER_SIGNER_H

#include "shmem/shared.h"
#include "worker/trail_writer.h"

/*
 * Sign what is due; an error goes to the log.  Afterwards
 * writer->unsigned_left tells whether more is due at once.
 */
extern void kms_signer_sign(KmsTrailWriter *writer, KmsDatabase *database);

/*
 * Write the gap that the trail's owner has asked for with
 * kms_audit_accept(), if there is such a request, and answer it.  It is done
 * even if the caller has stopped waiting.
 */
extern void kms_signer_accept(KmsTrailWriter *writer);

#endif							/* KMS_WORKER_SIGNER_H */
