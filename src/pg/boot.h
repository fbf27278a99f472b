/*
 * How long the machine has been running, and since which start.
 */
#ifndef KMS_PG_BOOT_H
#define KMS_PG_BOOT_H

#define KMS_BOOT_ID_SIZE	37	/* a UUID with the NUL */

/*
 * Microseconds since the machine started (CLOCK_BOOTTIME).  They count while
 * the machine is suspended, and setting the time does not change them.
 */
extern int64 kms_boot_time(void);

/*
 * Write an id of this start of the machine to "id" (KMS_BOOT_ID_SIZE bytes).
 * It is "" if the system does not tell.
 */
extern void kms_boot_id(char *id);

#endif							/* KMS_PG_BOOT_H */
