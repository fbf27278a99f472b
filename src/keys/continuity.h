/*
 * Whether the trail continues from where it was last written and signed,
 * which the server keeps outside of its tables (shmem/anchor.h).
 *
 * Whoever can write to the tables can compute the chain anew, and could have
 * it signed: so nothing is signed or deleted of a trail that does not go on
 * from its anchor, until its owner accepts that.  Not so where the WAL does
 * not go on from there either: the server was restored to an earlier point,
 * and what was written since is nowhere.
 */
#ifndef KMS_KEYS_CONTINUITY_H
#define KMS_KEYS_CONTINUITY_H

#include "keys/finding.h"
#include "shmem/anchor.h"
#include "store/event_table.h"

typedef struct KmsContinuity
{
	bool		anchored;		/* there is an anchor, and the WAL has it */
	bool		restored;		/* there is one, and the WAL does not */
	KmsAnchorBreak broken;		/* how the tables do not have it */
	KmsAnchor	anchor;			/* if either of the first two is true */
} KmsContinuity;

/* Compare what is there now, in any process.  May raise what reading may. */
extern void kms_continuity_judge(KmsContinuity *continuity);

/* Whether retention must not touch the trail; wakes the writer if so. */
extern bool kms_continuity_is_broken(void);

/* What is wrong, in a form for findings; NULL if nothing is. */
extern const char *kms_continuity_finding(KmsAnchorBreak broken);

/* For kms_check(). */
extern void kms_continuity_check(KmsReport report, void *arg);

/* What the writer remembers of it; begins zeroed. */
typedef struct KmsKeeper
{
	bool		known;			/* the anchor is that of the trail as it is */
	bool		restored;		/* to be told in the trail */
	bool		accepting;		/* the next commit ends a break */
	bool		renewed;		/* rows may be there that others have written */
	bool		filed;			/* what the file has is what it has */
	TimestampTz filed_at;		/* when it was written, or tried */
	int64		last_ticket;	/* that this writer has written, 0: none */
	KmsAnchor	anchor;
	char		gap[256];		/* if restored: from where to where */
} KmsKeeper;

/*
 * The writer, in a transaction that has the lock of the trail: before the
 * trail is opened, and after it ("older": the ring file is older than the
 * trail).  The second adds a gap to it if the server was restored.
 */
extern void kms_continuity_begin(KmsKeeper *keeper);
extern void kms_continuity_follow(KmsKeeper *keeper, KmsTrail *trail,
								  bool older);

/*
 * Up to which ticket, exclusive, the tables are believed when they say where
 * the trail ends, between the two: nobody can bring it to the end of numbers.
 */
extern int64 kms_continuity_limit(const KmsKeeper *keeper);

/* Somebody has put rows behind the end of the trail. */
extern void kms_continuity_break(KmsKeeper *keeper);

/*
 * Whether the rows that the anchor names are there, and the trail ends with
 * them; else it is broken now.
 */
extern bool kms_continuity_confirm(KmsKeeper *keeper);

/*
 * The writer, right before and after the commit that writes the trail as it
 * is, "signed" up to a ticket with that hash (0: as before).
 */
extern void kms_continuity_commit(KmsKeeper *keeper, const KmsTrail *trail,
								  int64 signed_ticket,
								  const unsigned char *signed_hash);
extern void kms_continuity_committed(KmsKeeper *keeper);

/*
 * The next commit makes it whole: a gap was accepted and signed; or it does
 * not come.
 */
extern void kms_continuity_accept(KmsKeeper *keeper);
extern void kms_continuity_forget(KmsKeeper *keeper);

/* Bring what has changed into the file: "now", or if it is a minute old. */
extern void kms_continuity_file(KmsKeeper *keeper, bool now);

#endif							/* KMS_KEYS_CONTINUITY_H */
