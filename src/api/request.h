/*
 * Fetching and checking the arguments of a key operation, into the request
 * that keys/ takes.  Each check fills *fault and returns its status, as those
 * of api/args.h do.
 */
#ifndef KMS_API_REQUEST_H
#define KMS_API_REQUEST_H

#include "fmgr.h"

#include "keys/cipher.h"

/*
 * Fetch all arguments of a function that decrypts one ciphertext: key id,
 * ciphertext, the reason if "reason" is not NULL, device id, oaep_hash,
 * mgf1_hash and label.  Record the key id and the reason in the call.  Return
 * KMS_NO_TLS if kms.require_tls is on and the connection has no TLS.
 */
extern KmsStatus kms_request_decrypt(FunctionCallInfo fcinfo, bool is_text,
									 KmsCall *call, KmsCipherRequest *request,
									 char **reason, KmsFault *fault);

/* Fetch the key id of a request, and record it in the call. */
extern KmsStatus kms_request_key(FunctionCallInfo fcinfo, int n, KmsCall *call,
								 KmsCipherRequest *request, KmsFault *fault);

/*
 * Fetch an optional device id, and then the arguments of kms_request_oaep, in
 * order from n.
 */
extern KmsStatus kms_request_options(FunctionCallInfo fcinfo, int n,
									 KmsCipherRequest *request,
									 KmsFault *fault);

/* Fetch oaep_hash, mgf1_hash and label, in this order from n. */
extern KmsStatus kms_request_oaep(FunctionCallInfo fcinfo, int n,
								  KmsOaep *oaep, KmsFault *fault);

/*
 * Fetch a ciphertext, as base64 or as bytes, of at most
 * kms.max_ciphertext_size bytes as sent.
 */
extern KmsStatus kms_request_base64(FunctionCallInfo fcinfo, int n,
									KmsCipherRequest *request,
									KmsFault *fault);
extern KmsStatus kms_request_ciphertext(FunctionCallInfo fcinfo, int n,
										KmsCipherRequest *request,
										KmsFault *fault);

#endif							/* KMS_API_REQUEST_H */
