/* The anchor of a trail: what a kill leaves of it, and what damage does. */
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "shmem/anchor.h"
#include "tap.h"

static KmsAnchor
anchor_of(int64_t ticket)
{
	KmsAnchor	anchor;

	memset(&anchor, 0, sizeof(anchor));
	anchor.identity.system_identifier = 0x1122334455667788;
	anchor.identity.database_oid = 5;
	anchor.identity.extension_oid = 16384;
	anchor.current.wal = 0x100000028;
	anchor.current.timeline = 3;
	anchor.current.ticket = ticket;
	memset(anchor.current.hash, (int) ticket & 0xff, KMS_CHAIN_SIZE);
	anchor.pending = anchor.current;
	anchor.pending.ticket++;
	anchor.has_pending = 1;
	anchor.exact = 1;
	return anchor;
}

static void
test_stored(void)
{
	unsigned char stored[KMS_ANCHOR_SIZE];
	KmsAnchor	anchor = anchor_of(7);
	KmsAnchor	found;
	size_t		i;
	int			taken = 0;
	size_t		used = 0;

	kms_anchor_encode(&anchor, stored);
	check(kms_anchor_decode(stored, &found) &&
		  memcmp(&anchor, &found, sizeof(anchor)) == 0,
		  "what is stored is found");
	for (i = 0; i < sizeof(stored); i++)
	{
		if (stored[i] != 0)
			used = i + 1;
	}
	for (i = 0; i < used; i++)
	{
		stored[i] ^= 1;
		if (kms_anchor_decode(stored, &found))
			taken++;
		stored[i] ^= 1;
	}
	check(taken == 0, "a bit that changed in any of %d bytes is found",
		  (int) used);
	memset(stored, 0, sizeof(stored));
	memset(&anchor, 0, sizeof(anchor));
	found = anchor_of(9);
	check(!kms_anchor_decode(stored, &found) &&
		  memcmp(&anchor, &found, sizeof(anchor)) == 0,
		  "zeros are none");
}

static void
test_area(void)
{
	unsigned char area[KMS_ANCHOR_AREA] = {0};
	KmsAnchor	anchor = anchor_of(1);
	KmsAnchor	found;
	int			i;
	bool		good = true;

	check(!kms_anchor_read(area, &found), "an empty area has none");
	for (i = 1; i <= 10; i++)
	{
		anchor.current.ticket = i;
		kms_anchor_write(area, &anchor);
		good = good && kms_anchor_read(area, &found) &&
			found.current.ticket == i && found.number == (uint64_t) i;
	}
	check(good, "the last one that was written is read");

	/* half of the next one has been written over the older one */
	memset(area + KMS_ANCHOR_SIZE * (found.number % 2 == 1), 0xff, 100);
	check(kms_anchor_read(area, &found) && found.current.ticket == 10,
		  "a torn anchor leaves the one before");
	anchor = anchor_of(11);
	kms_anchor_write(area, &anchor);
	check(kms_anchor_read(area, &found) && found.current.ticket == 11 &&
		  found.number == 11, "a torn anchor is overwritten");
	memset(area, 0xff, sizeof(area));
	check(!kms_anchor_read(area, &found), "garbage is none");
}

/* A process that writes is killed at any moment. */
static void
test_kill(void)
{
	unsigned char *area = mmap(NULL, KMS_ANCHOR_AREA, PROT_READ | PROT_WRITE,
							   MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	KmsAnchor	anchor = anchor_of(1);
	KmsAnchor	found;
	int			n;
	bool		good = true;

	kms_anchor_write(area, &anchor);
	for (n = 0; n < 50 && good; n++)
	{
		int64_t		before = anchor.current.ticket;
		pid_t		pid = fork();

		if (pid == 0)
		{
			for (;;)
			{
				int64_t		ticket = anchor.current.ticket + 1;

				anchor.current.ticket = ticket;
				memset(anchor.current.hash, (int) ticket & 0xff,
					   KMS_CHAIN_SIZE);
				kms_anchor_write(area, &anchor);
			}
		}
		do
			good = kms_anchor_read(area, &found);
		while (good && found.current.ticket < before + 10);
		kill(pid, SIGKILL);
		waitpid(pid, NULL, 0);
		good = good && kms_anchor_read(area, &found) &&
			found.current.hash[31] == (found.current.ticket & 0xff);
		anchor = found;
	}
	check(good, "a kill at any moment leaves a whole one");
	munmap(area, KMS_ANCHOR_AREA);
}

static void
test_ring(void)
{
	size_t		bytes = kms_ring_bytes(2);
	KmsRing    *ring = calloc(1, bytes);
	KmsRingIdentity identity = {1, 2, 3};
	KmsAnchor	anchor = anchor_of(5);
	KmsAnchor	found;
	KmsEvent	event = {.operation = KMS_OP_DECRYPT};
	uint64_t	position;

	kms_ring_format(ring, 2, 1, &identity);
	kms_ring_take_over(ring, 1);
	check(!kms_anchor_read(kms_ring_anchor(ring), &found),
		  "an empty ring has no anchor");
	kms_anchor_write(kms_ring_anchor(ring), &anchor);
	(void) kms_ring_push(ring, &event, KMS_CLASS_OPENS, 0, &position);
	(void) kms_ring_push(ring, &event, KMS_CLASS_OPENS, 0, &position);
	kms_ring_release(ring, 2);
	check(kms_ring_valid(ring, bytes, &identity) &&
		  kms_anchor_read(kms_ring_anchor(ring), &found) &&
		  found.current.ticket == 5,
		  "ring and anchor leave each other alone");
	free(ring);
}

int
main(void)
{
	test_stored();
	test_area();
	test_kill();
	test_ring();
	return tap_done();
}
