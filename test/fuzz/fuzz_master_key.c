/* The text of a master key file. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "crypto/master_key.h"

extern int	LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static KmsMasterKeys keys;
	static const KmsMasterKeys none;
	const char *why;
	int			line;
	int			i;

	if (kms_master_key_parse((const char *) data, size, &keys,
							 &line, &why) == KMS_OK)
	{
		if (keys.count < 1 || keys.count > KMS_MASTER_KEYS_MAX || why != NULL)
			abort();
		for (i = 0; i < keys.count; i++)
		{
			if (kms_master_key_find(&keys, keys.keys[i].id) != &keys.keys[i] ||
				memchr(keys.keys[i].label, '\0',
					   KMS_MASTER_KEY_LABEL) == NULL)
				abort();
		}
	}
	else if (memcmp(&keys, &none, sizeof(keys)) != 0 || why == NULL ||
			 line < 0)
		abort();
	return 0;
}
