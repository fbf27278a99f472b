#include "postgres.h"

#include "access/xact.h"
#include "catalog/dependency.h"
#include "catalog/namespace.h"
#include "catalog/pg_class.h"
#include "catalog/pg_namespace.h"
#include "catalog/pg_proc.h"
#include "commands/alter.h"
#include "commands/extension.h"
#include "commands/tablecmds.h"
#include "miscadmin.h"
#include "nodes/makefuncs.h"
#include "utils/array.h"
#include "utils/lsyscache.h"

#include "pg/script.h"

#include "pg/extension.h"
#include "pg/version.h"

static void give_to_owner(const ObjectAddress *member, Oid owner);
static bool name_object(const ObjectAddress *object, GrantStmt *statement);
static Node *function_name(Oid function);
static RoleSpec *role_spec(Oid role);
static void change_privileges(const GrantStmt *object, bool is_grant,
							  Oid role);
static void check_closed(const ObjectAddress *member, Oid owner);

void
kms_script_require(void)
{
	if (!creating_extension)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("only a script of extension kms can call this function")));
}

void
kms_script_check_schema(const char *schema)
{
	bool		exists = OidIsValid(get_namespace_oid("kms", true));

	if (strcmp(schema, "kms") == 0)
		ereport(ERROR,
				(errcode(ERRCODE_DUPLICATE_SCHEMA),
				 errmsg("extension kms cannot be created in schema \"kms\""),
				 errdetail("The extension makes schema kms for its tables; its functions go into another one."),
				 errhint("Run %sCREATE SCHEMA keys; CREATE EXTENSION kms SCHEMA keys.",
						 exists ? "DROP SCHEMA kms; " : "")));
	if (exists)
		ereport(ERROR,
				(errcode(ERRCODE_DUPLICATE_SCHEMA),
				 errmsg("schema \"kms\" already exists"),
				 errhint("The extension makes schema kms for its tables: rename or drop the existing schema.")));
}

void
kms_script_check_library(const char *version)
{
	if (kms_version_compare(KMS_VERSION, version) < 0)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("the library of kms is of version %s, older than version %s of its SQL",
						KMS_VERSION, version),
				 errhint("Install the library of that version and restart the server, which may still run the older one.")));
}

void
kms_script_close_members(void)
{
	ListCell   *cell;

	foreach(cell, kms_extension_members(CurrentExtensionObject, true))
		kms_script_close_object(lfirst(cell));
}

void
kms_script_close_members_since(Oid function)
{
	Oid			owner = kms_extension_owner(CurrentExtensionObject);
	ObjectAddress first;
	ListCell   *cell;

	ObjectAddressSet(first, ProcedureRelationId, function);
	foreach(cell, kms_extension_members_since(CurrentExtensionObject, &first))
	{
		give_to_owner(lfirst(cell), owner);
		kms_script_close_object(lfirst(cell));
	}
}

/* Sequences and row types follow their tables. */
static void
give_to_owner(const ObjectAddress *member, Oid owner)
{
	GrantStmt	named = {.type = T_GrantStmt};
	AlterOwnerStmt *statement;

	if (kms_extension_object_owner(member) == owner ||
		!name_object(member, &named))
		return;
	if (named.objtype == OBJECT_TABLE)
		ATExecChangeOwner(member->objectId, owner, false, AccessExclusiveLock);
	else if (named.objtype != OBJECT_SEQUENCE)
	{
		statement = makeNode(AlterOwnerStmt);
		statement->objectType = named.objtype;
		statement->object = linitial(named.objects);
		statement->newowner = role_spec(owner);
		(void) ExecAlterOwnerStmt(statement);
	}
	CommandCounterIncrement();
}

void
kms_script_close_object(const ObjectAddress *member)
{
	GrantStmt	statement = {.type = T_GrantStmt};
	Oid			owner = kms_extension_object_owner(member);
	Oid		   *roles = NULL;
	Acl		   *acl;
	int			count;
	int			i;

	if (!name_object(member, &statement))
	{
		check_closed(member, owner);
		return;
	}
	change_privileges(&statement, true, owner);
	change_privileges(&statement, false, ACL_ID_PUBLIC);
	acl = kms_extension_object_acl(member);
	count = acl != NULL ? aclmembers(acl, &roles) : 0;
	for (i = 0; i < count; i++)
	{
		if (roles[i] != owner)
			change_privileges(&statement, false, roles[i]);
	}
	check_closed(member, owner);
}

/*
 * Name an object for GRANT.  Return false if it is of a kind that the scripts
 * do not make, or that never has privileges of its own, such as the row type
 * of a table.
 */
static bool
name_object(const ObjectAddress *object, GrantStmt *statement)
{
	Oid			oid = object->objectId;
	char		kind;
	Node	   *name;

	switch (object->classId)
	{
		case RelationRelationId:
			kind = get_rel_relkind(oid);
			if (kind != RELKIND_RELATION && kind != RELKIND_VIEW &&
				kind != RELKIND_SEQUENCE)
				return false;
			statement->objtype = kind == RELKIND_SEQUENCE ?
				OBJECT_SEQUENCE : OBJECT_TABLE;
			name = (Node *) makeRangeVar(get_namespace_name(get_rel_namespace(oid)),
										 get_rel_name(oid), -1);
			break;
		case ProcedureRelationId:
			statement->objtype = OBJECT_FUNCTION;
			name = function_name(oid);
			break;
		case NamespaceRelationId:
			statement->objtype = OBJECT_SCHEMA;
			name = (Node *) makeString(get_namespace_name(oid));
			break;
		default:
			return false;
	}
	statement->targtype = ACL_TARGET_OBJECT;
	statement->objects = list_make1(name);
	return true;
}

static Node *
function_name(Oid function)
{
	ObjectWithArgs *name = makeNode(ObjectWithArgs);
	Oid		   *types;
	int			count;
	int			i;

	name->objname = list_make2(makeString(get_namespace_name(get_func_namespace(function))),
							   makeString(get_func_name(function)));
	(void) get_func_signature(function, &types, &count);
	for (i = 0; i < count; i++)
		name->objargs = lappend(name->objargs, makeTypeNameFromOid(types[i], -1));
	return (Node *) name;
}

static RoleSpec *
role_spec(Oid role)
{
	RoleSpec   *spec = makeNode(RoleSpec);

	spec->roletype = role == ACL_ID_PUBLIC ? ROLESPEC_PUBLIC : ROLESPEC_CSTRING;
	if (role != ACL_ID_PUBLIC)
		spec->rolename = GetUserNameFromId(role, false);
	spec->location = -1;
	return spec;
}

/* Grant all privileges on an object to a role, or revoke them. */
static void
change_privileges(const GrantStmt *object, bool is_grant, Oid role)
{
	GrantStmt  *statement = makeNode(GrantStmt);

	*statement = *object;
	statement->is_grant = is_grant;
	statement->grantees = list_make1(role_spec(role));
	statement->behavior = is_grant ? DROP_RESTRICT : DROP_CASCADE;
	ExecuteGrantStmt(statement);
	CommandCounterIncrement();
}

static void
check_closed(const ObjectAddress *member, Oid owner)
{
	Acl		   *acl = kms_extension_object_acl(member);
	const AclItem *items;
	int			i;

	if (acl == NULL)
		return;
	items = ACL_DAT(acl);
	for (i = 0; i < ACL_NUM(acl); i++)
	{
		if (items[i].ai_grantee != owner)
			elog(ERROR, "another role still has privileges on object %u of catalog %u",
				 member->objectId, member->classId);
	}
}
