/*
 * The log of failed attempts: a ring of failures, found by their subject.
 *
 * The log uses neither locks nor PostgreSQL.  It is in a mapping that all
 * processes share, and the caller allows one process at a time to change it.
 * The log is consistent at every instant: if a process is killed during an
 * addition, the log is as it was before.
 *
 * Times are in microseconds of a clock that never goes back.
 */
#ifndef KMS_SHMEM_ATTEMPTS_H
#define KMS_SHMEM_ATTEMPTS_H

#include <stddef.h>
#include <stdint.h>

#define KMS_ATTEMPT_SUBJECT_SIZE 16 /* bytes of a digest */

typedef struct KmsAttempts KmsAttempts; /* the header; slots follow it */

/*
 * Return the bytes of memory, aligned to 8, that a log of so many failures
 * takes.
 */
extern size_t kms_attempts_bytes(uint64_t entries);

/*
 * Initialize an empty log in zeroed memory.  Only the header is written, so
 * that memory which is never used is never allocated.  "entries" is at least
 * 2.
 */
extern void kms_attempts_format(KmsAttempts *log, uint64_t entries);

/*
 * Return the number of failures of a subject after now - window, but count
 * only to "limit" (at least 1).
 *
 * If the limit is reached, *free_at is the time at which the oldest counted
 * failure leaves the window; otherwise it is 0.  A failure leaves the window
 * when it is exactly "window" old.  Failures that the ring has overwritten are
 * not counted.
 */
extern int	kms_attempts_count(const KmsAttempts *log,
							   const unsigned char *subject, int64_t now,
							   int64_t window, int limit, int64_t *free_at);

/*
 * Add a failure of a subject.  It must not be older than the failures in the
 * log.
 */
extern void kms_attempts_add(KmsAttempts *log, const unsigned char *subject,
							 int64_t now);

#endif							/* KMS_SHMEM_ATTEMPTS_H */
