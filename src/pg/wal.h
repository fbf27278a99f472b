/*
 * The server's position in the WAL, and the WAL's history.
 */
#ifndef KMS_PG_WAL_H
#define KMS_PG_WAL_H

/* Get the end of the WAL that is written or, on a standby, replayed. */
extern void kms_wal_position(uint32 *timeline, uint64 *position);

/* Get the end of the WAL that is flushed.  Not on a standby. */
extern void kms_wal_flushed(uint32 *timeline, uint64 *position);

/*
 * Return true if the history of this server's WAL contains that position of
 * that timeline: not on a server that was restored to an earlier point.  Reads
 * a file if the timeline is not the current one, and may raise an error.
 */
extern bool kms_wal_contains(uint32 timeline, uint64 position);

#endif							/* KMS_PG_WAL_H */
