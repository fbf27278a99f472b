/*
 * Rows of kms.event and kms.event_quarantine as links of the chain
 * (crypto/chain.h): the same for who writes them and for who reads them.
 */
#ifndef KMS_STORE_LINK_H
#define KMS_STORE_LINK_H

#include "access/tupdesc.h"
#include "crypto/chain.h"

/* No trail gets there: a row with such a ticket is somebody else's. */
#define KMS_TICKET_LIMIT	(INT64CONST(1) << 62)

/* Columns of kms.event, in order. */
typedef enum KmsEventColumn
{
	KMS_EVENT_EPOCH,
	KMS_EVENT_TICKET,
	KMS_EVENT_OCCURRED_AT,
	KMS_EVENT_OPERATION,
	KMS_EVENT_STATUS,
	KMS_EVENT_REASON,
	KMS_EVENT_DURATION_MS,
	KMS_EVENT_KEY_ID,
	KMS_EVENT_DEVICE_ID,
	KMS_EVENT_SESSION_ROLE,
	KMS_EVENT_EFFECTIVE_ROLE,
	KMS_EVENT_CLIENT_ADDR,
	KMS_EVENT_APPLICATION_NAME,
	KMS_EVENT_CONTEXT,
	KMS_EVENT_AUDIT_CONTEXT,
	KMS_EVENT_SALT,
	KMS_EVENT_HASH,
	KMS_EVENT_FORGOTTEN,
	KMS_EVENT_CALLER_ROLE,
	KMS_EVENT_CALLS,
	KMS_EVENT_FORM,
	KMS_EVENT_COLUMNS
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
