#include "postgres.h"

#include "lib/stringinfo.h"

#include "keys/diagnose_hint.h"

#include "keys/finding.h"

void
kms_diagnose_hint_add(List **findings, const char *finding, const char *hint,
					  const char *sql)
{
	if (sql != NULL)
		hint = psprintf("%s SQL: %s", hint, sql);
	else
		hint = psprintf("%s " KMS_NOTHING_CAN_BE_DONE, hint);
	kms_finding_add(findings, finding, hint);
}

char *
kms_diagnose_hint_expand(const char *template, const char *in, size_t number)
{
	StringInfoData out;

	initStringInfo(&out);
	while (*template != '\0')
	{
		if (strncmp(template, "<in>", 4) == 0)
		{
			appendStringInfoString(&out, in);
			template += 4;
		}
		else if (strncmp(template, "<n>", 3) == 0)
		{
			appendStringInfo(&out, "%zu", number);
			template += 3;
		}
		else
			appendStringInfoChar(&out, *template++);
	}
	return out.data;
}
