/*
 * kms.pepper: the only SQL and table access for peppers.  Read and written as
 * keys are (store/key.h).
 */
#ifndef KMS_STORE_PEPPER_H
#define KMS_STORE_PEPPER_H

#include "crypto/secret_hash.h"
#include "crypto/wrap.h"
#include "datatype/timestamp.h"
#include "nodes/pg_list.h"

#define KMS_PEPPER_WRAPPED (KMS_PEPPER_SIZE + KMS_WRAP_OVERHEAD)

typedef struct KmsPepperRow
{
	char		pepper_id[KMS_PEPPER_ID_MAX + 1];
	TimestampTz created_at;
	size_t		wrapped_len;	/* 0: it has not the length of one */
	unsigned char wrapped[KMS_PEPPER_WRAPPED];
} KmsPepperRow;

/* False if there is none; a row whose id is none of ours is passed over. */
extern bool kms_pepper_read(const char *pepper_id, KmsPepperRow *row);
extern bool kms_pepper_newest(KmsPepperRow *row);

/* A list of KmsPepperRow, all of them. */
extern List *kms_pepper_all(void);

/*
 * Who makes one holds this until the end of the transaction.  False, at
 * once, if another does and "wait" is not set.
 */
extern bool kms_pepper_lock(bool wait);

extern void kms_pepper_insert(const KmsPepperRow *row);

/*
 * Lock the row for the transaction; false if it is gone, or if another has it
 * and this is not to wait.
 */
extern bool kms_pepper_lock_row(const char *pepper_id, bool wait);

/* Replace the wrap of a row that the caller has locked. */
extern void kms_pepper_replace(const KmsPepperRow *row);

#endif							/* KMS_STORE_PEPPER_H */
