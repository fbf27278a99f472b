/*
 * The anchor of a trail: how far it has been written and signed, kept where
 * SQL cannot write, in the header of the ring file and in a file of its own.
 *
 * Like the ring it knows neither locks nor PostgreSQL.  One process writes
 * it, the event writer of the database; any process may read it meanwhile,
 * and any process may be killed while it writes.
 */
#ifndef KMS_SHMEM_ANCHOR_H
#define KMS_SHMEM_ANCHOR_H

#include <stdbool.h>
#include <stdint.h>

#include "crypto/chain.h"
#include "shmem/ring.h"

/* Where a trail ends, and with which WAL. */
typedef struct KmsAnchorPoint
{
	uint64_t	wal;			/* end of the commit that wrote it */
	uint32_t	timeline;		/* of that */
	uint32_t	reserved;
	int64_t		ticket;			/* of the last row; 0: none */
	int64_t		signed_ticket;	/* of the last signature; 0: none */
	unsigned char hash[KMS_CHAIN_SIZE];
	unsigned char signed_hash[KMS_CHAIN_SIZE];
} KmsAnchorPoint;

/* How the tables were found not to continue from an anchor.  On disk. */
typedef enum KmsAnchorBreak
{
	KMS_ANCHOR_HOLDS,
	KMS_ANCHOR_ROW,				/* the last row is missing or another */
	KMS_ANCHOR_SIGNATURE,		/* the last signature is missing or another */
	KMS_ANCHOR_END				/* the trail ends elsewhere */
} KmsAnchorBreak;

typedef struct KmsAnchor
{
	KmsRingIdentity identity;	/* of the extension whose trail it is */
	uint64_t	number;			/* counts up each time it is written */
	int64_t		written_at;		/* microseconds since 2000-01-01 UTC */
	KmsAnchorPoint current;		/* is durable in the tables */
	KmsAnchorPoint pending;		/* if has_pending: what was about to be
								 * committed, and perhaps was */
	uint8_t		has_pending;
	uint8_t		exact;			/* no commit can have come after it but the
								 * pending one */
	uint8_t		broken;			/* KmsAnchorBreak, until it is accepted */
	uint8_t		reserved[5];
} KmsAnchor;

#define KMS_ANCHOR_FORMAT	1
#define KMS_ANCHOR_SIZE		512 /* bytes of the stored form */
#define KMS_ANCHOR_AREA		(2 * KMS_ANCHOR_SIZE)	/* bytes in a ring */

/* The stored form, of this machine's byte order. */
extern void kms_anchor_encode(const KmsAnchor *anchor, unsigned char *out);

/* False, and all zero, if it is not one or is damaged. */
extern bool kms_anchor_decode(const unsigned char *in, KmsAnchor *anchor);

/*
 * An area holds the last two that were written, so that one of them is whole
 * whenever it is read; a zeroed one holds none.  Writing gives the anchor its
 * number; reading gives the one with the highest.
 */
extern void kms_anchor_write(void *area, KmsAnchor *anchor);
extern bool kms_anchor_read(const void *area, KmsAnchor *anchor);

#endif							/* KMS_SHMEM_ANCHOR_H */
