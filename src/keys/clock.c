#include "postgres.h"

#include "miscadmin.h"
#include "utils/timestamp.h"

#include "keys/clock.h"

#include "keys/admit.h"
#include "keys/sign.h"
#include "pg/boot.h"
#include "pg/fault.h"
#include "shmem/master.h"
#include "shmem/shared.h"
#include "store/kept_clock.h"

#define SEALED_MAX	256			/* bytes of the canonical form */
#define KEEP_EVERY	(60 * USECS_PER_SEC)	/* microseconds of run time */
#define YOUNGEST	100			/* rows to begin with that are looked at, at
								 * most */
#define LOG_EVERY	(INT64CONST(3600) * USECS_PER_SEC)	/* microseconds of run
														 * time */

StaticAssertDecl(KMS_SLOW_CLOCK_BOOT == KMS_BOOT_ID_SIZE,
				 "the slow clock holds a boot id");

static void read_moment(KmsSlowClock *moment);
static bool load(bool found, const KmsKeptClock *kept,
				 const KmsSlowClock *moment, KmsSlowClock *clock,
				 bool *begun);
static bool begin(const KmsKeptClock *kept, const KmsSlowClock *moment,
				  KmsSlowClock *clock);
static bool remembered(const KmsSlowClock *moment, KmsSlowClock *clock);
static void remember(const KmsSlowClock *clock);
static bool first_time(TimestampTz server, TimestampTz installed_at,
					   TimestampTz *youngest);
static bool youngest_row(TimestampTz upto, TimestampTz *youngest);
static void look_at_keys(TimestampTz upto, TimestampTz *youngest);
static void look_at_signatures(TimestampTz upto, TimestampTz *youngest);
static bool is_worth_keeping(const KmsKeptClock *kept,
							 const KmsSlowClock *clock);
static bool is_under_current_key(const KmsKeptClock *kept);
static bool seal(KmsKeptClock *kept);
static KmsStatus check_seal(const KmsKeptClock *kept);
static void encode(const KmsSlowClock *clock, unsigned char *data,
				   KmsEncoder *encoder);
static void fill(KmsClock *clock, const KmsSlowClock *moment, bool known,
				 const KmsSlowClock *slow);
static void log_if_behind(const KmsClock *clock, int64 run_time);

void
kms_clock_read(KmsClock *clock)
{
	KmsKeptClock kept;
	KmsSlowClock moment;
	KmsSlowClock slow;
	bool		found;
	bool		known;
	bool		ignored;

	read_moment(&moment);
	found = kms_kept_clock_read(&kept, KMS_KEPT_CLOCK_READ, &ignored);
	known = load(found, &kept, &moment, &slow, &ignored);
	fill(clock, &moment, known, &slow);
}

void
kms_clock_advance(bool confirm, KmsClock *clock)
{
	KmsKeptClock kept;
	KmsSlowClock moment;
	KmsSlowClock slow;
	bool		found = false;
	bool		known = false;
	bool		begun = false;
	bool		locked = false;

	if (kms_master_generation() != 0)
	{
		found = kms_kept_clock_read(&kept, confirm ? KMS_KEPT_CLOCK_LOCK
									: KMS_KEPT_CLOCK_TRY_LOCK, &locked);
		read_moment(&moment);
		known = load(found, &kept, &moment, &slow, &begun);
	}
	else
		read_moment(&moment);

	if (confirm)
	{
		KmsFault	fault = {0};

		if (kms_master_generation() == 0)
		{
			(void) kms_fault(&fault, KMS_NO_MASTER_KEY);
			kms_fault_raise(&fault);
		}
		ereport(LOG,
				(errmsg("the clock of kms maintenance is set to the server's clock, %s",
						timestamptz_to_str(moment.at)),
				 known ? errdetail("The clock was %s.", timestamptz_to_str(slow.at))
				 : 0,
				 KMS_HIDE_STATEMENT));
		slow = moment;
		known = true;
		begun = true;
	}

	if (known)
		remember(&slow);
	if (known && locked && (begun || is_worth_keeping(&kept, &slow)))
	{
		kept.clock = slow;
		if (seal(&kept))
			kms_kept_clock_save(&kept);
	}
	fill(clock, &moment, known, &slow);
	log_if_behind(clock, moment.run_time);
}

static void
read_moment(KmsSlowClock *moment)
{
	memset(moment, 0, sizeof(*moment));
	moment->at = GetCurrentTimestamp();
	moment->run_time = kms_boot_time();
	kms_boot_id(moment->boot);
}

/*
 * Set *clock to the clock at this moment.  Return false if nothing tells the
 * time.  *begun is true if the clock does not continue from the stored one.
 */
static bool
load(bool found, const KmsKeptClock *kept, const KmsSlowClock *moment,
	 KmsSlowClock *clock, bool *begun)
{
	KmsStatus	status = KMS_KEY_NOT_FOUND;
	KmsSlowClock memory;
	bool		in_memory;

	*begun = false;
	if (kms_master_generation() == 0)
		return false;
	if (found)
		status = check_seal(kept);
	if (status == KMS_OK)
	{
		*clock = kms_slow_clock_advance(&kept->clock, moment);
		return true;
	}
	*begun = true;

	/* a row that was changed or deleted must not set the clock ahead */
	in_memory = remembered(moment, &memory);
	if (status == KMS_OTHER_MASTER_KEY || !begin(kept, moment, clock))
	{
		*clock = memory;
		return in_memory;
	}
	if (in_memory && memory.at < clock->at)
		*clock = memory;
	return true;
}

static bool
begin(const KmsKeptClock *kept, const KmsSlowClock *moment,
	  KmsSlowClock *clock)
{
	TimestampTz youngest;

	if (!first_time(moment->at, kept->installed_at, &youngest))
		return false;
	*clock = kms_slow_clock_begin(youngest, moment);
	return true;
}

/*
 * Advance the clock that the server remembers to this moment.  Return false if
 * it has not been advanced since the server started.
 */
static bool
remembered(const KmsSlowClock *moment, KmsSlowClock *clock)
{
	KmsDatabase *database = kms_shared_database();
	KmsSlowClock last = *moment;

	*clock = *moment;
	if (database == NULL)
		return false;
	LWLockAcquire(&kms_shared->lock, LW_SHARED);
	last.at = database->clock;
	last.run_time = database->clock_run_time;
	LWLockRelease(&kms_shared->lock);
	if (last.at == 0)
		return false;
	*clock = kms_slow_clock_advance(&last, moment);
	return true;
}

static void
remember(const KmsSlowClock *clock)
{
	KmsDatabase *database = kms_shared_database();

	if (database == NULL)
		return;
	LWLockAcquire(&kms_shared->lock, LW_EXCLUSIVE);
	database->clock = clock->at;
	database->clock_run_time = clock->run_time;
	LWLockRelease(&kms_shared->lock);
}

/*
 * Find the time to begin with.  After a restore, the server's clock may have
 * been wrong from the start, and rows may have been made by it.  So if any
 * row, authentic or not, is older than the extension in this database, only
 * such rows count.
 */
static bool
first_time(TimestampTz server, TimestampTz installed_at, TimestampTz *youngest)
{
	if (installed_at != 0 && installed_at < server &&
		(kms_kept_clock_newest_keys(installed_at, 1) != NIL ||
		 kms_checkpoint_table_newest(installed_at, 1) != NIL))
		return youngest_row(installed_at, youngest);
	return youngest_row(server, youngest);
}

/*
 * Find the youngest time up to "upto".  Both kinds of rows authenticate only
 * if their times are unchanged.  A row from the future was made by a wrong
 * clock, so it does not count.
 */
static bool
youngest_row(TimestampTz upto, TimestampTz *youngest)
{
	*youngest = DT_NOBEGIN;
	look_at_keys(upto, youngest);
	look_at_signatures(upto, youngest);
	return !TIMESTAMP_IS_NOBEGIN(*youngest);
}

/* A key's last change may be younger than the youngest key. */
static void
look_at_keys(TimestampTz upto, TimestampTz *youngest)
{
	KmsKeySecret *secret = palloc(sizeof(KmsKeySecret));
	ListCell   *cell;

	foreach(cell, kms_kept_clock_newest_keys(upto, YOUNGEST))
	{
		KmsFault	ignored = {0};
		KmsKey		key;

		CHECK_FOR_INTERRUPTS();
		if (kms_admit_public(NULL, lfirst(cell), NULL, KMS_USE_CHECK, &key,
							 secret, &ignored) != KMS_OK)
			continue;
		if (key.row.created_at <= upto)
			*youngest = Max(*youngest, key.row.created_at);
		if (key.row.state_changed_at <= upto)
			*youngest = Max(*youngest, key.row.state_changed_at);
	}
	pfree(secret);
}

static void
look_at_signatures(TimestampTz upto, TimestampTz *youngest)
{
	KmsAuditPublic last = {0};
	ListCell   *cell;

	foreach(cell, kms_checkpoint_table_newest(upto, YOUNGEST))
	{
		const KmsCheckpoint *checkpoint = lfirst(cell);

		CHECK_FOR_INTERRUPTS();
		if (checkpoint->signed_at <= *youngest)
			break;
		if (kms_sign_verify(checkpoint, &last) == KMS_OK)
			*youngest = Max(*youngest, checkpoint->signed_at);
	}
}

/*
 * Return whether to store the clock.  Not every advance is stored, because the
 * next reader computes it again from the stored clock and the run time.
 */
static bool
is_worth_keeping(const KmsKeptClock *kept, const KmsSlowClock *clock)
{
	return strcmp(kept->clock.boot, clock->boot) != 0 ||
		clock->run_time < kept->clock.run_time ||
		clock->run_time - kept->clock.run_time >= KEEP_EVERY ||
		!is_under_current_key(kept);
}

/*
 * Return whether the stored clock is sealed under the current master key.  An
 * older master key may be about to be removed.
 */
static bool
is_under_current_key(const KmsKeptClock *kept)
{
	const unsigned char *id = kms_seal_master_key_id(kept->seal,
													 sizeof(kept->seal));
	KmsMasterKey master;
	bool		current;

	current = id != NULL && kms_master_get_now(NULL, &master) == KMS_OK &&
		memcmp(id, master.id, KMS_MASTER_KEY_ID_SIZE) == 0;
	explicit_bzero(&master, sizeof(master));
	return current;
}

/*
 * Seal under the current master key.  Return false if it has been removed in
 * the meantime.
 */
static bool
seal(KmsKeptClock *kept)
{
	unsigned char data[SEALED_MAX];
	KmsEncoder	encoder;
	KmsMasterKey master;
	KmsStatus	status;

	encode(&kept->clock, data, &encoder);
	status = kms_master_get_now(NULL, &master);
	if (status == KMS_OK)
		status = kms_seal(&master, &encoder, kept->seal);
	explicit_bzero(&master, sizeof(master));
	return status == KMS_OK;
}

static KmsStatus
check_seal(const KmsKeptClock *kept)
{
	const unsigned char *id = kms_seal_master_key_id(kept->seal,
													 sizeof(kept->seal));
	unsigned char data[SEALED_MAX];
	KmsEncoder	encoder;
	KmsMasterKey master;
	KmsStatus	status;

	if (kept->malformed || id == NULL)
		return KMS_NOT_AUTHENTIC;
	encode(&kept->clock, data, &encoder);
	status = kms_master_get_now(id, &master);
	if (status == KMS_OK)
		status = kms_seal_verify(&master, &encoder, kept->seal,
								 sizeof(kept->seal));
	explicit_bzero(&master, sizeof(master));
	return status;
}

static void
encode(const KmsSlowClock *clock, unsigned char *data, KmsEncoder *encoder)
{
	char		home[KMS_KEPT_CLOCK_HOME_SIZE];

	kms_kept_clock_home(home);
	kms_encoder_init(encoder, data, SEALED_MAX);
	kms_slow_clock_encode(clock, home, encoder);
}

static void
fill(KmsClock *clock, const KmsSlowClock *moment, bool known,
	 const KmsSlowClock *slow)
{
	memset(clock, 0, sizeof(*clock));
	clock->known = known;
	clock->server = moment->at;
	clock->kept = known ? slow->at : DT_NOBEGIN;
	clock->due = Min(clock->server, clock->kept);
	clock->latest = Max(clock->server, clock->kept);
}

/* Log once an hour of run time, because the server's clock may be wrong. */
static void
log_if_behind(const KmsClock *clock, int64 run_time)
{
	KmsDatabase *database = kms_shared_database();
	char	   *server;
	int64		logged;

	if (!clock->known || database == NULL ||
		clock->server - clock->kept <= KMS_CLOCK_TOLERANCE)
		return;
	LWLockAcquire(&kms_shared->lock, LW_EXCLUSIVE);
	logged = database->clock_logged;
	if (logged == 0 || run_time - logged >= LOG_EVERY)
		database->clock_logged = run_time;
	LWLockRelease(&kms_shared->lock);
	if (logged != 0 && run_time - logged < LOG_EVERY)
		return;
	server = pstrdup(timestamptz_to_str(clock->server));
	ereport(LOG,
			(errmsg("the clock of kms maintenance is behind the server's clock: from %s to %s",
					timestamptz_to_str(clock->kept), server),
			 errdetail("Rows that are due only by the server's clock are neither expired nor deleted."),
			 errhint("If the server's clock is wrong, set it right. If it is right, maintenance catches up by itself, or at once with SELECT * FROM kms_maintain(confirm_clock => true)."),
			 KMS_HIDE_STATEMENT));
}
