/*
 * Whether the library was loaded through shared_preload_libraries.  Otherwise
 * there is no shared memory and no worker, and functions raise 55000.
 */
#ifndef KMS_PG_PRELOAD_H
#define KMS_PG_PRELOAD_H

extern bool kms_preload_done;

/* Raise 55000 with a hint unless the library was preloaded. */
extern void kms_preload_require(void);

#endif							/* KMS_PG_PRELOAD_H */
