/*
 * A pooler runs DISCARD ALL before it gives a connection to another client.
 * PostgreSQL notifies extensions only through this hook.
 */
#include "postgres.h"

#include "nodes/parsenodes.h"
#include "nodes/plannodes.h"
#include "tcop/utility.h"

#include "api/discard.h"

#include "keys/field_opened.h"
#include "keys/opened.h"

static ProcessUtility_hook_type prev_utility_hook = NULL;

static void on_utility(PlannedStmt *statement, const char *query,
					   bool read_only_tree, ProcessUtilityContext context,
					   ParamListInfo params, QueryEnvironment *environment,
					   DestReceiver *dest, QueryCompletion *completion);
static bool is_discard_all(const Node *statement);

void
kms_discard_install(void)
{
	prev_utility_hook = ProcessUtility_hook;
	ProcessUtility_hook = on_utility;
}

static void
on_utility(PlannedStmt *statement, const char *query, bool read_only_tree,
		   ProcessUtilityContext context, ParamListInfo params,
		   QueryEnvironment *environment, DestReceiver *dest,
		   QueryCompletion *completion)
{
	bool		discard_all = is_discard_all(statement->utilityStmt);

	if (prev_utility_hook != NULL)
		prev_utility_hook(statement, query, read_only_tree, context, params,
						  environment, dest, completion);
	else
		standard_ProcessUtility(statement, query, read_only_tree, context,
								params, environment, dest, completion);
	if (discard_all)
	{
		kms_opened_close_all();
		kms_field_opened_close_all();
	}
}

static bool
is_discard_all(const Node *statement)
{
	return IsA(statement, DiscardStmt) &&
		((const DiscardStmt *) statement)->target == DISCARD_ALL;
}
