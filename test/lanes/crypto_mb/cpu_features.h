/* The part of <crypto_mb/cpu_features.h> that kms uses; see rsa.h. */
#ifndef KMS_TEST_CRYPTO_MB_CPU_FEATURES_H
#define KMS_TEST_CRYPTO_MB_CPU_FEATURES_H

enum MBX_ALGO
{
	MBX_ALGO_RSA_1K, MBX_ALGO_RSA_2K, MBX_ALGO_RSA_3K, MBX_ALGO_RSA_4K
};

enum MBX_WIDTH
{
	MBX_WIDTH_MB8 = 8, MBX_WIDTH_MB16 = 16
};

typedef unsigned long long MBX_ALGO_INFO;

extern MBX_ALGO_INFO mbx_get_algo_info(enum MBX_ALGO algo);

#endif							/* KMS_TEST_CRYPTO_MB_CPU_FEATURES_H */
