#include "postgres.h"

#include "datatype/timestamp.h"

#include "keys/check_settings.h"

#include "keys/name_list.h"
#include "pg/command_line.h"
#include "pg/settings.h"
#include "store/config_file.h"

static char *without_value(const char *setting, const char **value);

/*
 * If its configuration file has a wrong value of kms.audit, the server starts
 * with a warning and with the default, which may be weaker.  PostgreSQL
 * reports a changed setting that needs a restart in the same way as a wrong
 * value, so skip these settings.
 */
void
kms_check_settings_files(KmsReport report, void *arg)
{
	List	   *lines = kms_config_file_refused();
	List	   *pending = kms_config_file_pending();
	List	   *restart = NIL;
	ListCell   *cell;

	foreach(cell, lines)
	{
		KmsConfigLine *line = lfirst(cell);
		ListCell   *other;
		bool		waits = false;

		foreach(other, pending)
			waits = waits || (line->name != NULL &&
							  pg_strcasecmp(line->name, lfirst(other)) == 0);
		if (waits)
			continue;
		if (line->name == NULL)
			report(arg, "error",
				   psprintf("a configuration file cannot be read (%s): %s",
							line->place != NULL ? line->place : "of the server",
							line->error),
				   "Correct it; until then a reload applies nothing, and the server does not start again.");
		else if (!kms_settings_is_ours(line->name))
			report(arg, "error",
				   psprintf("a reload applies nothing, because parameter \"%s\" (%s) is not known",
							line->name, line->place),
				   "Correct the line; with it the server does not start again.");
		else if (!kms_settings_knows(line->name) || line->error == NULL)
			report(arg, "error",
				   psprintf("there is no parameter \"%s\" (%s)",
							line->name, line->place),
				   "Correct the name; until then the parameter that was meant keeps its value. SELECT name FROM pg_settings WHERE name LIKE 'kms.%' lists the names.");
		else
			report(arg, "error",
				   psprintf("parameter \"%s\" has an invalid value (%s) and is not applied",
							line->name, line->place),
				   psprintf("Correct it and reload the server. SHOW %s returns the value in force.",
							line->name));
	}
	foreach(cell, pending)
		restart = lappend(restart, lfirst(cell));
	if (restart != NIL)
		report(arg, "notice",
			   psprintf("settings that were changed wait for a restart: %s",
						kms_name_list_join(restart)),
			   "Restart the server when it suits.");
}

void
kms_check_settings_altered(KmsReport report, void *arg)
{
	ListCell   *cell;

	foreach(cell, kms_config_file_altered())
	{
		KmsConfigSetting *entry = lfirst(cell);
		const char *whose = entry->whose[0] == '\0' ? "all roles" : entry->whose;
		const char *value;
		char	   *name = without_value(entry->setting, &value);
		char	   *hint = psprintf("ALTER ... RESET it; where that is refused, a superuser can UPDATE pg_catalog.pg_db_role_setting SET setconfig = NULLIF(ARRAY(SELECT s FROM unnest(setconfig) AS s WHERE s !~~* '%s=%%'), '{}').",
									name);

		if (!entry->known)
			report(arg, "error",
				   psprintf("there is no parameter \"%s\", which is set for %s",
							name, whose), hint);
		else if (!kms_settings_accepts(name, value, false))
			report(arg, "error",
				   psprintf("parameter \"%s\" is set for %s and is not applied, because it has an invalid value or is the server's",
							name, whose), hint);
	}
}

/*
 * If its command line has a wrong value, the server starts with a warning and
 * with the default.
 */
void
kms_check_settings_command_line(KmsReport report, void *arg)
{
	ListCell   *cell;

	foreach(cell, kms_command_line_settings())
	{
		const char *value;
		char	   *name = without_value(lfirst(cell), &value);

		if (!kms_settings_knows(name))
			report(arg, "error",
				   psprintf("there is no parameter \"%s\", which the server was started with", name),
				   "Correct the server's command line and restart it; until then the parameter that was meant keeps its value.");
		else if (!kms_settings_accepts(name, value, true))
			report(arg, "error",
				   psprintf("parameter \"%s\" has an invalid value on the server's command line and is not applied", name),
				   psprintf("Correct the command line and restart the server. SHOW %s returns the value in force.", name));
	}
}

static char *
without_value(const char *setting, const char **value)
{
	const char *sign = strchr(setting, '=');

	if (sign == NULL)
		sign = setting + strlen(setting);
	*value = *sign == '\0' ? sign : sign + 1;
	return pnstrdup(setting, sign - setting);
}

void
kms_check_settings(KmsReport report, void *result)
{
	if (!kms_protect_memory)
		report(result, "warning", "kms.protect_memory is off",
			   "Programs of the server's user can read keys from memory; set it on.");
	if (kms_multi_buffer == KMS_MULTI_BUFFER_UNBLINDED)
		report(result, "notice", "kms.multi_buffer is unblinded",
			   "Batches rely on crypto_mb alone to take the same time for each key and ciphertext.");
	if (!kms_maintenance)
		report(result, "notice", "kms.maintenance is off",
			   "Keys are swept and purged only if something calls kms_maintain().");
	if (kms_event_detail != KMS_DETAIL_ALL)
		report(result, "notice",
			   "successful decrypts are only counted (kms.event_detail = failures)",
			   "The trail does not tell who opened what, and keys with many failed decrypts are not found.");
	if (!kms_deprecate_problematic_keys)
		report(result, "notice", "kms.deprecate_problematic_keys is off",
			   "Keys with many failed decrypts stay active.");
	if (kms_keygen_limit > 5 * Max(1, kms_keygen_window / SECS_PER_DAY))
		report(result, "notice",
			   psprintf("the limit of key generation is weaker than by default: %d in %d s",
						kms_keygen_limit, kms_keygen_window),
			   "See kms.keygen_limit and kms.keygen_window.");
	if (kms_key_lifetime > 30 * SECS_PER_DAY)
		report(result, "notice", "keys live longer than by default",
			   "See kms.key_lifetime.");
}
