/*
 * The waits of kms, as pg_stat_activity.wait_event shows them.
 *
 * PostgreSQL 17 and later show a name of our own for each.  Before, all are
 * "Extension".
 */
#ifndef KMS_PG_WAIT_EVENT_H
#define KMS_PG_WAIT_EVENT_H

typedef enum KmsWaitEvent
{
	/* of a session */
	KMS_WAIT_DURABLE,			/* for its event to be durable */
	KMS_WAIT_ROOM,				/* for room in the ring */
	KMS_WAIT_FLUSH,				/* for all events to be written */
	KMS_WAIT_MASTER_KEY,		/* for the first reading of the master key */
	KMS_WAIT_GENERATION,		/* for its turn to generate a key */
	KMS_WAIT_PEPPER,			/* for maintenance to make a pepper */
	KMS_WAIT_ACCEPTANCE,		/* for the writer to write the accepted gap */
	KMS_WAIT_WORKERS,			/* for workers to leave a database that is
								 * dropped, copied, renamed or moved */
	/* of a worker */
	KMS_WAIT_LAUNCHER_IDLE,
	KMS_WAIT_WRITER_IDLE,
	KMS_WAIT_WRITER_PAUSE,		/* after an error */
	KMS_WAIT_WRITER_STANDBY,	/* for a synchronous standby */
	KMS_WAIT_WRITER_STOP,		/* for the last sessions, at a stop */
	KMS_WAIT_RESERVED_IDLE,		/* for a database that needs a writer */
	KMS_WAIT_KEYGEN				/* for the search for primes, which rests
								 * while the machine is busy */
} KmsWaitEvent;

#define KMS_WAIT_EVENTS (KMS_WAIT_KEYGEN + 1)

/* Name the waits.  Called when shared memory is made, in the postmaster. */
extern void kms_wait_event_name_all(void);

/* Return what to pass to WaitLatch and its like. */
extern uint32 kms_wait_event(KmsWaitEvent event);

#endif							/* KMS_PG_WAIT_EVENT_H */
