/*
 * kms_jwe_header(): the headers of a JWE, without a key.
 */
#include "postgres.h"

#include "api/args.h"
#include "crypto/jwe_form.h"
#include "keys/jwe_headers.h"

PG_FUNCTION_INFO_V1(kms_api_jwe_header);

/*
 * Nothing is read but the argument, so no call begins, and a server without
 * kms in shared_preload_libraries or without a master key has this function.
 */
Datum
kms_api_jwe_header(PG_FUNCTION_ARGS)
{
	KmsFault	fault = {0};
	Jsonb	   *headers;
	text	   *jwe;
	Size		size = kms_args_size(fcinfo, 0);
	KmsStatus	status;

	if (size > KMS_JWE_SIZE_MAX)
	{
		fault.detail = psprintf("The JWE has %zu bytes, the limit is %d.",
								size, KMS_JWE_SIZE_MAX);
		(void) kms_fault(&fault, KMS_TOO_LARGE);
		kms_fault_raise(&fault);
	}
	jwe = PG_GETARG_TEXT_PP(0);
	status = kms_jwe_headers_read(VARDATA_ANY(jwe), VARSIZE_ANY_EXHDR(jwe),
								  &headers, &fault);
	if (status != KMS_OK)
		kms_fault_raise(&fault);
	PG_RETURN_JSONB_P(headers);
}
