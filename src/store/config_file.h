/*
 * Settings of kms in configuration files and catalogs, for the health check.
 */
#ifndef KMS_STORE_CONFIG_FILE_H
#define KMS_STORE_CONFIG_FILE_H

#include "nodes/pg_list.h"

/* A line that the server does not apply, palloc'd. */
typedef struct KmsConfigLine
{
	char	   *name;			/* NULL if the file cannot be parsed up to
								 * here */
	char	   *place;			/* file and line */
	char	   *error;			/* NULL: the name is unknown */
} KmsConfigLine;

typedef struct KmsConfigSetting
{
	char	   *whose;			/* "role …", "database …", "" for all
								 * roles */
	char	   *setting;		/* "name=value" */
	bool		known;			/* such a parameter exists */
} KmsConfigSetting;

/*
 * Return a list of KmsConfigLine: lines of kms.* that are refused as they are
 * in the files now, and lines that make a reload apply nothing.  The files are
 * read again.
 */
extern List *kms_config_file_refused(void);

/*
 * Return the names of settings of kms, and shared_preload_libraries, that a
 * reload has read but only a restart applies.
 */
extern List *kms_config_file_pending(void);

/*
 * Return a list of KmsConfigSetting: settings of kms.* by ALTER DATABASE and
 * ALTER ROLE, for this database or all.
 */
extern List *kms_config_file_altered(void);

#endif							/* KMS_STORE_CONFIG_FILE_H */
