#include "postgres.h"

#include "keys/finding.h"

/* The worst is first. */
static const char *const severities[KMS_FINDING_SEVERITIES] = {
	"error", "warning", "notice"
};

void
kms_finding_collect(void *arg, const char *severity, const char *finding,
					const char *hint)
{
	KmsFindings *findings = arg;
	MemoryContext old = MemoryContextSwitchTo(findings->context);
	int			i = 0;

	while (i < KMS_FINDING_SEVERITIES - 1 &&
		   strcmp(severity, severities[i]) != 0)
		i++;
	kms_finding_add(&findings->found[i], pstrdup(finding), pstrdup(hint));
	((KmsFinding *) llast(findings->found[i]))->severity = severities[i];
	MemoryContextSwitchTo(old);
}

List *
kms_finding_sort(const KmsFindings *findings)
{
	List	   *sorted = NIL;
	int			i;

	for (i = 0; i < KMS_FINDING_SEVERITIES; i++)
		sorted = list_concat(sorted, findings->found[i]);
	return sorted;
}

void
kms_finding_add(List **findings, const char *finding, const char *hint)
{
	KmsFinding *added = palloc0(sizeof(KmsFinding));

	added->finding = finding;
	added->hint = hint;
	*findings = lappend(*findings, added);
}
