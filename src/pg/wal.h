/*
 * Where the server's WAL is, and whether it has been somewhere.
 */
#ifndef KMS_PG_WAL_H
#define KMS_PG_WAL_H

/* The end of what is written or, on a standby, replayed. */
extern void kms_wal_position(uint32 *timeline, uint64 *position);

/* The end of what is flushed; not on a standby. */
extern void kms_wal_flushed(uint32 *timeline, uint64 *position);

/*
 * Whether the history of this server's WAL has that position of that
 * timeline: not so on a server that was restored to an earlier point.  Reads
 * a file if the timeline is not the current one; may raise.
 */
extern bool kms_wal_contains(uint32 timeline, uint64 position);

#endif							/* KMS_PG_WAL_H */
