/*
 * The part of <crypto_mb/rsa.h> that kms uses, for the stand-in.  Names and
 * types are those of the library's interface, major version 11.
 */
#ifndef KMS_TEST_CRYPTO_MB_RSA_H
#define KMS_TEST_CRYPTO_MB_RSA_H

typedef unsigned char int8u;
typedef unsigned int int32u;
typedef unsigned long long int64u;

/* Four bits for each of the lanes. */
typedef int32u mbx_status;

#define MBX_STATUS_OK				0
#define MBX_STATUS_MISMATCH_PARAM_ERR	1
#define MBX_STATUS_NULL_PARAM_ERR	2
#define MBX_GET_STS(status, lane)	((status) >> 4 * (lane) & 0xf)

typedef struct _ifma_rsa_method mbx_RSA_Method;

extern const mbx_RSA_Method *mbx_RSA_pub65537_Method(int bits);
extern const mbx_RSA_Method *mbx_RSA_private_crt_Method(int bits);
extern int	mbx_RSA_Method_BufSize(const mbx_RSA_Method *method);

extern mbx_status mbx_rsa_public_mb8(const int8u *const from[8],
									 int8u *const to[8],
									 const int64u *const n[8], int bits,
									 const mbx_RSA_Method *method,
									 int8u *buffer);
extern mbx_status mbx_rsa_private_crt_mb8(const int8u *const from[8],
										  int8u *const to[8],
										  const int64u *const p[8],
										  const int64u *const q[8],
										  const int64u *const dp[8],
										  const int64u *const dq[8],
										  const int64u *const iq[8], int bits,
										  const mbx_RSA_Method *method,
										  int8u *buffer);

#endif							/* KMS_TEST_CRYPTO_MB_RSA_H */
