#include "postgres.h"

#include "utils/builtins.h"

#include "keys/check_lock.h"

#include "shmem/shared.h"
#include "store/blocker.h"

static bool is_writer_locked_out(void);
static char *who(const KmsBlocker *blocker);
static char *how_to_end(const KmsBlocker *blocker);

void
kms_check_lock(KmsReport report, void *arg)
{
	ListCell   *cell;

	foreach(cell, kms_blocker_find(is_writer_locked_out()))
	{
		const KmsBlocker *blocker = lfirst(cell);
		const char *severity = "warning";
		char	   *finding;

		switch (blocker->blockage)
		{
			case KMS_BLOCKS_TABLE:
				finding = psprintf(blocker->waits ?
								   "%s waits for %s on %s, and the event writer waits behind it" :
								   "%s holds %s on %s, for which the event writer waits",
								   who(blocker), blocker->mode,
								   blocker->object);
				break;
			case KMS_BLOCKS_ROW:
				finding = psprintf("%s has changed rows of %s, and the event writer waits for a row",
								   who(blocker), blocker->object);
				break;
			default:
				severity = "notice";
				finding = psprintf("%s %s %s on %s; the event writer works without that lock",
								   who(blocker),
								   blocker->waits ? "waits for" : "holds",
								   blocker->mode, blocker->object);
				break;
		}
		report(arg, severity, finding, how_to_end(blocker));
	}
}

/* Return whether the writer's last error was a wait for a lock. */
static bool
is_writer_locked_out(void)
{
	KmsDatabase *database = kms_shared_database();
	bool		locked_out;

	if (database == NULL)
		return false;
	LWLockAcquire(&kms_shared->lock, LW_SHARED);
	locked_out = database->worker[KMS_WRITER].locked_out;
	LWLockRelease(&kms_shared->lock);
	return locked_out;
}

static char *
who(const KmsBlocker *blocker)
{
	char	   *role = blocker->role == NULL ? "" :
	psprintf(" of role \"%s\"", blocker->role);

	if (blocker->pid != 0)
		return psprintf("process %d%s", blocker->pid, role);
	if (blocker->gid != NULL)
		return psprintf("prepared transaction \"%s\"%s", blocker->gid, role);
	return "a prepared transaction that has just ended";
}

static char *
how_to_end(const KmsBlocker *blocker)
{
	if (blocker->pid != 0)
		return psprintf("See it in pg_stat_activity; pg_terminate_backend(%d) ends it.",
						blocker->pid);
	if (blocker->gid != NULL)
		return psprintf("End it with COMMIT PREPARED %s or ROLLBACK PREPARED.",
						quote_literal_cstr(blocker->gid));
	return "Run kms_check() again.";
}
