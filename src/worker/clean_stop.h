/*
 * The orderly end of a process that has something to finish.
 *
 * SIGTERM is noted only, and looked at between two rounds.  So nothing of the
 * process may take long without looking, or it must have let go of this for as
 * long as it does.
 */
#ifndef KMS_WORKER_CLEAN_STOP_H
#define KMS_WORKER_CLEAN_STOP_H

#include "pg/compat.h"

#define KMS_CLEAN_STOP_MOST_MS	10000	/* that a process may take to finish */
#define KMS_CLEAN_STOP_POLL_MS	5

/* From here on SIGTERM is noted. */
extern void kms_clean_stop_defer(void);

/* From here on it ends the process, which it does at once if it has come. */
extern void kms_clean_stop_allow(void);

/* Whether it has come. */
extern bool kms_clean_stop_requested(void);

/*
 * Whether the server is being stopped, fast or smart; else somebody wants this
 * process to end.
 */
extern bool kms_clean_stop_of_server(void);

/*
 * How many processes of this database (InvalidOid: of any) may still record
 * something: sessions and background workers of others.
 */
extern int	kms_clean_stop_count_others(Oid database_oid);

/* End as if SIGTERM had never been noted only. */
pg_noreturn extern void kms_clean_stop_end(void);

#endif							/* KMS_WORKER_CLEAN_STOP_H */
