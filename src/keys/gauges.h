/* The state of kms in this database as numbers, as kms.gauges shows it. */
#ifndef KMS_KEYS_GAUGES_H
#define KMS_KEYS_GAUGES_H

#define KMS_GAUGES_MAX	32

typedef struct KmsGauge
{
	const char *name;			/* static */
	double		value;
} KmsGauge;

typedef struct KmsGauges
{
	int			count;
	KmsGauge	gauge[KMS_GAUGES_MAX];
} KmsGauges;

/*
 * Read all gauges.  A gauge that cannot be read now is left out: its table is
 * locked or was changed, there is no ring on a standby, or it is the age of
 * something that never happened.  Raises only errors that end the caller's
 * work, such as a cancel.
 */
extern void kms_gauges_read(KmsGauges *gauges);

#endif							/* KMS_KEYS_GAUGES_H */
