/*
 * The names are made in the postmaster, and processes inherit their numbers.
 * Making a name in a process that is about to sleep would take a lock there,
 * and could raise an error if other extensions have used up all numbers.
 */
#include "postgres.h"

#include "utils/wait_event.h"

#include "pg/wait_event.h"

#include "pg/compat.h"

static uint32 numbers[KMS_WAIT_EVENTS];

void
kms_wait_event_name_all(void)
{
	static const char *const names[KMS_WAIT_EVENTS] = {
		[KMS_WAIT_DURABLE] = "KmsDurable",
		[KMS_WAIT_ROOM] = "KmsRingRoom",
		[KMS_WAIT_FLUSH] = "KmsFlush",
		[KMS_WAIT_MASTER_KEY] = "KmsMasterKey",
		[KMS_WAIT_GENERATION] = "KmsGeneration",
		[KMS_WAIT_PEPPER] = "KmsPepper",
		[KMS_WAIT_ACCEPTANCE] = "KmsAcceptance",
		[KMS_WAIT_WORKERS] = "KmsWorkersLeave",
		[KMS_WAIT_LAUNCHER_IDLE] = "KmsLauncherIdle",
		[KMS_WAIT_WRITER_IDLE] = "KmsWriterIdle",
		[KMS_WAIT_WRITER_PAUSE] = "KmsWriterPause",
		[KMS_WAIT_WRITER_STANDBY] = "KmsWriterStandby",
		[KMS_WAIT_WRITER_STOP] = "KmsWriterStop",
		[KMS_WAIT_RESERVED_IDLE] = "KmsReservedWriterIdle",
		[KMS_WAIT_KEYGEN] = "KmsKeygen",
	};
	int			i;

	for (i = 0; i < KMS_WAIT_EVENTS; i++)
		numbers[i] = kms_new_wait_event(names[i]);
}

uint32
kms_wait_event(KmsWaitEvent event)
{
	return numbers[event];
}
