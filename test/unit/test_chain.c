/*
 * The chain of the trail.  The answers were made by another program, Python's
 * hashlib and struct, from the formats of chain.h:
 *
 *	lp = lambda x: b'\xff' * 4 if x is None else pack('>I', len(x)) + x
 *	i64 = lambda x: pack('>q', x)
 *	duration = lambda x: b'\0' if x is None else b'\1' + pack('>d', x)
 */
#include "crypto/chain.h"
#include "tap.h"

#define LONG_LEN 4096			/* bytes */

static const unsigned char zeros[KMS_CHAIN_SIZE];
static unsigned char salt[KMS_CHAIN_SALT_SIZE];
static char long_text[LONG_LEN];

static const char *
hex(const unsigned char *bytes, size_t len)
{
	static char out[2 * KMS_FORGOTTEN_SIZE_MAX + 1];
	size_t		i;

	for (i = 0; i < len; i++)
		snprintf(out + 2 * i, 3, "%02x", bytes[i]);
	return out;
}

static KmsChainField
field(const char *value)
{
	KmsChainField result = {value, value == NULL ? 0 : strlen(value)};

	return result;
}

static KmsChainEvent
full_event(void)
{
	KmsChainEvent event = {
		.epoch = -7,.ticket = 1,.occurred_at = -1,
		.operation = field("revoke"),
		.status = field("success"),
		.reason = field("stolen"),
		.has_duration = true,.duration_ms = 0.25,
		.key_id = field("key_1"),
		.calls = 1,
		.session_role = field("alice"),
		.caller_role = field("clerk"),
		.effective_role = field("owner"),
		.application_name = field("app"),
		.form = field("block sha256/sha1"),
		.device_id = field("device \xc3\xa9"),
		.client_addr = field("192.0.2.1"),
		.context = field("stolen"),
		.audit_context = field("request 7")
	};

	return event;
}

/* "" for what cannot be hashed. */
static const char *
hash_of(const unsigned char *previous, const KmsChainEvent *event)
{
	unsigned char commitment[KMS_CHAIN_SIZE];
	unsigned char hash[KMS_CHAIN_SIZE];

	if (kms_chain_commit_event(event, salt, commitment) != KMS_OK ||
		kms_chain_event(previous, event, commitment, hash) != KMS_OK)
		return "";
	return hex(hash, sizeof(hash));
}

static void
test_answers(void)
{
	KmsChainEvent event = full_event();
	KmsChainAside aside = {
		.epoch = 8,.ticket = 3,.set_aside_at = 5,
		.error = field("an error"),
		.event = {"event\0", 6}
	};
	unsigned char commitment[KMS_CHAIN_SIZE];
	unsigned char hash[KMS_CHAIN_SIZE];

	check(kms_chain_commit_event(&event, salt, commitment) == KMS_OK &&
		  strcmp(hex(commitment, sizeof(commitment)),
				 "382717ce82529dcd0fef9836171ac571190ef246a9731e3d19048eadf237c1f7") == 0,
		  "commitment of a full event");
	check(kms_chain_event(zeros, &event, commitment, hash) == KMS_OK &&
		  strcmp(hex(hash, sizeof(hash)),
				 "d91e33ae26e220c9061d0f1f3e7cf8db1b89c3b65757b7f8d01b4dc6506cc0a7") == 0,
		  "hash of a full event");

	memset(&event, 0, sizeof(event));
	event.epoch = -7;
	event.ticket = 2;
	event.occurred_at = INT64_C(1) << 40;
	event.operation = field("decrypt");
	event.status = field("failure");
	event.calls = 1;
	event.reason = field("Failed to decrypt data");
	event.application_name = field("");
	check(kms_chain_commit_event(&event, salt, commitment) == KMS_OK &&
		  strcmp(hex(commitment, sizeof(commitment)),
				 "c6374f57c9dfb86f253492098b2f20c6be3caba0d9548f8191873b83f0e0c6fd") == 0,
		  "commitment of a bare event");
	check(kms_chain_event(hash, &event, commitment, hash) == KMS_OK &&
		  strcmp(hex(hash, sizeof(hash)),
				 "681d9b911d27a4636afc391a8a5f5179a93e0e1336bb23d0b1f8bac640bcc9c8") == 0,
		  "hash of a bare event after another");

	check(kms_chain_commit_aside(&aside, salt, commitment) == KMS_OK &&
		  strcmp(hex(commitment, sizeof(commitment)),
				 "543bf59c7ba871264244bb211eaef0820c82b899e9181f0e82b081d34d0a96ae") == 0,
		  "commitment of an event set aside");
	check(kms_chain_aside(hash, &aside, commitment, hash) == KMS_OK &&
		  strcmp(hex(hash, sizeof(hash)),
				 "1b21c36bd6028179948e1502a6d7bf9ce50398f4d8615678b469512c51ae611e") == 0,
		  "hash of an event set aside");
}

/* Whether the hash of an event that was changed differs. */
static void
check_change(const KmsChainEvent *changed, const char *name)
{
	KmsChainEvent event = full_event();
	char		before[2 * KMS_CHAIN_SIZE + 1];

	snprintf(before, sizeof(before), "%s", hash_of(zeros, &event));
	check(before[0] != '\0' && strcmp(before, hash_of(zeros, changed)) != 0,
		  "another %s is another hash", name);
}

#define CHECK_CHANGE(member, value) \
	do { \
		KmsChainEvent event = full_event(); \
\
		event.member = value; \
		check_change(&event, #member); \
	} while (0)

#define CHECK_FIELD(member) \
	do { \
		KmsChainEvent one = full_event(); \
\
		CHECK_CHANGE(member, field("other")); \
		CHECK_CHANGE(member, field(NULL)); \
		CHECK_CHANGE(member, field("")); \
		one.member = field(long_text); \
		check(hash_of(zeros, &one)[0] == '\0', "no %s of %d bytes", \
			  #member, LONG_LEN - 1); \
	} while (0)

static void
test_changes(void)
{
	KmsChainEvent event = full_event();
	KmsChainEvent shifted = full_event();
	char		before[2 * KMS_CHAIN_SIZE + 1];
	unsigned char previous[KMS_CHAIN_SIZE] = {1};

	CHECK_CHANGE(epoch, 7);
	CHECK_CHANGE(ticket, 2);
	CHECK_CHANGE(occurred_at, 1);
	CHECK_CHANGE(has_duration, false);
	CHECK_CHANGE(duration_ms, -0.25);
	CHECK_FIELD(operation);
	CHECK_FIELD(status);
	CHECK_FIELD(reason);
	CHECK_FIELD(key_id);
	CHECK_FIELD(session_role);
	CHECK_FIELD(caller_role);
	CHECK_FIELD(effective_role);
	CHECK_FIELD(form);
	CHECK_CHANGE(calls, 2);
	CHECK_FIELD(application_name);
	CHECK_FIELD(device_id);
	CHECK_FIELD(client_addr);
	CHECK_FIELD(context);
	CHECK_FIELD(audit_context);
	CHECK_CHANGE(status, field("failure"));

	snprintf(before, sizeof(before), "%s", hash_of(zeros, &event));
	check(strcmp(before, hash_of(previous, &event)) != 0,
		  "another hash before is another hash");
	salt[0]++;
	check(strcmp(before, hash_of(zeros, &event)) != 0,
		  "another salt is another hash");
	salt[0]--;
	shifted.caller_role = field("clerko");
	shifted.effective_role = field("wner");
	check(strcmp(before, hash_of(zeros, &shifted)) != 0,
		  "nothing moves from one field to the next");
}

static void
test_blank(void)
{
	KmsChainEvent event = full_event();

	check(!kms_chain_event_is_blank(&event), "a full event is not blank");
	event.device_id = event.client_addr = event.context =
		event.audit_context = field(NULL);
	check(!kms_chain_event_is_blank(&event),
		  "nor is one with the caller's reason");
	event.status = field("failure");
	check(kms_chain_event_is_blank(&event), "one with our reason is");
	event.status = field("success");
	event.reason = field(NULL);
	check(kms_chain_event_is_blank(&event), "one without a reason is");
	event.context = field("");
	check(!kms_chain_event_is_blank(&event), "one with \"\" is not");
}

static void
test_forgotten(void)
{
	unsigned char data[KMS_FORGOTTEN_MESSAGE_MAX];
	unsigned char stored[KMS_FORGOTTEN_SIZE_MAX + 1];
	KmsForgotten forgotten = {.key_id = "aud_1"};
	KmsForgotten again;
	KmsEncoder	enc;
	size_t		len;
	size_t		i;

	kms_encoder_init(&enc, data, sizeof(data));
	kms_chain_forgotten_message(8, 3, &forgotten, &enc);
	check(kms_encoder_ok(&enc) &&
		  strcmp(hex(data, enc.len),
				 "000000166b6d732f61756469742d666f72676f7474656e2f7631"
				 "00000000000000080000000000000003"
				 "00000020"
				 "0000000000000000000000000000000000000000000000000000000000000000"
				 "000000056175645f31") == 0,
		  "the message of a proof");

	for (i = 0; i < sizeof(forgotten.commitment); i++)
		forgotten.commitment[i] = (unsigned char) (i + 1);
	for (i = 0; i < sizeof(forgotten.signature); i++)
		forgotten.signature[i] = (unsigned char) (i + 101);
	len = kms_chain_forgotten_write(&forgotten, stored);
	check_number((long long) len, 102, "a proof is 97 bytes and an id");
	check(stored[0] == 0x01 &&
		  memcmp(stored + 1, forgotten.commitment, 32) == 0 &&
		  memcmp(stored + 33, forgotten.signature, 64) == 0 &&
		  memcmp(stored + 97, "aud_1", 5) == 0, "as the format has it");
	check(kms_chain_forgotten_read(stored, len, &again) == KMS_OK &&
		  memcmp(&again, &forgotten, sizeof(again)) == 0, "it is read again");
	check(kms_chain_forgotten_read(stored, 97, &again) == KMS_BAD_FORMAT &&
		  is_all(&again, sizeof(again), 0), "not without an id");
	stored[97] = '\0';
	check(kms_chain_forgotten_read(stored, len, &again) == KMS_BAD_FORMAT,
		  "not with a NUL in it");
	stored[97] = 'a';
	stored[0] = 0x02;
	check(kms_chain_forgotten_read(stored, len, &again) == KMS_BAD_FORMAT,
		  "not of another format");

	memset(forgotten.key_id, 'x', KMS_FORGOTTEN_KEY_ID_MAX);
	len = kms_chain_forgotten_write(&forgotten, stored);
	stored[len] = 'x';
	kms_encoder_init(&enc, data, sizeof(data));
	kms_chain_forgotten_message(INT64_MIN, INT64_MAX, &forgotten, &enc);
	check(len == KMS_FORGOTTEN_SIZE_MAX && kms_encoder_ok(&enc) &&
		  kms_chain_forgotten_read(stored, len, &again) == KMS_OK &&
		  memcmp(&again, &forgotten, sizeof(again)) == 0,
		  "the longest id has room");
	check(kms_chain_forgotten_read(stored, len + 1, &again) == KMS_BAD_FORMAT,
		  "not a longer one");
}

/* However long it is. */
static void
test_aside(void)
{
	KmsChainAside aside = {.error = field("e"),.event = {long_text, LONG_LEN}};
	KmsChainAside none = {.error = field("e")};
	unsigned char one[KMS_CHAIN_SIZE];
	unsigned char other[KMS_CHAIN_SIZE];

	check(kms_chain_commit_aside(&aside, salt, one) == KMS_OK,
		  "an event of any length is set aside");
	long_text[LONG_LEN - 1]++;
	check(kms_chain_commit_aside(&aside, salt, other) == KMS_OK &&
		  memcmp(one, other, sizeof(one)) != 0, "its last byte counts");
	long_text[LONG_LEN - 1]--;
	check(kms_chain_commit_aside(&none, salt, one) == KMS_OK &&
		  memcmp(one, other, sizeof(one)) != 0, "none is another one");
	aside.error = field(long_text);
	check(kms_chain_aside(zeros, &aside, one, other) == KMS_BAD_FORMAT,
		  "no error of any length");
}

int
main(void)
{
	size_t		i;

	for (i = 0; i < sizeof(salt); i++)
		salt[i] = (unsigned char) i;
	memset(long_text, 'x', LONG_LEN - 1);

	test_answers();
	test_changes();
	test_blank();
	test_forgotten();
	test_aside();
	return tap_done();
}
