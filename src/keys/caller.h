/* The caller of a function, as events record it. */
#ifndef KMS_KEYS_CALLER_H
#define KMS_KEYS_CALLER_H

#include "shmem/event.h"

/*
 * Fill in the roles, the client and its audit context.  Reads catalogs, so it
 * must not run while a transaction aborts.
 */
extern void kms_caller_identify(KmsEvent *event);

#endif							/* KMS_KEYS_CALLER_H */
