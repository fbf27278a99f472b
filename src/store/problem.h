/*
 * Keys whose share of failed decrypts is high, from the trail.
 *
 * Only decryption failures proper count (KM001): a ciphertext of the right
 * form that does not open.  Malformed input, unknown keys and states do not.
 */
#ifndef KMS_STORE_PROBLEM_H
#define KMS_STORE_PROBLEM_H

#include "crypto/key_id.h"
#include "datatype/timestamp.h"
#include "nodes/pg_list.h"

#define KMS_PROBLEM_REASON "Problematic"

typedef struct KmsProblem
{
	char		key_id[KMS_KEY_ID_MAX + 1];
	char		device_id[KMS_DEVICE_ID_MAX + 1];
	int64		operations;		/* decrypts that opened or did not */
	int64		failures;
	double		rate;			/* percent */
} KmsProblem;

/* What of the trail counts. */
typedef struct KmsProblemWindow
{
	TimestampTz since;
	TimestampTz now;			/* keys are active at */
	TimestampTz upto;			/* what is later is from the future */
} KmsProblemWindow;

/* A list of KmsProblem, worst first.  "active_only": keys that are active. */
extern List *kms_problem_find(double threshold_percent, int64 min_operations,
							  const KmsProblemWindow *window,
							  bool active_only, int64 limit);

/*
 * Whether a key of the device was deprecated as problematic in the day before
 * window->now or since.
 */
extern bool kms_problem_recent(const char *device_id,
							   const KmsProblemWindow *window);

/*
 * Whether successful decrypts of that time were left out of the trail
 * (kms.event_detail), so that rates of failure are not known.
 */
extern bool kms_problem_is_unknown(const KmsProblemWindow *window);

#endif							/* KMS_STORE_PROBLEM_H */
