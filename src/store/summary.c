#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/hsearch.h"
#include "utils/rel.h"
#include "utils/timestamp.h"

#include "store/summary.h"

#include "pg/compat.h"
#include "store/link.h"

typedef struct TotalKey
{
	char		operation[KMS_SUMMARY_TEXT];
	char		status[KMS_SUMMARY_TEXT];
	char		reason[KMS_SUMMARY_TEXT];
} TotalKey;

/* Totals while they are added up. */
typedef struct Totals
{
	HTAB	   *table;
	KmsTotal   *last;			/* total to which the last row was added */
} Totals;

static void add_row(Totals *totals, HeapTuple tuple, TupleDesc desc,
					TimestampTz since, TimestampTz now);
static KmsTotal *find(Totals *totals, Datum operation, Datum status,
					  Datum reason);
static bool is_total(const KmsTotal *total, Datum operation, Datum status,
					 Datum reason);
static bool is_text(const char *name, Datum value);
static KmsTotal *enter(HTAB *table, Datum operation, Datum status, Datum reason);
static int	by_name(const ListCell *a, const ListCell *b);

List *
kms_summary_read(TimestampTz since)
{
	Relation	rel = kms_metric_open();
	HASHCTL		control = {0};
	HASH_SEQ_STATUS seq;
	Totals		totals = {NULL, NULL};
	ScanKeyData scan_key;
	SysScanDesc scan;
	TimestampTz minute = kms_metric_bucket(since, KMS_METRIC_MINUTE);
	TimestampTz now = GetCurrentTimestamp();
	HeapTuple	tuple;
	KmsTotal   *total;
	List	   *list = NIL;

	/* add_row has room for no more */
	if (RelationGetNumberOfAttributes(rel) > KMS_METRIC_COLUMNS)
		elog(ERROR, "kms.metric has more columns than this version");
	control.keysize = sizeof(TotalKey);
	control.entrysize = sizeof(KmsTotal);
	control.hcxt = CurrentMemoryContext;
	totals.table = hash_create("kms totals", 64, &control,
							   HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);

	ScanKeyInit(&scan_key, KMS_METRIC_BUCKET, BTGreaterEqualStrategyNumber,
				F_TIMESTAMPTZ_GE,
				TimestampTzGetDatum(kms_metric_bucket(since,
													  KMS_METRIC_HOUR)));
	scan = systable_beginscan(rel, kms_link_relation("metric_pkey"),
							  true, NULL, 1, &scan_key);
	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		CHECK_FOR_INTERRUPTS();
		add_row(&totals, tuple, RelationGetDescr(rel), minute, now);
	}
	systable_endscan(scan);
	table_close(rel, AccessShareLock);

	hash_seq_init(&seq, totals.table);
	while ((total = hash_seq_search(&seq)) != NULL)
		list = lappend(list, total);
	list_sort(list, by_name);
	return list;
}

/*
 * Add a row.  Skip minutes before the window begins, but not the hour that it
 * begins in.  Skip a row that begins later than now, because it was counted
 * while the clock was ahead.
 */
static void
add_row(Totals *totals, HeapTuple tuple, TupleDesc desc, TimestampTz since,
		TimestampTz now)
{
	Datum		values[KMS_METRIC_COLUMNS];
	bool		nulls[KMS_METRIC_COLUMNS];
	KmsTotal   *total;

	heap_deform_tuple(tuple, desc, values, nulls);
	if (DatumGetInt32(values[KMS_METRIC_WIDTH - 1]) == KMS_METRIC_MINUTE &&
		DatumGetTimestampTz(values[KMS_METRIC_BUCKET - 1]) < since)
		return;
	if (DatumGetTimestampTz(values[KMS_METRIC_BUCKET - 1]) > now)
		return;
	total = find(totals, values[KMS_METRIC_OPERATION - 1],
				 values[KMS_METRIC_STATUS - 1], values[KMS_METRIC_REASON - 1]);
	kms_metric_add_row(&total->metric, &values[KMS_METRIC_COUNT - 1]);
}

/*
 * Rows come minute by minute, and each minute has much the same totals in the
 * same order.  So try the total that followed last time before the hash table.
 */
static KmsTotal *
find(Totals *totals, Datum operation, Datum status, Datum reason)
{
	KmsTotal   *total = totals->last != NULL ? totals->last->follower : NULL;

	if (total == NULL || !is_total(total, operation, status, reason))
	{
		total = enter(totals->table, operation, status, reason);
		if (totals->last != NULL)
			totals->last->follower = total;
	}
	totals->last = total;
	return total;
}

static bool
is_total(const KmsTotal *total, Datum operation, Datum status, Datum reason)
{
	return is_text(total->operation, operation) &&
		is_text(total->status, status) && is_text(total->reason, reason);
}

static bool
is_text(const char *name, Datum value)
{
	struct varlena *other = DatumGetTextPP(value);
	size_t		len = VARSIZE_ANY_EXHDR(other);

	return len < KMS_SUMMARY_TEXT &&
		memcmp(name, VARDATA_ANY(other), len) == 0 && name[len] == '\0';
}

static KmsTotal *
enter(HTAB *table, Datum operation, Datum status, Datum reason)
{
	TotalKey	key;
	KmsTotal   *total;
	bool		found;

	memset(&key, 0, sizeof(key));
	text_to_cstring_buffer(DatumGetTextPP(operation), key.operation,
						   sizeof(key.operation));
	text_to_cstring_buffer(DatumGetTextPP(status), key.status,
						   sizeof(key.status));
	text_to_cstring_buffer(DatumGetTextPP(reason), key.reason,
						   sizeof(key.reason));
	total = hash_search(table, &key, HASH_ENTER, &found);
	if (!found)
	{
		total->follower = NULL;
		memset(&total->metric, 0, sizeof(total->metric));
		total->metric.operation = total->operation;
		total->metric.status = total->status;
		total->metric.reason = total->reason;
	}
	return total;
}

static int
by_name(const ListCell *a, const ListCell *b)
{
	const KmsTotal *x = lfirst(a);
	const KmsTotal *y = lfirst(b);
	int			order = strcmp(x->operation, y->operation);

	if (order == 0)
		order = strcmp(x->status, y->status);
	if (order == 0)
		order = strcmp(x->reason, y->reason);
	return order;
}
