#include "postgres.h"

#include "fmgr.h"
#include "miscadmin.h"

#include "api/discard.h"
#include "keys/call.h"
#include "keys/field_call.h"
#include "keys/field_stamp.h"
#include "keys/group.h"
#include "keys/opened.h"
#include "keys/service.h"
#include "pg/compat.h"
#include "pg/foreign_key.h"
#include "pg/protect.h"
#include "pg/refuse.h"
#include "pg/settings.h"
#include "shmem/lockout.h"
#include "shmem/master.h"
#include "shmem/progress.h"
#include "shmem/ring_file.h"
#include "shmem/shared.h"
#include "worker/launcher.h"

PG_MODULE_MAGIC_EXT(.name = "kms",.version = KMS_VERSION);

PGDLLEXPORT void _PG_init(void);

/*
 * Without preloading the library loads all the same, for pg_dump, pg_upgrade
 * and CREATE EXTENSION; its functions then say what is missing.
 */
void
_PG_init(void)
{
	kms_settings_define();
	if (!process_shared_preload_libraries_in_progress)
		return;
	kms_protect_install();
	kms_shared_install();
	kms_progress_install();
	kms_ring_file_install();
	kms_master_install();
	kms_lockout_install();
	kms_service_install();
	kms_call_install();
	kms_opened_install();
	kms_group_install();
	kms_field_call_install();
	kms_field_stamp_install();
	kms_discard_install();
	kms_refuse_install();
	kms_foreign_key_install();
	if (!IsBinaryUpgrade)
		kms_launcher_install();
}
