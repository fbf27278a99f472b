/*
 * The OIDs of the extension's objects in this database.
 */
#ifndef KMS_PG_CATALOG_H
#define KMS_PG_CATALOG_H

typedef struct KmsCatalog
{
	Oid			extension;
	Oid			owner;			/* of the extension */
	Oid			key;			/* kms.key */
	Oid			key_pkey;
	Oid			key_device_idx;
	Oid			key_secret;
	Oid			key_secret_pkey;
	Oid			key_secret_master_key_idx;
	Oid			denial;
	Oid			denial_key_idx;
	Oid			pepper;			/* kms.pepper */
	Oid			pepper_pkey;
	Oid			audit_key;		/* kms.audit_key */
	Oid			audit_key_pkey;
	Oid			field_key;		/* kms.field_key */
	Oid			field_key_pkey;
	Oid			field_key_id_key;
	Oid			field_key_master_key_idx;
	Oid			pool_key;		/* kms.pool_key */
	Oid			pool_key_pkey;
} KmsCatalog;

/*
 * Return the objects of this database.  The result is cached, and looked up
 * again after a change of the tables.  Raises 55000 if the extension, or one
 * of the objects, does not exist.
 */
extern const KmsCatalog *kms_catalog(void);

/*
 * Return the extension, or its owner, even if a table of the extension is
 * missing.  Raises 55000 if the extension does not exist.
 */
extern Oid	kms_catalog_extension(void);
extern Oid	kms_catalog_owner(void);

#endif							/* KMS_PG_CATALOG_H */
