#include "postgres.h"

#include "port/pg_crc32c.h"

#include "shmem/crc32c.h"

uint32_t
kms_crc32c(const void *prefix, size_t prefix_len, const void *data, size_t len)
{
	pg_crc32c	crc;

	INIT_CRC32C(crc);
	COMP_CRC32C(crc, prefix, prefix_len);
	COMP_CRC32C(crc, data, len);
	FIN_CRC32C(crc);
	return crc;
}
