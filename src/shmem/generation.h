/*
 * The queue of sessions that generate a key: kms.keygen_concurrency of them at
 * a time.
 */
#ifndef KMS_SHMEM_GENERATION_H
#define KMS_SHMEM_GENERATION_H

#include "datatype/timestamp.h"
#include "storage/condition_variable.h"
#include "storage/lwlock.h"

#define KMS_GENERATORS_MAX	1024	/* size of the queue; further sessions
									 * poll */
#define KMS_GENERATOR_ROLES	64	/* roles whose keys are counted */
#define KMS_GENERATION_LATE_MS	5000	/* kms_check() reports a longer wait */

/* A session that generates a key, or waits for its turn. */
typedef struct KmsGenerator
{
	int			pid;			/* 0 if the entry is free */
	bool		running;		/* it may generate now */
	int			made;			/* keys that it started in the last minute */
	Oid			role;			/* of the session */
	uint64		arrival;
	ConditionVariable chosen;	/* signalled when its turn comes */
} KmsGenerator;

/* The keys that sessions of a role started in this minute and in the last. */
typedef struct KmsGeneratorRole
{
	Oid			role;
	int64		minute;
	int			made;
	int			made_before;
} KmsGeneratorRole;

/* In shared memory; all under "lock". */
typedef struct KmsGeneration
{
	LWLock		lock;
	uint64		arrivals;
	KmsGenerator generators[KMS_GENERATORS_MAX];
	KmsGeneratorRole roles[KMS_GENERATOR_ROLES];
	TimestampTz late_at;		/* end of the last late wait; 0 if none */
	int64		late_ms;		/* duration of that wait */
} KmsGeneration;

/*
 * Initialize the queue.  Call once after each start or crash restart of the
 * server.
 */
extern void kms_generation_initialize(KmsGeneration *queue, int tranche);

/* Use this queue, in this process and its children. */
extern void kms_generation_attach(KmsGeneration *queue);

/*
 * Wait until this session may generate a key.  Of the waiting sessions, the
 * one that started the fewest keys in the last minute goes first; then the one
 * whose role started the fewest; then the one that came first.  A cancel
 * raises an error.
 */
extern void kms_generation_enter(void);

/*
 * The same without waiting: return false if it is not this session's turn at
 * once.
 */
extern bool kms_generation_try_enter(void);

/*
 * Let the next session in.  Call this after each of these that has let this
 * session in, also if an error is raised in between.  A process that exits
 * does this by itself.
 */
extern void kms_generation_leave(void);

/*
 * Return the time at which the last wait of over five seconds ended, and its
 * duration, or 0 if there was none.
 */
extern TimestampTz kms_generation_late(int64 *late_ms);

#endif							/* KMS_SHMEM_GENERATION_H */
