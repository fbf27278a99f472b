#include <stddef.h>
#include <string.h>

#include "shmem/anchor.h"

#include "shmem/crc32c.h"

#define ANCHOR_MAGIC	UINT64_C(0x726f68636e61736b)	/* "ksanchor" */

#define READ_TRIES		10

typedef struct Stored
{
	uint64_t	magic;
	uint32_t	format;
	uint32_t	size;			/* bytes of the stored form */
	KmsAnchor	anchor;
	uint32_t	reserved;
	uint32_t	crc;			/* of all fields before it */
} Stored;

typedef char stored_fits[sizeof(Stored) <= KMS_ANCHOR_SIZE ? 1 : -1];
typedef char area_fits[KMS_ANCHOR_AREA <= KMS_RING_ANCHOR_SIZE ? 1 : -1];

static bool read_once(const unsigned char *places, KmsAnchor *anchor);

void
kms_anchor_encode(const KmsAnchor *anchor, unsigned char *out)
{
	Stored		stored;

	memset(out, 0, KMS_ANCHOR_SIZE);
	memset(&stored, 0, sizeof(stored));
	stored.magic = ANCHOR_MAGIC;
	stored.format = KMS_ANCHOR_FORMAT;
	stored.size = sizeof(Stored);
	memcpy(&stored.anchor, anchor, sizeof(stored.anchor));
	stored.crc = kms_crc32c(NULL, 0, &stored, offsetof(Stored, crc));
	memcpy(out, &stored, sizeof(stored));
}

bool
kms_anchor_decode(const unsigned char *in, KmsAnchor *anchor)
{
	Stored		stored;

	memcpy(&stored, in, sizeof(stored));
	if (stored.magic != ANCHOR_MAGIC || stored.format != KMS_ANCHOR_FORMAT ||
		stored.size != sizeof(Stored) ||
		stored.crc != kms_crc32c(NULL, 0, &stored, offsetof(Stored, crc)))
	{
		memset(anchor, 0, sizeof(*anchor));
		return false;
	}
	memcpy(anchor, &stored.anchor, sizeof(*anchor));
	return true;
}

/*
 * Overwrite the older version, so that a process that is killed here leaves
 * the newer one complete.
 */
void
kms_anchor_write(void *area, KmsAnchor *anchor)
{
	unsigned char *places = area;
	unsigned char stored[KMS_ANCHOR_SIZE];
	KmsAnchor	first;
	KmsAnchor	second;
	bool		to_second;

	(void) kms_anchor_decode(places, &first);
	(void) kms_anchor_decode(places + KMS_ANCHOR_SIZE, &second);
	to_second = first.number > second.number;
	if (anchor->number <= (to_second ? first.number : second.number))
		anchor->number = to_second ? first.number : second.number;
	anchor->number++;
	kms_anchor_encode(anchor, stored);
	memcpy(places + (to_second ? KMS_ANCHOR_SIZE : 0), stored,
		   sizeof(stored));
	__atomic_thread_fence(__ATOMIC_RELEASE);
}

bool
kms_anchor_read(const void *area, KmsAnchor *anchor)
{
	int			i;

	/* The writer may overwrite both versions while they are read, so retry. */
	for (i = 0; i < READ_TRIES; i++)
	{
		if (read_once(area, anchor))
			return true;
	}
	return false;
}

static bool
read_once(const unsigned char *places, KmsAnchor *anchor)
{
	unsigned char stored[KMS_ANCHOR_SIZE];
	KmsAnchor	second;
	bool		found;

	__atomic_thread_fence(__ATOMIC_ACQUIRE);
	memcpy(stored, places, sizeof(stored));
	found = kms_anchor_decode(stored, anchor);
	memcpy(stored, places + KMS_ANCHOR_SIZE, sizeof(stored));
	if (kms_anchor_decode(stored, &second) &&
		(!found || second.number > anchor->number))
	{
		*anchor = second;
		found = true;
	}
	return found;
}
