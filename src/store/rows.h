/*
 * Writing rows through the executor's own entries for that (those that logical
 * replication uses), not through SQL: it keeps constraints and indexes, and
 * spares parsing and planning, which each short turn of a writer would do
 * anew.  No trigger of these tables runs.
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

/* From here to the end with the rights of the extension's owner. */
extern void kms_rows_open(KmsRows *rows, const char *table);

/* Clear the slot: all columns are null. */
extern void kms_rows_clear(KmsRows *rows);

/* Insert what the values of the slot are. */
extern void kms_rows_insert(KmsRows *rows);

/*
 * Lock the row there, and copy its values into the slot; they last to the next
 * lock or the end.  False if it was changed or deleted since it was found: find
 * it anew.
 */
extern bool kms_rows_lock(KmsRows *rows, ItemPointer tid);

/* Put what the values of the slot are now into the place of that row. */
extern void kms_rows_update(KmsRows *rows);

/* What was written is seen from now on. */
extern void kms_rows_close(KmsRows *rows);

#endif							/* KMS_STORE_ROWS_H */
