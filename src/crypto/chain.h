/*
 * The chain of the audit trail: each row of the trail has a hash over itself
 * and the hash of the row before it.
 *
 * lp, i64 and text are as in wrap.h; lp of nothing (NULL) is the length
 * 0xffffffff without bytes.  Times are in microseconds since 2000-01-01 UTC.
 *
 * An event:
 *
 *	hash = SHA-256(lp("kms/audit-event/v1") | hash of the row before |
 *	i64(epoch) | i64(ticket) | i64(occurred_at) | lp(operation) | lp(status) |
 *	lp(reason) | duration | lp(key id) | lp(session role) |
 *	lp(caller role) | lp(effective role) | lp(application name) |
 *	i64(calls) | lp(form) | commitment)
 *
 *	commitment = SHA-256(lp("kms/audit-personal/v1") | salt | lp(device id) |
 *	lp(client address) | lp(context) | lp(audit context) | lp(reason))
 *
 *	The hash before the first row, of ticket 1, is KMS_CHAIN_SIZE zero bytes.
 *	The duration is 0x01 and i64 of the IEEE 754 double, in milliseconds, or
 *	0x00.  The reason of a "failure" is one of ours and stands in the hash, any
 *	other is the caller's and stands in the commitment; NULL stands in the
 *	other place.
 *
 * The row stores the hash after a format byte, 0x01, which stands for all of
 * the above.  A reader takes no format that it does not know.
 *
 * An event that was set aside:
 *
 *	hash = SHA-256(lp("kms/audit-aside/v1") | hash of the row before |
 *	i64(epoch) | i64(ticket) | i64(set_aside_at) | lp(error) | commitment)
 *
 *	commitment = SHA-256(lp("kms/audit-aside-personal/v1") | salt |
 *	lp(SHA-256 of the event's bytes))
 *
 * The commitment makes it possible to forget: what it covers and the salt,
 * without which it tells nothing, are taken from the row, which has a proof
 * instead, so that nobody can blank a row who has not the audit's key:
 *
 *	offset	bytes
 *	0		1		format, 0x01
 *	1		32		commitment
 *	33		64		Ed25519 signature, of
 *					lp("kms/audit-forgotten/v1") | i64(epoch) | i64(ticket) |
 *					lp(commitment) | lp(signing key id)
 *	97		n		signing key id
 */
#ifndef KMS_CRYPTO_CHAIN_H
#define KMS_CRYPTO_CHAIN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "crypto/encoder.h"
#include "crypto/status.h"

#define KMS_CHAIN_SIZE			32	/* bytes of a hash or a commitment */
#define KMS_CHAIN_SALT_SIZE		16	/* bytes, random, a row */
#define KMS_CHAIN_FORMAT		0x01	/* of the hash of a row, and before it */
#define KMS_CHAIN_STORED_SIZE	(1 + KMS_CHAIN_SIZE)	/* bytes in the row */

#define KMS_FORGOTTEN_KEY_ID_MAX	72	/* bytes of a signing key id */
#define KMS_FORGOTTEN_SIZE_MIN	98
#define KMS_FORGOTTEN_SIZE_MAX	(97 + KMS_FORGOTTEN_KEY_ID_MAX)
#define KMS_FORGOTTEN_MESSAGE_MAX	200 /* bytes */

/* Some bytes that are not ours; text is UTF-8.  "data" NULL: none, not "". */
typedef struct KmsChainField
{
	const char *data;
	size_t		len;
} KmsChainField;

/* What covers a value of an event. */
typedef enum KmsChainCover
{
	KMS_CHAIN_HASHED,			/* the hash, so it stays */
	KMS_CHAIN_STATUS,			/* the hash; the text "failure" decides what
								 * covers the reason */
	KMS_CHAIN_REASON,			/* the hash of a failure, else the commitment */
	KMS_CHAIN_PERSONAL			/* the commitment, so it may be forgotten */
} KmsChainCover;

typedef enum KmsChainKind
{
	KMS_CHAIN_TEXT,				/* lp() */
	KMS_CHAIN_NUMBER,			/* i64() */
	KMS_CHAIN_DOUBLE			/* 0x01 and i64() of its 64 bits, or 0x00 */
} KmsChainKind;

typedef struct KmsChainValue
{
	KmsChainCover cover;
	KmsChainKind kind;
	KmsChainField text;			/* of a text */
	int64_t		number;			/* of a number */
	double		real;			/* of a double */
	bool		has_real;
} KmsChainValue;

#define KMS_CHAIN_VALUES_MAX 24

/*
 * The values stand in the order in which they are hashed.  The commitment has
 * the reason last.
 */
typedef struct KmsChainEvent
{
	int64_t		epoch;
	int64_t		ticket;
	int			count;
	KmsChainValue values[KMS_CHAIN_VALUES_MAX];
} KmsChainEvent;

typedef struct KmsChainAside
{
	int64_t		epoch;
	int64_t		ticket;
	int64_t		set_aside_at;
	KmsChainField error;
	KmsChainField event;
} KmsChainAside;

/*
 * The commitment to what may be forgotten of a row, and the hash of the row;
 * the salt has KMS_CHAIN_SALT_SIZE bytes, all others KMS_CHAIN_SIZE.
 * KMS_BAD_FORMAT: longer than anything that is ever recorded (the fields in one
 * hash 3,900 bytes; the event that was set aside has any length); KMS_FAILED:
 * the library failed.
 */
extern KmsStatus kms_chain_commit_event(const KmsChainEvent *event,
										const unsigned char *salt,
										unsigned char *commitment);
extern KmsStatus kms_chain_event(const unsigned char *previous,
								 const KmsChainEvent *event,
								 const unsigned char *commitment,
								 unsigned char *hash);
extern KmsStatus kms_chain_commit_aside(const KmsChainAside *aside,
										const unsigned char *salt,
										unsigned char *commitment);
extern KmsStatus kms_chain_aside(const unsigned char *previous,
								 const KmsChainAside *aside,
								 const unsigned char *commitment,
								 unsigned char *hash);

/*
 * Whether nothing is left of what the commitment covers, as it must be in a
 * row with a proof.
 */
extern bool kms_chain_event_is_blank(const KmsChainEvent *event);

/* What stands in the place of what was forgotten. */
typedef struct KmsForgotten
{
	unsigned char commitment[KMS_CHAIN_SIZE];
	unsigned char signature[64];
	char		key_id[KMS_FORGOTTEN_KEY_ID_MAX + 1];	/* that signs it */
} KmsForgotten;

/*
 * The message that is signed, in "enc", which has room for
 * KMS_FORGOTTEN_MESSAGE_MAX bytes.
 */
extern void kms_chain_forgotten_message(int64_t epoch, int64_t ticket,
										const KmsForgotten *forgotten,
										KmsEncoder *enc);

/*
 * The proof as it is stored; "out" holds KMS_FORGOTTEN_SIZE_MAX bytes.
 * Returns its length.
 */
extern size_t kms_chain_forgotten_write(const KmsForgotten *forgotten,
										unsigned char *out);

/* KMS_BAD_FORMAT if it is none; *forgotten is all zero then. */
extern KmsStatus kms_chain_forgotten_read(const unsigned char *in, size_t len,
										  KmsForgotten *forgotten);

#endif							/* KMS_CRYPTO_CHAIN_H */
