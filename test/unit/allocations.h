/*
 * OpenSSL's allocations, counted, and failing when a test wants it.  Call
 * count_allocations() before anything else of OpenSSL.
 */
#ifndef KMS_TEST_ALLOCATIONS_H
#define KMS_TEST_ALLOCATIONS_H

#include <stdio.h>
#include <stdlib.h>

#include <openssl/crypto.h>

static long allocations;
static long allocations_left = -1;	/* until one fails; -1: none does */

static void *
count_malloc(size_t size, const char *file, int line)
{
	(void) file;
	(void) line;
	allocations++;
	if (allocations_left == 0)
		return NULL;
	if (allocations_left > 0)
		allocations_left--;
	return malloc(size);
}

static void *
count_realloc(void *block, size_t size, const char *file, int line)
{
	(void) file;
	(void) line;
	allocations++;
	if (allocations_left == 0 && size > 0)
		return NULL;
	if (allocations_left > 0)
		allocations_left--;
	return realloc(block, size);
}

static void
count_free(void *block, const char *file, int line)
{
	(void) file;
	(void) line;
	free(block);
}

static void
count_allocations(void)
{
	if (CRYPTO_set_mem_functions(count_malloc, count_realloc,
								 count_free) != 1)
	{
		printf("Bail out! OpenSSL has allocated memory\n");
		exit(1);
	}
}

#endif							/* KMS_TEST_ALLOCATIONS_H */
