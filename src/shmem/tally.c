/*
 * Counts of events.
 *
 * A cell belongs for ever to the pair whose key was first set there.  Besides
 * the counts it has the counts that are being written ("taken") and those that
 * are in the tables ("written").  head->taken is the number of the taken ones;
 * if it is 0, they mean nothing.
 *
 * 1. take: settle what a kill has left (if the tables have its number, the
 *    taken counts are written).  Then set number 0, take, and set number n +
 *    1.
 * 2. commit: the tables have n + 1.
 * 3. written: copy taken to written, cell by cell, then set number 0.
 *
 * An addition increments head->added last, and the consumer reads that first,
 * so that anything that the consumer misses shows as pending.
 *
 * A kill at any point leaves a state that the next take settles, because the
 * number is 0 before the first cell is changed and after the last one.
 */
#include "shmem/tally.h"

typedef struct Head
{
	uint64_t	added;			/* incremented at the end of each addition */
	uint64_t	looked;			/* "added" at the last take */
	uint64_t	seen;			/* "looked" when that take was written */
	int64_t		taken;
	uint64_t	reserved[4];
} Head;

typedef struct Cell
{
	uint64_t	key;			/* 1 + operation * 256 + status; 0 if free */
	int64_t		calls;
	int64_t		duration_us;
	int64_t		calls_taken;
	int64_t		duration_taken;
	int64_t		calls_written;
	int64_t		duration_written;
	uint64_t	reserved;
} Cell;

struct KmsTally
{
	Head		head;
	Cell		cells[KMS_TALLY_CELLS];
};

typedef char tally_fits[sizeof(KmsTally) == KMS_TALLY_SIZE ? 1 : -1];

static Cell *find_cell(KmsTally *tally, uint64_t key);
static void settle(KmsTally *tally, int64_t written);
static bool take_cell(Cell *cell, KmsTallyEntry *entry);

#define load(p)			__atomic_load_n(p, __ATOMIC_ACQUIRE)
#define store(p, v)		__atomic_store_n(p, v, __ATOMIC_RELEASE)
#define add(p, n)		((void) __atomic_fetch_add(p, n, __ATOMIC_ACQ_REL))

bool
kms_tally_add(KmsTally *tally, uint8_t operation, uint8_t status,
			  int64_t calls, int64_t duration_us)
{
	Cell	   *cell = find_cell(tally, 1 + operation * UINT64_C(256) + status);

	if (cell == 0)
		return false;
	if (duration_us > 0)
		add(&cell->duration_us, duration_us);
	add(&cell->calls, calls);
	add(&tally->head.added, 1);
	return true;
}

bool
kms_tally_pending(const KmsTally *tally)
{
	return load(&tally->head.added) != load(&tally->head.seen);
}

int
kms_tally_take(KmsTally *tally, int64_t written, KmsTallyEntry *entries)
{
	int			count = 0;
	int			i;

	settle(tally, written);

	store(&tally->head.looked, load(&tally->head.added));
	for (i = 0; i < KMS_TALLY_CELLS && load(&tally->cells[i].key) != 0; i++)
	{
		if (take_cell(&tally->cells[i], &entries[count]))
			count++;
	}
	store(&tally->head.taken, written + 1);
	return count;
}

void
kms_tally_written(KmsTally *tally, int64_t written)
{
	settle(tally, written);
}

void
kms_tally_skip(KmsTally *tally)
{
	KmsTallyEntry entries[KMS_TALLY_CELLS];

	(void) kms_tally_take(tally, 0, entries);
	settle(tally, 1);
}

static Cell *
find_cell(KmsTally *tally, uint64_t key)
{
	int			i;

	for (i = 0; i < KMS_TALLY_CELLS; i++)
	{
		Cell	   *cell = &tally->cells[i];
		uint64_t	found = load(&cell->key);

		if (found == 0 &&
			__atomic_compare_exchange_n(&cell->key, &found, key, false,
										__ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE))
			return cell;
		if (found == key)
			return cell;
	}
	return 0;
}

/*
 * Settle what was taken last.  A number greater than that in the tables
 * belongs to a transaction that did not commit.
 */
static void
settle(KmsTally *tally, int64_t written)
{
	int64_t		taken = load(&tally->head.taken);
	int			i;

	if (taken != 0 && taken <= written)
	{
		for (i = 0; i < KMS_TALLY_CELLS; i++)
		{
			Cell	   *cell = &tally->cells[i];

			store(&cell->calls_written, cell->calls_taken);
			store(&cell->duration_written, cell->duration_taken);
		}
		store(&tally->head.seen, load(&tally->head.looked));
	}
	store(&tally->head.taken, 0);
}

static bool
take_cell(Cell *cell, KmsTallyEntry *entry)
{
	int64_t		calls = load(&cell->calls);
	int64_t		duration = load(&cell->duration_us);

	/*
	 * A duration is added before its call, and is taken only together with
	 * it.
	 */
	if (calls <= cell->calls_written)
	{
		calls = cell->calls_written;
		duration = cell->duration_written;
	}
	store(&cell->calls_taken, calls);
	store(&cell->duration_taken, duration);
	entry->operation = (uint8_t) ((cell->key - 1) / 256);
	entry->status = (uint8_t) ((cell->key - 1) % 256);
	entry->calls = calls - cell->calls_written;
	entry->duration_us = duration - cell->duration_written;
	if (entry->duration_us < 0)
		entry->duration_us = 0;
	return entry->calls > 0;
}
