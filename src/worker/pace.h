/*
 * The pace of a thread that computes in the background: it rests while others
 * want the processor.
 *
 * A low priority alone does not keep the thread out of the way, because a
 * process that wakes can have to wait until the running one's slice ends.  So
 * the thread measures how long it waited for the processor itself
 * (/proc/thread-self/schedstat), and rests the longer the more it waited.
 * docs/design/decisions.md gives the reasons.
 *
 * This file includes nothing of PostgreSQL, because its functions run in a
 * thread.
 */
#ifndef KMS_WORKER_PACE_H
#define KMS_WORKER_PACE_H

#include <stdbool.h>
#include <stdint.h>

/* Nanoseconds; what the kernel counted for a thread since it began. */
typedef struct KmsPaceUse
{
	uint64_t	ran;			/* on a processor */
	uint64_t	waited;			/* for one, though ready to run */
} KmsPaceUse;

typedef struct KmsPace
{
	int			file;			/* the thread's schedstat, or -1 */
	KmsPaceUse	last;			/* when the last step ended */
	double		waited;			/* part of the time, over the last steps */
} KmsPace;

/* Call it in the thread itself.  Without schedstat, the thread never rests. */
extern void kms_pace_begin(KmsPace *pace);

/*
 * To be called after every fraction of a millisecond of work: rest if that is
 * due.  The rest ends early if "stop" becomes true.
 */
extern void kms_pace_step(KmsPace *pace, const bool *stop);

extern void kms_pace_end(KmsPace *pace);

/*
 * Judge a step by what the thread used since the last one, and return the
 * nanoseconds to rest now.
 */
extern uint64_t kms_pace_judge(KmsPace *pace, const KmsPaceUse *use);

#endif							/* KMS_WORKER_PACE_H */
