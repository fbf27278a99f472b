/*
 * The anchor of a trail: how far the trail has been written and signed, kept
 * where SQL cannot write, in the header of the ring file and in a file of its
 * own.  docs/design/trail-chain.md describes its purpose.
 *
 * This code uses neither locks nor PostgreSQL.  One process writes the anchor,
 * the event writer of the database.  Any process may read it at the same time,
 * and the writer may be killed while it writes.
 */
#ifndef KMS_SHMEM_ANCHOR_H
#define KMS_SHMEM_ANCHOR_H

#include <stdbool.h>
#include <stdint.h>

#include "crypto/chain.h"
#include "shmem/ring.h"

/* The end of a trail, and the WAL position that belongs to it. */
typedef struct KmsAnchorPoint
{
	uint64_t	wal;			/* end of the commit that wrote the row */
	uint32_t	timeline;		/* of that position */
	uint32_t	reserved;
	int64_t		ticket;			/* of the last row; 0 if there is none */
	int64_t		signed_ticket;	/* of the last signature; 0 if there is none */
	unsigned char hash[KMS_CHAIN_SIZE];
	unsigned char signed_hash[KMS_CHAIN_SIZE];
} KmsAnchorPoint;

/* In which way the tables do not continue from the anchor.  Stored on disk. */
typedef enum KmsAnchorBreak
{
	KMS_ANCHOR_HOLDS,
	KMS_ANCHOR_ROW,				/* the last row is missing or wrong */
	KMS_ANCHOR_SIGNATURE,		/* the last signature is missing or wrong */
	KMS_ANCHOR_END				/* the trail ends elsewhere */
} KmsAnchorBreak;

typedef struct KmsAnchor
{
	KmsRingIdentity identity;	/* of the extension that has the trail */
	uint64_t	number;			/* counts up each time it is written */
	int64_t		written_at;		/* microseconds since 2000-01-01 UTC */
	KmsAnchorPoint current;		/* durable in the tables */
	KmsAnchorPoint pending;		/* valid if has_pending: about to be
								 * committed, and maybe committed */
	uint8_t		has_pending;
	uint8_t		exact;			/* no commit can have followed except the
								 * pending one */
	uint8_t		broken;			/* KmsAnchorBreak, until it is accepted */
	uint8_t		reserved[5];
} KmsAnchor;

#define KMS_ANCHOR_FORMAT	1
#define KMS_ANCHOR_SIZE		512 /* bytes of the stored form */
#define KMS_ANCHOR_AREA		(2 * KMS_ANCHOR_SIZE)	/* bytes in a ring */

/*
 * Write the stored form, KMS_ANCHOR_SIZE bytes in this machine's byte order.
 */
extern void kms_anchor_encode(const KmsAnchor *anchor, unsigned char *out);

/*
 * Read the stored form.  Return false, with *anchor zeroed, if it is no anchor
 * or is damaged.
 */
extern bool kms_anchor_decode(const unsigned char *in, KmsAnchor *anchor);

/*
 * Write the anchor to an area of KMS_ANCHOR_AREA bytes, or read it from there.
 *
 * An area holds the last two versions, so that one of them is complete
 * whenever it is read.  A zeroed area holds none: then reading returns false.
 * Writing increments anchor->number.  Reading returns the version with the
 * highest number.
 */
extern void kms_anchor_write(void *area, KmsAnchor *anchor);
extern bool kms_anchor_read(const void *area, KmsAnchor *anchor);

#endif							/* KMS_SHMEM_ANCHOR_H */
