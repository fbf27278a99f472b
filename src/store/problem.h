/*
 * Keys with a high share of failed decrypts, according to the trail.
 *
 * A failed decrypt is a ciphertext of the right form that does not open
 * (KM001).  Malformed input, unknown keys and refusals by state do not count.
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
	int64		operations;		/* successful and failed decrypts */
	int64		failures;
	double		rate;			/* percent */
} KmsProblem;

/* The part of the trail that counts. */
typedef struct KmsProblemWindow
{
	TimestampTz since;
	TimestampTz now;			/* when keys must be active */
	TimestampTz upto;			/* later events are from the future */
} KmsProblemWindow;

/*
 * Return a list of KmsProblem, worst first.  "active_only" leaves out keys
 * that are not active.
 */
extern List *kms_problem_find(double threshold_percent, int64 min_operations,
							  const KmsProblemWindow *window,
							  bool active_only, int64 limit);

/*
 * Return whether a key of the device was deprecated as problematic in the day
 * before window->now, or later.
 */
extern bool kms_problem_recent(const char *device_id,
							   const KmsProblemWindow *window);

/*
 * Return whether successful decrypts of that time were left out of the trail
 * (kms.event_detail), so that failure rates are unknown.
 */
extern bool kms_problem_is_unknown(const KmsProblemWindow *window);

#endif							/* KMS_STORE_PROBLEM_H */
