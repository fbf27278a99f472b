/*
 * What the checks of kms_check() report.
 */
#ifndef KMS_KEYS_FINDING_H
#define KMS_KEYS_FINDING_H

/*
 * Add one finding.  "severity" is "error", "warning" or "notice"; "finding"
 * says what is wrong, "hint" how to fix it.
 */
typedef void (*KmsReport) (void *arg, const char *severity,
						   const char *finding, const char *hint);

#endif							/* KMS_KEYS_FINDING_H */
