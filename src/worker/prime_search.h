/*
 * Generating a key where no other process wants the processor.
 */
#ifndef KMS_WORKER_PRIME_SEARCH_H
#define KMS_WORKER_PRIME_SEARCH_H

#include "crypto/rsa_key.h"

/* Before kms_worker_start, which closes off what this opens. */
extern void kms_prime_search_prepare(void);

/*
 * Generate a key of so many bits, while the process goes on serving its latch
 * and interrupts.  "must_stop" is asked whenever the latch is set; when it
 * says so the status is KMS_INTERRUPTED.  An interrupt may raise; the thread
 * has ended then, too.
 */
extern KmsStatus kms_prime_search_run(int bits, bool (*must_stop) (void *arg),
									  void *arg, KmsRsaKey **key);

#endif							/* KMS_WORKER_PRIME_SEARCH_H */
