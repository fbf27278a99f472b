#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "access/xact.h"
#include "catalog/dependency.h"
#include "catalog/indexing.h"
#include "catalog/pg_depend.h"
#include "catalog/pg_extension.h"
#include "catalog/pg_namespace.h"
#include "commands/extension.h"
#include "utils/fmgroids.h"
#include "utils/rel.h"
#include "utils/syscache.h"

#include "pg/extension.h"

static List *find_members(Oid extension, bool just_made, CommandId since);
static CommandId command_that_made(Oid extension, const ObjectAddress *member);
static List *add_supports(List *objects, Relation depend,
						  const ObjectAddress *object);
static List *add_object(List *objects, Oid class_oid, Oid object_oid);
static ObjectAddress *make_address(Oid class_oid, Oid object_oid);

Oid
kms_extension_oid(void)
{
	return get_extension_oid("kms", true);
}

List *
kms_extension_members(Oid extension, bool just_made)
{
	return find_members(extension, just_made, FirstCommandId);
}

List *
kms_extension_members_since(Oid extension, const ObjectAddress *member)
{
	return find_members(extension, true, command_that_made(extension, member));
}

/* With "just_made", leave out what was made before the command "since". */
static List *
find_members(Oid extension, bool just_made, CommandId since)
{
	Relation	depend = table_open(DependRelationId, AccessShareLock);
	List	   *members = NIL;
	ScanKeyData keys[2];
	SysScanDesc scan;
	HeapTuple	tuple;

	ScanKeyInit(&keys[0], Anum_pg_depend_refclassid, BTEqualStrategyNumber,
				F_OIDEQ, ObjectIdGetDatum(ExtensionRelationId));
	ScanKeyInit(&keys[1], Anum_pg_depend_refobjid, BTEqualStrategyNumber,
				F_OIDEQ, ObjectIdGetDatum(extension));
	scan = systable_beginscan(depend, DependReferenceIndexId, true, NULL, 2,
							  keys);
	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		Form_pg_depend row = (Form_pg_depend) GETSTRUCT(tuple);

		if (row->deptype != DEPENDENCY_EXTENSION)
			continue;
		if (just_made &&
			(!TransactionIdIsCurrentTransactionId(HeapTupleHeaderGetXmin(tuple->t_data)) ||
			 HeapTupleHeaderGetCmin(tuple->t_data) < since))
			continue;
		members = lappend(members, make_address(row->classid, row->objid));
	}
	systable_endscan(scan);
	table_close(depend, AccessShareLock);
	return members;
}

/* Return the command of this transaction that made a member. */
static CommandId
command_that_made(Oid extension, const ObjectAddress *member)
{
	Relation	depend = table_open(DependRelationId, AccessShareLock);
	CommandId	command = InvalidCommandId;
	ScanKeyData keys[2];
	SysScanDesc scan;
	HeapTuple	tuple;

	ScanKeyInit(&keys[0], Anum_pg_depend_classid, BTEqualStrategyNumber,
				F_OIDEQ, ObjectIdGetDatum(member->classId));
	ScanKeyInit(&keys[1], Anum_pg_depend_objid, BTEqualStrategyNumber,
				F_OIDEQ, ObjectIdGetDatum(member->objectId));
	scan = systable_beginscan(depend, DependDependerIndexId, true, NULL, 2,
							  keys);
	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		Form_pg_depend row = (Form_pg_depend) GETSTRUCT(tuple);

		if (row->deptype == DEPENDENCY_EXTENSION &&
			row->refobjid == extension &&
			TransactionIdIsCurrentTransactionId(HeapTupleHeaderGetXmin(tuple->t_data)))
			command = HeapTupleHeaderGetCmin(tuple->t_data);
	}
	systable_endscan(scan);
	table_close(depend, AccessShareLock);
	if (command == InvalidCommandId)
		elog(ERROR, "object %u of catalog %u is no new member of extension %u",
			 member->objectId, member->classId, extension);
	return command;
}

List *
kms_extension_supports(Oid extension)
{
	Relation	depend = table_open(DependRelationId, AccessShareLock);
	List	   *objects = NIL;
	int			i;

	/*
	 * Start with the extension itself.  The list grows while we go through
	 * it.
	 */
	objects = add_object(objects, ExtensionRelationId, extension);
	for (i = 0; i < list_length(objects); i++)
		objects = add_supports(objects, depend, list_nth(objects, i));
	table_close(depend, AccessShareLock);
	return list_delete_first(objects);
}

Oid
kms_extension_object_owner(const ObjectAddress *object)
{
	int			cache = get_object_catcache_oid(object->classId);
	AttrNumber	attribute = get_object_attnum_owner(object->classId);
	HeapTuple	tuple;
	Oid			owner = InvalidOid;
	bool		isnull;

	if (object->classId == ExtensionRelationId)
		return kms_extension_owner(object->objectId);
	if (cache < 0 || attribute == InvalidAttrNumber)
		return InvalidOid;
	tuple = SearchSysCache1(cache, ObjectIdGetDatum(object->objectId));
	if (HeapTupleIsValid(tuple))
	{
		owner = DatumGetObjectId(SysCacheGetAttr(cache, tuple, attribute,
												 &isnull));
		ReleaseSysCache(tuple);
	}
	return owner;
}

Acl *
kms_extension_object_acl(const ObjectAddress *object)
{
	int			cache = get_object_catcache_oid(object->classId);
	AttrNumber	attribute = get_object_attnum_acl(object->classId);
	HeapTuple	tuple;
	Acl		   *acl = NULL;
	Datum		value;
	bool		isnull;

	if (cache < 0 || attribute == InvalidAttrNumber)
		return NULL;
	tuple = SearchSysCache1(cache, ObjectIdGetDatum(object->objectId));
	if (HeapTupleIsValid(tuple))
	{
		value = SysCacheGetAttr(cache, tuple, attribute, &isnull);
		if (!isnull)
			acl = DatumGetAclPCopy(value);
		ReleaseSysCache(tuple);
	}
	return acl;
}

/*
 * Add the schemas and extensions on which an object depends; for an extension
 * also those of its members, because dropping one of these would drop the
 * extension as a whole.
 */
static List *
add_supports(List *objects, Relation depend, const ObjectAddress *object)
{
	List	   *parts = list_make1(unconstify(ObjectAddress *, object));
	ListCell   *cell;

	if (object->classId == ExtensionRelationId)
		parts = list_concat(parts, kms_extension_members(object->objectId, false));
	foreach(cell, parts)
	{
		const ObjectAddress *part = lfirst(cell);
		ScanKeyData keys[2];
		SysScanDesc scan;
		HeapTuple	tuple;

		ScanKeyInit(&keys[0], Anum_pg_depend_classid, BTEqualStrategyNumber,
					F_OIDEQ, ObjectIdGetDatum(part->classId));
		ScanKeyInit(&keys[1], Anum_pg_depend_objid, BTEqualStrategyNumber,
					F_OIDEQ, ObjectIdGetDatum(part->objectId));
		scan = systable_beginscan(depend, DependDependerIndexId, true, NULL, 2,
								  keys);
		while (HeapTupleIsValid(tuple = systable_getnext(scan)))
		{
			Form_pg_depend row = (Form_pg_depend) GETSTRUCT(tuple);

			if (row->refclassid == NamespaceRelationId ||
				row->refclassid == ExtensionRelationId)
				objects = add_object(objects, row->refclassid, row->refobjid);
		}
		systable_endscan(scan);
	}
	return objects;
}

static List *
add_object(List *objects, Oid class_oid, Oid object_oid)
{
	ListCell   *cell;

	foreach(cell, objects)
	{
		const ObjectAddress *object = lfirst(cell);

		if (object->classId == class_oid && object->objectId == object_oid)
			return objects;
	}
	return lappend(objects, make_address(class_oid, object_oid));
}

static ObjectAddress *
make_address(Oid class_oid, Oid object_oid)
{
	ObjectAddress *address = palloc(sizeof(ObjectAddress));

	ObjectAddressSet(*address, class_oid, object_oid);
	return address;
}

Oid
kms_extension_owner(Oid extension)
{
	Relation	rel = table_open(ExtensionRelationId, AccessShareLock);
	ScanKeyData key;
	SysScanDesc scan;
	HeapTuple	tuple;
	Oid			owner = InvalidOid;

	ScanKeyInit(&key, Anum_pg_extension_oid, BTEqualStrategyNumber, F_OIDEQ,
				ObjectIdGetDatum(extension));
	scan = systable_beginscan(rel, ExtensionOidIndexId, true, NULL, 1, &key);
	tuple = systable_getnext(scan);
	if (HeapTupleIsValid(tuple))
		owner = ((Form_pg_extension) GETSTRUCT(tuple))->extowner;
	systable_endscan(scan);
	table_close(rel, AccessShareLock);
	return owner;
}
