/*
 * The client is read from the session's entry in the table behind
 * pg_stat_activity, because libpq-be.h cannot be included where the headers of
 * GSSAPI are not installed.
 */
#include "postgres.h"

#include "access/parallel.h"
#include "common/ip.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "storage/proc.h"
#include "utils/backend_status.h"

#include "pg/client.h"

#include "pg/compat.h"

static char address[64];
static bool in_clear = false;

static void find_out(void);
static const PgBackendStatus *leader_entry(void);

const char *
kms_client_address(void)
{
	find_out();
	return address;
}

bool
kms_client_in_clear(void)
{
	find_out();
	return in_clear;
}

/*
 * Find out once per process, because the connection of a session never
 * changes.
 */
static void
find_out(void)
{
	static bool known = false;
	const PgBackendStatus *entry = NULL;
	const SockAddr *client;

	if (known)
		return;
	if (MyProcPort != NULL && MyBEEntry != NULL)
		entry = (const PgBackendStatus *) MyBEEntry;
	else if (IsParallelWorker())
	{
		entry = leader_entry();
		in_clear = entry == NULL;
	}
	if (entry != NULL && entry->st_clientaddr.addr.ss_family != AF_UNIX &&
		entry->st_clientaddr.addr.ss_family != 0)
	{
		client = &entry->st_clientaddr;
		in_clear = !entry->st_ssl;
		if (pg_getnameinfo_all(&client->addr, client->salen, address,
							   sizeof(address), NULL, 0, NI_NUMERICHOST) != 0)
			address[0] = '\0';
	}
	known = true;
}

static const PgBackendStatus *
leader_entry(void)
{
	int			pid = MyProc->lockGroupLeader != NULL
	? MyProc->lockGroupLeader->pid : 0;
	int			i;

	for (i = 1; i <= pgstat_fetch_stat_numbackends(); i++)
	{
		LocalPgBackendStatus *entry = pgstat_get_local_beentry_by_index(i);

		if (entry != NULL && entry->backendStatus.st_procpid == pid)
			return &entry->backendStatus;
	}
	return NULL;
}
