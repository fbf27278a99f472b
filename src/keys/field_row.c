#include "postgres.h"

#include "keys/field_row.h"

#include "crypto/encoder.h"
#include "crypto/random.h"
#include "shmem/master.h"

#define DOMAIN	"kms/field-key/v1"
#define ROW_MAX 1024			/* bytes of an encoded row */

/* a seal of a row of kms.key begins with the length of a key id */
#define NO_KEY_ID UINT32_C(0xfffffffe)

static KmsStatus wrap(KmsFieldRow *row, const KmsMasterKey *master,
					  const unsigned char *secret);
static void fill_context(const KmsFieldRow *row, char *id,
						 KmsWrapContext *context);
static void remember(KmsFieldRow *row, const unsigned char *master_key_id);
static KmsStatus seal(KmsFieldRow *row, const KmsMasterKey *master);
static KmsStatus encode(const KmsFieldRow *row, KmsEncoder *encoder);
static KmsStatus missing(const unsigned char *id, KmsStatus status,
						 KmsFault *fault);

KmsStatus
kms_field_row_seal(KmsFieldRow *row, KmsFault *fault)
{
	const unsigned char *id = NULL;
	KmsMasterKey master;
	KmsStatus	status;

	if (row->wrapped_len > 0)
	{
		id = kms_wrap_master_key_id(row->wrapped, row->wrapped_len);
		if (id == NULL)
			return kms_fault(fault, KMS_NOT_AUTHENTIC);
	}
	status = kms_master_get(id, &master);
	if (status == KMS_OK)
		status = seal(row, &master);
	explicit_bzero(&master, sizeof(master));
	return missing(id, status, fault);
}

KmsStatus
kms_field_row_check(const KmsFieldRow *row, KmsFault *fault)
{
	const unsigned char *id = kms_seal_master_key_id(row->seal,
													 sizeof(row->seal));
	unsigned char data[ROW_MAX];
	KmsEncoder	encoder;
	KmsMasterKey master;
	KmsStatus	status;

	if (!row->sealed || row->malformed || id == NULL)
		return kms_fault(fault, KMS_NOT_AUTHENTIC);
	if (row->wrapped_len > 0)
	{
		const unsigned char *wrapped_under =
		kms_wrap_master_key_id(row->wrapped, row->wrapped_len);

		if (wrapped_under == NULL ||
			memcmp(id, wrapped_under, KMS_MASTER_KEY_ID_SIZE) != 0)
			return kms_fault(fault, KMS_NOT_AUTHENTIC);
	}
	status = kms_master_get(id, &master);
	if (status == KMS_OK)
	{
		kms_encoder_init(&encoder, data, sizeof(data));
		status = encode(row, &encoder);
	}
	if (status == KMS_OK)
		status = kms_seal_verify(&master, &encoder, row->seal,
								 sizeof(row->seal));
	explicit_bzero(&master, sizeof(master));
	return missing(id, status, fault);
}

/* Only the row of a key under a field has no wrap. */
KmsStatus
kms_field_row_check_denied(const KmsFieldRow *row, KmsFault *fault)
{
	KmsFieldRow *newest = NULL;
	unsigned char secret[KMS_FIELD_SECRET];
	KmsStatus	status;

	if (row->sealed)
		return kms_field_row_check(row, fault);
	if (row->malformed || row->state != KMS_FIELD_DISABLED)
		return kms_fault(fault, KMS_NOT_AUTHENTIC);
	if (row->version == KMS_FIELD_WHOLE && strchr(row->name, '.') != NULL)
	{
		newest = palloc(sizeof(KmsFieldRow));
		if (row->wrapped_len > 0 ||
			!kms_field_key_table_newest(row->id, newest) ||
			strcmp(newest->name, row->name) != 0)
			return kms_fault(fault, KMS_NOT_AUTHENTIC);
	}
	status = kms_field_row_open(newest != NULL ? newest : row, secret, fault);
	explicit_bzero(secret, sizeof(secret));
	return status;
}

KmsStatus
kms_field_row_make_secret(KmsFieldRow *row, KmsFault *fault)
{
	unsigned char secret[KMS_FIELD_SECRET];
	KmsMasterKey master;
	KmsStatus	status;

	/* this may raise an error, so nothing secret may be in this frame yet */
	status = kms_master_get(NULL, &master);
	if (status == KMS_OK)
		status = kms_random_secret(secret, sizeof(secret));
	if (status == KMS_OK)
		status = wrap(row, &master, secret);
	if (status == KMS_OK)
		status = seal(row, &master);
	explicit_bzero(&master, sizeof(master));
	explicit_bzero(secret, sizeof(secret));
	return kms_fault(fault, status);
}

KmsStatus
kms_field_row_wrap_again(KmsFieldRow *row, KmsFault *fault)
{
	unsigned char secret[KMS_FIELD_SECRET];
	KmsMasterKey master;
	KmsStatus	status = KMS_OK;

	if (row->wrapped_len > 0)
		status = kms_field_row_open(row, secret, fault);
	if (status != KMS_OK)
		return status;
	status = kms_master_get_now(NULL, &master);
	if (status == KMS_OK && row->wrapped_len > 0)
		status = wrap(row, &master, secret);
	if (status == KMS_OK)
		status = seal(row, &master);
	explicit_bzero(&master, sizeof(master));
	explicit_bzero(secret, sizeof(secret));
	return kms_fault(fault, status);
}

KmsStatus
kms_field_row_open(const KmsFieldRow *row, unsigned char *secret,
				   KmsFault *fault)
{
	const unsigned char *id = kms_wrap_master_key_id(row->wrapped,
													 row->wrapped_len);
	char text[	2 * KMS_FIELD_ID_SIZE + 1];
	KmsWrapContext context;
	KmsMasterKey master;
	size_t		len;
	KmsStatus	status;

	if (id == NULL || row->wrapped_len != KMS_FIELD_WRAPPED)
		return kms_fault(fault, KMS_NOT_AUTHENTIC);
	fill_context(row, text, &context);
	status = kms_master_get(id, &master);
	if (status == KMS_OK)
		status = kms_wrap_open(&master, &context, row->wrapped,
							   row->wrapped_len, secret, &len);
	explicit_bzero(&master, sizeof(master));
	return missing(id, status, fault);
}

void
kms_field_row_forget_secret(KmsFieldRow *row)
{
	memset(row->wrapped, 0, sizeof(row->wrapped));
	row->wrapped_len = 0;
}

/* Must not raise errors. */
static KmsStatus
wrap(KmsFieldRow *row, const KmsMasterKey *master, const unsigned char *secret)
{
	char		id[2 * KMS_FIELD_ID_SIZE + 1];
	KmsWrapContext context;
	KmsStatus	status;

	fill_context(row, id, &context);
	status = kms_wrap(master, &context, secret, KMS_FIELD_SECRET, row->wrapped,
					  &row->wrapped_len);
	if (status == KMS_OK)
		remember(row, master->id);
	else
		row->wrapped_len = 0;
	return status;
}

/*
 * The wrap is bound to the id, the name, the version and the date.  "id" holds
 * the id in hexadecimal, with the version.
 */
static void
fill_context(const KmsFieldRow *row, char *id, KmsWrapContext *context)
{
	static const char digits[] = "0123456789abcdef";
	int			i;

	for (i = 0; i < KMS_FIELD_ID_SIZE; i++)
	{
		id[2 * i] = digits[row->id[i] >> 4];
		id[2 * i + 1] = digits[row->id[i] & 15];
	}
	id[2 * KMS_FIELD_ID_SIZE] = '\0';
	memset(context, 0, sizeof(*context));
	context->purpose = row->version == KMS_FIELD_WHOLE ? KMS_PURPOSE_INDEX
		: KMS_PURPOSE_FIELD;
	context->key_id = id;
	context->device_id = row->name;
	context->algorithm = row->version == KMS_FIELD_WHOLE ? "HMAC-SHA256"
		: "XAES-256-GCM";
	context->created_at = row->created_at;
	/* the hash of a public key, which this has none of, is free */
	context->public_hash[0] = (unsigned char) (row->version >> 8);
	context->public_hash[1] = (unsigned char) row->version;
}

/* If there are too many, forget the oldest one. */
static void
remember(KmsFieldRow *row, const unsigned char *master_key_id)
{
	int			i;

	for (i = 0; i < row->under_count; i++)
	{
		if (memcmp(row->under[i], master_key_id, KMS_MASTER_KEY_ID_SIZE) == 0)
			return;
	}
	if (row->under_count == KMS_FIELD_UNDER_MAX)
	{
		memmove(row->under[0], row->under[1],
				sizeof(row->under) - sizeof(row->under[0]));
		row->under_count--;
	}
	memcpy(row->under[row->under_count++], master_key_id,
		   KMS_MASTER_KEY_ID_SIZE);
}

/* Must not raise errors. */
static KmsStatus
seal(KmsFieldRow *row, const KmsMasterKey *master)
{
	unsigned char data[ROW_MAX];
	KmsEncoder	encoder;
	KmsStatus	status;

	kms_encoder_init(&encoder, data, sizeof(data));
	status = encode(row, &encoder);
	if (status == KMS_OK)
		status = kms_seal(master, &encoder, row->seal);
	row->sealed = status == KMS_OK;
	return status;
}

/* Must not raise errors.  The name is ASCII. */
static KmsStatus
encode(const KmsFieldRow *row, KmsEncoder *encoder)
{
	unsigned char hash[KMS_SHA256_SIZE];

	if (!kms_sha256(row->wrapped, row->wrapped_len, hash))
		return KMS_FAILED;
	kms_encoder_length(encoder, NO_KEY_ID);
	kms_encoder_text(encoder, DOMAIN);
	kms_encoder_text(encoder, row->name);
	kms_encoder_int64(encoder, row->version);
	kms_encoder_bytes(encoder, row->id, sizeof(row->id));
	kms_encoder_int64(encoder, row->created_at);
	kms_encoder_text(encoder, kms_field_key_table_state(row->state));
	kms_encoder_int64(encoder, row->state_changed_at);
	kms_encoder_int64(encoder, row->row_version);
	kms_encoder_int64(encoder, row->rotates);
	kms_encoder_int64(encoder, row->rotate_after.month);
	kms_encoder_int64(encoder, row->rotate_after.day);
	kms_encoder_int64(encoder, row->rotate_after.time);
	kms_encoder_int64(encoder, (int64) row->wrapped_len);
	kms_encoder_bytes(encoder, hash, sizeof(hash));
	kms_encoder_bytes(encoder, row->under[0],
					  (size_t) row->under_count * KMS_MASTER_KEY_ID_SIZE);
	return KMS_OK;
}

static KmsStatus
missing(const unsigned char *id, KmsStatus status, KmsFault *fault)
{
	if (status == KMS_OTHER_MASTER_KEY && id != NULL)
		memcpy(fault->master_key_id, id, sizeof(fault->master_key_id));
	return kms_fault(fault, status);
}
