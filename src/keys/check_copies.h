/*
 * Checks for rows that were made elsewhere, for kms_check(): they were copied
 * from another database, or restored over existing rows.
 */
#ifndef KMS_KEYS_CHECK_COPIES_H
#define KMS_KEYS_CHECK_COPIES_H

#include "keys/finding.h"

extern void kms_check_copies_keys(KmsReport report, void *arg);
extern void kms_check_copies_tickets(KmsReport report, void *arg);

#endif							/* KMS_KEYS_CHECK_COPIES_H */
