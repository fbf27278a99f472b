#include "postgres.h"

#include <fcntl.h>
#include <time.h>
#include <unistd.h>

#include "datatype/timestamp.h"
#include "storage/fd.h"

#include "pg/boot.h"

#define BOOT_ID_FILE "/proc/sys/kernel/random/boot_id"

int64
kms_boot_time(void)
{
	struct timespec now;

	if (clock_gettime(CLOCK_BOOTTIME, &now) != 0)
		elog(ERROR, "could not read the clock");
	return now.tv_sec * USECS_PER_SEC + now.tv_nsec / 1000;
}

/* A container without /proc does not provide an id. */
void
kms_boot_id(char *id)
{
	int			file = OpenTransientFile(BOOT_ID_FILE, O_RDONLY);
	ssize_t		len = 0;

	if (file >= 0)
	{
		len = read(file, id, KMS_BOOT_ID_SIZE - 1);
		CloseTransientFile(file);
	}
	if (len != KMS_BOOT_ID_SIZE - 1)
		len = 0;
	id[len] = '\0';
}
