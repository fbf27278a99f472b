#include "postgres.h"

#include <limits.h>

#include "miscadmin.h"
#include "utils/guc.h"

#include "pg/settings.h"

#include "crypto/digest.h"
#include "crypto/key_algorithm.h"
#include "pg/compat.h"
#include "pg/line.h"
#include "pg/preload.h"

#define DAY_S	(24 * 60 * 60)


char	   *kms_master_key_command = NULL;
int			kms_master_key_command_timeout = 30 * 1000;
char	   *kms_master_key_file = NULL;
bool		kms_master_key_epochs = false;
bool		kms_rewrap_automatically = false;
int			kms_audit = KMS_AUDIT_BEST_EFFORT;
int			kms_audit_timeout = 5000;
bool		kms_audit_wait_for_standby = false;
int			kms_audit_checkpoint_interval = 60;
int			kms_event_detail = KMS_DETAIL_ALL;
int			kms_event_ring_size = 16 * 1024;
int			kms_event_flush_interval = 200;
int			kms_event_retention = 90 * DAY_S;
int			kms_metric_retention = 400 * DAY_S;
bool		kms_maintenance = true;
int			kms_maintenance_interval = 300;
int			kms_max_databases = 256;
int			kms_max_workers = 4;
int			kms_reserved_writers = 1;
int			kms_key_cache_size = 128;
int			kms_key_pool_size = 16;
int			kms_keygen_workers = 1;
int			kms_max_ciphertext_size = 2048;
int			kms_max_field_size = 1024 * 1024;
int			kms_max_jwe_size = 64 * 1024;
int			kms_multi_buffer = KMS_MULTI_BUFFER_BLINDED;
bool		kms_notify = false;
int			kms_keygen_concurrency = 2;
bool		kms_protect_memory = true;
bool		kms_require_tls = false;
int			kms_verify_failure_limit = 0;
int			kms_verify_failure_window = 15 * 60;

int			kms_key_algorithm = KMS_RSA_2048;
int			kms_key_lifetime = 30 * DAY_S;
int			kms_field_destroy_after = 7 * DAY_S;
int			kms_key_renewal = 3 * DAY_S;
int			kms_key_retention = 90 * DAY_S;
int			kms_oaep_hash = KMS_SHA1;
int			kms_keygen_limit = 5;
int			kms_keygen_window = DAY_S;
bool		kms_deprecate_problematic_keys = true;
double		kms_problematic_threshold = 10.0;

char	   *kms_audit_context = NULL;
int			kms_progress_interval = 10 * 1000;

static const struct config_enum_entry audit_options[] = {
	{"best_effort", KMS_AUDIT_BEST_EFFORT, false},
	{"required", KMS_AUDIT_REQUIRED, false},
	{NULL, 0, false}
};

static const struct config_enum_entry event_detail_options[] = {
	{"all", KMS_DETAIL_ALL, false},
	{"failures", KMS_DETAIL_FAILURES, false},
	{NULL, 0, false}
};

static const struct config_enum_entry key_algorithm_options[] = {
	{"RSA-2048", KMS_RSA_2048, false},
	{"RSA-3072", KMS_RSA_3072, false},
	{"RSA-4096", KMS_RSA_4096, false},
	{"EC-P256", KMS_EC_P256, false},
	{"X25519", KMS_X25519, false},
	{NULL, 0, false}
};

static const struct config_enum_entry multi_buffer_options[] = {
	{"blinded", KMS_MULTI_BUFFER_BLINDED, false},
	{"off", KMS_MULTI_BUFFER_OFF, false},
	{"unblinded", KMS_MULTI_BUFFER_UNBLINDED, false},
	{NULL, 0, false}
};

static const struct config_enum_entry oaep_hash_options[] = {
	{"sha1", KMS_SHA1, false},
	{"sha224", KMS_SHA224, false},
	{"sha256", KMS_SHA256, false},
	{"sha384", KMS_SHA384, false},
	{"sha512", KMS_SHA512, false},
	{"sha512-224", KMS_SHA512_224, false},
	{"sha512-256", KMS_SHA512_256, false},
	{NULL, 0, false}
};

static void define_server_settings(void);
static void define_policy_settings(void);
static void define_session_settings(void);
static bool check_jwe_size(int *newval, void **extra, GucSource source);
static bool check_audit_context(char **newval, void **extra, GucSource source);
static void define_server_seconds(const char *name, const char *what,
								  int *variable, int boot, int min);
static void define_policy_seconds(const char *name, const char *what,
								  int *variable, int boot, int min);

void
kms_settings_define(void)
{
	/*
	 * The server's settings of POSTMASTER level can be defined only while
	 * preloading.  Without preloading, the extension has no server part at
	 * all.
	 */
	if (process_shared_preload_libraries_in_progress)
	{
		kms_preload_done = true;
		define_server_settings();
	}
	define_policy_settings();
	define_session_settings();
	if (kms_preload_done)
		MarkGUCPrefixReserved("kms");
}

/* Define the settings of the configuration file, for the whole server. */
static void
define_server_settings(void)
{
	DefineCustomEnumVariable("kms.audit",
							 "Whether a result may be returned before its event is durable.",
							 "With \"required\", a call whose event cannot be recorded fails with KM008.",
							 &kms_audit, kms_audit, audit_options,
							 PGC_SIGHUP, 0, NULL, NULL, NULL);
	define_server_seconds("kms.audit_checkpoint_interval",
						  "Longest time between two signed checkpoints of the trail.",
						  &kms_audit_checkpoint_interval,
						  kms_audit_checkpoint_interval, 1);
	DefineCustomIntVariable("kms.audit_timeout",
							"Longest time that a call waits for its event to be durable.",
							"Only with kms.audit = required.",
							&kms_audit_timeout, kms_audit_timeout,
							10, 600 * 1000,
							PGC_SIGHUP, GUC_UNIT_MS, NULL, NULL, NULL);
	DefineCustomBoolVariable("kms.audit_wait_for_standby",
							 "Whether an event is durable only when a synchronous standby has it, too.",
							 "The level is that of synchronous_commit. Calls that wait for their events wait for the standby, too.",
							 &kms_audit_wait_for_standby,
							 kms_audit_wait_for_standby,
							 PGC_SIGHUP, 0, NULL, NULL, NULL);
	DefineCustomEnumVariable("kms.event_detail",
							 "Which events kms.event holds; all are counted.",
							 "With \"failures\", successful decrypts, also of fields, are only counted.",
							 &kms_event_detail, kms_event_detail,
							 event_detail_options,
							 PGC_SIGHUP, 0, NULL, NULL, NULL);
	DefineCustomIntVariable("kms.event_flush_interval",
							"Longest time between an event and its row in kms.event.",
							NULL, &kms_event_flush_interval,
							kms_event_flush_interval, 1, 60000,
							PGC_SIGHUP, GUC_UNIT_MS, NULL, NULL, NULL);
	define_server_seconds("kms.event_retention",
						  "How long events are kept in kms.event.",
						  &kms_event_retention, kms_event_retention, 1);
	DefineCustomIntVariable("kms.event_ring_size",
							"Size of a database's event ring file.",
							"One event takes 1 kB.", &kms_event_ring_size,
							kms_event_ring_size, 64, 1024 * 1024,
							PGC_POSTMASTER, GUC_UNIT_KB, NULL, NULL, NULL);
	DefineCustomIntVariable("kms.key_cache_size",
							"Opened private keys that a session keeps.",
							NULL, &kms_key_cache_size,
							kms_key_cache_size, 1, 4096,
							PGC_SIGHUP, 0, NULL, NULL, NULL);
	DefineCustomIntVariable("kms.key_pool_size",
							"Ready-made keys that each database keeps for its devices.",
							"With 0, each key is generated when it is requested.",
							&kms_key_pool_size,
							kms_key_pool_size, 0, 10000,
							PGC_SIGHUP, 0, NULL, NULL, NULL);
	DefineCustomIntVariable("kms.keygen_concurrency",
							"Sessions that may generate a key at the same time.",
							NULL, &kms_keygen_concurrency,
							kms_keygen_concurrency, 1, 64,
							PGC_SIGHUP, 0, NULL, NULL, NULL);
	DefineCustomIntVariable("kms.keygen_workers",
							"Background workers at a time that fill pools of keys, over all databases.",
							"They use idle processor time only. With 0, only kms_maintain() fills the pools.",
							&kms_keygen_workers,
							kms_keygen_workers, 0, KMS_KEYGEN_WORKERS_MAX,
							PGC_SIGHUP, 0, NULL, NULL, NULL);
	DefineCustomBoolVariable("kms.maintenance",
							 "Whether a background worker expires and purges keys.",
							 "Without it, call kms_maintain() from pg_cron.",
							 &kms_maintenance, kms_maintenance,
							 PGC_SIGHUP, 0, NULL, NULL, NULL);
	define_server_seconds("kms.maintenance_interval",
						  "Time between two rounds of maintenance.",
						  &kms_maintenance_interval,
						  kms_maintenance_interval, 1);
	DefineCustomStringVariable("kms.master_key_command",
							   "Command that prints the master keys, in the form of kms.master_key_file.",
							   "The shell runs it once at start and once at each reload.",
							   &kms_master_key_command, "",
							   PGC_SIGHUP,
							   GUC_SUPERUSER_ONLY | GUC_DISALLOW_IN_AUTO_FILE,
							   NULL, NULL, NULL);
	DefineCustomIntVariable("kms.master_key_command_timeout",
							"Longest time that kms.master_key_command may take.",
							NULL, &kms_master_key_command_timeout,
							kms_master_key_command_timeout, 100, 600 * 1000,
							PGC_SIGHUP, GUC_UNIT_MS, NULL, NULL, NULL);
	DefineCustomBoolVariable("kms.master_key_epochs",
							 "Keys are wrapped under the master key labelled with their month.",
							 "Labels are like 2026-11, in UTC. Such keys keep their master key when other keys are wrapped again.",
							 &kms_master_key_epochs, kms_master_key_epochs,
							 PGC_SIGHUP, 0, NULL, NULL, NULL);
	DefineCustomStringVariable("kms.master_key_file",
							   "File that holds the master keys, one in hexadecimal digits a line.",
							   "The first one is current, the others only unwrap.",
							   &kms_master_key_file, "",
							   PGC_SIGHUP,
							   GUC_SUPERUSER_ONLY | GUC_DISALLOW_IN_AUTO_FILE,
							   NULL, NULL, NULL);
	DefineCustomIntVariable("kms.max_ciphertext_size",
							"Longest encoded ciphertext that is decoded.",
							NULL, &kms_max_ciphertext_size,
							kms_max_ciphertext_size, 256, 1024 * 1024,
							PGC_SIGHUP, GUC_UNIT_BYTE, NULL, NULL, NULL);
	DefineCustomIntVariable("kms.max_databases",
							"Databases of the server that can use kms.",
							"In each further database, every call fails with 53400. Each database takes 4 kB of shared memory.",
							&kms_max_databases,
							kms_max_databases, 1, 10000,
							PGC_POSTMASTER, 0, NULL, NULL, NULL);
	DefineCustomIntVariable("kms.max_jwe_size",
							"Longest JWE that is read; 0 refuses each.",
							NULL, &kms_max_jwe_size, kms_max_jwe_size, 0,
							2 * 1024 * 1024, PGC_SIGHUP, GUC_UNIT_BYTE,
							check_jwe_size, NULL, NULL);
	DefineCustomIntVariable("kms.max_workers",
							"Event writers and maintenance workers at a time, over all databases.",
							NULL, &kms_max_workers, kms_max_workers, 1, KMS_WORKERS_MAX,
							PGC_SIGHUP, 0, NULL, NULL, NULL);
	define_server_seconds("kms.metric_retention",
						  "How long counts are kept in kms.metric.",
						  &kms_metric_retention, kms_metric_retention, 3600);
	DefineCustomEnumVariable("kms.multi_buffer",
							 "How batches use several RSA keys at once (crypto_mb).",
							 "Only where kms was built with crypto_mb, and the processor has AVX-512 IFMA.",
							 &kms_multi_buffer, kms_multi_buffer,
							 multi_buffer_options,
							 PGC_SIGHUP, 0, NULL, NULL, NULL);
	DefineCustomBoolVariable("kms.notify",
							 "Whether changes of keys are told on channel kms (LISTEN).",
							 "Anybody who may connect can listen.",
							 &kms_notify, kms_notify,
							 PGC_SIGHUP, 0, NULL, NULL, NULL);
	DefineCustomBoolVariable("kms.protect_memory",
							 "Whether sessions can be neither dumped nor traced by their own user.",
							 NULL, &kms_protect_memory, kms_protect_memory,
							 PGC_SIGHUP, 0, NULL, NULL, NULL);
	DefineCustomBoolVariable("kms.require_tls",
							 "Whether plaintext is refused to sessions over TCP/IP without TLS.",
							 NULL, &kms_require_tls, kms_require_tls,
							 PGC_SIGHUP, 0, NULL, NULL, NULL);
	DefineCustomIntVariable("kms.reserved_writers",
							"Background worker slots that are kept for event writers from the start.",
							"kms.max_workers includes them.",
							&kms_reserved_writers,
							kms_reserved_writers, 0, KMS_WORKERS_MAX,
							PGC_POSTMASTER, 0, NULL, NULL, NULL);
	DefineCustomBoolVariable("kms.rewrap_automatically",
							 "Maintenance wraps keys again that are not under the current master key.",
							 NULL, &kms_rewrap_automatically,
							 kms_rewrap_automatically,
							 PGC_SIGHUP, 0, NULL, NULL, NULL);
	DefineCustomIntVariable("kms.verify_failure_limit",
							"Failed attempts of a subject within kms.verify_failure_window; 0 is off.",
							NULL, &kms_verify_failure_limit,
							kms_verify_failure_limit, 0, 1000,
							PGC_SIGHUP, 0, NULL, NULL, NULL);
	define_server_seconds("kms.verify_failure_window",
						  "Time over which kms.verify_failure_limit counts.",
						  &kms_verify_failure_window,
						  kms_verify_failure_window, 1);
}

/*
 * Define the settings of a superuser, so that a database can have its own
 * policy.
 */
static void
define_policy_settings(void)
{
	DefineCustomBoolVariable("kms.deprecate_problematic_keys",
							 "Whether maintenance deprecates keys with many failed decrypts.",
							 NULL, &kms_deprecate_problematic_keys,
							 kms_deprecate_problematic_keys,
							 PGC_SUSET, 0, NULL, NULL, NULL);
	define_policy_seconds("kms.field_destroy_after",
						  "How long a field key must have been disabled before it can be destroyed.",
						  &kms_field_destroy_after, kms_field_destroy_after, 0);
	DefineCustomEnumVariable("kms.key_algorithm",
							 "Algorithm of new keys.",
							 NULL, &kms_key_algorithm, kms_key_algorithm,
							 key_algorithm_options, PGC_SUSET, 0, NULL, NULL, NULL);
	define_policy_seconds("kms.key_lifetime",
						  "Time from the creation of a key to its expiry.",
						  &kms_key_lifetime, kms_key_lifetime, 1);
	define_policy_seconds("kms.key_renewal",
						  "Time before the expiry of a key at which its device gets the next one; 0 is off.",
						  &kms_key_renewal, kms_key_renewal, 0);
	define_policy_seconds("kms.key_retention",
						  "Time from the expiry of a key to its deletion.",
						  &kms_key_retention, kms_key_retention, 0);
	DefineCustomIntVariable("kms.keygen_limit",
							"Keys made for a device within kms.keygen_window.",
							NULL, &kms_keygen_limit, kms_keygen_limit,
							1, 1000000, PGC_SUSET, 0, NULL, NULL, NULL);
	define_policy_seconds("kms.keygen_window",
						  "Time over which kms.keygen_limit counts.",
						  &kms_keygen_window, kms_keygen_window, 1);
	DefineCustomIntVariable("kms.max_field_size",
							"Longest plaintext of a field's value.",
							NULL, &kms_max_field_size, kms_max_field_size,
							1024, 64 * 1024 * 1024, PGC_SUSET, GUC_UNIT_BYTE,
							NULL, NULL, NULL);
	DefineCustomEnumVariable("kms.oaep_hash",
							 "OAEP digest of new keys.",
							 NULL, &kms_oaep_hash, kms_oaep_hash,
							 oaep_hash_options, PGC_SUSET, 0, NULL, NULL, NULL);
	DefineCustomRealVariable("kms.problematic_threshold",
							 "Share of failed decrypts, in percent, above which a key is problematic.",
							 NULL, &kms_problematic_threshold,
							 kms_problematic_threshold, 0.0, 100.0,
							 PGC_SUSET, 0, NULL, NULL, NULL);
}

bool
kms_settings_is_ours(const char *name)
{
	return pg_strncasecmp(name, "kms.", 4) == 0;
}

/* A placeholder has a value, but the name is not defined. */
bool
kms_settings_knows(const char *name)
{
	return GetConfigOption(name, true, false) != NULL &&
		(GetConfigOptionFlags(name, true) & GUC_CUSTOM_PLACEHOLDER) == 0;
}

/* Test the value without setting it.  An error would be reported at DEBUG5. */
bool
kms_settings_accepts(const char *name, const char *value, bool at_start)
{
	return set_config_option(name, value,
							 at_start ? PGC_POSTMASTER : PGC_SUSET, PGC_S_TEST,
							 GUC_ACTION_SET, false, DEBUG5, false) != 0;
}

/*
 * Define the settings that any caller can set.  The context is recorded as the
 * caller's statement, and nothing relies on it.
 */
static void
define_session_settings(void)
{
	DefineCustomStringVariable("kms.audit_context",
							   "What the application is working on, for the audit trail.",
							   "For example a user or request id: at most 255 bytes without " KMS_LINE_REFUSES ".",
							   &kms_audit_context, "",
							   PGC_USERSET, 0, check_audit_context, NULL, NULL);
	DefineCustomIntVariable("kms.progress_interval",
							"Time between two notices of a long call's progress; 0 is off.",
							NULL, &kms_progress_interval,
							kms_progress_interval, 0, 24 * 3600 * 1000,
							PGC_USERSET, GUC_UNIT_MS, NULL, NULL, NULL);
}

static bool
check_jwe_size(int *newval, void **extra, GucSource source)
{
	if (*newval == 0 || *newval >= 1024)
		return true;
	GUC_check_errdetail("The size must be 0, or 1kB to 2MB.");
	return false;
}


/*
 * Accept a value that is not text now, because a value of the configuration
 * file is checked before there is a database; see kms_line_clean.  The
 * server's own message would show the value, so write another one.
 */
static bool
check_audit_context(char **newval, void **extra, GucSource source)
{
	size_t		len = strlen(*newval);

	if (len <= KMS_AUDIT_CONTEXT_MAX &&
		kms_line_judge(*newval, len) != KMS_LINE_REFUSED)
		return true;
	GUC_check_errmsg("invalid value for parameter \"%s\"",
					 "kms.audit_context");
	GUC_check_errdetail("At most %d bytes are allowed, and no " KMS_LINE_REFUSES ".",
						KMS_AUDIT_CONTEXT_MAX);
	return false;
}

static void
define_server_seconds(const char *name, const char *what, int *variable,
					  int boot, int min)
{
	DefineCustomIntVariable(name, what, NULL, variable, boot, min, INT_MAX,
							PGC_SIGHUP, GUC_UNIT_S, NULL, NULL, NULL);
}

static void
define_policy_seconds(const char *name, const char *what, int *variable,
					  int boot, int min)
{
	DefineCustomIntVariable(name, what, NULL, variable, boot, min, INT_MAX,
							PGC_SUSET, GUC_UNIT_S, NULL, NULL, NULL);
}
