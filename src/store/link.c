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

/* Longer texts are not ours.  The chain would not accept them anyway. */
#define TEXT_MAX 4096			/* bytes */

/* Columns of kms.event that are not fields of an event. */
#define OTHER_COLUMNS 5

static const Oid quarantine_types[KMS_QUARANTINE_COLUMNS] = {
	INT8OID, INT8OID, TIMESTAMPTZOID, TEXTOID, BYTEAOID, BYTEAOID, BYTEAOID,
	BYTEAOID
};

static Datum text_value(const char *text);
static void copy_text(char *out, size_t size, Datum value);
static void require(KmsStatus status);
static const Oid *event_types(void);
static KmsChainField text_field(Datum value, bool isnull);
static KmsChainField bytes_field(Datum value, bool isnull);
static KmsChainField to_utf8(KmsChainField field);

Oid
kms_link_type(const KmsEventField *field)
{
	switch (field->kind)
	{
		case KMS_FIELD_TIME:
			return TIMESTAMPTZOID;
		case KMS_FIELD_NUMBER:
			return INT8OID;
		case KMS_FIELD_DURATION:
			return FLOAT8OID;
		default:
			return TEXTOID;
	}
}

Datum
kms_link_value(const KmsEvent *event, const KmsEventField *field, bool *isnull)
{
	const char *text;
	int64		number;

	*isnull = false;
	switch (field->kind)
	{
		case KMS_FIELD_TIME:
			number = kms_event_number(event, field);
			return TimestampTzGetDatum(IS_VALID_TIMESTAMP(number) ? number
									   : GetCurrentTimestamp());
		case KMS_FIELD_NUMBER:
			return Int64GetDatum(kms_event_number(event, field));
		case KMS_FIELD_DURATION:
			number = kms_event_number(event, field);
			*isnull = number < 0;
			return Float8GetDatum(number / 1000.0);
		default:
			text = kms_event_text(event, field);
			*isnull = text == NULL;

			return *isnull ? (Datum) 0 : text_value(text);
	}
}

void
kms_link_read_value(KmsEvent *event, const KmsEventField *field, Datum value,
					bool isnull)
{
	char	   *member = (char *) event + field->offset;
	int64		number = 0;

	switch (field->kind)
	{
		case KMS_FIELD_TIME:
		case KMS_FIELD_NUMBER:
			if (!isnull)
				number = DatumGetInt64(value);
			memcpy(member, &number, sizeof(number));
			break;
		case KMS_FIELD_DURATION:
			number = isnull ? -1 : (int64) (DatumGetFloat8(value) * 1000.0 + 0.5);
			memcpy(member, &number, sizeof(number));
			break;
		case KMS_FIELD_TEXT:
			memset(member, 0, field->size);
			if (!isnull)
				copy_text(member, field->size, value);
			break;
		case KMS_FIELD_OPERATION:
			event->operation = isnull ? 0 :
				kms_event_operation_number(TextDatumGetCString(value));
			break;
		case KMS_FIELD_STATUS:
		case KMS_FIELD_REASON:
			break;				/* several numbers may have the same name */
	}
}

void
kms_link_event(const Datum *values, const bool *isnull, KmsChainEvent *event)
{
	int			i;

	event->epoch = DatumGetInt64(values[KMS_EVENT_EPOCH]);
	event->ticket = DatumGetInt64(values[KMS_EVENT_TICKET]);
	event->count = kms_event_field_count;
	for (i = 0; i < kms_event_field_count; i++)
	{
		const KmsEventField *field = &kms_event_fields[i];
		Datum		value = values[field->column];
		bool		absent = isnull[field->column];
		KmsChainValue *chained = &event->values[i];

		memset(chained, 0, sizeof(*chained));
		chained->cover = field->cover;
		switch (field->kind)
		{
			case KMS_FIELD_TIME:
			case KMS_FIELD_NUMBER:
				chained->kind = KMS_CHAIN_NUMBER;
				chained->number = absent ? 0 : DatumGetInt64(value);
				break;
			case KMS_FIELD_DURATION:
				chained->kind = KMS_CHAIN_DOUBLE;
				chained->has_real = !absent;
				chained->real = absent ? 0 : DatumGetFloat8(value);
				break;
			default:
				chained->kind = KMS_CHAIN_TEXT;
				chained->text = text_field(value, absent);
				break;
		}
	}
}

const KmsChainField *
kms_link_text(const KmsChainEvent *event, size_t member)
{
	return &event->values[kms_event_field_at(member)].text;
}

void
kms_link_quarantine(const Datum *values, const bool *isnull, KmsChainQuarantine *quarantined)
{
	quarantined->epoch = DatumGetInt64(values[KMS_QUARANTINE_EPOCH]);
	quarantined->ticket = DatumGetInt64(values[KMS_QUARANTINE_TICKET]);
	quarantined->quarantined_at =
		DatumGetTimestampTz(values[KMS_QUARANTINE_AT]);
	quarantined->error = text_field(values[KMS_QUARANTINE_ERROR],
									isnull[KMS_QUARANTINE_ERROR]);
	quarantined->event = bytes_field(values[KMS_QUARANTINE_EVENT],
									 isnull[KMS_QUARANTINE_EVENT]);
}

void
kms_link_make_salts(unsigned char *salts, int count)
{
	if (!pg_strong_random(salts, count * KMS_CHAIN_SALT_SIZE))
		ereport(ERROR,
				(errcode(ERRCODE_INTERNAL_ERROR),
				 errmsg("could not generate random salts for the trail"),
				 KMS_HIDE_STATEMENT));
}

void
kms_link_chain_event(const KmsChainEvent *event, const unsigned char *salt,
					 unsigned char *hash)
{
	unsigned char commitment[KMS_CHAIN_SIZE];

	require(kms_chain_commit_event(event, salt, commitment));
	require(kms_chain_event(hash, event, commitment, hash));
}

void
kms_link_chain_quarantine(const KmsChainQuarantine *quarantined, const unsigned char *salt,
						  unsigned char *hash)
{
	unsigned char commitment[KMS_CHAIN_SIZE];

	require(kms_chain_commit_quarantine(quarantined, salt, commitment));
	require(kms_chain_quarantine(hash, quarantined, commitment, hash));
}

void
kms_link_check(TupleDesc desc, bool is_quarantined)
{
	if (is_quarantined)
		kms_link_columns(desc, "event_quarantine", quarantine_types,
						 lengthof(quarantine_types));
	else
		kms_link_columns(desc, "event", event_types(),
						 kms_event_field_count + OTHER_COLUMNS);
}

void
kms_link_columns(TupleDesc desc, const char *table, const Oid *types, int count)
{
	bool		good = desc->natts >= count;
	int			i;

	/* a column that was dropped has no type */
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

/*
 * Bytes of a ring file may be anything, so replace those that are not valid.
 */
static Datum
text_value(const char *text)
{
	int			len = (int) strlen(text);
	struct varlena *value = cstring_to_text_with_len(text, len);

	if (!pg_verifymbstr(text, len, true))
	{
		char	   *p = VARDATA(value);
		int			i;

		for (i = 0; i < len; i++)
		{
			if (IS_HIGHBIT_SET(p[i]))
				p[i] = '?';
		}
	}
	return PointerGetDatum(value);
}

static void
copy_text(char *out, size_t size, Datum value)
{
	char	   *string = TextDatumGetCString(value);
	int			len = (int) strlen(string);

	if (len >= (int) size)
		len = pg_mbcliplen(string, len, (int) size - 1);
	memcpy(out, string, len);
	out[len] = '\0';
	pfree(string);
}

static void
require(KmsStatus status)
{
	if (status != KMS_OK)
		ereport(ERROR,
				(errcode(ERRCODE_INTERNAL_ERROR),
				 errmsg("could not chain an event of the trail"),
				 KMS_HIDE_STATEMENT));
}

/* Return the types by column; they are collected once. */
static const Oid *
event_types(void)
{
	static Oid	types[KMS_CHAIN_VALUES_MAX + OTHER_COLUMNS];
	int			i;

	if (types[KMS_EVENT_EPOCH] != InvalidOid)
		return types;
	for (i = 0; i < kms_event_field_count; i++)
		types[kms_event_fields[i].column] = kms_link_type(&kms_event_fields[i]);
	types[KMS_EVENT_TICKET] = INT8OID;
	types[KMS_EVENT_SALT] = BYTEAOID;
	types[KMS_EVENT_HASH] = BYTEAOID;
	types[KMS_EVENT_FORGOTTEN] = BYTEAOID;
	types[KMS_EVENT_EPOCH] = INT8OID;
	return types;
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

/*
 * Convert a text without raising an error, because PostgreSQL's own conversion
 * would end the call.
 */
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
