/*
 * Findings of kms_diagnose() about the block itself: whether a pair of digests
 * opens it, or the block that is left when what some clients do to its bytes
 * is undone.
 */
#ifndef KMS_KEYS_DIAGNOSE_BLOCK_H
#define KMS_KEYS_DIAGNOSE_BLOCK_H

#include "crypto/key_pair.h"
#include "keys/diagnose_form.h"
#include "pg/fault.h"
#include "store/key.h"

/* Bytes of RSA-1024; anything shorter is no block. */
#define KMS_SHORTEST_BLOCK	128

/*
 * Return the length of a key's block in bytes, or 0 if it is not an RSA key.
 * The key need not be open.
 */
extern size_t kms_diagnose_block_size(const KmsKeyRow *row);

/*
 * Try to open the bytes, and append what was found.  *opened tells whether a
 * pair of digests opens them; if not, nothing was appended.
 */
extern KmsStatus kms_diagnose_block_open(KmsKeyPair *key, const KmsKeyRow *row,
										 const KmsUnpacked *sent, bool *opened,
										 List **findings, KmsFault *fault);

/* Append what the length says about bytes that do not open. */
extern void kms_diagnose_block_report_length(const KmsUnpacked *sent,
											 size_t block, List **findings);

#endif							/* KMS_KEYS_DIAGNOSE_BLOCK_H */
