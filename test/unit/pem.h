/*
 * Importing PEM in tests: making it, and what is taken and refused.
 */
#ifndef KMS_TEST_PEM_H
#define KMS_TEST_PEM_H

#include <stdlib.h>

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>

#include "crypto/pem_import.h"
#include "tap.h"

#define BYTES(array) array, sizeof(array)

static KmsKeyOpener *opener;

static inline void
require(bool ok, const char *what)
{
	if (ok)
		return;
	printf("Bail out! %s\n", what);
	exit(1);
}

/* Return what was written, to be freed with free(), and free the BIO. */
static inline char *
text_of(BIO *bio)
{
	char	   *data;
	long		size = BIO_get_mem_data(bio, &data);
	char	   *copy = malloc((size_t) size + 1);

	memcpy(copy, data, (size_t) size);
	copy[size] = '\0';
	BIO_free(bio);
	return copy;
}

/* Return PEM of the bytes, to be freed with free(). */
static inline char *
new_pem(const char *name, const unsigned char *der, size_t len)
{
	BIO		   *bio = BIO_new(BIO_s_mem());

	require(PEM_write_bio(bio, name, "", der, (long) len) > 0, "no PEM");
	return text_of(bio);
}

/* Import a PEM that is taken, and return its key. */
static inline KmsKeyPair *
take(const char *pem, const char *name)
{
	char	   *copy = malloc(strlen(pem)); /* no NUL to rely on */
	KmsImportRefusal refusal = KMS_REFUSED_COUNT;
	KmsKeyPair *key = NULL;

	memcpy(copy, pem, strlen(pem));
	check_number(kms_pem_import(opener, copy, strlen(pem), &key, &refusal),
				 KMS_OK, name);
	if (!check(refusal == KMS_REFUSED_NONE && ERR_peek_error() == 0,
			   "%s: there is no refusal, and no error is left", name))
		printf("# %s\n", kms_import_refusal_row(refusal)->why);
	free(copy);
	return key;
}

/* The key is what "der" is, or any if that is NULL. */
static inline void
taken(const char *pem, const unsigned char *der, size_t len, const char *name)
{
	unsigned char out[KMS_KEY_PAIR_MAX_PRIVATE];
	size_t		out_len = 0;
	KmsKeyPair *key = take(pem, name);
	KmsKeyPair *again = NULL;

	if (key != NULL)
	{
		check(kms_key_pair_private_der(key, out, sizeof(out), &out_len) == KMS_OK &&
			  (der == NULL || (out_len == len && memcmp(out, der, len) == 0)),
			  "%s: its stored form is the expected one", name);
		check(kms_key_pair_open_private(opener, kms_key_pair_type(key), out,
										out_len, &again) == KMS_OK,
			  "%s: and opens again", name);
	}
	kms_key_pair_free(key);
	kms_key_pair_free(again);
}

static inline void
refused(const char *pem, size_t len, KmsImportRefusal expected,
		const char *name)
{
	char	   *copy = malloc(len > 0 ? len : 1);
	KmsImportRefusal refusal = KMS_REFUSED_NONE;
	KmsKeyPair *key = NULL;
	KmsStatus	status;

	memcpy(copy, pem, len);
	status = kms_pem_import(opener, copy, len, &key, &refusal);
	if (!check(status == KMS_BAD_KEY && key == NULL && refusal == expected &&
			   ERR_peek_error() == 0 && memcmp(copy, pem, len) == 0,
			   "%s: %s", name, kms_import_refusal_row(expected)->why))
		printf("# status %d, %s\n", status,
			   refusal == KMS_REFUSED_NONE ? "no refusal"
			   : kms_import_refusal_row(refusal)->why);
	kms_key_pair_free(key);
	free(copy);
}

/* The same, and free the PEM. */
static inline void
refused_pem(char *pem, KmsImportRefusal expected, const char *name)
{
	refused(pem, strlen(pem), expected, name);
	free(pem);
}

#endif							/* KMS_TEST_PEM_H */
