/* Prepared transactions for which others wait. */
#ifndef KMS_STORE_PREPARED_H
#define KMS_STORE_PREPARED_H

#include "datatype/timestamp.h"
#include "nodes/pg_list.h"
#include "storage/lock.h"

/*
 * Return the transactions of this database that were prepared before "before"
 * and hold a device, or may hold rows of kms: "'gid' of role", at most eleven,
 * oldest first.
 */
extern List *kms_prepared_holders(TimestampTz before);

/*
 * Return the name of a prepared transaction that holds this lock on an object
 * of this database, palloc'd; NULL if there is none.
 */
extern char *kms_prepared_holder(const LOCKTAG *tag);

/* Return the name of the prepared transaction with this id, likewise. */
extern char *kms_prepared_name(TransactionId xid);

#endif							/* KMS_STORE_PREPARED_H */
