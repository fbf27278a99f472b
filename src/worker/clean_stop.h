/*
 * Clean stop: a process that has work to finish does not end at SIGTERM.
 *
 * The signal is only noted, and the process looks at it between two rounds.
 * So no step of the process may take long without a look, unless it calls
 * kms_clean_stop_allow before that step and kms_clean_stop_defer after it.
 */
#ifndef KMS_WORKER_CLEAN_STOP_H
#define KMS_WORKER_CLEAN_STOP_H

#include "pg/compat.h"

#define KMS_CLEAN_STOP_MOST_MS	10000	/* for a process to finish its work */
#define KMS_CLEAN_STOP_POLL_MS	5

/* From now on, only note SIGTERM. */
extern void kms_clean_stop_defer(void);

/*
 * From now on, end the process at SIGTERM; end it now if the signal was noted.
 */
extern void kms_clean_stop_allow(void);

/* Return true if SIGTERM was noted. */
extern bool kms_clean_stop_requested(void);

/*
 * Return true if the server is being stopped, fast or smart; false if only
 * this process is to end.
 */
extern bool kms_clean_stop_of_server(void);

/*
 * Return how many processes of the database (InvalidOid: of any database) may
 * still record events: sessions, and background workers that are not kms
 * workers.
 */
extern int	kms_clean_stop_count_others(Oid database_oid);

/* End the process as SIGTERM does by default (die).  Does not return. */
pg_noreturn extern void kms_clean_stop_end(void);

#endif							/* KMS_WORKER_CLEAN_STOP_H */
