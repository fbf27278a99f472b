/*
 * Private operations of RSA that a batch does together (crypto/lanes).
 */
#ifndef KMS_KEYS_GROUP_H
#define KMS_KEYS_GROUP_H

#include "keys/cipher.h"

#define KMS_GROUP_MAX KMS_CALLS_TOGETHER

/* A ciphertext that was checked, whose key stays open. */
typedef struct KmsGroupMember
{
	const KmsCipherRequest *request;
	KmsCipherOpened *opened;
	unsigned char padded[KMS_RSA_MAX_BLOCK];	/* result of the private
												 * operation */
} KmsGroupMember;

/*
 * Prepare the lanes, so that the server's processes inherit them.  Called from
 * _PG_init while preloading.
 */
extern void kms_group_install(void);

/*
 * Return how many ciphertexts a batch should hand over at a time now:
 * KMS_GROUP_MAX, or 1 if the lanes are not in use.
 */
extern int	kms_group_size(void);

/*
 * Return the reason why the lanes are not in use, a clause, or NULL if they
 * are.
 */
extern const char *kms_group_why_not(void);

/*
 * Return whether the known answers differed, or how many results have been
 * wrong since the server was started.
 */
extern bool kms_group_failed_at_start(void);
extern uint64 kms_group_wrong_results(void);

/*
 * Do the private operations of as many members as it is worth it for, and set
 * opened->padded of each to its result.  Raises no error.  The caller wipes
 * the results (kms_group_wipe), also if nothing was done.
 */
extern void kms_group_decrypt(KmsGroupMember **members, int count);

extern void kms_group_wipe(KmsGroupMember *member);

#endif							/* KMS_KEYS_GROUP_H */
