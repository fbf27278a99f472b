/*
 * The trail and the metrics: what the writer puts into kms.event, kms.metric
 * and kms.event_epoch.
 *
 * All of it must be called in a transaction, with an isolation level of READ
 * COMMITTED, and raises on failure.
 */
#ifndef KMS_STORE_EVENT_TABLE_H
#define KMS_STORE_EVENT_TABLE_H

#include "crypto/chain.h"
#include "datatype/timestamp.h"
#include "shmem/event.h"

/* What the remark of a gap says where another branch of the trail was lost. */
#define KMS_GAP_UNFINISHED	" did not hand the trail over: "
#define KMS_GAP_RESTORED	"the server was restored: "

/*
 * How far a ring has been written, as its row of kms.event_epoch has it, and
 * the head of the chain: every row that is put into kms.event or
 * kms.event_quarantine follows from it, in the order of tickets.
 */
typedef struct KmsTrail
{
	int64		epoch;
	int64		position;		/* every event before it has been dealt with */
	int64		last_ticket;	/* over all epochs */
	int64		counted;		/* number of the last counts (tally.h) written */
	bool		handed_over;	/* nothing comes after this; see epoch_table.h */
	bool		resumed;		/* it was, when it was opened */
	TimestampTz left_out_at;	/* when an event was left out since it was
								 * opened (kms.event_detail); 0: none was */
	unsigned char hash[KMS_CHAIN_SIZE]; /* of the row with that ticket */
	int64		found_ticket;	/* and both as they were when it was opened */
	unsigned char found_hash[KMS_CHAIN_SIZE];
	bool		found_epoch;	/* in kms.event_epoch, not in rows alone */
} KmsTrail;

/*
 * Read the row of this epoch, or make it.  If another epoch has written to
 * the trail since this one did, as after a restore or on a server that was a
 * standby meanwhile, and is not "complete" (0: none is), whose events are
 * known to be all here, a gap is recorded as well; but not if it was handed over,
 * and not for a ring that is retired and has a row, whose events are older.
 *
 * Tickets from "limit" on are not believed.
 */
extern void kms_event_table_open(KmsTrail *trail, int64 epoch, int64 complete,
								 bool retired, int64 limit);

/*
 * Skip numbers that are taken; true if there are any, because somebody has put
 * rows there.  No transaction may write more than 10000 rows behind this.
 */
extern bool kms_event_table_skip(KmsTrail *trail);

/*
 * Insert events, with the next tickets, and count them; those that
 * kms.event_detail leaves out are only counted.
 */
extern void kms_event_table_append(KmsTrail *trail, const KmsEvent *events, int count);

/*
 * Record that events may be missing here, how many (0: not known), and what
 * is known of it.
 */
extern void kms_event_table_gap(KmsTrail *trail, int64 calls, const char *remark);

/*
 * Blank what a row tells of a person, and put the proof in its place (length
 * 0: none, because the row has no salt and so nothing to prove).  False if the
 * row is gone.
 */
extern bool kms_event_table_blank(int64 epoch, int64 ticket,
								  const unsigned char *proof, size_t len);

/* Delete what is behind its end, which only others can have put there. */
extern void kms_event_table_clear(const KmsTrail *trail);

/* Write position, last ticket and hash back. */
extern void kms_event_table_close(const KmsTrail *trail);

#endif							/* KMS_STORE_EVENT_TABLE_H */
