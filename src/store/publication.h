/*
 * Publications (logical replication) that carry tables of kms.
 */
#ifndef KMS_STORE_PUBLICATION_H
#define KMS_STORE_PUBLICATION_H

#include "nodes/pg_list.h"

typedef struct KmsPublication
{
	char	   *name;
	bool		whole;			/* all tables, or all of schema kms */
	List	   *tables;			/* otherwise the names of its tables */
} KmsPublication;

/* Return all publications, as a list of palloc'd KmsPublication. */
extern List *kms_publication_all(void);

/* Return whether the publication carries this table of kms. */
extern bool kms_publication_carries(const KmsPublication *publication,
									const char *table);

#endif							/* KMS_STORE_PUBLICATION_H */
