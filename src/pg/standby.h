/*
 * Synchronous standbys: what they have, and who waits for them.
 */
#ifndef KMS_PG_STANDBY_H
#define KMS_PG_STANDBY_H

/* Whether synchronous_standby_names names any. */
extern bool kms_standby_named(void);

/* That setting; only if it names any. */
extern const char *kms_standby_names(void);

/*
 * How many standbys a commit has to wait for, as synchronous_standby_names says,
 * and how many of those that it names are connected and may confirm one.
 */
extern int	kms_standby_wanted(int *connected);

/*
 * Whether synchronous_commit, as this process has it, waits for them at all:
 * not with "off" or "local".
 */
extern bool kms_standby_awaited(void);

/*
 * Whether they have the WAL up to here, as synchronous_commit wants it; false
 * if none is named.  Only if kms_standby_awaited().
 */
extern bool kms_standby_has(uint64 position);

/*
 * How many processes of this database wait for them in statements that began
 * more than so many seconds ago, and one of them; 0 if none does.
 */
extern int	kms_standby_waiters(int seconds, int *pid);

#endif							/* KMS_PG_STANDBY_H */
