/*
 * The functions that the extension's scripts call at their begin and end.
 *
 * The scripts create, call and drop them, so no other session sees them,
 * except kms.start(), which stays.
 */
#include "postgres.h"

#include "fmgr.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"

#include "keys/call.h"
#include "keys/check_publication.h"
#include "pg/script.h"

PG_FUNCTION_INFO_V1(kms_api_begin_script);
PG_FUNCTION_INFO_V1(kms_api_end_script);
PG_FUNCTION_INFO_V1(kms_api_begin_update);
PG_FUNCTION_INFO_V1(kms_api_end_update);
PG_FUNCTION_INFO_V1(kms_api_start);

Datum
kms_api_begin_script(PG_FUNCTION_ARGS)
{
	Oid			schema = get_func_namespace(fcinfo->flinfo->fn_oid);

	kms_script_require();
	kms_script_check_schema(get_namespace_name(schema));
	PG_RETURN_VOID();
}

Datum
kms_api_end_script(PG_FUNCTION_ARGS)
{
	kms_script_require();
	kms_script_close_members();
	kms_check_publication_warn();
	PG_RETURN_VOID();
}

Datum
kms_api_begin_update(PG_FUNCTION_ARGS)
{
	kms_script_require();
	kms_script_check_library(text_to_cstring(PG_GETARG_TEXT_PP(0)));
	PG_RETURN_VOID();
}

Datum
kms_api_end_update(PG_FUNCTION_ARGS)
{
	kms_script_require();
	kms_script_close_members_since(fcinfo->flinfo->fn_oid);
	PG_RETURN_VOID();
}

/*
 * Make the database known to the launcher; the last line of the install script
 * calls it.
 */
Datum
kms_api_start(PG_FUNCTION_ARGS)
{
	kms_call_installed();
	PG_RETURN_VOID();
}
