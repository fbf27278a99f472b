/*
 * Generate a key in idle time of the processor, so that queries come first.
 */
#ifndef KMS_WORKER_PRIME_SEARCH_H
#define KMS_WORKER_PRIME_SEARCH_H

#include "crypto/key_pair.h"

/*
 * Open the file that later lowers the priority.  Call it before
 * kms_worker_start, after which the file cannot be opened any more.
 */
extern void kms_prime_search_prepare(void);

/*
 * Generate a key of "bits" bits, while the process serves its latch and its
 * interrupts.
 *
 * "must_stop" is called whenever the latch is set; if it returns true, the
 * status is KMS_INTERRUPTED.  An interrupt may raise an error.  On each way
 * out the thread has ended.  *key is the caller's; it is NULL unless the
 * status is KMS_OK.
 */
extern KmsStatus kms_prime_search_run(int bits, bool (*must_stop) (void *arg),
									  void *arg, KmsKeyPair **key);

#endif							/* KMS_WORKER_PRIME_SEARCH_H */
