#include <string.h>

#include "crypto/chain.h"

#include "crypto/sha256.h"

#define MESSAGE_MAX		4096	/* bytes */

#define FORMAT			0x01
#define COMMITMENT_AT	1
#define SIGNATURE_AT	(COMMITMENT_AT + KMS_CHAIN_SIZE)
#define KEY_ID_AT		(SIGNATURE_AT + 64)

#if KMS_CHAIN_SIZE != KMS_SHA256_SIZE
#error "the chain and SHA-256 differ in size"
#endif
#if KEY_ID_AT + 1 != KMS_FORGOTTEN_SIZE_MIN
#error "the proof and KMS_FORGOTTEN_SIZE_MIN differ"
#endif

/* A message and its buffer. */
typedef struct Message
{
	KmsEncoder	enc;
	unsigned char data[MESSAGE_MAX];
} Message;

static void begin(Message *message, const char *domain);
static void put_field(Message *message, KmsChainField field);
static void put_value(Message *message, const KmsChainValue *value);
static void put_double(Message *message, const KmsChainValue *value);
static KmsStatus finish(const Message *message, unsigned char *hash);
static bool is_failure(const KmsChainEvent *event);

static const KmsChainField none = {NULL, 0};

KmsStatus
kms_chain_commit_event(const KmsChainEvent *event, const unsigned char *salt,
					   unsigned char *commitment)
{
	Message		message;
	int			i;

	begin(&message, "kms/audit-personal/v1");
	kms_encoder_raw(&message.enc, salt, KMS_CHAIN_SALT_SIZE);
	for (i = 0; i < event->count; i++)
	{
		if (event->values[i].cover == KMS_CHAIN_PERSONAL)
			put_value(&message, &event->values[i]);
	}
	for (i = 0; i < event->count; i++)
	{
		if (event->values[i].cover == KMS_CHAIN_REASON)
			put_field(&message, is_failure(event) ? none
					  : event->values[i].text);
	}
	return finish(&message, commitment);
}

KmsStatus
kms_chain_event(const unsigned char *previous, const KmsChainEvent *event,
				const unsigned char *commitment, unsigned char *hash)
{
	Message		message;
	int			i;

	begin(&message, "kms/audit-event/v1");
	kms_encoder_raw(&message.enc, previous, KMS_CHAIN_SIZE);
	kms_encoder_int64(&message.enc, event->epoch);
	kms_encoder_int64(&message.enc, event->ticket);
	for (i = 0; i < event->count; i++)
	{
		const KmsChainValue *value = &event->values[i];

		if (value->cover == KMS_CHAIN_REASON)
			put_field(&message, is_failure(event) ? value->text : none);
		else if (value->cover != KMS_CHAIN_PERSONAL)
			put_value(&message, value);
	}
	kms_encoder_raw(&message.enc, commitment, KMS_CHAIN_SIZE);
	return finish(&message, hash);
}

/* The event may have any length, so it is hashed and not copied. */
KmsStatus
kms_chain_commit_quarantine(const KmsChainQuarantine *quarantined, const unsigned char *salt,
							unsigned char *commitment)
{
	Message		message;
	unsigned char digest[KMS_CHAIN_SIZE];
	KmsChainField event = {(const char *) digest, sizeof(digest)};

	if (quarantined->event.data == NULL)
		event = none;
	else if (!kms_sha256(quarantined->event.data, quarantined->event.len, digest))
		return KMS_FAILED;
	begin(&message, "kms/audit-aside-personal/v1");
	kms_encoder_raw(&message.enc, salt, KMS_CHAIN_SALT_SIZE);
	put_field(&message, event);
	return finish(&message, commitment);
}

KmsStatus
kms_chain_quarantine(const unsigned char *previous, const KmsChainQuarantine *quarantined,
					 const unsigned char *commitment, unsigned char *hash)
{
	Message		message;

	begin(&message, "kms/audit-aside/v1");
	kms_encoder_raw(&message.enc, previous, KMS_CHAIN_SIZE);
	kms_encoder_int64(&message.enc, quarantined->epoch);
	kms_encoder_int64(&message.enc, quarantined->ticket);
	kms_encoder_int64(&message.enc, quarantined->quarantined_at);
	put_field(&message, quarantined->error);
	kms_encoder_raw(&message.enc, commitment, KMS_CHAIN_SIZE);
	return finish(&message, hash);
}

bool
kms_chain_event_is_blank(const KmsChainEvent *event)
{
	int			i;

	for (i = 0; i < event->count; i++)
	{
		const KmsChainValue *value = &event->values[i];

		if (value->text.data != NULL &&
			(value->cover == KMS_CHAIN_PERSONAL ||
			 (value->cover == KMS_CHAIN_REASON && !is_failure(event))))
			return false;
	}
	return true;
}

void
kms_chain_forgotten_message(int64_t epoch, int64_t ticket,
							const KmsForgotten *forgotten, KmsEncoder *enc)
{
	kms_encoder_text(enc, "kms/audit-forgotten/v1");
	kms_encoder_int64(enc, epoch);
	kms_encoder_int64(enc, ticket);
	kms_encoder_bytes(enc, forgotten->commitment,
					  sizeof(forgotten->commitment));
	kms_encoder_text(enc, forgotten->key_id);
}

size_t
kms_chain_forgotten_write(const KmsForgotten *forgotten, unsigned char *out)
{
	size_t		id_len = strlen(forgotten->key_id);

	out[0] = FORMAT;
	memcpy(out + COMMITMENT_AT, forgotten->commitment,
		   sizeof(forgotten->commitment));
	memcpy(out + SIGNATURE_AT, forgotten->signature,
		   sizeof(forgotten->signature));
	memcpy(out + KEY_ID_AT, forgotten->key_id, id_len);
	return KEY_ID_AT + id_len;
}

KmsStatus
kms_chain_forgotten_read(const unsigned char *in, size_t len,
						 KmsForgotten *forgotten)
{
	memset(forgotten, 0, sizeof(*forgotten));
	if (len < KMS_FORGOTTEN_SIZE_MIN || len > KMS_FORGOTTEN_SIZE_MAX ||
		in[0] != FORMAT || memchr(in + KEY_ID_AT, 0, len - KEY_ID_AT) != NULL)
		return KMS_BAD_FORMAT;
	memcpy(forgotten->commitment, in + COMMITMENT_AT,
		   sizeof(forgotten->commitment));
	memcpy(forgotten->signature, in + SIGNATURE_AT,
		   sizeof(forgotten->signature));
	memcpy(forgotten->key_id, in + KEY_ID_AT, len - KEY_ID_AT);
	return KMS_OK;
}

static void
begin(Message *message, const char *domain)
{
	kms_encoder_init(&message->enc, message->data, sizeof(message->data));
	kms_encoder_text(&message->enc, domain);
}

static void
put_field(Message *message, KmsChainField field)
{
	if (field.data == NULL)
		kms_encoder_text(&message->enc, NULL);
	else
		kms_encoder_bytes(&message->enc, field.data, field.len);
}

static void
put_value(Message *message, const KmsChainValue *value)
{
	switch (value->kind)
	{
		case KMS_CHAIN_TEXT:
			put_field(message, value->text);
			break;
		case KMS_CHAIN_NUMBER:
			kms_encoder_int64(&message->enc, value->number);
			break;
		case KMS_CHAIN_DOUBLE:
			put_double(message, value);
			break;
	}
}

static void
put_double(Message *message, const KmsChainValue *value)
{
	unsigned char present = value->has_real ? 0x01 : 0x00;
	int64_t		bits;

	kms_encoder_raw(&message->enc, &present, 1);
	if (value->has_real)
	{
		memcpy(&bits, &value->real, sizeof(bits));
		kms_encoder_int64(&message->enc, bits);
	}
}

static KmsStatus
finish(const Message *message, unsigned char *hash)
{
	if (!kms_encoder_ok(&message->enc))
		return KMS_BAD_FORMAT;
	return kms_sha256(message->data, message->enc.len, hash) ? KMS_OK
		: KMS_FAILED;
}

static bool
is_failure(const KmsChainEvent *event)
{
	int			i;

	for (i = 0; i < event->count; i++)
	{
		const KmsChainField *text = &event->values[i].text;

		if (event->values[i].cover == KMS_CHAIN_STATUS)
			return text->len == 7 && memcmp(text->data, "failure", 7) == 0;
	}
	return false;
}
