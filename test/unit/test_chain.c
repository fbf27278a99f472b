/*
 * The chain of the trail.  The answers were made by another program, Python's
 * hashlib and struct, from the formats of chain.h:
 *
 *	lp = lambda x: b'\xff' * 4 if x is None else pack('>I', len(x)) + x
 *	i64 = lambda x: pack('>q', x)
 *	duration = lambda x: b'\0' if x is None else b'\1' + pack('>d', x)
 */
#include <stdlib.h>

#include "crypto/chain.h"
#include "shmem/event.h"
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

/* The value of a field; the order and what covers it are those of events. */
static KmsChainValue *
value_of(KmsChainEvent *event, const char *name)
{
	int			i;

	for (i = 0; i < kms_event_field_count; i++)
	{
		if (strcmp(kms_event_fields[i].name, name) == 0)
			return &event->values[i];
	}
	abort();
}

static void
set_text(KmsChainEvent *event, const char *name, const char *text)
{
	value_of(event, name)->text = field(text);
}

static void
set_number(KmsChainEvent *event, const char *name, int64_t number)
{
	KmsChainValue *value = value_of(event, name);

	value->kind = KMS_CHAIN_NUMBER;
	value->number = number;
}

static void
set_real(KmsChainEvent *event, const char *name, bool has_real, double real)
{
	KmsChainValue *value = value_of(event, name);

	value->kind = KMS_CHAIN_DOUBLE;
	value->has_real = has_real;
	value->real = real;
}

static KmsChainEvent
empty_event(int64_t ticket)
{
	KmsChainEvent event;
	int			i;

	memset(&event, 0, sizeof(event));
	event.epoch = -7;
	event.ticket = ticket;
	event.count = kms_event_field_count;
	for (i = 0; i < kms_event_field_count; i++)
		event.values[i].cover = kms_event_fields[i].cover;
	set_number(&event, "calls", 1);
	set_real(&event, "duration_ms", false, 0);
	return event;
}

static KmsChainEvent
full_event(void)
{
	KmsChainEvent event = empty_event(1);

	set_number(&event, "occurred_at", -1);
	set_text(&event, "operation", "revoke");
	set_text(&event, "status", "success");
	set_text(&event, "reason", "stolen");
	set_real(&event, "duration_ms", true, 0.25);
	set_text(&event, "key_id", "key_1");
	set_text(&event, "session_role", "alice");
	set_text(&event, "caller_role", "clerk");
	set_text(&event, "effective_role", "owner");
	set_text(&event, "application_name", "app");
	set_text(&event, "form", "block sha256/sha1");
	set_text(&event, "app_version", "2.3.1");
	set_text(&event, "device_id", "device \xc3\xa9");
	set_text(&event, "client_addr", "192.0.2.1");
	set_text(&event, "context", "stolen");
	set_text(&event, "audit_context", "request 7");
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
	KmsChainQuarantine quarantined = {
		.epoch = 8,.ticket = 3,.quarantined_at = 5,
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
				 "98b833edf1bf7b21df2363f972cbfc24db2e3b66a21ac68404bd532e9c16078a") == 0,
		  "hash of a full event");

	event = empty_event(2);
	set_number(&event, "occurred_at", INT64_C(1) << 40);
	set_text(&event, "operation", "decrypt");
	set_text(&event, "status", "failure");
	set_text(&event, "reason", "Failed to decrypt data");
	set_text(&event, "application_name", "");
	check(kms_chain_commit_event(&event, salt, commitment) == KMS_OK &&
		  strcmp(hex(commitment, sizeof(commitment)),
				 "c6374f57c9dfb86f253492098b2f20c6be3caba0d9548f8191873b83f0e0c6fd") == 0,
		  "commitment of a bare event");
	check(kms_chain_event(hash, &event, commitment, hash) == KMS_OK &&
		  strcmp(hex(hash, sizeof(hash)),
				 "d2d548bad34bd5acf94d795b6719d0145677178cf116be66397d67e822b733c8") == 0,
		  "hash of a bare event after another");

	check(kms_chain_commit_quarantine(&quarantined, salt, commitment) == KMS_OK &&
		  strcmp(hex(commitment, sizeof(commitment)),
				 "543bf59c7ba871264244bb211eaef0820c82b899e9181f0e82b081d34d0a96ae") == 0,
		  "commitment of a quarantined event");
	check(kms_chain_quarantine(hash, &quarantined, commitment, hash) == KMS_OK &&
		  strcmp(hex(hash, sizeof(hash)),
				 "e88332d8e9d447d3a00bfa634b10c45f72bcfe67b8d10b28a8e123cab60236ed") == 0,
		  "hash of a quarantined event");
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

static void
check_text(const char *name, const char *text)
{
	KmsChainEvent event = full_event();

	set_text(&event, name, text);
	check_change(&event, name);
}

static void
check_number_changed(const char *name, int64_t number)
{
	KmsChainEvent event = full_event();

	set_number(&event, name, number);
	check_change(&event, name);
}

static void
check_real(bool has_real, double real)
{
	KmsChainEvent event = full_event();

	set_real(&event, "duration_ms", has_real, real);
	check_change(&event, "duration_ms");
}

/* Each field, whatever fields there are. */
static void
test_fields(void)
{
	int			i;

	for (i = 0; i < kms_event_field_count; i++)
	{
		const char *name = kms_event_fields[i].name;
		KmsChainEvent event = full_event();

		if (event.values[i].kind != KMS_CHAIN_TEXT)
			continue;
		check_text(name, "other");
		check_text(name, NULL);
		check_text(name, "");
		set_text(&event, name, long_text);
		check(hash_of(zeros, &event)[0] == '\0', "no %s of %d bytes", name,
			  LONG_LEN - 1);
	}
	check_text("status", "failure");
	check_number_changed("occurred_at", 1);
	check_number_changed("calls", 2);
	check_real(false, 0.25);
	check_real(true, -0.25);
}

static void
test_changes(void)
{
	KmsChainEvent event = full_event();
	KmsChainEvent shifted = full_event();
	char		before[2 * KMS_CHAIN_SIZE + 1];
	unsigned char previous[KMS_CHAIN_SIZE] = {1};

	event.epoch = 7;
	check_change(&event, "epoch");
	event = full_event();
	event.ticket = 2;
	check_change(&event, "ticket");
	event = full_event();
	snprintf(before, sizeof(before), "%s", hash_of(zeros, &event));
	check(strcmp(before, hash_of(previous, &event)) != 0,
		  "another hash before is another hash");
	salt[0]++;
	check(strcmp(before, hash_of(zeros, &event)) != 0,
		  "another salt is another hash");
	salt[0]--;
	set_text(&shifted, "caller_role", "clerko");
	set_text(&shifted, "effective_role", "wner");
	check(strcmp(before, hash_of(zeros, &shifted)) != 0,
		  "nothing moves from one field to the next");
}

static void
test_blank(void)
{
	KmsChainEvent event = full_event();

	int			i;

	check(!kms_chain_event_is_blank(&event), "a full event is not blank");
	for (i = 0; i < kms_event_field_count; i++)
	{
		KmsChainEvent left;

		if (kms_event_fields[i].cover != KMS_CHAIN_PERSONAL)
			continue;
		left = empty_event(1);
		left.values[i].text = field("");
		check(!kms_chain_event_is_blank(&left), "nor is one with \"\" as its %s",
			  kms_event_fields[i].name);
		event.values[i].text = field(NULL);
	}
	check(!kms_chain_event_is_blank(&event),
		  "an event with the caller's reason is not blank");
	set_text(&event, "status", "failure");
	check(kms_chain_event_is_blank(&event),
		  "an event with our reason is blank");
	set_text(&event, "status", "success");
	set_text(&event, "reason", NULL);
	check(kms_chain_event_is_blank(&event),
		  "an event without a reason is blank");
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
		  memcmp(stored + 97, "aud_1", 5) == 0,
		  "a proof has the form that chain.h describes");
	check(kms_chain_forgotten_read(stored, len, &again) == KMS_OK &&
		  memcmp(&again, &forgotten, sizeof(again)) == 0,
		  "a proof is read again");
	check(kms_chain_forgotten_read(stored, 97, &again) == KMS_BAD_FORMAT &&
		  is_all(&again, sizeof(again), 0),
		  "a proof without an id is refused");
	stored[97] = '\0';
	check(kms_chain_forgotten_read(stored, len, &again) == KMS_BAD_FORMAT,
		  "a proof with a NUL in its id is refused");
	stored[97] = 'a';
	stored[0] = 0x02;
	check(kms_chain_forgotten_read(stored, len, &again) == KMS_BAD_FORMAT,
		  "a proof of another format is refused");

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
		  "an id that is too long is refused");
}

/* However long it is. */
static void
test_quarantine(void)
{
	KmsChainQuarantine quarantined = {.error = field("e"),.event = {long_text, LONG_LEN}};
	KmsChainQuarantine none = {.error = field("e")};
	unsigned char one[KMS_CHAIN_SIZE];
	unsigned char other[KMS_CHAIN_SIZE];

	check(kms_chain_commit_quarantine(&quarantined, salt, one) == KMS_OK,
		  "an event of any length can be quarantined");
	long_text[LONG_LEN - 1]++;
	check(kms_chain_commit_quarantine(&quarantined, salt, other) == KMS_OK &&
		  memcmp(one, other, sizeof(one)) != 0, "its last byte counts");
	long_text[LONG_LEN - 1]--;
	check(kms_chain_commit_quarantine(&none, salt, one) == KMS_OK &&
		  memcmp(one, other, sizeof(one)) != 0,
		  "the commitment of no event is another one");
	quarantined.error = field(long_text);
	check(kms_chain_quarantine(zeros, &quarantined, one, other) == KMS_BAD_FORMAT,
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
	test_fields();
	test_changes();
	test_blank();
	test_forgotten();
	test_quarantine();
	return tap_done();
}
