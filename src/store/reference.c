#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "catalog/namespace.h"
#include "catalog/pg_constraint.h"
#include "commands/trigger.h"
#include "lib/stringinfo.h"
#include "nodes/makefuncs.h"
#include "storage/lmgr.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/reltrigger.h"
#include "utils/syscache.h"

#include "store/reference.h"

#include "pg/catalog.h"
#include "pg/owner.h"
#include "store/link.h"

static char *qualified_name(Oid table);
static bool is_acting(const Trigger *trigger);
static bool is_delete_check(const Trigger *trigger);
static Oid	constraint_schema(Oid constraint);
static bool has_pending(const char *name, Oid schema);

char *
kms_reference_lock(const char *table)
{
	LockRelationOid(kms_link_relation(table), RowExclusiveLock);
	return kms_reference_acting(table);
}

char *
kms_reference_acting(const char *table)
{
	Relation	rel = table_open(kms_link_relation(table), AccessShareLock);
	char	   *phrase = NULL;
	int			i;

	for (i = 0; rel->trigdesc != NULL && i < rel->trigdesc->numtriggers; i++)
	{
		const Trigger *trigger = &rel->trigdesc->triggers[i];

		if (!is_acting(trigger))
			continue;
		phrase = psprintf("\"%s\" of %s",
						  get_constraint_name(trigger->tgconstraint),
						  qualified_name(trigger->tgconstrrelid));
		break;
	}
	table_close(rel, AccessShareLock);
	return phrase;
}

char *
kms_reference_tables(void)
{
	Relation	rel = table_open(kms_catalog()->key, AccessShareLock);
	StringInfoData names;
	int			i;

	initStringInfo(&names);
	for (i = 0; rel->trigdesc != NULL && i < rel->trigdesc->numtriggers; i++)
	{
		const Trigger *trigger = &rel->trigdesc->triggers[i];

		if (is_acting(trigger) || is_delete_check(trigger))
			appendStringInfo(&names, "%s%s", names.len > 0 ? ", " : "",
							 qualified_name(trigger->tgconstrrelid));
	}
	table_close(rel, AccessShareLock);
	return names.len > 0 ? names.data : NULL;
}

bool
kms_reference_check_now(const char *table)
{
	ConstraintsSetStmt *statement = makeNode(ConstraintsSetStmt);
	Relation	rel = table_open(kms_link_relation(table), AccessShareLock);
	bool		pending = false;
	KmsOwnerScope owner;
	int			i;

	for (i = 0; rel->trigdesc != NULL && i < rel->trigdesc->numtriggers; i++)
	{
		const Trigger *trigger = &rel->trigdesc->triggers[i];
		char	   *name;
		Oid			schema;

		if (!trigger->tgdeferrable || !is_delete_check(trigger))
			continue;
		name = get_constraint_name(trigger->tgconstraint);
		schema = constraint_schema(trigger->tgconstraint);
		pending = pending || has_pending(name, schema);
		statement->constraints = lappend(statement->constraints,
										 makeRangeVar(get_namespace_name(schema),
													  name, -1));
	}
	table_close(rel, AccessShareLock);
	if (pending)
		return false;

	/* an empty list would mean all constraints */
	if (statement->constraints != NIL)
	{
		kms_owner_enter(&owner);
		AfterTriggerSetState(statement);
		kms_owner_leave(&owner);
	}
	return true;
}

/*
 * Return whether triggers are pending for any constraint of this name in this
 * schema, because SET CONSTRAINTS means all of them.
 */
static bool
has_pending(const char *name, Oid schema)
{
	Relation	rel = table_open(ConstraintRelationId, AccessShareLock);
	NameData	conname;
	ScanKeyData keys[2];
	SysScanDesc scan;
	HeapTuple	tuple;
	bool		pending = false;

	namestrcpy(&conname, name);
	ScanKeyInit(&keys[0], Anum_pg_constraint_conname, BTEqualStrategyNumber,
				F_NAMEEQ, NameGetDatum(&conname));
	ScanKeyInit(&keys[1], Anum_pg_constraint_connamespace,
				BTEqualStrategyNumber, F_OIDEQ, ObjectIdGetDatum(schema));
	scan = systable_beginscan(rel, ConstraintNameNspIndexId, true, NULL, 2,
							  keys);
	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		Form_pg_constraint constraint = (Form_pg_constraint) GETSTRUCT(tuple);

		if ((OidIsValid(constraint->conrelid) &&
			 AfterTriggerPendingOnRel(constraint->conrelid)) ||
			(OidIsValid(constraint->confrelid) &&
			 AfterTriggerPendingOnRel(constraint->confrelid)))
			pending = true;
	}
	systable_endscan(scan);
	table_close(rel, AccessShareLock);
	return pending;
}

static char *
qualified_name(Oid table)
{
	return quote_qualified_identifier(get_namespace_name(get_rel_namespace(table)),
									  get_rel_name(table));
}

static bool
is_acting(const Trigger *trigger)
{
	return trigger->tgfoid == F_RI_FKEY_CASCADE_DEL ||
		trigger->tgfoid == F_RI_FKEY_SETNULL_DEL ||
		trigger->tgfoid == F_RI_FKEY_SETDEFAULT_DEL;
}

static bool
is_delete_check(const Trigger *trigger)
{
	return trigger->tgfoid == F_RI_FKEY_NOACTION_DEL ||
		trigger->tgfoid == F_RI_FKEY_RESTRICT_DEL;
}

static Oid
constraint_schema(Oid constraint)
{
	HeapTuple	tuple = SearchSysCache1(CONSTROID,
										ObjectIdGetDatum(constraint));
	Oid			schema;

	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "cache lookup failed for constraint %u", constraint);
	schema = ((Form_pg_constraint) GETSTRUCT(tuple))->connamespace;
	ReleaseSysCache(tuple);
	return schema;
}
