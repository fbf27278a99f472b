/*
 * Fetching and checking what a call wants done with a key, into the request
 * that keys/ takes.  Each check fills *fault and returns its status, as those
 * of api/args.h do.
 */
#ifndef KMS_API_REQUEST_H
#define KMS_API_REQUEST_H

#include "fmgr.h"

#include "keys/cipher.h"

/*
 * All arguments of a function that decrypts one ciphertext: key id and
 * ciphertext, the reason if "reason" is not NULL, device id, oaep_hash,
 * mgf1_hash and label.  The call notes the key id and the reason.
 * KMS_NO_TLS if kms.require_tls is on and the connection has no TLS.
 */
extern KmsStatus kms_request_decrypt(FunctionCallInfo fcinfo, bool is_text,
									 KmsCall *call, KmsCipherRequest *request,
									 char **reason, KmsFault *fault);

/* The key id of a request, which the call notes. */
extern KmsStatus kms_request_key(FunctionCallInfo fcinfo, int n, KmsCall *call,
								 KmsCipherRequest *request, KmsFault *fault);

/* An optional device id, then what kms_request_oaep takes, in order from n. */
extern KmsStatus kms_request_options(FunctionCallInfo fcinfo, int n,
									 KmsCipherRequest *request,
									 KmsFault *fault);

/* oaep_hash, mgf1_hash and label, which stand in this order from n. */
extern KmsStatus kms_request_oaep(FunctionCallInfo fcinfo, int n,
								  KmsOaep *oaep, KmsFault *fault);

/*
 * A ciphertext, as base64 or as bytes, of at most kms.max_ciphertext_size
 * bytes as it was sent.
 */
extern KmsStatus kms_request_base64(FunctionCallInfo fcinfo, int n,
									KmsCipherRequest *request,
									KmsFault *fault);
extern KmsStatus kms_request_ciphertext(FunctionCallInfo fcinfo, int n,
										KmsCipherRequest *request,
										KmsFault *fault);

#endif							/* KMS_API_REQUEST_H */
