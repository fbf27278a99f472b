/*
 * Rows of kms.event and kms.event_quarantine as links of the chain
 * (crypto/chain.h): the same for who writes them and for who reads them.
 */
#ifndef KMS_STORE_LINK_H
#define KMS_STORE_LINK_H

#include "access/tupdesc.h"
#include "crypto/chain.h"
#include "shmem/event.h"

/* No trail gets there: a row with such a ticket is somebody else's. */
#define KMS_TICKET_LIMIT	(INT64CONST(1) << 62)

/* Columns of kms.event that are not fields of an event (shmem/event.h). */
typedef enum KmsEventColumn
{
	KMS_EVENT_EPOCH = 0,
	KMS_EVENT_TICKET = 1,
	KMS_EVENT_SALT = 15,
	KMS_EVENT_HASH = 16,
	KMS_EVENT_FORGOTTEN = 17
} KmsEventColumn;

/* Columns of kms.event_quarantine, in order. */
typedef enum KmsAsideColumn
{
	KMS_ASIDE_EPOCH,
	KMS_ASIDE_TICKET,
	KMS_ASIDE_SET_ASIDE_AT,
	KMS_ASIDE_ERROR,
	KMS_ASIDE_EVENT,
	KMS_ASIDE_SALT,
	KMS_ASIDE_HASH,
	KMS_ASIDE_FORGOTTEN,
	KMS_ASIDE_COLUMNS
} KmsAsideColumn;

/* The type of the column of a field, in kms.event and kms.event_outbox. */
extern Oid	kms_link_type(const KmsEventField *field);

/* What that column has of an event, palloc'd.  In text, bytes that are not
 * text become "?". */
extern Datum kms_link_value(const KmsEvent *event, const KmsEventField *field,
							bool *isnull);

/*
 * The other way round: set the member of the event, if the field has one.  Text
 * is cut at a character.
 */
extern void kms_link_read_value(KmsEvent *event, const KmsEventField *field,
								Datum value, bool isnull);

/*
 * What the chain has of a row; its fields point into the values or to memory
 * that is palloc'd.  Texts are converted to UTF-8; one that cannot be, or in a
 * database of encoding SQL_ASCII, counts as its bytes.
 *
 * To be called with the extension owner's rights (kms_owner_enter), so that
 * no conversion of the caller's is used.
 */
extern void kms_link_event(const Datum *values, const bool *isnull,
						   KmsChainEvent *event);
extern void kms_link_aside(const Datum *values, const bool *isnull,
						   KmsChainAside *aside);

/* The text in an event of the chain that comes from a member of KmsEvent, as
 * in kms_link_text(&chained, offsetof(KmsEvent, key_id)). */
extern const KmsChainField *kms_link_text(const KmsChainEvent *event,
										  size_t member);

/* Random salts of KMS_CHAIN_SALT_SIZE bytes for so many rows.  Raises. */
extern void kms_link_make_salts(unsigned char *salts, int count);

/*
 * The row follows from the one with this hash, which becomes its own.  Raises.
 */
extern void kms_link_chain_event(const KmsChainEvent *event,
								 const unsigned char *salt,
								 unsigned char *hash);
extern void kms_link_chain_aside(const KmsChainAside *aside,
								 const unsigned char *salt,
								 unsigned char *hash);

/*
 * Raises unless the table (kms.event_quarantine if "is_aside", else kms.event)
 * has its columns, of their types: nothing else is read or written.
 */
extern void kms_link_check(TupleDesc desc, bool is_aside);

/* The same for the first columns of any table of kms, named without schema. */
extern void kms_link_columns(TupleDesc desc, const char *table,
							 const Oid *types, int count);

/*
 * The hash of a row as its column "hash" has it.  kms_link_read_hash returns
 * false, and wipes "hash", if the column is NULL or not of a known format.
 */
extern void kms_link_write_hash(const unsigned char *hash,
								unsigned char *stored);
extern bool kms_link_read_hash(Datum value, bool isnull, unsigned char *hash);

/* The table or an index of schema kms; raises if there is none. */
extern Oid	kms_link_relation(const char *name);

#endif							/* KMS_STORE_LINK_H */
