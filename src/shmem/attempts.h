/*
 * The log of failed attempts: a ring of failures, found by their subject.
 *
 * It knows neither locks nor PostgreSQL; the memory is a mapping that all
 * processes share, and the caller lets one process at a time into it.  It is
 * whole at every instant: a process that is killed within an addition leaves
 * the log as it was before.
 *
 * Times are microseconds of a clock that never goes back.
 */
#ifndef KMS_SHMEM_ATTEMPTS_H
#define KMS_SHMEM_ATTEMPTS_H

#include <stddef.h>
#include <stdint.h>

#define KMS_ATTEMPT_SUBJECT_SIZE 16 /* bytes of a digest */

typedef struct KmsAttempts KmsAttempts; /* the header; the rest follows it */

/* Bytes of memory, aligned to 8, that a log of so many failures takes. */
extern size_t kms_attempts_bytes(uint64_t entries);

/*
 * Begin an empty log in zeroed memory.  Writes the header only, so what is
 * never used is never touched.  "entries" is at least 2.
 */
extern void kms_attempts_format(KmsAttempts *log, uint64_t entries);

/*
 * How many failures of a subject there are after now - window, counted up to
 * "limit" (at least 1).  If it is reached, *free_at is when the oldest of
 * those counted leaves the window, else 0.  A failure has left it when it is
 * exactly "window" old.  What the ring has overwritten is not counted.
 */
extern int	kms_attempts_count(const KmsAttempts *log,
							   const unsigned char *subject, int64_t now,
							   int64_t window, int limit, int64_t *free_at);

/* Add a failure of a subject, not older than those that are there. */
extern void kms_attempts_add(KmsAttempts *log, const unsigned char *subject,
							 int64_t now);

#endif							/* KMS_SHMEM_ATTEMPTS_H */
