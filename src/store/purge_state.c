#include "postgres.h"

#include "access/xlog.h"
#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "utils/timestamp.h"

#include "store/purge_state.h"

#include "crypto/encoder.h"
#include "crypto/seal.h"
#include "shmem/master.h"
#include "store/due.h"
#include "store/scan.h"
#include "store/spi.h"

#define SEALED_MAX 256			/* bytes */

#define READ_STATE \
	"SELECT purge_window_start, purge_window_keys, purged, purge_blocked_at," \
	" purge_waiting, purge_confirmed_until, purge_cleared, purge_seal" \
	" FROM kms.maintenance"

static bool fetch(KmsPurgeState *state, SPIPlanPtr *plan, const char *query,
				  bool *sealed);
static void begin_again(KmsPurgeState *state, TimestampTz now);
static int64 purged_since(TimestampTz since);
static bool seal(const KmsPurgeState *state, unsigned char *out);
static bool is_sealed(const KmsPurgeState *state, const unsigned char *stored,
					  size_t len);
static void encode(const KmsPurgeState *state, unsigned char *data,
				   KmsEncoder *encoder);
static TimestampTz time_or_zero(int column);
static int64 number_or_zero(int column);
static void bind_time(KmsSpi *spi, TimestampTz value);

bool
kms_purge_state_lock(KmsPurgeState *state, TimestampTz now)
{
	static SPIPlanPtr insert_plan = NULL;
	static SPIPlanPtr read_plan = NULL;
	static SPIPlanPtr plan = NULL;
	KmsSpi		spi;
	bool		sealed;

	/* insert only the first time, because it waits for a concurrent insert */
	if (!fetch(state, &read_plan, READ_STATE, NULL))
	{
		kms_spi_begin(&spi);
		kms_spi_run(&spi, &insert_plan,
					"INSERT INTO kms.maintenance DEFAULT VALUES"
					" ON CONFLICT DO NOTHING",
					SPI_OK_INSERT);
		kms_spi_end(&spi);
	}
	if (!fetch(state, &plan, READ_STATE " FOR UPDATE SKIP LOCKED", &sealed))
		return false;
	if (!sealed)
		begin_again(state, now);
	return true;
}

/*
 * Begin a new day.  If the purge is blocked, that is found again.  The day
 * began half a day ago, so that it is also today for a clock that is somewhat
 * behind.
 */
static void
begin_again(KmsPurgeState *state, TimestampTz now)
{
	memset(state, 0, sizeof(*state));
	state->window_start = now - USECS_PER_DAY / 2;
	state->window_keys = kms_due_key_count();
	state->purged = purged_since(now - USECS_PER_DAY);
}

static int64
purged_since(TimestampTz since)
{
	static SPIPlanPtr plan = NULL;
	KmsSpi		spi;

	kms_spi_begin(&spi);
	kms_spi_by_index(&spi);
	kms_spi_time(&spi, since);
	kms_spi_run(&spi, &plan,
				"SELECT (SELECT pg_catalog.count(*) FROM kms.event"
				"  WHERE occurred_at >= $1"
				"  AND operation = 'purge'"
				"  AND status = 'success')"
				" + (SELECT pg_catalog.count(*) FROM kms.event_outbox"
				"  WHERE occurred_at >= $1"
				"  AND operation = 'purge')",
				SPI_OK_SELECT);
	return kms_spi_end_with_int64(&spi, 0);
}

void
kms_purge_state_read(KmsPurgeState *state)
{
	static SPIPlanPtr plan = NULL;

	(void) fetch(state, &plan, READ_STATE, NULL);
}

void
kms_purge_state_save(const KmsPurgeState *state)
{
	static SPIPlanPtr plan = NULL;
	unsigned char sealed[KMS_SEAL_SIZE];
	bool		good = seal(state, sealed);
	KmsSpi		spi;

	kms_spi_begin(&spi);
	bind_time(&spi, state->window_start);
	kms_spi_int64(&spi, state->window_keys);
	kms_spi_int64(&spi, state->purged);
	bind_time(&spi, state->blocked_at);
	kms_spi_int64(&spi, state->waiting);
	bind_time(&spi, state->confirmed_until);
	kms_spi_int64(&spi, state->cleared);
	if (good)
		kms_spi_bytes(&spi, sealed, sizeof(sealed));
	else
		kms_spi_null(&spi, BYTEAOID);
	kms_spi_run(&spi, &plan,
				"UPDATE kms.maintenance SET purge_window_start = $1,"
				" purge_window_keys = $2, purged = $3, purge_blocked_at = $4,"
				" purge_waiting = $5, purge_confirmed_until = $6,"
				" purge_cleared = $7, purge_seal = $8",
				SPI_OK_UPDATE);
	kms_spi_end(&spi);
}

/*
 * Seal under the current master key.  Return false if it has been removed in
 * the meantime.
 */
static bool
seal(const KmsPurgeState *state, unsigned char *out)
{
	unsigned char data[SEALED_MAX];
	KmsEncoder	encoder;
	KmsMasterKey master;
	bool		good;

	encode(state, data, &encoder);
	good = kms_master_get_now(NULL, &master) == KMS_OK &&
		kms_seal(&master, &encoder, out) == KMS_OK;
	explicit_bzero(&master, sizeof(master));
	return good;
}

static bool
is_sealed(const KmsPurgeState *state, const unsigned char *stored, size_t len)
{
	const unsigned char *id = kms_seal_master_key_id(stored, len);
	unsigned char data[SEALED_MAX];
	KmsEncoder	encoder;
	KmsMasterKey master;
	bool		good;

	if (id == NULL)
		return false;
	encode(state, data, &encoder);
	good = kms_master_get_now(id, &master) == KMS_OK &&
		kms_seal_verify(&master, &encoder, stored, len) == KMS_OK;
	explicit_bzero(&master, sizeof(master));
	return good;
}

/* Encode the state together with its database. */
static void
encode(const KmsPurgeState *state, unsigned char *data, KmsEncoder *encoder)
{
	kms_encoder_init(encoder, data, SEALED_MAX);
	kms_encoder_text(encoder, "kms/purge/v1");
	kms_encoder_int64(encoder, (int64) GetSystemIdentifier());
	kms_encoder_int64(encoder, MyDatabaseId);
	kms_encoder_int64(encoder, state->window_start);
	kms_encoder_int64(encoder, state->window_keys);
	kms_encoder_int64(encoder, state->purged);
	kms_encoder_int64(encoder, state->blocked_at);
	kms_encoder_int64(encoder, state->waiting);
	kms_encoder_int64(encoder, state->confirmed_until);
	kms_encoder_int64(encoder, state->cleared);
}

/* Return false if there is no row.  "sealed" may be NULL. */
static bool
fetch(KmsPurgeState *state, SPIPlanPtr *plan, const char *query, bool *sealed)
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
		if (sealed != NULL)
		{
			unsigned char stored[KMS_SEAL_SIZE];
			bool		isnull;
			Datum		value = kms_spi_field(0, 8, &isnull);
			size_t		len = kms_scan_bytes(value, isnull, stored,
											 sizeof(stored));

			*sealed = is_sealed(state, stored, len);
		}
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
