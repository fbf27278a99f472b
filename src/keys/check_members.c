#include "postgres.h"

#include "pgstat.h"
#include "postmaster/autovacuum.h"

#include "keys/check_members.h"

#include "keys/name_list.h"
#include "pg/compat.h"
#include "pg/version.h"
#include "store/member.h"

/* A question to the catalogs.  All its answers together are one finding. */
typedef struct Rule
{
	KmsMemberQuestion question;
	const char *severity;
	const char *finding;		/* with %s for the names */
	const char *hint;
} Rule;

static void judge(const Rule *rules, int count, KmsReport report, void *arg);

static const Rule owners[] = {
	{KMS_MEMBER_OWNERS, "warning",
		"roles that are not superusers own parts of kms: %s",
	"The owner of a table can change keys and the trail, and have code run with the rights of the extension's owner. Give it to a superuser with ALTER ... OWNER TO; the extension itself follows REASSIGN OWNED BY."}
};

static const Rule rights[] = {
	{KMS_MEMBER_WRITERS, "warning",
		"roles may write tables or sequences of kms: %s",
	"Nobody needs that but the extension; REVOKE it from them, and pg_write_all_data, too."},
	{KMS_MEMBER_TRIGGERERS, "warning",
		"roles may make triggers on tables of kms: %s",
	"Revoke TRIGGER from them: nobody needs it, and where the library is not preloaded a trigger can be made."},
	{KMS_MEMBER_ALL_FUNCTIONS, "warning",
		"roles may call every function of kms, break-glass included: %s",
	"REVOKE ALL ON ALL FUNCTIONS IN SCHEMA ... FROM them, and grant what their job needs, as examples/grants.sql does."},
	{KMS_MEMBER_DANGEROUS, "notice",
		"roles may destroy keys, open what refused keys protect, import keys, forget devices or accept a changed trail: %s",
	"Revoke EXECUTE on these functions from each role that does not need it."},
	{KMS_MEMBER_CREATORS, "warning",
		"roles may create objects beside those of kms: %s",
	"REVOKE CREATE ON SCHEMA ... FROM them: a function with the name of one of kms that takes other types may be called in its place. From the database's owner, to whom schema public belongs, ALTER SCHEMA public OWNER TO a superuser takes it."}
};

static const Rule attached[] = {
	{KMS_MEMBER_ATTACHED, "error",
		"others have attached to tables of kms: %s",
	"Drop them, or disable row security: no call writes that table while they are there, because their code would run with the rights of the extension. The trail is written without them."},
	{KMS_MEMBER_CASTING_KEYS, "error",
		"foreign keys whose check may run code of others: %s",
	"Drop them; refer to kms.key only, and from columns of type text, varchar or char."},
	{KMS_MEMBER_FOREIGN_CODE, "error",
		"tables or views of kms use objects that are not part of kms: %s",
	"Undo that: such code runs with the rights of the extension."}
};

static const Rule storage[] = {
	{KMS_MEMBER_UNLOGGED, "error",
		"tables of kms are UNLOGGED: %s",
	"A crash empties them, and no standby or backup has them; ALTER TABLE ... SET LOGGED."},
	{KMS_MEMBER_DROPPED_COLUMNS, "error",
		"columns were dropped from tables of kms: %s",
	"Restore the database from a backup: a column that is added again is another one."},
	{KMS_MEMBER_UNVACUUMED, "warning",
		"autovacuum is turned off for tables of kms: %s",
	"ALTER TABLE ... RESET (autovacuum_enabled, toast.autovacuum_enabled): without vacuum, maintenance becomes slower from day to day."}
};

void
kms_check_members_owners(KmsReport report, void *arg)
{
	judge(owners, lengthof(owners), report, arg);
}

void
kms_check_members_rights(KmsReport report, void *arg)
{
	List	   *public = kms_member_ask(KMS_MEMBER_PUBLIC);

	judge(rights, lengthof(rights), report, arg);
	if (public != NIL)
		report(arg, "error",
			   psprintf("everybody may call functions of kms: %s",
						kms_name_list_join(public)),
			   "REVOKE EXECUTE ON FUNCTION ... FROM PUBLIC; grant it to the roles that need it.");
}

void
kms_check_members_attached(KmsReport report, void *arg)
{
	judge(attached, lengthof(attached), report, arg);
}

void
kms_check_members_storage(KmsReport report, void *arg)
{
	judge(storage, lengthof(storage), report, arg);
	if (!autovacuum_start_daemon)
		report(arg, "warning", "autovacuum is off",
			   "Set autovacuum = on and reload the server: without vacuum, maintenance becomes slower from day to day.");
	else if (!pgstat_track_counts)
		report(arg, "warning", "autovacuum does nothing, as track_counts is off",
			   "Set track_counts = on and reload the server.");
}

void
kms_check_members_version(KmsReport report, void *arg)
{
	char	   *version = kms_member_version();
	int			order = kms_version_compare(version, KMS_VERSION);

	if (order < 0)
		report(arg, "warning",
			   psprintf("the SQL of this database is of version %s, older than the library, %s",
						version, KMS_VERSION),
			   "Run ALTER EXTENSION kms UPDATE in this database, as in every other one that has kms. Until then all functions of the older version work.");
	else if (order > 0)
		report(arg, "error",
			   psprintf("the library is of version %s, older than the SQL of this database, %s",
						KMS_VERSION, version),
			   "Install the library of that version or a newer one, and restart the server: it may still run the library from before. Until then new functions may be missing.");
}

static void
judge(const Rule *rules, int count, KmsReport report, void *arg)
{
	int			i;

	for (i = 0; i < count; i++)
	{
		List	   *names = kms_member_ask(rules[i].question);

		if (names != NIL)
			report(arg, rules[i].severity,
				   psprintf(rules[i].finding, kms_name_list_join(names)),
				   rules[i].hint);
	}
}
