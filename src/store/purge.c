#include "postgres.h"

#include "catalog/pg_type.h"
#include "utils/timestamp.h"

#include "store/purge.h"
#include "store/spi.h"

#define READ_STATE \
	"SELECT purge_window_start, purge_window_keys, purged, purge_blocked_at," \
	" purge_waiting, purge_confirmed_until, purge_cleared" \
	" FROM kms.maintenance"

static bool fetch(KmsPurgeState *state, SPIPlanPtr *plan, const char *query);
static TimestampTz time_or_zero(int column);
static int64 number_or_zero(int column);
static void bind_time(KmsSpi *spi, TimestampTz value);

bool
kms_purge_lock(KmsPurgeState *state)
{
	static SPIPlanPtr insert_plan = NULL;
	static SPIPlanPtr read_plan = NULL;
	static SPIPlanPtr plan = NULL;
	KmsSpi		spi;

	/* an insert would wait for another's, so only the first time */
	if (!fetch(state, &read_plan, READ_STATE))
	{
		kms_spi_begin(&spi);
		kms_spi_run(&spi, &insert_plan,
					"INSERT INTO kms.maintenance DEFAULT VALUES"
					" ON CONFLICT DO NOTHING",
					SPI_OK_INSERT);
		kms_spi_end(&spi);
	}
	return fetch(state, &plan, READ_STATE " FOR UPDATE SKIP LOCKED");
}

void
kms_purge_read(KmsPurgeState *state)
{
	static SPIPlanPtr plan = NULL;

	(void) fetch(state, &plan, READ_STATE);
}

void
kms_purge_save(const KmsPurgeState *state)
{
	static SPIPlanPtr plan = NULL;
	KmsSpi		spi;

	kms_spi_begin(&spi);
	bind_time(&spi, state->window_start);
	kms_spi_int64(&spi, state->window_keys);
	kms_spi_int64(&spi, state->purged);
	bind_time(&spi, state->blocked_at);
	kms_spi_int64(&spi, state->waiting);
	bind_time(&spi, state->confirmed_until);
	kms_spi_int64(&spi, state->cleared);
	kms_spi_run(&spi, &plan,
				"UPDATE kms.maintenance SET purge_window_start = $1,"
				" purge_window_keys = $2, purged = $3, purge_blocked_at = $4,"
				" purge_waiting = $5, purge_confirmed_until = $6,"
				" purge_cleared = $7",
				SPI_OK_UPDATE);
	kms_spi_end(&spi);
}

static bool
fetch(KmsPurgeState *state, SPIPlanPtr *plan, const char *query)
{
	KmsSpi		spi;
	bool		found;

	memset(state, 0, sizeof(*state));
	kms_spi_begin(&spi);
	kms_spi_run(&spi, plan, query, SPI_OK_SELECT);
	found = spi.processed > 0;
	if (found)
	{
		state->window_start = time_or_zero(1);
		state->window_keys = number_or_zero(2);
		state->purged = number_or_zero(3);
		state->blocked_at = time_or_zero(4);
		state->waiting = number_or_zero(5);
		state->confirmed_until = time_or_zero(6);
		state->cleared = number_or_zero(7);
	}
	kms_spi_end(&spi);
	return found;
}

static TimestampTz
time_or_zero(int column)
{
	bool		isnull;
	Datum		value = kms_spi_field(0, column, &isnull);

	return isnull ? 0 : DatumGetTimestampTz(value);
}

static int64
number_or_zero(int column)
{
	bool		isnull;
	Datum		value = kms_spi_field(0, column, &isnull);

	return isnull ? 0 : DatumGetInt64(value);
}

static void
bind_time(KmsSpi *spi, TimestampTz value)
{
	if (value == 0)
		kms_spi_null(spi, TIMESTAMPTZOID);
	else
		kms_spi_time(spi, value);
}
