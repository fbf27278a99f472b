/*
 * Questions that the health check and the status functions ask the tables
 * and catalogs.
 */
#ifndef KMS_STORE_HEALTH_H
#define KMS_STORE_HEALTH_H

#include "nodes/pg_list.h"

/*
 * Whether the session has the value of this setting from the database or the
 * server, and not one of its role's or its own.
 */
extern bool kms_health_has_database_setting(const char *name);

/* Roles, other than superusers, that can read files of the server or run
 * programs there; a palloc'd list in English, or NULL. */
extern char *kms_health_file_readers(void);

/* Roles other than superusers that hold REFERENCES on a table of kms; a
 * palloc'd list in English, or NULL. */
extern char *kms_health_referrers(void);

/* Sessions over the network without TLS. */
extern int64 kms_health_plain_sessions(void);

/* Keys that maintenance could not deal with. */
extern int64 kms_health_tried_keys(void);

/* Denials that are not in the rows of their keys yet. */
extern int64 kms_health_denials(void);

/* Events set aside. */
extern int64 kms_health_quarantined(void);

/* Changes that wait to be moved to the trail. */
extern int64 kms_health_outbox(void);

/*
 * Keys, of all that were ever denied as far as the trail goes and of a sample
 * of ids, whose row is older than the trail says, or in use though it was
 * denied last (a complete old row was put back); or newer (versions were made
 * up to hide that, or events deleted).  Ids, at most ten.
 */
extern List *kms_health_row_versions(bool newer, List *sample);

/*
 * Keys, of a sample of ids and of those that expire last, that are younger
 * than the oldest row of the trail and that no event of it made.  Ids, at most
 * 1000.
 */
extern List *kms_health_made_elsewhere(List *sample);

/*
 * Keys that are active at the same time for one device, "id and id", at most
 * eleven: all, or those of the sample and those that expire last.
 */
extern List *kms_health_active_twice(List *sample, bool complete);

/* Tickets that two epochs have, as texts, at most eleven. */
extern List *kms_health_tickets_twice(void);

/*
 * Tables and indexes that the library needs and that are not in schema kms,
 * or are of another kind, like a view; tables that another session has locked
 * against reading.  Qualified names.
 */
extern List *kms_health_missing_relations(void);
extern List *kms_health_locked_tables(void);

#endif							/* KMS_STORE_HEALTH_H */
