/*
 * The one end of a SQL call: its event, and its error if it failed.
 */
#ifndef KMS_API_FINISH_H
#define KMS_API_FINISH_H

#include "keys/plaintext.h"

/* End the call, and raise the fault unless the status is KMS_OK. */
extern void kms_finish(KmsCall *call, KmsStatus status, const KmsFault *fault);

/*
 * The same where some statuses are an answer and no error: return whether the
 * status is KMS_OK.
 */
typedef bool (*KmsStatusTest) (KmsStatus status);

extern bool kms_finish_with_answer(KmsCall *call, KmsStatus status,
								   const KmsFault *fault,
								   KmsStatusTest is_answer);

/* The same; wipe the plaintext if the event cannot be recorded. */
extern bool kms_finish_with_plaintext(KmsCall *call, KmsStatus status,
									  const KmsFault *fault,
									  KmsStatusTest is_answer,
									  KmsPlaintext *plaintext);

#endif							/* KMS_API_FINISH_H */
