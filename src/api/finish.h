/*
 * The one place that ends a SQL call: it records the event, and raises the
 * error if the call failed.
 */
#ifndef KMS_API_FINISH_H
#define KMS_API_FINISH_H

#include "keys/plaintext.h"

/* End the call, and raise the fault unless the status is KMS_OK. */
extern void kms_finish(KmsCall *call, KmsStatus status, const KmsFault *fault);

/*
 * The same for a function for which some statuses are an answer and no error.
 * Return true if the status is KMS_OK.
 */
typedef bool (*KmsStatusTest) (KmsStatus status);

extern bool kms_finish_with_answer(KmsCall *call, KmsStatus status,
								   const KmsFault *fault,
								   KmsStatusTest is_answer);

/* The same, and wipe the plaintext if an error is raised. */
extern bool kms_finish_with_plaintext(KmsCall *call, KmsStatus status,
									  const KmsFault *fault,
									  KmsStatusTest is_answer,
									  KmsPlaintext *plaintext);

#endif							/* KMS_API_FINISH_H */
