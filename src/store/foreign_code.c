#include "postgres.h"

#include "access/table.h"
#include "catalog/objectaddress.h"
#include "catalog/pg_class.h"
#include "catalog/pg_inherits.h"
#include "catalog/pg_policy.h"
#include "catalog/pg_rewrite.h"
#include "catalog/pg_trigger.h"
#include "commands/policy.h"
#include "commands/trigger.h"
#include "nodes/parsenodes.h"
#include "rewrite/prs2lock.h"
#include "rewrite/rowsecurity.h"
#include "utils/plancache.h"
#include "utils/rel.h"
#include "utils/reltrigger.h"

#include "store/foreign_code.h"

#include "pg/compat.h"
#include "pg/fault.h"
#include "pg/untriggered.h"
#include "store/link.h"

static void check_statement(const Node *statement);
static void check_with(const WithClause *with);
static void check_table(const RangeVar *name);
static bool fires(char enabled);
static bool is_origin(void);
static Oid	find_policy(const Relation rel);
pg_noreturn static void refuse(const Relation rel, Oid class_oid,
							   Oid object_oid);

void
kms_foreign_code_check(SPIPlanPtr plan)
{
	ListCell   *cell;

	/* the parse tree names the tables, whatever rules have made of it */
	foreach(cell, SPI_plan_get_plan_sources(plan))
	{
		const CachedPlanSource *source = lfirst(cell);

		check_statement(source->raw_parse_tree->stmt);
	}
}

static void
check_statement(const Node *statement)
{
	if (statement == NULL)
		return;
	switch (nodeTag(statement))
	{
		case T_SelectStmt:
			check_with(((const SelectStmt *) statement)->withClause);
			break;
		case T_InsertStmt:
			check_table(((const InsertStmt *) statement)->relation);
			check_with(((const InsertStmt *) statement)->withClause);
			check_statement(((const InsertStmt *) statement)->selectStmt);
			break;
		case T_UpdateStmt:
			check_table(((const UpdateStmt *) statement)->relation);
			check_with(((const UpdateStmt *) statement)->withClause);
			break;
		case T_DeleteStmt:
			check_table(((const DeleteStmt *) statement)->relation);
			check_with(((const DeleteStmt *) statement)->withClause);
			break;
		default:
			elog(ERROR, "unexpected kind of statement: %d",
				 (int) nodeTag(statement));
	}
}

/* Only a WITH clause at the top level can write. */
static void
check_with(const WithClause *with)
{
	ListCell   *cell;

	if (with == NULL)
		return;
	foreach(cell, with->ctes)
		check_statement(lfirst_node(CommonTableExpr, cell)->ctequery);
}

static void
check_table(const RangeVar *name)
{
	Relation	rel = table_open(kms_link_relation(name->relname),
								 RowExclusiveLock);
	int			i;

	for (i = 0; rel->trigdesc != NULL && i < rel->trigdesc->numtriggers; i++)
	{
		const Trigger *trigger = &rel->trigdesc->triggers[i];

		if (!trigger->tgisinternal && !kms_untriggered &&
			fires(trigger->tgenabled))
			refuse(rel, TriggerRelationId, trigger->tgoid);
	}
	for (i = 0; rel->rd_rules != NULL && i < rel->rd_rules->numLocks; i++)
	{
		const RewriteRule *rule = rel->rd_rules->rules[i];

		if (fires(rule->enabled))
			refuse(rel, RewriteRelationId, rule->ruleId);
	}
	if (rel->rd_rsdesc != NULL && rel->rd_rsdesc->policies != NIL &&
		(is_origin() || rel->rd_rel->relforcerowsecurity))
		refuse(rel, PolicyRelationId, find_policy(rel));
	if (rel->rd_rel->relhassubclass)
	{
		List	   *children = find_inheritance_children(RelationGetRelid(rel),
														 NoLock);

		if (children != NIL)
			refuse(rel, RelationRelationId, linitial_oid(children));
	}
	table_close(rel, NoLock);
}

/*
 * Return whether triggers that are enabled like this fire in this session.
 * Rules use the same letters.
 */
static bool
fires(char enabled)
{
	if (enabled == TRIGGER_FIRES_ALWAYS)
		return true;
	return enabled == (is_origin() ? TRIGGER_FIRES_ON_ORIGIN :
					   TRIGGER_FIRES_ON_REPLICA);
}

/* Return false in the writer, whose replication role is "replica". */
static bool
is_origin(void)
{
	return SessionReplicationRole != SESSION_REPLICATION_ROLE_REPLICA;
}

static Oid
find_policy(const Relation rel)
{
	const RowSecurityPolicy *policy = linitial(rel->rd_rsdesc->policies);

	return get_relation_policy_oid(RelationGetRelid(rel), policy->policy_name,
								   false);
}

static void
refuse(const Relation rel, Oid class_oid, Oid object_oid)
{
	ObjectAddress object;

	ObjectAddressSet(object, class_oid, object_oid);
	ereport(ERROR,
			(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
			 errmsg("kms.%s is not written because of %s",
					RelationGetRelationName(rel),
					getObjectDescription(&object, false)),
			 errhint("Drop it, because code of others would run with the rights of the extension's owner."),
			 KMS_HIDE_STATEMENT));
}
