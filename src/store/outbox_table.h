/*
 * kms.event_outbox: successful changes, written by the changing transaction.
 */
#ifndef KMS_STORE_OUTBOX_TABLE_H
#define KMS_STORE_OUTBOX_TABLE_H

#include "shmem/ring.h"

extern void kms_outbox_table_insert(const KmsEvent *event);

#endif							/* KMS_STORE_OUTBOX_TABLE_H */
