#include "postgres.h"

#include "catalog/namespace.h"
#include "catalog/pg_type.h"
#include "mb/pg_wchar.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/timestamp.h"

#include "store/link.h"

#include "pg/compat.h"
#include "pg/fault.h"
#include "store/scan.h"

/* Longer ones are not ours; the chain takes none of this size anyhow. */
#define TEXT_MAX 4096			/* bytes */

static const Oid event_types[KMS_EVENT_COLUMNS] = {
	INT8OID, INT8OID, TIMESTAMPTZOID, TEXTOID, TEXTOID, TEXTOID, FLOAT8OID,
	TEXTOID, TEXTOID, TEXTOID, TEXTOID, TEXTOID, TEXTOID, TEXTOID, TEXTOID,
	BYTEAOID, BYTEAOID, BYTEAOID, TEXTOID, INT8OID, TEXTOID
};

static const Oid aside_types[KMS_ASIDE_COLUMNS] = {
	INT8OID, INT8OID, TIMESTAMPTZOID, TEXTOID, BYTEAOID, BYTEAOID, BYTEAOID,
	BYTEAOID
};

static KmsChainField text_field(Datum value, bool isnull);
static KmsChainField bytes_field(Datum value, bool isnull);
static KmsChainField to_utf8(KmsChainField field);

void
kms_link_event(const Datum *values, const bool *isnull, KmsChainEvent *event)
{
#define TEXT_FIELD(column) text_field(values[column], isnull[column])
	event->epoch = DatumGetInt64(values[KMS_EVENT_EPOCH]);
	event->ticket = DatumGetInt64(values[KMS_EVENT_TICKET]);
	event->occurred_at =
		DatumGetTimestampTz(values[KMS_EVENT_OCCURRED_AT]);
	event->operation = TEXT_FIELD(KMS_EVENT_OPERATION);
	event->status = TEXT_FIELD(KMS_EVENT_STATUS);
	event->reason = TEXT_FIELD(KMS_EVENT_REASON);
	event->has_duration = !isnull[KMS_EVENT_DURATION_MS];
	event->duration_ms = event->has_duration ?
		DatumGetFloat8(values[KMS_EVENT_DURATION_MS]) : 0;
	event->key_id = TEXT_FIELD(KMS_EVENT_KEY_ID);
	event->device_id = TEXT_FIELD(KMS_EVENT_DEVICE_ID);
	event->calls = isnull[KMS_EVENT_CALLS] ? 0 :
		DatumGetInt64(values[KMS_EVENT_CALLS]);
	event->session_role = TEXT_FIELD(KMS_EVENT_SESSION_ROLE);
	event->caller_role = TEXT_FIELD(KMS_EVENT_CALLER_ROLE);
	event->effective_role = TEXT_FIELD(KMS_EVENT_EFFECTIVE_ROLE);
	event->client_addr = TEXT_FIELD(KMS_EVENT_CLIENT_ADDR);
	event->application_name = TEXT_FIELD(KMS_EVENT_APPLICATION_NAME);
	event->context = TEXT_FIELD(KMS_EVENT_CONTEXT);
	event->audit_context = TEXT_FIELD(KMS_EVENT_AUDIT_CONTEXT);
	event->form = TEXT_FIELD(KMS_EVENT_FORM);
#undef TEXT_FIELD
}

void
kms_link_aside(const Datum *values, const bool *isnull, KmsChainAside *aside)
{
	aside->epoch = DatumGetInt64(values[KMS_ASIDE_EPOCH]);
	aside->ticket = DatumGetInt64(values[KMS_ASIDE_TICKET]);
	aside->set_aside_at =
		DatumGetTimestampTz(values[KMS_ASIDE_SET_ASIDE_AT]);
	aside->error = text_field(values[KMS_ASIDE_ERROR],
							  isnull[KMS_ASIDE_ERROR]);
	aside->event = bytes_field(values[KMS_ASIDE_EVENT],
							   isnull[KMS_ASIDE_EVENT]);
}

void
kms_link_check(TupleDesc desc, bool is_aside)
{
	if (is_aside)
		kms_link_columns(desc, "event_quarantine", aside_types,
						 lengthof(aside_types));
	else
		kms_link_columns(desc, "event", event_types, lengthof(event_types));
}

void
kms_link_columns(TupleDesc desc, const char *table, const Oid *types, int count)
{
	bool		good = desc->natts >= count;
	int			i;

	/* a column that was dropped has none */
	for (i = 0; good && i < count; i++)
		good = TupleDescAttr(desc, i)->atttypid == types[i];
	if (!good)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("the columns of kms.%s were changed", table),
				 KMS_HIDE_STATEMENT));
}

void
kms_link_write_hash(const unsigned char *hash, unsigned char *stored)
{
	stored[0] = KMS_CHAIN_FORMAT;
	memcpy(stored + 1, hash, KMS_CHAIN_SIZE);
}

bool
kms_link_read_hash(Datum value, bool isnull, unsigned char *hash)
{
	unsigned char stored[KMS_CHAIN_STORED_SIZE];

	if (kms_scan_bytes(value, isnull, stored,
					   sizeof(stored)) != sizeof(stored) ||
		stored[0] != KMS_CHAIN_FORMAT)
	{
		memset(hash, 0, KMS_CHAIN_SIZE);
		return false;
	}
	memcpy(hash, stored + 1, KMS_CHAIN_SIZE);
	return true;
}

Oid
kms_link_relation(const char *name)
{
	Oid			relid = get_relname_relid(name, get_namespace_oid("kms", false));

	if (!OidIsValid(relid))
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_TABLE),
				 errmsg("kms.%s does not exist", name),
				 KMS_HIDE_STATEMENT));
	return relid;
}

static KmsChainField
text_field(Datum value, bool isnull)
{
	KmsChainField field = bytes_field(value, isnull);
	int			encoding = GetDatabaseEncoding();
	size_t		i;

	if (encoding == PG_UTF8 || encoding == PG_SQL_ASCII)
		return field;
	for (i = 0; i < field.len; i++)
	{
		if (IS_HIGHBIT_SET(field.data[i]))
			return to_utf8(field);
	}
	return field;
}

static KmsChainField
bytes_field(Datum value, bool isnull)
{
	KmsChainField field = {NULL, 0};

	if (!isnull)
	{
		struct varlena *detoasted = PG_DETOAST_DATUM_PACKED(value);

		field.data = VARDATA_ANY(detoasted);
		field.len = VARSIZE_ANY_EXHDR(detoasted);
	}
	return field;
}

/* PostgreSQL's own conversion errors would end the call. */
static KmsChainField
to_utf8(KmsChainField field)
{
	int			encoding = GetDatabaseEncoding();
	Oid			conversion = FindDefaultConversionProc(encoding, PG_UTF8);
	int			size = TEXT_MAX * MAX_CONVERSION_GROWTH + 1;
	KmsChainField result;
	unsigned char *buffer;

	if (field.len > TEXT_MAX || !OidIsValid(conversion))
		return field;
	buffer = palloc(size);
	if (pg_do_encoding_conversion_buf(conversion, encoding, PG_UTF8,
									  (unsigned char *) unconstify(char *, field.data),
									  (int) field.len, buffer, size,
									  true) != (int) field.len)
		return field;
	result.data = (char *) buffer;
	result.len = strlen((char *) buffer);
	return result;
}
