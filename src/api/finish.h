/*
 * The one place that ends a SQL call: it records the event, and raises the
 * error if the call failed.
 */
#ifndef KMS_API_FINISH_H
#define KMS_API_FINISH_H

#include "keys/field_call.h"
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

/*
 * End a call of a field function.  Return true if the status is a success;
 * raise the fault unless it is an answer.  If an error is raised, wipe the
 * data of "secret", unless that is NULL.
 */
extern bool kms_finish_field(KmsFieldCall *call, KmsStatus status,
							 const KmsFault *fault, KmsStatusTest is_answer,
							 struct varlena *secret);

/*
 * End the two calls of a function that decrypts what a device has sent for a
 * field.  "of_field" says which of them has failed.
 */
extern void kms_finish_sent(KmsFieldCall *call, KmsCall *decrypt,
							KmsStatus status, bool of_field,
							const KmsFault *fault);

#endif							/* KMS_API_FINISH_H */
