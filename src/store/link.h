/*
 * Rows of kms.event and kms.event_quarantine as links of the chain
 * (crypto/chain.h), for the code that writes them and the code that reads
 * them.
 */
#ifndef KMS_STORE_LINK_H
#define KMS_STORE_LINK_H

#include "access/tupdesc.h"
#include "crypto/chain.h"
#include "shmem/event.h"

/* No trail gets this far, so a row with such a ticket is forged. */
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
typedef enum KmsQuarantineColumn
{
	KMS_QUARANTINE_EPOCH,
	KMS_QUARANTINE_TICKET,
	KMS_QUARANTINE_AT,
	KMS_QUARANTINE_ERROR,
	KMS_QUARANTINE_EVENT,
	KMS_QUARANTINE_SALT,
	KMS_QUARANTINE_HASH,
	KMS_QUARANTINE_FORGOTTEN,
	KMS_QUARANTINE_COLUMNS
} KmsQuarantineColumn;

/* Return the type of a field's column in kms.event and kms.event_outbox. */
extern Oid	kms_link_type(const KmsEventField *field);

/*
 * Return the value of that column for an event, palloc'd.  In text, bytes that
 * are not valid become "?".
 */
extern Datum kms_link_value(const KmsEvent *event, const KmsEventField *field,
							bool *isnull);

/*
 * Do the reverse: set the member of the event, if the field has one.  A text
 * is truncated at a character boundary.
 */
extern void kms_link_read_value(KmsEvent *event, const KmsEventField *field,
								Datum value, bool isnull);

/*
 * Convert a row to the form in which the chain covers it.  The fields point
 * into the values, or to palloc'd memory.  Texts are converted to UTF-8.  If a
 * text cannot be converted, or the database has the encoding SQL_ASCII, its
 * bytes count.
 *
 * Must be called with the extension owner's rights (kms_owner_enter), so that
 * no conversion of the caller's is used.
 */
extern void kms_link_event(const Datum *values, const bool *isnull,
						   KmsChainEvent *event);
extern void kms_link_quarantine(const Datum *values, const bool *isnull,
								KmsChainQuarantine *quarantined);

/*
 * Return the text of an event of the chain that comes from a member of
 * KmsEvent, as in kms_link_text(&chained, offsetof(KmsEvent, key_id)).
 */
extern const KmsChainField *kms_link_text(const KmsChainEvent *event,
										  size_t member);

/*
 * Make random salts of KMS_CHAIN_SALT_SIZE bytes for "count" rows.  Raise an
 * error if there is no randomness.
 */
extern void kms_link_make_salts(unsigned char *salts, int count);

/*
 * Make the row follow from the one with "hash".  The row's own hash is
 * returned in "hash".  Raise an error on failure.
 */
extern void kms_link_chain_event(const KmsChainEvent *event,
								 const unsigned char *salt,
								 unsigned char *hash);
extern void kms_link_chain_quarantine(const KmsChainQuarantine *quarantined,
									  const unsigned char *salt,
									  unsigned char *hash);

/*
 * Raise an error unless the table (kms.event_quarantine if "is_quarantined",
 * otherwise kms.event) has its columns, with their types.  Nothing else is
 * read or written.
 */
extern void kms_link_check(TupleDesc desc, bool is_quarantined);

/*
 * Do the same for the first columns of any table of kms, named without schema.
 */
extern void kms_link_columns(TupleDesc desc, const char *table,
							 const Oid *types, int count);

/*
 * Convert the hash of a row to and from its column "hash".  kms_link_read_hash
 * returns false, and zeroes "hash", if the column is NULL or of an unknown
 * format.
 */
extern void kms_link_write_hash(const unsigned char *hash,
								unsigned char *stored);
extern bool kms_link_read_hash(Datum value, bool isnull, unsigned char *hash);

/*
 * Return the OID of a table or an index of schema kms.  Raise an error if
 * there is none.
 */
extern Oid	kms_link_relation(const char *name);

#endif							/* KMS_STORE_LINK_H */
