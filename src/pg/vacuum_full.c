#include "postgres.h"

#include "access/heapam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "access/tableam.h"
#include "catalog/namespace.h"
#include "catalog/pg_class.h"
#include "catalog/pg_database.h"
#include "commands/defrem.h"
#include "miscadmin.h"
#include "nodes/makefuncs.h"
#include "nodes/parsenodes.h"
#include "utils/acl.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/syscache.h"

#include "pg/vacuum_full.h"

#include "pg/compat.h"
#include "pg/extension.h"

static bool is_full(const VacuumStmt *vacuum);
static List *tables_of_others(void);
static List *all_tables(void);
static Oid	toast_table(Oid table);

PlannedStmt *
kms_vacuum_full_spare(PlannedStmt *statement)
{
	VacuumStmt *vacuum = (VacuumStmt *) statement->utilityStmt;
	List	   *spared;
	List	   *asked;
	List	   *kept = NIL;
	ListCell   *cell;

	if (!IsA(vacuum, VacuumStmt) || !is_full(vacuum) || superuser())
		return statement;

	/*
	 * Without a list of tables, roles other than the database's owner vacuum
	 * only their own.
	 */
	if (vacuum->rels == NIL &&
		!pg_database_ownercheck(MyDatabaseId, GetUserId()))
		return statement;
	spared = tables_of_others();
	if (spared == NIL)
		return statement;

	asked = vacuum->rels != NIL ? vacuum->rels : all_tables();
	foreach(cell, asked)
	{
		VacuumRelation *relation = lfirst_node(VacuumRelation, cell);
		Oid			table = relation->relation == NULL ? relation->oid :
		RangeVarGetRelid(relation->relation, NoLock, true);
		char	   *name = list_member_oid(spared, table) ?
		get_rel_name(table) : NULL;

		if (name != NULL)
			ereport(WARNING,
					(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
					 errmsg("skipping \"%s\": only its owner can vacuum a table of kms with FULL",
							name)));
		else
			kept = lappend(kept, relation);
	}
	if (list_length(kept) == list_length(asked))
		return statement;
	if (kept == NIL)
		return NULL;
	statement = copyObject(statement);
	((VacuumStmt *) statement->utilityStmt)->rels = kept;
	return statement;
}

static bool
is_full(const VacuumStmt *vacuum)
{
	bool		full = false;
	ListCell   *cell;

	foreach(cell, vacuum->options)
	{
		DefElem    *option = lfirst(cell);

		if (strcmp(option->defname, "full") == 0)
			full = defGetBoolean(option);
	}
	return full && vacuum->is_vacuumcmd;
}

/*
 * Return the tables of kms, and their TOAST tables, that the current user does
 * not own.
 */
static List *
tables_of_others(void)
{
	Oid			extension = kms_extension_oid();
	List	   *tables = NIL;
	ListCell   *cell;

	if (!OidIsValid(extension))
		return NIL;
	foreach(cell, kms_extension_members(extension, false))
	{
		const ObjectAddress *member = lfirst(cell);
		Oid			table = member->objectId;

		if (member->classId != RelationRelationId ||
			get_rel_relkind(table) != RELKIND_RELATION ||
			pg_class_ownercheck(table, GetUserId()))
			continue;
		tables = lappend_oid(tables, table);
		if (OidIsValid(toast_table(table)))
			tables = lappend_oid(tables, toast_table(table));
	}
	return tables;
}

/*
 * Return the tables that VACUUM processes if the database's owner names none:
 * a list of VacuumRelation.  PostgreSQL locks a relation that is given by OID
 * before it checks the rights, so shared catalogs must not be in the list.
 */
static List *
all_tables(void)
{
	Relation	rel = table_open(RelationRelationId, AccessShareLock);
	TableScanDesc scan = table_beginscan_catalog(rel, 0, NULL);
	List	   *tables = NIL;
	HeapTuple	tuple;

	while ((tuple = heap_getnext(scan, ForwardScanDirection)) != NULL)
	{
		Form_pg_class form = (Form_pg_class) GETSTRUCT(tuple);

		if (!form->relisshared &&
			(form->relkind == RELKIND_RELATION ||
			 form->relkind == RELKIND_MATVIEW ||
			 form->relkind == RELKIND_PARTITIONED_TABLE))
			tables = lappend(tables,
							 makeVacuumRelation(NULL, form->oid, NIL));
	}
	table_endscan(scan);
	table_close(rel, AccessShareLock);
	return tables;
}

static Oid
toast_table(Oid table)
{
	HeapTuple	tuple = SearchSysCache1(RELOID, ObjectIdGetDatum(table));
	Oid			toast = InvalidOid;

	if (HeapTupleIsValid(tuple))
	{
		toast = ((Form_pg_class) GETSTRUCT(tuple))->reltoastrelid;
		ReleaseSysCache(tuple);
	}
	return toast;
}
