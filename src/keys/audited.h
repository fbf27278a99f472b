/* The error of a call that could not be audited. */
#ifndef KMS_KEYS_AUDITED_H
#define KMS_KEYS_AUDITED_H

#include "shmem/wait.h"

/*
 * Raise KM008, with the reason and what to do, unless the event is durable.
 * Raise it also if this transaction is making the extension ("installing"),
 * because no writer sees the extension before the commit.
 */
extern void kms_audited_require(KmsAudited audited, bool installing);

#endif							/* KMS_KEYS_AUDITED_H */
