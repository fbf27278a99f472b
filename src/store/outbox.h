/*
 * kms.event_outbox: successful changes, written by the changing transaction.
 */
#ifndef KMS_STORE_OUTBOX_H
#define KMS_STORE_OUTBOX_H

#include "shmem/ring.h"

extern void kms_outbox_insert(const KmsEvent *event);

#endif							/* KMS_STORE_OUTBOX_H */
