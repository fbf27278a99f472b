/*
 * Accepting that the trail is not intact: the answer of its owner to what
 * verification (verify.h) has found.
 */
#ifndef KMS_KEYS_ACCEPT_H
#define KMS_KEYS_ACCEPT_H

#include "pg/fault.h"

/*
 * If the trail is not intact, have the writer append a signed gap that follows
 * the last row known to be good, so that the trail is intact again.  *ticket
 * is that of the gap.  Return KMS_INVALID_ARGUMENT with 55000 if the trail is
 * intact, or if no writer can do it.  Return KMS_NO_MASTER_KEY if there is
 * none.
 */
extern KmsStatus kms_accept_trail(const char *reason, int64 *ticket,
								  KmsFault *fault);

#endif							/* KMS_KEYS_ACCEPT_H */
