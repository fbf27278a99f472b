/*
 * The one place that knows PostgreSQL's versions.
 *
 * Each shim names the version and why.
 */
#ifndef KMS_PG_COMPAT_H
#define KMS_PG_COMPAT_H

#if PG_VERSION_NUM >= 160000
#include "varatt.h"				/* 16: moved out of postgres.h */
#endif

/* 15: shared memory is requested in a hook of its own */
#if PG_VERSION_NUM >= 150000
#define KMS_HAS_SHMEM_REQUEST_HOOK 1
#endif

/* 15: reserved by name; before, placeholders only warn */
#if PG_VERSION_NUM < 150000
#define MarkGUCPrefixReserved(prefix) EmitWarningsOnPlaceholders(prefix)
#endif

/* 15: what timeline WAL is written on, once recovery has ended */
#if PG_VERSION_NUM >= 150000
#define kms_timeline() GetWALInsertionTimeLine()
#else
#define kms_timeline() (RecoveryInProgress() ? 0 : ThisTimeLineID)
#endif

#endif							/* KMS_PG_COMPAT_H */
