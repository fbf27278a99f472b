/*
 * session_replication_role = replica disables triggers in their default state,
 * but not those that are enabled ALWAYS or for a REPLICA.  So the triggers are
 * hidden from the executor: it finds them in the tables that a statement
 * changes, which are opened when the statement starts, and runs none before
 * that.
 */
#include "postgres.h"

#include "executor/executor.h"

#include "pg/untriggered.h"

bool		kms_untriggered = false;

static ExecutorStart_hook_type prev_executor_start = NULL;

static void
start(QueryDesc *query, int flags)
{
	ListCell   *cell;

	if (prev_executor_start)
		prev_executor_start(query, flags);
	else
		standard_ExecutorStart(query, flags);
	foreach(cell, query->estate->es_opened_result_relations)
		((ResultRelInfo *) lfirst(cell))->ri_TrigDesc = NULL;
}

void
kms_untriggered_install(void)
{
	prev_executor_start = ExecutorStart_hook;
	ExecutorStart_hook = start;
	kms_untriggered = true;
}
