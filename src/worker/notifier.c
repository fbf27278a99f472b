/*
 * A notification cannot be sent by the transaction that makes the change: a
 * transaction that has executed NOTIFY cannot be prepared.  And one that is
 * sent with the trail could keep the trail from being written.  So it has a
 * transaction of its own, after the commit of the trail and after callers that
 * wait have been woken.
 *
 * All that commit a NOTIFY, in any database, wait for each other.  Another
 * session may hold that lock for long, for example while it waits for a
 * synchronous standby, and the queue may be full because a session that
 * listens is idle in a transaction.  So after a failure there is a pause, in
 * which changes are only noted.  The trail waits lock_timeout once a pause.
 *
 * PostgreSQL does not flush a commit that has only notified, so this costs no
 * write to disk.
 */
#include "postgres.h"

#include "commands/async.h"
#include "miscadmin.h"
#include "utils/timestamp.h"

#include "worker/notifier.h"

#include "pg/fault.h"
#include "pg/settings.h"
#include "worker/worker.h"

#define CHANNEL			"kms"
#define KEYS_MAX		100		/* key ids of an operation in a transaction */
#define PAUSE_MS		5000	/* after a failure */
#define LOG_PAUSE_MS	60000

StaticAssertDecl(KMS_OPERATION_COUNT <= 64, "untold has a bit for each operation");

/* The changes that one transaction is to tell. */
typedef struct Message
{
	KmsNotifier *notifier;
	const KmsEvent *changes;
	int			count;
} Message;

static void send_message(void *arg);
static void send_changes(const Message *message);
static void send_one(int operation, const char *key_id);
static uint64 operations_of(const KmsEvent *changes, int count);
static void note_failure(KmsNotifier *notifier, const KmsWorkerError *error);

void
kms_notifier_tell(KmsNotifier *notifier, const KmsEvent *changes, int count)
{
	Message		message = {notifier, changes, count};
	KmsWorkerError error;

	if (!kms_notify)
		notifier->untold = 0;
	if (!kms_notify || (count == 0 && notifier->untold == 0))
		return;
	if (kms_shared_pausing(TimestampTzPlusMilliseconds(notifier->failed_at,
													   PAUSE_MS), PAUSE_MS))
	{
		notifier->untold |= operations_of(changes, count);
		return;
	}
	if (kms_worker_try(send_message, &message, &error))
	{
		notifier->untold = 0;
		notifier->failed_at = 0;
		return;
	}
	notifier->untold |= operations_of(changes, count);
	note_failure(notifier, &error);
}

bool
kms_notifier_pending(const KmsNotifier *notifier)
{
	return kms_notify && notifier->untold != 0;
}

static void
send_message(void *arg)
{
	const Message *message = arg;

	kms_worker_begin("notifying of changes");
	send_changes(message);
	kms_worker_commit();
}

/*
 * Many keys of an operation are told as one notification without any: a
 * session that listens would read all of them again anyway.
 */
static void
send_changes(const Message *message)
{
	int			changes[KMS_OPERATION_COUNT] = {0};
	uint64		many = message->notifier->untold;
	int			i;

	for (i = 0; i < message->count; i++)
	{
		int			operation = message->changes[i].operation;

		if (++changes[operation] > KEYS_MAX)
			many |= UINT64CONST(1) << operation;
	}
	for (i = 1; i < KMS_OPERATION_COUNT; i++)
	{
		if ((many & (UINT64CONST(1) << i)) != 0)
			send_one(i, "");
	}
	for (i = 0; i < message->count; i++)
	{
		const KmsEvent *change = &message->changes[i];

		if (change->operation != 0 &&
			(many & (UINT64CONST(1) << change->operation)) == 0)
			send_one(change->operation, change->key_id);
	}
}

/* The event of a forgotten device has no key id. */
static void
send_one(int operation, const char *key_id)
{
	char		payload[sizeof(((KmsEvent *) 0)->key_id) + 64];

	snprintf(payload, sizeof(payload), "%s%s%s",
			 kms_event_operation_name(operation),
			 key_id[0] != '\0' ? " " : "", key_id);
	Async_Notify(CHANNEL, payload);
}

static uint64
operations_of(const KmsEvent *changes, int count)
{
	uint64		operations = 0;
	int			i;

	for (i = 0; i < count; i++)
		operations |= UINT64CONST(1) << changes[i].operation;
	return operations;
}

static void
note_failure(KmsNotifier *notifier, const KmsWorkerError *error)
{
	TimestampTz now = GetCurrentTimestamp();
	const char *name;

	notifier->failed_at = now;
	if (kms_shared_pausing(TimestampTzPlusMilliseconds(notifier->logged_at,
													   LOG_PAUSE_MS), LOG_PAUSE_MS))
		return;
	notifier->logged_at = now;
	name = kms_worker_database();
	ereport(LOG,
			(errcode(error->sqlstate),
			 errmsg("kms writer of database \"%s\": changes of keys could not be notified, which is tried again: %s",
					name, error->message),
			 KMS_HIDE_STATEMENT));
}
