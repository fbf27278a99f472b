/*
 * Settings of background workers that no database and no role may override.
 */
#ifndef KMS_WORKER_WORKER_SETTINGS_H
#define KMS_WORKER_WORKER_SETTINGS_H

/*
 * Set what the worker relies on, so that no other value takes effect even for
 * a moment.  Call it before connecting to a database.  "name" is shown as
 * application_name.  If "awaits_standby" is true, synchronous_commit keeps the
 * server's value.
 */
extern void kms_worker_settings_pin(const char *name, bool awaits_standby);

/*
 * Reset all other settings that the database, or the role that the worker runs
 * as, has set, to the server's values.  A database keeps its own policy of kms
 * (settings of context PGC_SUSET).  Call it after connecting.
 */
extern void kms_worker_settings_reset(void);

#endif							/* KMS_WORKER_WORKER_SETTINGS_H */
