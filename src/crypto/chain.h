/*
 * The chain of the audit trail: each row of the trail has a hash over itself
 * and the hash of the row before it.  docs/design/trail-chain.md specifies the
 * hash of an event, of an event that was quarantined, the commitment, which
 * makes it possible to forget the personal data of a row, and the proof that a
 * forgotten row has instead.
 *
 * The encodings are those of crypto/encoder.h.  Times are in microseconds
 * since 2000-01-01 UTC.
 */
#ifndef KMS_CRYPTO_CHAIN_H
#define KMS_CRYPTO_CHAIN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "crypto/encoder.h"
#include "crypto/status.h"

#define KMS_CHAIN_SIZE			32	/* bytes of a hash or a commitment */
#define KMS_CHAIN_SALT_SIZE		16	/* random bytes, for each row */
#define KMS_CHAIN_FORMAT		0x01	/* format of the hash; the byte before
										 * it */
#define KMS_CHAIN_STORED_SIZE	(1 + KMS_CHAIN_SIZE)	/* bytes stored in the
														 * row */

#define KMS_FORGOTTEN_KEY_ID_MAX	72	/* bytes of a signing key id */
#define KMS_FORGOTTEN_SIZE_MIN	98
#define KMS_FORGOTTEN_SIZE_MAX	(97 + KMS_FORGOTTEN_KEY_ID_MAX)
#define KMS_FORGOTTEN_MESSAGE_MAX	200 /* bytes */

/*
 * Bytes of the caller; text is UTF-8.  "data" is NULL for none, which is not
 * "".
 */
typedef struct KmsChainField
{
	const char *data;
	size_t		len;
} KmsChainField;

/* The hash that covers a value of an event. */
typedef enum KmsChainCover
{
	KMS_CHAIN_HASHED,			/* covered by the hash, so it stays */
	KMS_CHAIN_STATUS,			/* covered by the hash; the text "failure"
								 * decides what covers the reason */
	KMS_CHAIN_REASON,			/* covered by the hash if the event is a
								 * failure, otherwise by the commitment */
	KMS_CHAIN_PERSONAL			/* covered by the commitment, so it may be
								 * forgotten */
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
 * An event.  The values are in the order in which they are hashed, except that
 * the commitment has the reason last.
 */
typedef struct KmsChainEvent
{
	int64_t		epoch;
	int64_t		ticket;
	int			count;
	KmsChainValue values[KMS_CHAIN_VALUES_MAX];
} KmsChainEvent;

typedef struct KmsChainQuarantine
{
	int64_t		epoch;
	int64_t		ticket;
	int64_t		quarantined_at;
	KmsChainField error;
	KmsChainField event;
} KmsChainQuarantine;

/*
 * Compute the commitment to the personal data of a row, and the hash of the
 * row.  The salt has KMS_CHAIN_SALT_SIZE bytes, the others have
 * KMS_CHAIN_SIZE.  Return KMS_BAD_FORMAT if the data is longer than anything
 * that is ever recorded (3,900 bytes for the fields in one hash; a quarantined
 * event may have any length), and KMS_FAILED if the library fails.
 */
extern KmsStatus kms_chain_commit_event(const KmsChainEvent *event,
										const unsigned char *salt,
										unsigned char *commitment);
extern KmsStatus kms_chain_event(const unsigned char *previous,
								 const KmsChainEvent *event,
								 const unsigned char *commitment,
								 unsigned char *hash);
extern KmsStatus kms_chain_commit_quarantine(const KmsChainQuarantine *quarantined,
											 const unsigned char *salt,
											 unsigned char *commitment);
extern KmsStatus kms_chain_quarantine(const unsigned char *previous,
									  const KmsChainQuarantine *quarantined,
									  const unsigned char *commitment,
									  unsigned char *hash);

/*
 * Return true if nothing is left of the data that the commitment covers, as it
 * must be in a row with a proof.
 */
extern bool kms_chain_event_is_blank(const KmsChainEvent *event);

/* The proof that a row has instead of forgotten data. */
typedef struct KmsForgotten
{
	unsigned char commitment[KMS_CHAIN_SIZE];
	unsigned char signature[64];
	char		key_id[KMS_FORGOTTEN_KEY_ID_MAX + 1];	/* the signing key */
} KmsForgotten;

/*
 * Append the message that is signed to "enc", which must have room for
 * KMS_FORGOTTEN_MESSAGE_MAX bytes.
 */
extern void kms_chain_forgotten_message(int64_t epoch, int64_t ticket,
										const KmsForgotten *forgotten,
										KmsEncoder *enc);

/*
 * Write the stored form of the proof.  "out" holds KMS_FORGOTTEN_SIZE_MAX
 * bytes.  Return the length.
 */
extern size_t kms_chain_forgotten_write(const KmsForgotten *forgotten,
										unsigned char *out);

/*
 * Read the stored form of a proof.  Return KMS_BAD_FORMAT, with *forgotten
 * zeroed, if it is none.
 */
extern KmsStatus kms_chain_forgotten_read(const unsigned char *in, size_t len,
										  KmsForgotten *forgotten);

#endif							/* KMS_CRYPTO_CHAIN_H */
