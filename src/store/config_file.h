/*
 * What configuration files and catalogs say of settings, for the health check.
 */
#ifndef KMS_STORE_CONFIG_FILE_H
#define KMS_STORE_CONFIG_FILE_H

#include "nodes/pg_list.h"

/* A line that the server does not apply, palloc'd. */
typedef struct KmsConfigLine
{
	char	   *name;			/* NULL if the file cannot be read to here */
	char	   *place;			/* file and line */
	char	   *error;			/* NULL: the name is not known */
} KmsConfigLine;

typedef struct KmsConfigSetting
{
	char	   *whose;			/* "role …", "database …", "" for all
								 * roles */
	char	   *setting;		/* "name=value" */
	bool		known;			/* there is such a parameter */
} KmsConfigSetting;

/*
 * Lines of kms.* that are refused as they stand in the files now, and lines
 * because of which a reload applies nothing; KmsConfigLine *.  Reads the
 * files again.
 */
extern List *kms_config_file_refused(void);

/*
 * Names of settings of kms, and of shared_preload_libraries, that a reload
 * has read and only a restart applies.
 */
extern List *kms_config_file_pending(void);

/*
 * What ALTER DATABASE and ALTER ROLE have set of kms.*, for this database or
 * all; KmsConfigSetting *.
 */
extern List *kms_config_file_altered(void);

#endif							/* KMS_STORE_CONFIG_FILE_H */
