/*
 * Findings that kms_check() and kms_diagnose() report, each with a hint that
 * names the fix.
 */
#ifndef KMS_KEYS_FINDING_H
#define KMS_KEYS_FINDING_H

#include "nodes/pg_list.h"

/* One finding.  The strings are static or palloc'd. */
typedef struct KmsFinding
{
	const char *severity;		/* of kms_check(), otherwise NULL */
	const char *finding;
	const char *hint;
} KmsFinding;

/*
 * Add one finding.  "severity" is "error", "warning" or "notice"; "finding"
 * says what is wrong, "hint" how to fix it.
 */
typedef void (*KmsReport) (void *arg, const char *severity,
						   const char *finding, const char *hint);

#define KMS_FINDING_SEVERITIES 3

/* Findings by severity.  Begins zeroed, except for "context". */
typedef struct KmsFindings
{
	MemoryContext context;		/* of the lists and strings */
	List	   *found[KMS_FINDING_SEVERITIES];	/* of KmsFinding */
} KmsFindings;

/* A KmsReport that copies the finding into "arg", which is a KmsFindings. */
extern void kms_finding_collect(void *arg, const char *severity,
								const char *finding, const char *hint);

/*
 * Return all findings, the worst severity first, otherwise in the order in
 * which they were added.
 */
extern List *kms_finding_sort(const KmsFindings *findings);

/* Append a finding that has no severity.  The strings are not copied. */
extern void kms_finding_add(List **findings, const char *finding,
							const char *hint);

#endif							/* KMS_KEYS_FINDING_H */
