/*
 * Code of others that a write to a table of kms would run with the rights of
 * the extension's owner.
 */
#ifndef KMS_STORE_FOREIGN_CODE_H
#define KMS_STORE_FOREIGN_CODE_H

#include "executor/spi.h"

/*
 * Lock each table of kms that the plan writes, as its execution would.  Raise
 * 55000, with the name of the object, if one of them has a trigger that is not
 * internal and would fire, a rule, a policy that is in force or a child table.
 * The lock keeps others from adding a trigger, rule or policy before the end
 * of the transaction.
 */
extern void kms_foreign_code_check(SPIPlanPtr plan);

#endif							/* KMS_STORE_FOREIGN_CODE_H */
