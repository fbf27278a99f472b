/*
 * Which master key a private key is wrapped under.
 *
 * Without kms.master_key_epochs, it is the current master key.  With it, it is
 * the master key whose label is the month (UTC) in which the key is made, and
 * the key stays under it.  Once the last key of a month is purged, its master
 * key can be destroyed, and with it all copies of these keys in old dumps,
 * backups and WAL archives.  If the month has no master key, no key is made,
 * because copies under another master key could never be recalled.
 *
 * The seal of a row uses the master key of its wrap, so that a row needs only
 * one.  Peppers and audit keys belong to no month; they are under the current
 * master key.
 */
#ifndef KMS_KEYS_MONTH_KEY_H
#define KMS_KEYS_MONTH_KEY_H

#include "datatype/timestamp.h"

#include "shmem/master.h"

/*
 * Return the master key for a private key that is made now; the caller wipes
 * it.  Return KMS_NO_MONTH_KEY if the month has none.  Neither this function
 * nor the next one waits or raises an error.  To wait for the first read, call
 * kms_master_await before.
 */
extern KmsStatus kms_month_key_for_new(KmsMasterKey *key);

/*
 * Return the master key for a key of this age that is wrapped again: that of
 * this month if the key was made in it, otherwise the current one.  The master
 * key of a past month is not used again, because an operator who has seen that
 * no row needs it may be destroying it.
 */
extern KmsStatus kms_month_key_for_old(TimestampTz created_at, KmsMasterKey *key);

/* Return whether keys under the server's i-th master key stay under it. */
extern bool kms_month_key_stays(const KmsMasterStatus *status, int i);

/*
 * Return whether the server's i-th master key is that of a past month, and not
 * the current one.
 */
extern bool kms_month_key_is_over(const KmsMasterStatus *status, int i);

/*
 * Return what is wrong: this month, or one that begins within two weeks, has
 * no master key.  The sentence is palloc'd, or NULL if nothing is wrong.  *now
 * is true if this month has none.
 */
extern char *kms_month_key_missing(bool *now);

#endif							/* KMS_KEYS_MONTH_KEY_H */
