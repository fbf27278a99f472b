#include "postgres.h"

#include "access/xact.h"
#include "utils/inval.h"

#include "keys/field_stamp.h"

#include "pg/catalog.h"

#define FRESH_MS	1000.0

/* changes of field keys that this session has heard of, or made and undone */
static uint64 changes = 1;
static Oid	watched = InvalidOid;	/* kms.field_key */

static void note_change(Datum arg, Oid relid);
static void note_abort(XactEvent event, void *arg);
static void note_abort_sub(SubXactEvent event, SubTransactionId subid,
						   SubTransactionId parent, void *arg);

void
kms_field_stamp_install(void)
{
	RegisterXactCallback(note_abort, NULL);
	RegisterSubXactCallback(note_abort_sub, NULL);
}

uint64
kms_field_stamp_heard(void)
{
	static bool registered = false;

	watched = kms_catalog()->field_key;
	if (!registered)
		CacheRegisterRelcacheCallback(note_change, (Datum) 0);
	registered = true;
	return changes;
}

bool
kms_field_stamp_is_fresh(const KmsFieldStamp *stamp, instr_time now)
{
	if (stamp->heard != changes ||
		stamp->statement != GetCurrentStatementStartTimestamp())
		return false;
	INSTR_TIME_SUBTRACT(now, stamp->at);
	return INSTR_TIME_GET_MILLISEC(now) < FRESH_MS;
}

void
kms_field_stamp_set(KmsFieldStamp *stamp, uint64 heard, instr_time now)
{
	stamp->heard = heard;
	stamp->statement = GetCurrentStatementStartTimestamp();
	stamp->at = now;
}

static void
note_change(Datum arg, Oid relid)
{
	if (!OidIsValid(relid) || relid == watched)
		changes++;
}

/* Rows that a transaction made and undid must not stay in the cache. */
static void
note_abort(XactEvent event, void *arg)
{
	if (event == XACT_EVENT_ABORT || event == XACT_EVENT_PARALLEL_ABORT)
		changes++;
}

static void
note_abort_sub(SubXactEvent event, SubTransactionId subid,
			   SubTransactionId parent, void *arg)
{
	if (event == SUBXACT_EVENT_ABORT_SUB)
		changes++;
}
