/*
 * The trail and the metrics: what the writer stores in kms.event, kms.metric
 * and kms.event_epoch.
 *
 * All functions must be called in a READ COMMITTED transaction, and raise an
 * error on failure.
 */
#ifndef KMS_STORE_EVENT_TABLE_H
#define KMS_STORE_EVENT_TABLE_H

#include "crypto/chain.h"
#include "datatype/timestamp.h"
#include "shmem/event.h"

/*
 * Parts of the remark of a gap by which it tells of a lost branch of the
 * trail.
 */
#define KMS_GAP_UNFINISHED	" did not hand the trail over: "
#define KMS_GAP_RESTORED	"the server was restored: "

/*
 * How far a ring has been written, as its row of kms.event_epoch says, and the
 * head of the chain: every row that is inserted into kms.event or
 * kms.event_quarantine follows from it, in the order of tickets.
 */
typedef struct KmsTrail
{
	int64		epoch;
	int64		position;		/* all events before it are processed */
	int64		last_ticket;	/* over all epochs */
	int64		counted;		/* number of the last counts (tally.h) */
	bool		handed_over;	/* nothing comes after it, see epoch_table.h */
	bool		resumed;		/* it was handed over when it was opened */
	TimestampTz left_out_at;	/* when kms.event_detail last left out an
								 * event since it was opened, 0: never */
	unsigned char hash[KMS_CHAIN_SIZE]; /* of the row with the last ticket */
	int64		found_ticket;	/* last ticket and hash when it was opened */
	unsigned char found_hash[KMS_CHAIN_SIZE];
	bool		found_epoch;	/* in kms.event_epoch, not only in rows */
} KmsTrail;

/*
 * Read the row of this epoch, or insert it.  If another epoch has written to
 * the trail since this one did, record a gap: that happens after a restore,
 * and on a server that was a standby in the meantime.  Record none if
 *
 * - the other epoch was handed over;
 * - the other epoch is "complete": all its events are known to be here (0: no
 *   epoch is);
 * - this ring is retired and has a row, because its events are older.
 *
 * Tickets from "limit" on are not believed.
 */
extern void kms_event_table_open(KmsTrail *trail, int64 epoch, int64 complete,
								 bool retired, int64 limit);

/*
 * Skip tickets that are taken.  Return true if there are any, because somebody
 * has inserted rows behind the end of the trail.  No transaction may write
 * more than 10000 rows after this call.
 */
extern bool kms_event_table_skip(KmsTrail *trail);

/*
 * Insert events with the next tickets, and count them.  Events that
 * kms.event_detail leaves out are only counted.
 */
extern void kms_event_table_append(KmsTrail *trail, const KmsEvent *events, int count);

/*
 * Record that events may be missing here: their number (0: unknown), and what
 * is known about them.
 */
extern void kms_event_table_gap(KmsTrail *trail, int64 calls, const char *remark);

/*
 * Blank the personal data of a row, and store the proof instead.  "len" is 0
 * if the row has no salt and so nothing to prove.  Return false if the row is
 * gone.
 */
extern bool kms_event_table_blank(int64 epoch, int64 ticket,
								  const unsigned char *proof, size_t len);

/* Delete rows behind the end of the trail, which only others can insert. */
extern void kms_event_table_clear(const KmsTrail *trail);

/* Store position, last ticket and hash in the row of the epoch. */
extern void kms_event_table_close(const KmsTrail *trail);

#endif							/* KMS_STORE_EVENT_TABLE_H */
