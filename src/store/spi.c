#include "postgres.h"

#include "access/xact.h"
#include "catalog/pg_type.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/timestamp.h"

#include "store/spi.h"

#include "pg/compat.h"
#include "store/foreign_code.h"

static void
begin(KmsSpi *spi)
{
	spi->count = 0;
	spi->processed = 0;
	spi->caller = CurrentMemoryContext;
	SPI_connect();
}

void
kms_spi_begin(KmsSpi *spi)
{
	kms_owner_enter(&spi->owner);
	begin(spi);
}

void
kms_spi_begin_catalogs(KmsSpi *spi)
{
	kms_owner_enter_superuser(&spi->owner);
	begin(spi);
}

void
kms_spi_by_index(KmsSpi *spi)
{
	static const char *const others[] = {
		"enable_seqscan", "enable_bitmapscan", "enable_sort",
		"jit"					/* what is off adds a cost that would trigger
								 * jit */
	};
	size_t		i;

	/* valid to the end of the owner's scope */
	for (i = 0; i < lengthof(others); i++)
		(void) set_config_option(others[i], "off", PGC_USERSET, PGC_S_SESSION,
								 GUC_ACTION_SAVE, true, 0, false);
}

void
kms_spi_datum(KmsSpi *spi, Oid type, Datum value)
{
	Assert(spi->count < KMS_SPI_PARAMETERS);
	spi->types[spi->count] = type;
	spi->values[spi->count] = value;
	spi->nulls[spi->count] = ' ';
	spi->count++;
}

void
kms_spi_null(KmsSpi *spi, Oid type)
{
	kms_spi_datum(spi, type, (Datum) 0);
	spi->nulls[spi->count - 1] = 'n';
}

void
kms_spi_text(KmsSpi *spi, const char *value)
{
	if (value == NULL)
		kms_spi_null(spi, TEXTOID);
	else
		kms_spi_datum(spi, TEXTOID, CStringGetTextDatum(value));
}

void
kms_spi_bytes(KmsSpi *spi, const unsigned char *data, size_t len)
{
	bytea	   *value = palloc(VARHDRSZ + len);

	SET_VARSIZE(value, VARHDRSZ + len);
	memcpy(VARDATA(value), data, len);
	kms_spi_datum(spi, BYTEAOID, PointerGetDatum(value));
}

void
kms_spi_optional_bytes(KmsSpi *spi, const unsigned char *data, size_t len)
{
	if (len == 0)
		kms_spi_null(spi, BYTEAOID);
	else
		kms_spi_bytes(spi, data, len);
}

void
kms_spi_int64(KmsSpi *spi, int64 value)
{
	kms_spi_datum(spi, INT8OID, Int64GetDatum(value));
}

void
kms_spi_double(KmsSpi *spi, double value)
{
	kms_spi_datum(spi, FLOAT8OID, Float8GetDatum(value));
}

void
kms_spi_time(KmsSpi *spi, TimestampTz value)
{
	kms_spi_datum(spi, TIMESTAMPTZOID, TimestampTzGetDatum(value));
}

void
kms_spi_seconds(KmsSpi *spi, int seconds)
{
	Interval   *value = palloc0(sizeof(Interval));

	value->time = (TimeOffset) seconds * USECS_PER_SEC;
	kms_spi_datum(spi, INTERVALOID, IntervalPGetDatum(value));
}

void
kms_spi_text_array(KmsSpi *spi, const List *strings)
{
	Datum	   *values = palloc(Max(1, list_length(strings)) * sizeof(Datum));
	ArrayType  *array;
	ListCell   *cell;

	foreach(cell, strings)
		values[foreach_current_index(cell)] = CStringGetTextDatum(lfirst(cell));
	array = construct_array(values, list_length(strings), TEXTOID, -1, false,
							TYPALIGN_INT);
	kms_spi_datum(spi, TEXTARRAYOID, PointerGetDatum(array));
}

void
kms_spi_run(KmsSpi *spi, SPIPlanPtr *plan, const char *query, int expected)
{
	int			code;

	kms_owner_require();
	if (*plan == NULL)
	{
		SPIPlanPtr	made = SPI_prepare(query, spi->count, spi->types);

		if (made == NULL || SPI_keepplan(made) != 0)
			elog(ERROR, "could not prepare a statement of kms: %s",
				 SPI_result_code_string(SPI_result));
		*plan = made;
	}
	kms_foreign_code_check(*plan);
	code = SPI_execute_plan(*plan, spi->values, spi->nulls, false, 0);
	if (code != expected)
		elog(ERROR, "unexpected result of a statement of kms: %s",
			 SPI_result_code_string(code));
	spi->processed = SPI_processed;
}

void
kms_spi_end(KmsSpi *spi)
{
	SPI_finish();
	CommandCounterIncrement();	/* later statements see what was written */
	kms_owner_leave(&spi->owner);
}

Datum
kms_spi_field(uint64 row, int column, bool *isnull)
{
	return SPI_getbinval(SPI_tuptable->vals[row], SPI_tuptable->tupdesc,
						 column, isnull);
}

int64
kms_spi_end_with_int64(KmsSpi *spi, int64 otherwise)
{
	int64		value = otherwise;

	if (spi->processed > 0)
	{
		bool		isnull;
		Datum		field = kms_spi_field(0, 1, &isnull);

		if (!isnull)
			value = DatumGetInt64(field);
	}
	kms_spi_end(spi);
	return value;
}

List *
kms_spi_texts(const KmsSpi *spi)
{
	MemoryContext old = MemoryContextSwitchTo(spi->caller);
	List	   *texts = NIL;
	uint64		i;

	for (i = 0; i < spi->processed; i++)
	{
		bool		isnull;
		Datum		value = kms_spi_field(i, 1, &isnull);

		texts = lappend(texts, TextDatumGetCString(value));
	}
	MemoryContextSwitchTo(old);
	return texts;
}
