/*
 * The only place that knows PostgreSQL's versions.
 *
 * Each shim names the version and the difference.  Files that also compile for
 * programs (FRONTEND) include this, too.
 */
#ifndef KMS_PG_COMPAT_H
#define KMS_PG_COMPAT_H

#if PG_VERSION_NUM < 150000
#error "kms needs PostgreSQL 15 or later"
#endif

#if PG_VERSION_NUM >= 160000
#include "varatt.h"				/* 16: moved out of postgres.h */
#endif

/* 16: the name says by what it looks up */
#if PG_VERSION_NUM < 160000
#define pgstat_get_local_beentry_by_index(idx) \
	pgstat_fetch_stat_local_beentry(idx)
#endif

/* 16: actions of the JSON parser return a value, and can end the parse */
#if PG_VERSION_NUM >= 160000
#define KMS_JSON_ACTION	JsonParseErrorType
#define KMS_JSON_GO_ON	return JSON_SUCCESS
#else
#define KMS_JSON_ACTION	void
#define KMS_JSON_GO_ON	return
#endif

/* 17: takes a struct to fill; earlier, the text is not const */
#if PG_VERSION_NUM >= 170000
#define kms_json_lexer(json, len) \
	makeJsonLexContextCstringLen(NULL, json, len, PG_UTF8, true)
#else
#define kms_json_lexer(json, len) \
	makeJsonLexContextCstringLen(json, len, PG_UTF8, true)
#endif

/* 16: one function for all kinds of objects */
#if PG_VERSION_NUM >= 160000
#define pg_database_ownercheck(database_oid, role) \
	object_ownercheck(DatabaseRelationId, database_oid, role)
#define pg_extension_ownercheck(extension_oid, role) \
	object_ownercheck(ExtensionRelationId, extension_oid, role)
#define pg_class_ownercheck(table_oid, role) \
	object_ownercheck(RelationRelationId, table_oid, role)
#endif

/* 16: returns the number of variables */
#if PG_VERSION_NUM < 160000
#define kms_guc_variables(count) \
	(*(count) = GetNumConfigOptions(), get_guc_variables())
#else
#define kms_guc_variables(count) get_guc_variables(count)
#endif

/* 18: stands before the declaration; earlier, it may stand behind */
#if PG_VERSION_NUM < 180000
#define pg_noreturn __attribute__((noreturn))
#endif

/* 18: the arguments are shown by pg_get_loaded_modules() */
#if PG_VERSION_NUM < 180000
#define PG_MODULE_MAGIC_EXT(...) PG_MODULE_MAGIC
#endif

/* 18: base64 takes unsigned bytes */
#if PG_VERSION_NUM >= 180000
typedef uint8 KmsBase64Byte;
#else
typedef char KmsBase64Byte;
#endif

/* 17: transaction_timeout, in milliseconds; 0: none */
#if PG_VERSION_NUM >= 170000
#define kms_transaction_timeout() TransactionTimeout
#else
#define kms_transaction_timeout() 0
#endif

/* 17: waits of extensions have names */
#if PG_VERSION_NUM >= 170000
#define kms_new_wait_event(name) WaitEventExtensionNew(name)
#else
#define kms_new_wait_event(name) ((void) (name), PG_WAIT_EXTENSION)
#endif

/* 17: the ids of a virtual transaction have a structure of their own */
#if PG_VERSION_NUM >= 170000
#define kms_local_transaction() (MyProc->vxid.lxid)
#else
#define kms_local_transaction() (MyProc->lxid)
#endif

#endif							/* KMS_PG_COMPAT_H */
