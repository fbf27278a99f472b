/*
 * The run time of the machine, and an id of its current start.
 */
#ifndef KMS_PG_BOOT_H
#define KMS_PG_BOOT_H

#define KMS_BOOT_ID_SIZE	37	/* a UUID with the NUL */

/*
 * Return the microseconds since the machine started (CLOCK_BOOTTIME).  Time in
 * which the machine is suspended counts, and setting the clock does not change
 * it.
 */
extern int64 kms_boot_time(void);

/*
 * Write an id of this start of the machine to "id" (KMS_BOOT_ID_SIZE bytes),
 * or "" if the system does not provide one.
 */
extern void kms_boot_id(char *id);

#endif							/* KMS_PG_BOOT_H */
