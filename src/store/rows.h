/*
 * Writing rows through the executor's functions for logical replication, not
 * through SQL.  This keeps constraints and indexes up to date, but spares
 * parsing and planning, which each short turn of a writer would do again.  No
 * trigger of these tables runs.
 */
#ifndef KMS_STORE_ROWS_H
#define KMS_STORE_ROWS_H

#include "nodes/execnodes.h"
#include "pg/owner.h"

/* A table of kms, open for writing. */
typedef struct KmsRows
{
	KmsOwnerScope owner;
	Relation	rel;
	EState	   *estate;
	ResultRelInfo *result;
	TupleTableSlot *slot;		/* the row to be written */
	TupleTableSlot *old;		/* the row that it replaces */
} KmsRows;

/*
 * Open a table.  From here to kms_rows_close, the process has the rights of
 * the extension's owner.
 */
extern void kms_rows_open(KmsRows *rows, const char *table);

/* Clear the slot, so that all columns are null. */
extern void kms_rows_clear(KmsRows *rows);

/* Insert the values of the slot. */
extern void kms_rows_insert(KmsRows *rows);

/*
 * Lock the row at "tid", and copy its values into the slot.  They are valid
 * until the next lock or kms_rows_close.  Return false if the row was changed
 * or deleted since it was found; the caller must find it again.
 */
extern bool kms_rows_lock(KmsRows *rows, ItemPointer tid);

/* Replace the locked row by the values of the slot. */
extern void kms_rows_update(KmsRows *rows);

/* Close the table.  From now on, later statements see the rows. */
extern void kms_rows_close(KmsRows *rows);

#endif							/* KMS_STORE_ROWS_H */
