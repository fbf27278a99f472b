/*
 * CRC-32C (Castagnoli; RFC 3720, appendix B.4), as PostgreSQL computes it.
 *
 * The implementation is PostgreSQL's: the server's in the extension, that of
 * libpgport in programs and unit tests.
 */
#ifndef KMS_SHMEM_CRC32C_H
#define KMS_SHMEM_CRC32C_H

#include <stddef.h>
#include <stdint.h>

/* Return the checksum of "len" bytes of "data" after those of "prefix". */
extern uint32_t kms_crc32c(const void *prefix, size_t prefix_len,
						   const void *data, size_t len);

#endif							/* KMS_SHMEM_CRC32C_H */
