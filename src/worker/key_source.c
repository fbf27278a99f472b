/*
 * The source of the master keys.
 *
 * A file is read at once.  A command is started, and polled in the launcher's
 * rounds.  docs/design/master-key-memory.md says which keys are in force in
 * the meantime, and why a command that failed is not retried.
 */
#include "postgres.h"

#include "worker/key_source.h"

#include "pg/settings.h"
#include "shmem/master.h"
#include "shmem/master_file.h"
#include "worker/command.h"

/* The command is to be started as soon as the previous one has ended. */
static bool wanted = false;

static bool is_set(const char *setting);
static void start_source(void);
static void take(void);
static void refuse(KmsMasterSource source, const char *reason);

void
kms_key_source_read(void)
{
	KmsMasterKeys *keys;
	char		reason[KMS_MASTER_REASON] = "";
	bool		good;

	kms_command_forget();
	wanted = false;
	if (is_set(kms_master_key_command))
	{
		if (!is_set(kms_master_key_file))
			wanted = true;
		else
			refuse(KMS_MASTER_NOWHERE,
				   "kms.master_key_file and kms.master_key_command are both set; set one of them");
		return;
	}

	keys = palloc0(sizeof(KmsMasterKeys));
	if (is_set(kms_master_key_file))
	{
		good = kms_master_file_read(keys, reason, sizeof(reason));
		kms_master_publish(KMS_MASTER_FILE, keys,
						   good ? KMS_MASTER_READY : KMS_MASTER_REFUSED, reason);
	}
	else
		kms_master_publish(KMS_MASTER_NOWHERE, keys, KMS_MASTER_UNSET, reason);
	pfree(keys);
}

bool
kms_key_source_poll(void)
{
	switch (kms_command_poll())
	{
		case KMS_COMMAND_NONE:
			if (!wanted)
				return false;
			start_source();
			break;
		case KMS_COMMAND_ENDED:
			take();
			break;
		case KMS_COMMAND_RUNNING:
		case KMS_COMMAND_LEAVING:
			break;
	}
	return true;
}

static bool
is_set(const char *setting)
{
	return setting != NULL && setting[0] != '\0';
}

static void
start_source(void)
{
	char		reason[KMS_MASTER_REASON];

	wanted = false;
	if (kms_command_start(kms_master_key_command,
						  kms_master_key_command_timeout,
						  reason, sizeof(reason)))
		kms_master_running();
	else
		refuse(KMS_MASTER_COMMAND, reason);
}

/* Nothing may raise an error between parsing the keys and wiping them. */
static void
take(void)
{
	KmsMasterKeys *keys = palloc0(sizeof(KmsMasterKeys));
	char		reason[KMS_MASTER_REASON] = "";
	const char *output;
	size_t		len;
	bool		good;

	good = kms_command_result(&output, &len, reason, sizeof(reason)) &&
		kms_master_parse(output, len, keys, reason, sizeof(reason));
	kms_command_forget();
	kms_master_publish(KMS_MASTER_COMMAND, keys,
					   good ? KMS_MASTER_READY : KMS_MASTER_REFUSED, reason);
	pfree(keys);
}

static void
refuse(KmsMasterSource source, const char *reason)
{
	KmsMasterKeys *keys = palloc0(sizeof(KmsMasterKeys));

	kms_master_publish(source, keys, KMS_MASTER_REFUSED, reason);
	pfree(keys);
}
