/*
 * Who generates a key next: kms.keygen_concurrency sessions at a time.
 */
#ifndef KMS_SHMEM_GENERATION_H
#define KMS_SHMEM_GENERATION_H

#include "datatype/timestamp.h"
#include "storage/condition_variable.h"
#include "storage/lwlock.h"

#define KMS_GENERATORS_MAX	1024	/* more poll for a place in the queue */
#define KMS_GENERATOR_ROLES	64	/* whose keys are counted */
#define KMS_GENERATION_LATE_MS	5000	/* a wait that kms_check() tells of */

/* A session that generates a key, or waits for its turn. */
typedef struct KmsGenerator
{
	int			pid;			/* 0: free */
	bool		running;		/* it is its turn */
	int			made;			/* keys that it began in the last minute */
	Oid			role;			/* of the session */
	uint64		arrival;
	ConditionVariable chosen;	/* signalled when its turn comes */
} KmsGenerator;

/* Keys that the sessions of a role began in this minute and the last. */
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
	TimestampTz late_at;		/* end of the last late wait; 0: none */
	int64		late_ms;		/* how long it was */
} KmsGeneration;

/* Initialize the queue, once after each start of the server or crash restart. */
extern void kms_generation_initialize(KmsGeneration *queue, int tranche);

/* Use this queue, in this process and its children. */
extern void kms_generation_attach(KmsGeneration *queue);

/*
 * Wait until this session may generate a key.  Of those that wait, the one
 * that began the fewest keys in the last minute goes first; then the one whose
 * role did; then the one that came first.  Can be cancelled, which raises.
 */
extern void kms_generation_enter(void);

/*
 * Let the next one in.  Must be called after each kms_generation_enter that
 * has returned, also if an error is raised; a process that ends does so by
 * itself.
 */
extern void kms_generation_leave(void);

/* When the last wait of over five seconds ended, and its length; else 0. */
extern TimestampTz kms_generation_late(int64 *late_ms);

#endif							/* KMS_SHMEM_GENERATION_H */
