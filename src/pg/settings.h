/*
 * The settings, as in docs/reference/settings.md, with their defaults.
 *
 * Times are in seconds unless stated otherwise.
 */
#ifndef KMS_PG_SETTINGS_H
#define KMS_PG_SETTINGS_H

#define KMS_KEYGEN_WORKERS_MAX 8
#define KMS_WORKERS_MAX 64
#define KMS_AUDIT_CONTEXT_MAX 255	/* bytes of kms.audit_context */

/* kms.audit */
typedef enum KmsAudit
{
	KMS_AUDIT_BEST_EFFORT,
	KMS_AUDIT_REQUIRED			/* no result leaves before its event is
								 * durable */
} KmsAudit;

/* kms.event_detail */
typedef enum KmsEventDetail
{
	KMS_DETAIL_ALL,
	KMS_DETAIL_FAILURES			/* successful decrypts are only counted */
} KmsEventDetail;

/* kms.multi_buffer */
typedef enum KmsMultiBuffer
{
	KMS_MULTI_BUFFER_BLINDED,
	KMS_MULTI_BUFFER_OFF,
	KMS_MULTI_BUFFER_UNBLINDED
} KmsMultiBuffer;

/* For the whole server. */
extern char *kms_master_key_command;	/* "" when not set */
extern int	kms_master_key_command_timeout; /* milliseconds */
extern char *kms_master_key_file;	/* "" when not set */
extern bool kms_master_key_epochs;
extern bool kms_rewrap_automatically;
extern int	kms_audit;			/* KmsAudit */
extern int	kms_audit_timeout;	/* milliseconds */
extern bool kms_audit_wait_for_standby;
extern int	kms_audit_checkpoint_interval;
extern int	kms_event_detail;	/* KmsEventDetail */
extern int	kms_event_ring_size;	/* kB */
extern int	kms_event_flush_interval;	/* milliseconds */
extern int	kms_event_retention;
extern int	kms_metric_retention;
extern bool kms_maintenance;
extern int	kms_maintenance_interval;
extern int	kms_max_workers;	/* at most KMS_WORKERS_MAX */
extern int	kms_reserved_writers;	/* of them */
extern int	kms_key_cache_size; /* keys a session */
extern int	kms_key_pool_size;	/* keys a database; 0: no pool */
extern int	kms_keygen_workers; /* at most KMS_KEYGEN_WORKERS_MAX */
extern int	kms_max_ciphertext_size;	/* bytes, as encoded */
extern int	kms_max_jwe_size;	/* bytes, as encoded; 0: JWE are refused */
extern int	kms_max_databases;
extern int	kms_multi_buffer;	/* KmsMultiBuffer */
extern bool kms_notify;
extern int	kms_keygen_concurrency;
extern bool kms_protect_memory;
extern bool kms_require_tls;
extern int	kms_verify_failure_limit;	/* 0 means off */
extern int	kms_verify_failure_window;

/* For superusers, so that a database can have its own. */
extern int	kms_key_lifetime;
extern int	kms_key_renewal;	/* 0 means off */
extern int	kms_key_retention;
extern int	kms_key_algorithm;	/* KmsKeyAlgorithm */
extern int	kms_oaep_hash;		/* KmsDigest */
extern int	kms_keygen_limit;
extern int	kms_keygen_window;
extern int	kms_max_field_size; /* bytes of plaintext */
extern int	kms_field_destroy_after;
extern bool kms_deprecate_problematic_keys;
extern double kms_problematic_threshold;	/* percent */

/*
 * For any role: the application's current work, for the trail, never NULL; and
 * the milliseconds between two notices of a long call's progress, 0 for none.
 */
extern char *kms_audit_context;
extern int	kms_progress_interval;

/*
 * Return true if a name is one of kms.*; if there is such a parameter; and if
 * the parameter accepts this value, when the server starts or by ALTER
 * DATABASE.
 */
extern bool kms_settings_is_ours(const char *name);
extern bool kms_settings_knows(const char *name);
extern bool kms_settings_accepts(const char *name, const char *value,
								 bool at_start);

/*
 * Define the settings.  Called from _PG_init; the server's settings are
 * defined only while preloading.
 */
extern void kms_settings_define(void);

#endif							/* KMS_PG_SETTINGS_H */
