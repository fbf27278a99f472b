#include "postgres.h"

#include "access/xact.h"
#include "catalog/dependency.h"
#include "catalog/index.h"
#include "catalog/namespace.h"
#include "catalog/objectaccess.h"
#include "catalog/pg_class.h"
#include "catalog/pg_extension.h"
#include "catalog/pg_namespace.h"
#include "commands/defrem.h"
#include "commands/extension.h"
#include "miscadmin.h"
#include "nodes/parsenodes.h"
#include "nodes/plannodes.h"
#include "tcop/utility.h"
#include "utils/acl.h"
#include "utils/lsyscache.h"

#include "pg/refuse.h"

#include "pg/compat.h"
#include "pg/extension.h"
#include "pg/script.h"
#include "pg/vacuum_full.h"

static ProcessUtility_hook_type prev_utility_hook = NULL;
static object_access_hook_type prev_object_access_hook = NULL;

/* A statement that drops the extension by name is running. */
static bool dropping = false;

static void on_utility(PlannedStmt *statement, const char *query,
					   bool read_only_tree, ProcessUtilityContext context,
					   ParamListInfo params, QueryEnvironment *environment,
					   DestReceiver *dest, QueryCompletion *completion);
static void run(PlannedStmt *statement, const char *query,
				bool read_only_tree, ProcessUtilityContext context,
				ParamListInfo params, QueryEnvironment *environment,
				DestReceiver *dest, QueryCompletion *completion);
static bool drops_extension(const Node *node);
static void check(const Node *node);
static void check_create(const CreateExtensionStmt *statement);
static void check_drop(const DropStmt *statement);
static void check_drop_owned(const DropOwnedStmt *statement);
static bool belongs_to(const List *objects, Oid role);
static void check_owner(const RangeVar *name);
static void check_reindex(const ReindexStmt *statement);
static void check_alter(const AlterTableStmt *statement);
static void check_create_table(const CreateStmt *statement);
static void check_column(const ColumnDef *column);
static void check_constraint(const Constraint *constraint);
static Oid	find_table(const RangeVar *name);
static void on_object_access(ObjectAccessType access, Oid class_oid,
							 Oid object_oid, int sub_id, void *arg);
pg_noreturn static void refuse_drop(const char *what);

void
kms_refuse_install(void)
{
	prev_utility_hook = ProcessUtility_hook;
	ProcessUtility_hook = on_utility;
	prev_object_access_hook = object_access_hook;
	object_access_hook = on_object_access;
}

static void
on_utility(PlannedStmt *statement, const char *query, bool read_only_tree,
		   ProcessUtilityContext context, ParamListInfo params,
		   QueryEnvironment *environment, DestReceiver *dest,
		   QueryCompletion *completion)
{
	check(statement->utilityStmt);
	if (!dropping && drops_extension(statement->utilityStmt))
	{
		PG_TRY();
		{
			dropping = true;
			run(statement, query, read_only_tree, context, params,
				environment, dest, completion);
		}
		PG_FINALLY();
		{
			dropping = false;
		}
		PG_END_TRY();
	}
	else
		run(statement, query, read_only_tree, context, params, environment,
			dest, completion);
}

static void
run(PlannedStmt *statement, const char *query, bool read_only_tree,
	ProcessUtilityContext context, ParamListInfo params,
	QueryEnvironment *environment, DestReceiver *dest,
	QueryCompletion *completion)
{
	statement = kms_vacuum_full_spare(statement);
	if (statement == NULL)
	{
		PreventInTransactionBlock(context == PROCESS_UTILITY_TOPLEVEL,
								  "VACUUM");
		return;
	}
	if (prev_utility_hook != NULL)
		prev_utility_hook(statement, query, read_only_tree, context, params,
						  environment, dest, completion);
	else
		standard_ProcessUtility(statement, query, read_only_tree, context,
								params, environment, dest, completion);
}

static bool
drops_extension(const Node *node)
{
	const DropStmt *statement = (const DropStmt *) node;
	ListCell   *cell;

	if (!IsA(node, DropStmt) || statement->removeType != OBJECT_EXTENSION)
		return false;
	foreach(cell, statement->objects)
	{
		if (strcmp(strVal(lfirst(cell)), "kms") == 0)
			return true;
	}
	return false;
}

static void
check(const Node *node)
{
	switch (nodeTag(node))
	{
		case T_CreateExtensionStmt:
			check_create((const CreateExtensionStmt *) node);
			break;
		case T_DropStmt:
			check_drop((const DropStmt *) node);
			break;
		case T_DropOwnedStmt:
			check_drop_owned((const DropOwnedStmt *) node);
			break;
		case T_RuleStmt:
			check_owner(((const RuleStmt *) node)->relation);
			break;
		case T_CreateTrigStmt:
			check_owner(((const CreateTrigStmt *) node)->relation);
			break;
		case T_AlterObjectDependsStmt:
			check_owner(((const AlterObjectDependsStmt *) node)->relation);
			break;
		case T_AlterTableStmt:
			check_alter((const AlterTableStmt *) node);
			break;
		case T_CreateStmt:
			check_create_table((const CreateStmt *) node);
			break;
		case T_CreateForeignTableStmt:
			check_create_table(&((const CreateForeignTableStmt *) node)->base);
			break;
		case T_ReindexStmt:
			check_reindex((const ReindexStmt *) node);
			break;
		default:
			break;
	}
}

static void
check_create(const CreateExtensionStmt *statement)
{
	ListCell   *cell;

	if (strcmp(statement->extname, "kms") != 0 ||
		OidIsValid(kms_extension_oid()))
		return;
	foreach(cell, statement->options)
	{
		DefElem    *option = lfirst(cell);

		if (strcmp(option->defname, "schema") == 0 &&
			strcmp(defGetString(option), "kms") == 0)
			kms_script_check_schema("kms");
	}
}

static void
check_drop(const DropStmt *statement)
{
	bool		schemas = statement->removeType == OBJECT_SCHEMA;
	Oid			extension;
	List	   *supports;
	ListCell   *cell;

	if (!schemas && statement->removeType != OBJECT_EXTENSION)
		return;
	extension = kms_extension_oid();
	if (!OidIsValid(extension))
		return;
	if (drops_extension((const Node *) statement))
	{
		if (!pg_extension_ownercheck(extension, GetUserId()))
			aclcheck_error(ACLCHECK_NOT_OWNER, OBJECT_EXTENSION, "kms");
		return;
	}

	supports = kms_extension_supports(extension);
	foreach(cell, statement->objects)
	{
		const char *name = strVal(lfirst(cell));
		Oid			oid = schemas ? get_namespace_oid(name, true) :
		get_extension_oid(name, true);
		ListCell   *support;

		foreach(support, supports)
		{
			const ObjectAddress *object = lfirst(support);

			if (object->objectId == oid && object->classId ==
				(schemas ? NamespaceRelationId : ExtensionRelationId))
				refuse_drop(psprintf("%s \"%s\"",
									 schemas ? "schema" : "extension", name));
		}
	}
}

static void
check_drop_owned(const DropOwnedStmt *statement)
{
	Oid			extension = kms_extension_oid();
	ObjectAddress self;
	ListCell   *cell;

	if (!OidIsValid(extension))
		return;
	ObjectAddressSet(self, ExtensionRelationId, extension);
	foreach(cell, statement->roles)
	{
		Oid			role = get_rolespec_oid(lfirst(cell), true);

		if (OidIsValid(role) && has_privs_of_role(GetUserId(), role) &&
			(kms_extension_object_owner(&self) == role ||
			 belongs_to(kms_extension_supports(extension), role) ||
			 belongs_to(kms_extension_members(extension, false), role)))
			refuse_drop(psprintf("objects that belong to role \"%s\"",
								 GetUserNameFromId(role, false)));
	}
}

static bool
belongs_to(const List *objects, Oid role)
{
	ListCell   *cell;

	foreach(cell, objects)
	{
		if (kms_extension_object_owner(lfirst(cell)) == role)
			return true;
	}
	return false;
}

/*
 * Raise 42501 if this is a table of kms, or an index of one, and the current
 * user does not own it.
 */
static void
check_owner(const RangeVar *name)
{
	Oid			table = find_table(name);

	if (OidIsValid(table) && !pg_class_ownercheck(table, GetUserId()))
		aclcheck_error(ACLCHECK_NOT_OWNER, OBJECT_TABLE, name->relname);
}

/*
 * The owner of a database may reindex other users' tables.  Each is locked
 * while its indexes are built, and while that waits for all sessions that read
 * it.
 */
static void
check_reindex(const ReindexStmt *statement)
{
	Oid			extension = kms_extension_oid();
	ListCell   *cell;

	if (statement->kind != REINDEX_OBJECT_DATABASE || !OidIsValid(extension) ||
		pg_extension_ownercheck(extension, GetUserId()))
		return;
	foreach(cell, statement->params)
	{
		DefElem    *option = lfirst(cell);

		if (strcmp(option->defname, "concurrently") == 0 &&
			defGetBoolean(option))
			return;
	}
	ereport(ERROR,
			(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
			 errmsg("only the owner of extension kms can lock its tables to reindex the database"),
			 errhint("Run REINDEX (CONCURRENTLY) DATABASE, or REINDEX TABLE for your own tables.")));
}

static void
check_alter(const AlterTableStmt *statement)
{
	ListCell   *cell;

	foreach(cell, statement->cmds)
	{
		const AlterTableCmd *command = lfirst_node(AlterTableCmd, cell);

		if (command->subtype == AT_AttachPartition ||
			command->subtype == AT_DetachPartition)
			check_owner(((const PartitionCmd *) command->def)->name);
		else if (command->def != NULL && IsA(command->def, Constraint))
			check_constraint((const Constraint *) command->def);
		else if (command->def != NULL && IsA(command->def, ColumnDef))
			check_column((const ColumnDef *) command->def);
	}
}

static void
check_create_table(const CreateStmt *statement)
{
	ListCell   *cell;

	foreach(cell, statement->inhRelations)
		check_owner(lfirst_node(RangeVar, cell));
	foreach(cell, statement->constraints)
		check_constraint(lfirst_node(Constraint, cell));
	foreach(cell, statement->tableElts)
	{
		const Node *element = lfirst(cell);

		if (IsA(element, ColumnDef))
			check_column((const ColumnDef *) element);
		else if (IsA(element, Constraint))
			check_constraint((const Constraint *) element);
	}
}

static void
check_column(const ColumnDef *column)
{
	ListCell   *cell;

	foreach(cell, column->constraints)
		check_constraint(lfirst_node(Constraint, cell));
}

static void
check_constraint(const Constraint *constraint)
{
	Oid			table = InvalidOid;
	char	   *name;

	if (constraint->contype == CONSTR_FOREIGN)
		table = find_table(constraint->pktable);
	name = OidIsValid(table) ? get_rel_name(table) : NULL;
	if (name == NULL)
		return;

	/* The owner is refused when the constraint is created: foreign_key.c. */
	if (strcmp(name, "key") != 0)
		check_owner(constraint->pktable);
	else if (pg_class_aclcheck(table, GetUserId(), ACL_REFERENCES) != ACLCHECK_OK &&
			 pg_attribute_aclcheck_all(table, GetUserId(), ACL_REFERENCES,
									   ACLMASK_ANY) != ACLCHECK_OK)
		aclcheck_error(ACLCHECK_NO_PRIV, OBJECT_TABLE,
					   constraint->pktable->relname);
}

/*
 * Return the table of kms with this name, or with an index of this name,
 * without locking it, or InvalidOid.
 */
static Oid
find_table(const RangeVar *name)
{
	Oid			extension = kms_extension_oid();
	Oid			table;

	if (!OidIsValid(extension) || name == NULL)
		return InvalidOid;
	table = RangeVarGetRelid(name, NoLock, true);
	if (OidIsValid(table) && get_rel_relkind(table) == RELKIND_INDEX)
		table = IndexGetRelation(table, true);
	if (!OidIsValid(table) ||
		getExtensionOfObject(RelationRelationId, table) != extension)
		return InvalidOid;
	return table;
}

/*
 * Refuse drops that were not noticed before: a user has made the extension
 * depend on an object of another kind.  PostgreSQL already holds all locks of
 * the drop.
 */
static void
on_object_access(ObjectAccessType access, Oid class_oid, Oid object_oid,
				 int sub_id, void *arg)
{
	if (prev_object_access_hook != NULL)
		prev_object_access_hook(access, class_oid, object_oid, sub_id, arg);
	if (access == OAT_DROP && class_oid == ExtensionRelationId && !dropping &&
		object_oid == kms_extension_oid())
		refuse_drop("these objects");
}

static void
refuse_drop(const char *what)
{
	ereport(ERROR,
			(errcode(ERRCODE_DEPENDENT_OBJECTS_STILL_EXIST),
			 errmsg("cannot drop %s because extension kms would be dropped, too",
					what),
			 errdetail("All keys would be lost, and with them all data that was encrypted for them."),
			 errhint("To delete the keys, run DROP EXTENSION kms first. Otherwise drop the other objects one by one; to avoid that, create the extension in a schema of its own (CREATE SCHEMA keys; CREATE EXTENSION kms SCHEMA keys).")));
}
