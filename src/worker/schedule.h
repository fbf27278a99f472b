/*
 * The choice of the workers that are started next.
 */
#ifndef KMS_WORKER_SCHEDULE_H
#define KMS_WORKER_SCHEDULE_H

#include "datatype/timestamp.h"

/* Call once, when the launcher starts. */
extern void kms_schedule_prepare(void);

/* Start the workers that are due, as far as there are places. */
extern void kms_schedule_start_workers(TimestampTz now);

#endif							/* KMS_WORKER_SCHEDULE_H */
