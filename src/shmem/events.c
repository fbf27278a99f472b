#include "postgres.h"

#include "access/xlog.h"
#include "miscadmin.h"

#include "shmem/events.h"

#include "pg/compat.h"
#include "pg/fault.h"
#include "shmem/session_ring.h"

#define DEBT_FREE		16		/* events of a session before it has to wait */

static KmsDatabase *claimed_in = NULL;	/* NULL if the session has no claims */
static Oid	claimed_oid = InvalidOid;
static uint64 debt = 0;			/* events pushed since it was half full */

static KmsPush push_into_ring(KmsDatabase *database, const KmsEvent *event,
							  KmsEventClass class, KmsReceipt *receipt);
static bool is_half_full(KmsRing *ring);
static void record_on_standby(const KmsEvent *event);
static int	describe_on_standby(const KmsEvent *event);

void
kms_events_push(const KmsEvent *event, KmsEventClass class)
{
	KmsReceipt	receipt;
	KmsPush		pushed;

	if (kms_shared == NULL)
		return;
	kms_events_count(event, kms_status_is_success((KmsStatus) event->status));
	if (RecoveryInProgress())
	{
		record_on_standby(event);
		return;
	}
	pushed = kms_events_try(event, class, &receipt);
	if (pushed != KMS_PUSH_DONE)
		kms_events_give_up(event, pushed);
}

void
kms_events_count(const KmsEvent *event, bool succeeded)
{
	KmsDatabase *database = kms_shared_database();

	if (database != NULL)
		kms_counters_call(&database->counters, event->operation, succeeded,
						  event->calls, event->duration_us);
}

KmsPush
kms_events_try(const KmsEvent *event, KmsEventClass class,
			   KmsReceipt *receipt)
{
	KmsDatabase *database;
	KmsPush		result = KMS_PUSH_NO_RING;

	HOLD_INTERRUPTS();
	database = kms_shared_database();
	if (database != NULL)
		result = push_into_ring(database, event, class, receipt);
	RESUME_INTERRUPTS();
	return result;
}

void
kms_events_give_up(const KmsEvent *event, KmsPush pushed)
{
	KmsDatabase *database = kms_shared_database();
	KmsRing    *ring = kms_session_ring_get();

	if (ring != NULL && pushed == KMS_PUSH_CROWDED &&
		kms_ring_count(ring, event))
		kms_shared_count(KMS_COUNT_COUNTED_ONLY, 1);
	else if (ring != NULL)
	{
		kms_ring_drop(ring, event);
		kms_shared_count(KMS_COUNT_DROPPED, 1);
	}
	else
	{
		kms_shared_count(KMS_COUNT_WITHOUT_RING, 1);
		pg_atomic_fetch_add_u64(&kms_shared->unrecorded, 1);
		if (database != NULL)
			pg_atomic_fetch_add_u64(&database->unrecorded, event->calls);
	}
}

/* Without a ring there is nothing to wait for, so return true. */
bool
kms_events_claim(void)
{
	KmsDatabase *database = kms_shared_database();
	KmsRing    *ring = kms_session_ring_get();
	KmsRingCounters counters;
	uint32		claims;

	if (database == NULL)
		return true;
	claimed_in = database;
	claimed_oid = MyDatabaseId;
	claims = pg_atomic_fetch_add_u32(&database->ring_claims, 1) + 1;
	if (ring == NULL)
		return true;
	kms_ring_counters(ring, &counters);
	if (counters.head - counters.tail + claims <= counters.slots)
		return true;
	kms_events_release_claim();
	return false;
}

/*
 * The launcher may have freed the slot of the database in the meantime and
 * given it to another database; then the claim is gone.  The count never goes
 * below zero, because that would leave no room for any session.
 */
void
kms_events_release_claim(void)
{
	uint32		claims;

	if (claimed_in == NULL || claimed_in->oid != claimed_oid)
		return;
	claims = pg_atomic_read_u32(&claimed_in->ring_claims);
	while (claims > 0 &&
		   !pg_atomic_compare_exchange_u32(&claimed_in->ring_claims, &claims,
										   claims - 1))
		;
}

bool
kms_events_claims_crowd(void)
{
	KmsDatabase *database = kms_shared_database();
	KmsRing    *ring = kms_session_ring_get();
	KmsRingCounters counters;

	if (database == NULL || ring == NULL)
		return false;
	kms_ring_counters(ring, &counters);
	return pg_atomic_read_u32(&database->ring_claims) > counters.slots / 4;
}

bool
kms_events_in_debt(void)
{
	KmsRing    *ring = kms_session_ring_get();

	if (debt <= DEBT_FREE || ring == NULL)
		return false;
	if (is_half_full(ring))
		return true;
	debt = 0;
	return false;
}

KmsFate
kms_events_fate(const KmsReceipt *receipt)
{
	KmsDatabase *database = kms_shared_database();

	if (database == NULL || kms_session_ring_generation() != receipt->generation ||
		!kms_session_ring_is_current(database))
		return KMS_FATE_UNKNOWN;
	return kms_ring_released(kms_session_ring_get(), receipt->position) ? KMS_FATE_DURABLE
		: KMS_FATE_PENDING;
}

/* Must hold interrupts. */
static KmsPush
push_into_ring(KmsDatabase *database, const KmsEvent *event,
			   KmsEventClass class, KmsReceipt *receipt)
{
	KmsRing    *ring;
	KmsRingPush pushed;
	bool		crowded;

	if (!kms_session_ring_map(database))
		return KMS_PUSH_NO_RING;

	ring = kms_session_ring_get();
	receipt->generation = kms_session_ring_generation();
	pushed = kms_ring_push(ring, event, class,
						   pg_atomic_read_u32(&database->ring_claims),
						   &receipt->position);
	crowded = is_half_full(ring);
	debt = crowded ? debt + 1 : 0;

	/*
	 * Pairs with the barrier of a writer that leaves: either it sees the
	 * event, or we see that it has gone.
	 */
	pg_memory_barrier();
	if (*(volatile int *) &database->worker[KMS_WRITER].pid == 0)
		kms_shared_request(database, KMS_WRITER);
	else if (crowded)
		(void) kms_shared_wake(database, KMS_WRITER);
	switch (pushed)
	{
		case KMS_RING_CROWDED:
			return KMS_PUSH_CROWDED;
		case KMS_RING_FULL:
			return KMS_PUSH_FULL;
		default:
			kms_counters_add(&database->counters, KMS_COUNT_RECORDED, 1);
			return KMS_PUSH_DONE;
	}
}

/*
 * Return true if the ring is at least half full.  From then on, events of
 * refused calls are only counted.
 */
static bool
is_half_full(KmsRing *ring)
{
	KmsRingCounters counters;

	kms_ring_counters(ring, &counters);
	return counters.head - counters.tail >= counters.slots / 2;
}

static void
record_on_standby(const KmsEvent *event)
{
	if (kms_status_is_success((KmsStatus) event->status))
	{
		pg_atomic_fetch_add_u64(&kms_shared->standby_successes, event->calls);
		kms_shared_count(KMS_COUNT_STANDBY_SUCCESSES, event->calls);
		return;
	}
	pg_atomic_fetch_add_u64(&kms_shared->standby_failures, event->calls);
	kms_shared_count(KMS_COUNT_STANDBY_FAILURES, event->calls);
	ereport(LOG,
			(errmsg("kms: %s failed on a standby: %s",
					kms_event_operation_name(event->operation),
					kms_status_reason((KmsStatus) event->status)),
			 describe_on_standby(event),
			 KMS_HIDE_STATEMENT));
}

/* Allocates nothing, because callbacks of memory contexts use it. */
static int
describe_on_standby(const KmsEvent *event)
{
	char		calls[40] = "";

	if (event->calls > 1)
		snprintf(calls, sizeof(calls), "Calls: " INT64_FORMAT ".",
				 event->calls);
	if (event->key_id[0] != '\0')
		return errdetail_log("Key \"%s\".%s%s", event->key_id,
							 calls[0] == '\0' ? "" : "  ", calls);
	return calls[0] == '\0' ? 0 : errdetail_log("%s", calls);
}
