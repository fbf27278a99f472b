/*
 * Synchronous standbys: the WAL that they have, and the processes that wait
 * for them.
 */
#ifndef KMS_PG_STANDBY_H
#define KMS_PG_STANDBY_H

/* Return true if synchronous_standby_names names any. */
extern bool kms_standby_named(void);

/* Return that setting.  Only if it names any. */
extern const char *kms_standby_names(void);

/*
 * Return how many standbys a commit has to wait for, as
 * synchronous_standby_names says.  *connected is the number of named standbys
 * that are connected and can confirm a commit.
 */
extern int	kms_standby_wanted(int *connected);

/*
 * Return true if this process's synchronous_commit waits for standbys at all:
 * not with "off" or "local".
 */
extern bool kms_standby_awaited(void);

/*
 * Return true if the standbys have the WAL up to this position, to the level
 * of synchronous_commit; false if none is named.  Only if
 * kms_standby_awaited().
 */
extern bool kms_standby_has(uint64 position);

/*
 * Return how many processes of this database wait for standbys in statements
 * that started more than so many seconds ago, and the id of one of them in
 * *pid, or 0.
 */
extern int	kms_standby_waiters(int seconds, int *pid);

#endif							/* KMS_PG_STANDBY_H */
