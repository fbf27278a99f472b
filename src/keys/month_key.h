/*
 * Which master key a private key is wrapped under.
 *
 * Without kms.master_key_epochs there is one answer, the current master key.
 * With it a key is wrapped under the master key whose label is the month
 * (UTC) in which the key is made, and stays there: when the last key of a
 * month is purged its master key can be destroyed, and with it whatever old
 * dumps, backups and WAL archives still hold of those keys.  Where the month
 * has no master key none is made, for a copy under another one could never be
 * taken back.
 *
 * The seal of a row goes with the wrap, so that a row needs one master key.
 * Peppers and audit keys belong to no month; they are under the current one.
 */
#ifndef KMS_KEYS_MONTH_KEY_H
#define KMS_KEYS_MONTH_KEY_H

#include "datatype/timestamp.h"

#include "shmem/master.h"

/*
 * The master key for a private key that is made now; the caller wipes it.
 * KMS_NO_EPOCH_KEY if the month has none.  Neither this nor the next waits or
 * raises: a first read is waited for before (kms_master_await).
 */
extern KmsStatus kms_month_key_for_new(KmsMasterKey *key);

/*
 * The one for a key of that age which is to be wrapped anew: that of this
 * month if it was made in it, else the current one.  Not that of a month which
 * is over, for whoever has seen that no row needs it may be destroying it.
 */
extern KmsStatus kms_month_key_for_old(TimestampTz created_at, KmsMasterKey *key);

/* Whether what is under this key of the server's stays under it. */
extern bool kms_month_key_stays(const KmsMasterStatus *status, int i);

/*
 * Whether this key of the server's is that of a month that has ended, and not
 * the current one all the same.
 */
extern bool kms_month_key_is_over(const KmsMasterStatus *status, int i);

/*
 * What is wrong, or will be soon: this month, or one that begins within two
 * weeks, has no master key.  A palloc'd sentence, or NULL.
 */
extern char *kms_month_key_missing(bool *now);

#endif							/* KMS_KEYS_MONTH_KEY_H */
