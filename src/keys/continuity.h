/*
 * Whether the trail continues from its anchor, which says how far the server
 * has written and signed it (shmem/anchor.h, docs/design/trail-chain.md).
 *
 * Anybody who can write to the tables can compute the chain again, and could
 * have it signed.  So if the trail does not continue from its anchor, nothing
 * is signed or deleted until the owner accepts that.  The exception is a
 * server that was restored to an earlier point: its WAL does not continue from
 * the anchor either, and the rows written since are lost.
 */
#ifndef KMS_KEYS_CONTINUITY_H
#define KMS_KEYS_CONTINUITY_H

#include "keys/finding.h"
#include "shmem/anchor.h"
#include "store/event_table.h"

typedef struct KmsContinuity
{
	bool		anchored;		/* an anchor exists, and the WAL contains it */
	bool		restored;		/* an anchor exists, and the WAL does not
								 * contain it */
	KmsAnchorBreak broken;		/* how the tables differ from it */
	KmsAnchor	anchor;			/* valid if anchored or restored */
} KmsContinuity;

/*
 * Compare the tables with the anchor, in any process.  An error of reading
 * them is raised.
 */
extern void kms_continuity_judge(KmsContinuity *continuity);

/*
 * Return whether the trail is broken, so that retention must not touch it.  If
 * so, wake the writer.
 */
extern bool kms_continuity_is_broken(void);

/* Return what is wrong, in words for a finding; NULL if nothing is. */
extern const char *kms_continuity_finding(KmsAnchorBreak broken);

/* Report a broken trail and late signatures, for kms_check(). */
extern void kms_continuity_check(KmsReport report, void *arg);

/* The memory of the writer about the anchor.  Begins zeroed. */
typedef struct KmsKeeper
{
	bool		known;			/* it describes the trail as it is */
	bool		restored;		/* the next commit records a restore */
	bool		accepting;		/* the next commit ends a break */
	bool		renewed;		/* rows of other writers may be there */
	bool		filed;			/* the file is up to date */
	TimestampTz filed_at;		/* when the file was written or tried */
	int64		last_ticket;	/* written by this writer, 0: none */
	KmsAnchor	anchor;
	char		gap[256];		/* if restored: the text of the gap */
} KmsKeeper;

/*
 * Called by the writer, in a transaction that holds the lock of the trail:
 * kms_continuity_begin before the trail is opened, kms_continuity_follow after
 * it.  "older" says that the ring file is older than the trail.  If the server
 * was restored, kms_continuity_follow adds a gap to the trail.
 */
extern void kms_continuity_begin(KmsKeeper *keeper);
extern void kms_continuity_follow(KmsKeeper *keeper, KmsTrail *trail,
								  bool older);

/*
 * Between these two, return the ticket, exclusive, up to which the tables are
 * believed about the end of the trail.  So nobody can bring the trail to the
 * end of all numbers.
 */
extern int64 kms_continuity_limit(const KmsKeeper *keeper);

/* Mark the trail as broken: rows were inserted behind its end. */
extern void kms_continuity_break(KmsKeeper *keeper);

/*
 * Return whether the rows that the anchor names are there and the trail ends
 * with them.  If not, mark the trail as broken.
 */
extern bool kms_continuity_confirm(KmsKeeper *keeper);

/*
 * Called by the writer right before and after the commit of the trail as it
 * is.  The trail is signed up to "signed_ticket", whose hash is "signed_hash",
 * or as far as before if "signed_ticket" is 0.
 */
extern void kms_continuity_commit(KmsKeeper *keeper, const KmsTrail *trail,
								  int64 signed_ticket,
								  const unsigned char *signed_hash);
extern void kms_continuity_committed(KmsKeeper *keeper);

/*
 * Let the next commit end a break, because a gap was accepted and signed.
 * kms_continuity_forget takes that back after an error.
 */
extern void kms_continuity_accept(KmsKeeper *keeper);
extern void kms_continuity_forget(KmsKeeper *keeper);

/*
 * Write changes of the anchor to its file: at once with "now", otherwise if
 * the last write was a minute ago.
 */
extern void kms_continuity_file(KmsKeeper *keeper, bool now);

#endif							/* KMS_KEYS_CONTINUITY_H */
