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
 * Fetch a ciphertext: as text, which is a block in base64 of at most
 * kms.max_ciphertext_size bytes or a JWE of at most kms.max_jwe_size, both as
 * sent; as the bytes of either; as text that must be a JWE; or as the bytes of
 * a block.  The form of a JWE is judged.
 *
 * Bytes are a JWE if they look like one and are all ASCII, as a block of 256
 * bytes is once in 2^256.
 */
extern KmsStatus kms_request_text(FunctionCallInfo fcinfo, int n,
								  KmsCipherRequest *request,
								  KmsFault *fault);
extern KmsStatus kms_request_bytes(FunctionCallInfo fcinfo, int n,
								   KmsCipherRequest *request,
								   KmsFault *fault);
extern KmsStatus kms_request_jwe(FunctionCallInfo fcinfo, int n,
								 KmsCipherRequest *request,
								 KmsFault *fault);
extern KmsStatus kms_request_block(FunctionCallInfo fcinfo, int n,
								   KmsCipherRequest *request,
								   KmsFault *fault);

/* Return KMS_BAD_CIPHERTEXT if digests or a label come with a JWE. */
extern KmsStatus kms_request_check_options(const KmsCipherRequest *request,
										   KmsFault *fault);

#endif							/* KMS_API_REQUEST_H */
