#include <openssl/crypto.h>
#include <openssl/rand.h>

#include "crypto/secure_heap.h"

/*
 * Smallest piece of the secure heap, in bytes.  The numbers of a key are
 * longer.
 */
#define SECURE_HEAP_PIECE	32

int
kms_secure_heap_start(size_t size)
{
	/* a heap that was inherited by fork is not locked any more */
	if (CRYPTO_secure_malloc_initialized() == 1)
		return 2;
	return CRYPTO_secure_malloc_init(size, SECURE_HEAP_PIECE);
}

/*
 * OpenSSL reports neither the size of the heap nor that it was the cause of a
 * failure.  So try to allocate d, then p, q and the three CRT values.
 */
bool
kms_secure_heap_is_full(size_t modulus_size)
{
	void	   *numbers[6];
	size_t		sizes[6];
	bool		full = false;
	int			i;

	if (CRYPTO_secure_malloc_initialized() != 1)
		return false;
	for (i = 0; i < 6; i++)
	{
		sizes[i] = (i == 0) ? modulus_size : modulus_size / 2;
		numbers[i] = OPENSSL_secure_malloc(sizes[i]);
		if (numbers[i] == NULL)
			full = true;
	}
	for (i = 0; i < 6; i++)
		OPENSSL_secure_clear_free(numbers[i], sizes[i]);
	return full;
}

KmsStatus
kms_secure_heap_why_rejected(size_t modulus_size)
{
	unsigned char byte;

	if (RAND_priv_bytes(&byte, 1) == 1)
		return KMS_REJECTED;
	return kms_secure_heap_is_full(modulus_size) ? KMS_NO_MEMORY : KMS_FAILED;
}
