#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "catalog/dependency.h"
#include "catalog/indexing.h"
#include "catalog/objectaccess.h"
#include "catalog/pg_class.h"
#include "catalog/pg_constraint.h"
#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"

#include "pg/foreign_key.h"

#include "pg/extension.h"

static object_access_hook_type prev_object_access_hook = NULL;

static void on_object_access(ObjectAccessType access, Oid class_oid,
							 Oid object_oid, int sub_id, void *arg);
static void check(Oid constraint_oid);
static void check_constraint(Relation constraints, HeapTuple tuple);
static void check_types(Relation constraints, HeapTuple tuple);

void
kms_foreign_key_install(void)
{
	prev_object_access_hook = object_access_hook;
	object_access_hook = on_object_access;
}

static void
on_object_access(ObjectAccessType access, Oid class_oid, Oid object_oid,
				 int sub_id, void *arg)
{
	if (prev_object_access_hook != NULL)
		prev_object_access_hook(access, class_oid, object_oid, sub_id, arg);
	if (access == OAT_POST_CREATE && class_oid == ConstraintRelationId &&
		!IsBinaryUpgrade)
		check(object_oid);
}

/*
 * Use SnapshotSelf: the row exists, but the command counter does not show it
 * yet.
 */
static void
check(Oid constraint_oid)
{
	Relation	constraints = table_open(ConstraintRelationId, AccessShareLock);
	ScanKeyData key;
	SysScanDesc scan;
	HeapTuple	tuple;

	ScanKeyInit(&key, Anum_pg_constraint_oid, BTEqualStrategyNumber, F_OIDEQ,
				ObjectIdGetDatum(constraint_oid));
	scan = systable_beginscan(constraints, ConstraintOidIndexId, true,
							  SnapshotSelf, 1, &key);
	tuple = systable_getnext(scan);
	if (HeapTupleIsValid(tuple))
		check_constraint(constraints, tuple);
	systable_endscan(scan);
	table_close(constraints, AccessShareLock);
}

static void
check_constraint(Relation constraints, HeapTuple tuple)
{
	Form_pg_constraint constraint = (Form_pg_constraint) GETSTRUCT(tuple);
	Oid			table = constraint->confrelid;
	Oid			extension;

	if (constraint->contype != CONSTRAINT_FOREIGN)
		return;
	extension = kms_extension_oid();
	if (!OidIsValid(extension) ||
		getExtensionOfObject(RelationRelationId, table) != extension)
		return;
	if (strcmp(get_rel_name(table), "key") != 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_FOREIGN_KEY),
				 errmsg("foreign key \"%s\" cannot refer to kms.%s",
						NameStr(constraint->conname), get_rel_name(table)),
				 errhint("Of the tables of kms, only kms.key can be referred to.")));
	if (constraint->confdeltype != FKCONSTR_ACTION_NOACTION &&
		constraint->confdeltype != FKCONSTR_ACTION_RESTRICT)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_FOREIGN_KEY),
				 errmsg("foreign key \"%s\" to kms.key cannot act on deletes",
						NameStr(constraint->conname)),
				 errdetail("Triggers of the referring table would run with the rights of the extension's owner."),
				 errhint("Make it ON DELETE NO ACTION or RESTRICT.")));
	check_types(constraints, tuple);
}

static void
check_types(Relation constraints, HeapTuple tuple)
{
	Form_pg_constraint constraint = (Form_pg_constraint) GETSTRUCT(tuple);
	bool		isnull;
	Datum		value = heap_getattr(tuple, Anum_pg_constraint_conkey,
									 RelationGetDescr(constraints), &isnull);
	Datum	   *columns;
	int			count;
	int			i;

	if (isnull)
		elog(ERROR, "constraint %u has no columns", constraint->oid);
	deconstruct_array(DatumGetArrayTypeP(value), INT2OID, 2, true,
					  TYPALIGN_SHORT, &columns, NULL, &count);
	for (i = 0; i < count; i++)
	{
		Oid			type = get_atttype(constraint->conrelid,
									   DatumGetInt16(columns[i]));

		if (type != TEXTOID && type != VARCHAROID && type != BPCHAROID)
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_FOREIGN_KEY),
					 errmsg("foreign key \"%s\" to kms.key needs a column of type text, varchar or bpchar",
							NameStr(constraint->conname)),
					 errdetail("The cast of type %s would run with the rights of the extension's owner.",
							   format_type_be(type)),
					 errhint("Change the type of the column to text.")));
	}
}
