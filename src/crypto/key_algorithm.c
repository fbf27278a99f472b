#include <stddef.h>
#include <string.h>

#include "crypto/key_algorithm.h"

typedef struct AlgorithmRow
{
	const char *name;
	KmsKeyType	type;
	int			bits;			/* of the modulus; 0: not RSA */
} AlgorithmRow;

static const AlgorithmRow algorithms[] = {
	[KMS_ALGORITHM_NONE] = {NULL, KMS_TYPE_NONE, 0},
	[KMS_RSA_2048] = {"RSA-2048", KMS_TYPE_RSA, 2048},
	[KMS_RSA_3072] = {"RSA-3072", KMS_TYPE_RSA, 3072},
	[KMS_RSA_4096] = {"RSA-4096", KMS_TYPE_RSA, 4096},
	[KMS_EC_P256] = {"EC-P256", KMS_TYPE_EC_P256, 0},
	[KMS_X25519] = {"X25519", KMS_TYPE_X25519, 0},
};

#define ALGORITHMS ((int) (sizeof(algorithms) / sizeof(algorithms[0])))

static const AlgorithmRow *row_of(KmsKeyAlgorithm algorithm);

KmsKeyAlgorithm
kms_key_algorithm_by_name(const char *name)
{
	int			i;

	for (i = KMS_ALGORITHM_NONE + 1; i < ALGORITHMS; i++)
	{
		if (strcmp(algorithms[i].name, name) == 0)
			return (KmsKeyAlgorithm) i;
	}
	return KMS_ALGORITHM_NONE;
}

const char *
kms_key_algorithm_name(KmsKeyAlgorithm algorithm)
{
	return row_of(algorithm)->name;
}

KmsKeyType
kms_key_algorithm_type(KmsKeyAlgorithm algorithm)
{
	return row_of(algorithm)->type;
}

int
kms_key_algorithm_bits(KmsKeyAlgorithm algorithm)
{
	return row_of(algorithm)->bits;
}

KmsKeyType
kms_key_algorithm_type_by_name(const char *name)
{
	KmsKeyAlgorithm algorithm = kms_key_algorithm_by_name(name);

	if (algorithm == KMS_ALGORITHM_NONE && strncmp(name, "RSA-", 4) == 0 &&
		strlen(name) == 8 && strspn(name + 4, "0123456789") == 4)
		return KMS_TYPE_RSA;
	return kms_key_algorithm_type(algorithm);
}

static const AlgorithmRow *
row_of(KmsKeyAlgorithm algorithm)
{
	if ((int) algorithm < 0 || (int) algorithm >= ALGORITHMS)
		return &algorithms[KMS_ALGORITHM_NONE];
	return &algorithms[algorithm];
}
