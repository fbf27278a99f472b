#include "postgres.h"

#include "catalog/namespace.h"
#include "catalog/pg_class.h"
#include "catalog/pg_publication.h"
#include "utils/lsyscache.h"

#include "store/publication.h"

#include "pg/extension.h"

static List *add_whole(List *publications, List *oids);
static List *add_table(List *publications, Oid publication, char *table);

List *
kms_publication_all(void)
{
	Oid			schema = get_namespace_oid("kms", true);
	List	   *publications = NIL;
	ListCell   *cell;

	if (!OidIsValid(schema))
		return NIL;
	publications = add_whole(publications, GetAllTablesPublications());
	publications = add_whole(publications, GetSchemaPublications(schema));
	foreach(cell, kms_extension_members(kms_extension_oid(), false))
	{
		const ObjectAddress *member = lfirst(cell);
		ListCell   *publication;

		if (member->classId != RelationRelationId ||
			get_rel_relkind(member->objectId) != RELKIND_RELATION)
			continue;
		foreach(publication, GetRelationPublications(member->objectId))
			publications = add_table(publications, lfirst_oid(publication),
									 get_rel_name(member->objectId));
	}
	return publications;
}

bool
kms_publication_carries(const KmsPublication *publication, const char *table)
{
	ListCell   *cell;

	foreach(cell, publication->tables)
	{
		if (strcmp(lfirst(cell), table) == 0)
			return true;
	}
	return publication->whole;
}

static List *
add_whole(List *publications, List *oids)
{
	ListCell   *cell;

	foreach(cell, oids)
	{
		KmsPublication *publication = palloc0(sizeof(KmsPublication));

		publication->name = get_publication_name(lfirst_oid(cell), false);
		publication->whole = true;
		publications = lappend(publications, publication);
	}
	return publications;
}

static List *
add_table(List *publications, Oid oid, char *table)
{
	char	   *name = get_publication_name(oid, false);
	KmsPublication *publication;
	ListCell   *cell;

	foreach(cell, publications)
	{
		publication = lfirst(cell);
		if (strcmp(publication->name, name) == 0)
		{
			publication->tables = lappend(publication->tables, table);
			return publications;
		}
	}
	publication = palloc0(sizeof(KmsPublication));
	publication->name = name;
	publication->tables = list_make1(table);
	return lappend(publications, publication);
}
