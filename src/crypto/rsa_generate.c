#include <openssl/bn.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/rsa.h>

#include "crypto/rsa_generate.h"

#include "crypto/key_pair_struct.h"
#include "crypto/rsa_oaep.h"
#include "crypto/secure_heap.h"

typedef struct StopRequest
{
	KmsStopCallback stop;
	void	   *arg;
	bool		stopped;
} StopRequest;

static KmsStatus generate_pkey(int bits, StopRequest *request,
							   EVP_PKEY **pkey);
static int	ask_stop(EVP_PKEY_CTX *ctx);

KmsStatus
kms_rsa_generate(int bits, KmsStopCallback stop, void *arg, KmsKeyPair **key)
{
	StopRequest request = {stop, arg, false};
	EVP_PKEY   *pkey = NULL;
	KmsStatus	status = KMS_FAILED;

	ERR_clear_error();
	*key = NULL;
	if (bits != 2048 && bits != 3072 && bits != 4096)
		goto done;
	status = generate_pkey(bits, &request, &pkey);
	if (status != KMS_OK)
		goto done;

	*key = kms_key_pair_new(pkey, KMS_TYPE_RSA, true);
	if (*key == NULL)
	{
		status = KMS_NO_MEMORY;
		goto done;
	}
	pkey = NULL;
	status = stop != NULL && stop(arg) ? KMS_INTERRUPTED
		: kms_rsa_oaep_check_pair(*key);

done:
	if (status != KMS_OK)
	{
		kms_key_pair_free(*key);
		*key = NULL;
	}
	EVP_PKEY_free(pkey);
	ERR_clear_error();
	return status;
}

static KmsStatus
generate_pkey(int bits, StopRequest *request, EVP_PKEY **pkey)
{
	EVP_PKEY_CTX *ctx;
	BIGNUM	   *e;
	KmsStatus	status = KMS_FAILED;

	e = BN_new();
	ctx = EVP_PKEY_CTX_new_from_name(NULL, "RSA", NULL);
	if (e == NULL || ctx == NULL)
		goto done;
	if (BN_set_word(e, RSA_F4) != 1)
		goto done;
	if (EVP_PKEY_keygen_init(ctx) != 1)
		goto done;
	if (EVP_PKEY_CTX_set_rsa_keygen_bits(ctx, bits) != 1)
		goto done;
	if (EVP_PKEY_CTX_set1_rsa_keygen_pubexp(ctx, e) != 1)
		goto done;
	if (request->stop != NULL)
	{
		EVP_PKEY_CTX_set_app_data(ctx, request);
		EVP_PKEY_CTX_set_cb(ctx, ask_stop);
	}
	if (EVP_PKEY_generate(ctx, pkey) == 1)
		status = KMS_OK;
	else if (request->stopped)
		status = KMS_INTERRUPTED;
	else if (kms_secure_heap_is_full((size_t) bits / 4))
		status = KMS_NO_MEMORY; /* the search itself needs room */

done:
	BN_free(e);
	EVP_PKEY_CTX_free(ctx);
	return status;
}

/* OpenSSL's callback: return 0 to stop the search. */
static int
ask_stop(EVP_PKEY_CTX *ctx)
{
	StopRequest *request = EVP_PKEY_CTX_get_app_data(ctx);

	if (!request->stopped)
		request->stopped = request->stop(request->arg);
	return request->stopped ? 0 : 1;
}
