#include "postgres.h"

#include "access/xlog.h"
#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

#include "store/kept_clock.h"

#include "store/scan.h"
#include "store/spi.h"

#define READ_CLOCK \
	"SELECT clock, clock_run_time, clock_boot, clock_seal," \
	" installed_at FROM kms.maintenance"

/*
 * Ids that are made here begin with the milliseconds since 1970, so the
 * primary key finds the newest of ten million at once.
 */
#define ID_MS		"key_%013lld"
#define ID_MS_SIZE	32
#define UNIX_EPOCH_MS \
	((int64) (POSTGRES_EPOCH_JDATE - UNIX_EPOCH_JDATE) * SECS_PER_DAY * 1000)

static bool fetch(KmsKeptClock *kept, SPIPlanPtr *plan, const char *query,
				  bool *found_row);
static bool fill(KmsKeptClock *kept);
static void make_row(void);
static void first_id_after(TimestampTz at, char *id);

bool
kms_kept_clock_read(KmsKeptClock *kept, KmsKeptClockLock lock, bool *locked)
{
	static SPIPlanPtr plan = NULL;
	static SPIPlanPtr lock_plans[2];
	static const char *const lock_queries[] = {
		READ_CLOCK " FOR UPDATE SKIP LOCKED",
		READ_CLOCK " FOR UPDATE"
	};
	bool		waits = lock == KMS_KEPT_CLOCK_LOCK;
	bool		there;
	bool		found;

	*locked = false;
	found = fetch(kept, &plan, READ_CLOCK, &there);
	if (lock == KMS_KEPT_CLOCK_READ)
		return found;
	if (!there)
		make_row();
	found = fetch(kept, &lock_plans[waits], lock_queries[waits], locked);
	return *locked ? found : fetch(kept, &plan, READ_CLOCK, &there);
}

/*
 * Return false if the row has no clock, does not exist, or is locked by
 * another transaction.
 */
static bool
fetch(KmsKeptClock *kept, SPIPlanPtr *plan, const char *query,
	  bool *found_row)
{
	KmsSpi		spi;
	bool		found = false;

	memset(kept, 0, sizeof(*kept));
	kms_spi_begin(&spi);
	kms_spi_run(&spi, plan, query, SPI_OK_SELECT);
	*found_row = spi.processed > 0;
	if (*found_row)
		found = fill(kept);
	kms_spi_end(&spi);
	return found;
}

static bool
fill(KmsKeptClock *kept)
{
	bool		isnull;
	Datum		value;
	char	   *boot;

	value = kms_spi_field(0, 5, &isnull);
	kept->installed_at = isnull ? 0 : DatumGetTimestampTz(value);
	value = kms_spi_field(0, 1, &isnull);
	if (isnull)
		return false;
	kept->clock.at = DatumGetTimestampTz(value);
	value = kms_spi_field(0, 2, &isnull);
	kept->clock.run_time = isnull ? 0 : DatumGetInt64(value);
	kept->malformed = isnull;
	value = kms_spi_field(0, 3, &isnull);
	boot = isnull ? "" : TextDatumGetCString(value);
	kept->malformed = kept->malformed || isnull ||
		strlcpy(kept->clock.boot, boot, sizeof(kept->clock.boot)) >=
		sizeof(kept->clock.boot);
	value = kms_spi_field(0, 4, &isnull);
	kept->malformed = kept->malformed ||
		kms_scan_bytes(value, isnull, kept->seal,
					   sizeof(kept->seal)) != sizeof(kept->seal);
	return true;
}

static void
make_row(void)
{
	static SPIPlanPtr plan = NULL;
	KmsSpi		spi;

	kms_spi_begin(&spi);
	kms_spi_run(&spi, &plan,
				"INSERT INTO kms.maintenance DEFAULT VALUES"
				" ON CONFLICT DO NOTHING",
				SPI_OK_INSERT);
	kms_spi_end(&spi);
}

void
kms_kept_clock_save(const KmsKeptClock *kept)
{
	static SPIPlanPtr plan = NULL;
	KmsSpi		spi;

	kms_spi_begin(&spi);
	kms_spi_time(&spi, kept->clock.at);
	kms_spi_int64(&spi, kept->clock.run_time);
	kms_spi_text(&spi, kept->clock.boot);
	kms_spi_bytes(&spi, kept->seal, sizeof(kept->seal));
	kms_spi_run(&spi, &plan,
				"UPDATE kms.maintenance SET clock = $1, clock_run_time = $2,"
				" clock_boot = $3, clock_seal = $4",
				SPI_OK_UPDATE);
	kms_spi_end(&spi);
}

void
kms_kept_clock_home(char *home)
{
	snprintf(home, KMS_KEPT_CLOCK_HOME_SIZE, UINT64_FORMAT "/%u",
			 GetSystemIdentifier(), MyDatabaseId);
}

List *
kms_kept_clock_newest_keys(TimestampTz upto, int limit)
{
	static SPIPlanPtr plan = NULL;
	char		end[ID_MS_SIZE];
	KmsSpi		spi;
	List	   *ids;

	first_id_after(upto, end);
	kms_spi_begin(&spi);
	kms_spi_by_index(&spi);
	kms_spi_text(&spi, end);
	kms_spi_int64(&spi, limit);
	kms_spi_run(&spi, &plan,
				"SELECT key_id FROM kms.key"
				" WHERE key_id >= 'key_0'"
				" AND key_id < $1"
				" ORDER BY key_id DESC LIMIT $2",
				SPI_OK_SELECT);
	ids = kms_spi_texts(&spi);
	kms_spi_end(&spi);
	return ids;
}

List *
kms_kept_clock_future_keys(TimestampTz after, int limit)
{
	static SPIPlanPtr plan = NULL;
	char		begin[ID_MS_SIZE];
	KmsSpi		spi;
	List	   *ids;

	first_id_after(after, begin);
	kms_spi_begin(&spi);
	kms_spi_by_index(&spi);
	kms_spi_text(&spi, begin);
	kms_spi_time(&spi, after);
	kms_spi_int64(&spi, limit);
	kms_spi_run(&spi, &plan,
				"SELECT key_id FROM (SELECT key_id, created_at FROM kms.key"
				"  WHERE key_id >= $1"
				"  AND key_id < 'key_:'"
				"  ORDER BY key_id LIMIT $3) AS k"
				" WHERE created_at > $2",
				SPI_OK_SELECT);
	ids = kms_spi_texts(&spi);
	kms_spi_end(&spi);
	return ids;
}

/* Make a text that is greater than all ids made up to this time. */
static void
first_id_after(TimestampTz at, char *id)
{
	int64		ms = Max(0, at / 1000 + UNIX_EPOCH_MS + 1);

	snprintf(id, ID_MS_SIZE, ID_MS, (long long) ms);
}

int64
kms_kept_clock_future_events(TimestampTz after, int limit,
							 TimestampTz *latest)
{
	static SPIPlanPtr plan = NULL;
	KmsSpi		spi;
	int64		count;
	bool		isnull;
	Datum		time;

	kms_spi_begin(&spi);
	kms_spi_by_index(&spi);
	kms_spi_time(&spi, after);
	kms_spi_int64(&spi, limit);
	kms_spi_run(&spi, &plan,
				"SELECT pg_catalog.count(*), pg_catalog.max(occurred_at)"
				" FROM (SELECT occurred_at FROM kms.event"
				"  WHERE occurred_at > $1"
				"  ORDER BY occurred_at DESC LIMIT $2) AS e",
				SPI_OK_SELECT);
	count = DatumGetInt64(kms_spi_field(0, 1, &isnull));
	time = kms_spi_field(0, 2, &isnull);
	*latest = isnull ? 0 : DatumGetTimestampTz(time);
	kms_spi_end(&spi);
	return count;
}
