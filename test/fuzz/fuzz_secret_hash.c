/* Stored hashes: whatever is taken has its form, and is what was given. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "crypto/secret_hash.h"

extern int	LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const KmsSecretHash none;
	KmsSecretHash hash;
	size_t		head = 0;

	if (kms_secret_hash_parse((const char *) data, size, &hash) != KMS_OK)
	{
		if (memcmp(&hash, &none, sizeof(hash)) != 0)
			abort();
		return 0;
	}
	if (hash.pepper_id[0] != '\0')
	{
		head = 7 + strlen(hash.pepper_id);
		if (!kms_key_id_valid_service(hash.pepper_id, strlen(hash.pepper_id)))
			abort();
	}
	if (head + strlen(hash.crypted) != size ||
		memcmp(hash.crypted, data + head, size - head) != 0 ||
		(strncmp(hash.crypted, "$2", 2) != 0 &&
		 strncmp(hash.crypted, "$y$j", 4) != 0) ||
		strncmp(hash.crypted + 3, "15", 2) == 0)
		abort();
	return 0;
}
