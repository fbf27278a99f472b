/*
 * Settings of background workers, which no database and no role decides on.
 */
#ifndef KMS_WORKER_WORKER_SETTINGS_H
#define KMS_WORKER_WORKER_SETTINGS_H

/*
 * Before connecting to a database: give what the worker relies on its value,
 * so that no other takes effect even for a moment.  "name" is shown as
 * application_name.
 */
extern void kms_worker_settings_pin(const char *name, bool awaits_standby);

/*
 * After that: give all else that the database, or the role that the worker
 * runs as, has set the value that the server has.  But a database keeps its
 * own policy of kms (settings of context PGC_SUSET).
 */
extern void kms_worker_settings_reset(void);

#endif							/* KMS_WORKER_WORKER_SETTINGS_H */
