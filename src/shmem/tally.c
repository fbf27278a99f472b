/*
 * Counts of events.
 *
 * A cell belongs to the pair whose key was first set there, for ever.  Beside
 * the counts it has those that are being written ("taken") and those that are
 * in the tables ("written").  head->taken says under which number the taken
 * ones are; 0: they mean nothing.
 *
 *	take		settle what a kill has left: if the tables have its number,
 *				what was taken is written.  Then number 0, take, number n + 1.
 *	commit		the tables have n + 1.
 *	written		taken becomes written, cell by cell, then number 0.
 *
 * An add counts itself last, and the consumer reads that number first, so
 * that whatever it misses shows as pending.
 *
 * A kill at any point leaves a state that the next take settles, because
 * number 0 comes before the first cell is changed and after the last one.
 */
#include "shmem/tally.h"

typedef struct Head
{
	uint64_t	added;			/* goes up with each add, after it */
	uint64_t	looked;			/* "added" when something was taken last */
	uint64_t	seen;			/* "looked" when that was written */
	int64_t		taken;
	uint64_t	reserved[4];
} Head;

typedef struct Cell
{
	uint64_t	key;			/* 1 + operation * 256 + status; 0: free */
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

/* A number ahead of the tables' is that of a transaction that did not commit. */
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

	/* a duration is added before its call, and waits for it */
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
