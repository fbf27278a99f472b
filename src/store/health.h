/*
 * Queries of the health check and the status functions on tables and catalogs.
 */
#ifndef KMS_STORE_HEALTH_H
#define KMS_STORE_HEALTH_H

#include "nodes/pg_list.h"

/*
 * Return whether this setting's value in the session comes from the database
 * or the server, and neither from the role nor from the session itself.
 */
extern bool kms_health_has_database_setting(const char *name);

/*
 * Return the roles, other than superusers, that can read files of the server
 * or run programs there: a palloc'd list of names, or NULL.
 */
extern char *kms_health_file_readers(void);

/*
 * Return the roles, other than superusers, that hold REFERENCES on a table of
 * kms: a palloc'd list of names, or NULL.
 */
extern char *kms_health_referrers(void);

/* Return the number of sessions over the network without TLS. */
extern int64 kms_health_plain_sessions(void);

/* Return the number of keys that maintenance has tried without success. */
extern int64 kms_health_tried_keys(void);

/* Return the number of denials that are not in the rows of their keys yet. */
extern int64 kms_health_denials(void);

/* Return the number of quarantined events. */
extern int64 kms_health_quarantined(void);

/* Return the number of changes that have not been moved to the trail yet. */
extern int64 kms_health_outbox(void);

/*
 * Return the ids of at most ten keys whose row does not match the trail.  Look
 * at all keys that were ever denied, as far as the trail goes, and at a sample
 * of ids.  Without "newer", the row is older than the trail says, or in use
 * although it was denied last: a complete old row was restored.  With "newer",
 * the row has more versions than the trail says: they were forged to hide
 * that, or events were deleted.
 */
extern List *kms_health_row_versions(bool newer, List *sample);

/*
 * Return the ids of at most 1000 keys that are younger than the oldest row of
 * the trail and that no event of it made.  Look at a sample of ids and at the
 * keys that expire last.
 */
extern List *kms_health_made_elsewhere(List *sample);

/*
 * Return pairs of keys that are active at the same time for one device, as "id
 * and id", at most eleven.  Look at all keys if "complete", otherwise at the
 * sample and at the keys that expire last.
 */
extern List *kms_health_active_twice(List *sample, bool complete);

/* Return tickets that two epochs have, as texts, at most eleven. */
extern List *kms_health_tickets_twice(void);

/*
 * Return the qualified names of tables and indexes that the library needs and
 * that are not in schema kms or are of another kind, such as a view;
 * kms_health_locked_tables returns those of tables that another session has
 * locked against reading.
 */
extern List *kms_health_missing_relations(void);
extern List *kms_health_locked_tables(void);

#endif							/* KMS_STORE_HEALTH_H */
