/*
 * kms_ring: print the events in event rings as JSON, one line per event.
 *
 * Use it for the ring of a server that will not run again, or that another
 * server has replaced: events that its writer did not write to the trail are
 * only in this file.  The file is not changed, and no server is needed.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "crypto/status.h"
#include "shmem/ring.h"

#define SECONDS_TO_2000 946684800	/* from 1970, UTC */
#define LARGEST_RING	((size_t) 1 << 31)	/* bytes; larger than any ring */

static bool print_ring(const char *path, uint64_t from);
static KmsRing *read_ring(const char *path, size_t *size, bool *whole);
static void *read_file(int fd, size_t size);
static void print_events(KmsRing *ring, const char *path, uint64_t from);
static void print_event(uint64_t position, const KmsEvent *event);
static void print_field(const KmsEvent *event, const KmsEventField *field);
static void print_time(int64_t microseconds);
static void print_text(const char *name, const char *value);
static void print_string(const char *value);
static void usage(int status);

int
main(int argc, char **argv)
{
	uint64_t	from = 0;
	int			first = 1;
	bool		good = true;
	int			i;

	if (argc > 2 && strcmp(argv[1], "--from") == 0)
	{
		char	   *end;

		errno = 0;
		from = strtoull(argv[2], &end, 10);
		if (errno != 0 || argv[2][0] < '0' || argv[2][0] > '9' || *end != '\0')
		{
			fprintf(stderr, "kms_ring: \"%s\" is not a position\n", argv[2]);
			usage(2);
		}
		first = 3;
	}
	if (argc == 2 && strcmp(argv[1], "--help") == 0)
		usage(0);
	if (first >= argc || argv[first][0] == '-')
		usage(2);
	for (i = first; i < argc; i++)
		good = print_ring(argv[i], from) && good;
	if (fflush(stdout) != 0 || ferror(stdout))
	{
		fprintf(stderr, "kms_ring: cannot write: %s\n", strerror(errno));
		return 1;
	}
	return good ? 0 : 1;
}

static bool
print_ring(const char *path, uint64_t from)
{
	size_t		size;
	bool		whole = true;
	KmsRing    *ring = read_ring(path, &size, &whole);

	if (ring == NULL)
		return false;
	print_events(ring, path, from);
	munmap(ring, size);
	return whole;
}

/*
 * Read a copy of the ring, so that the ring of a running server can be read,
 * too.  If the file is truncated, the missing part is zero, so its events
 * count as never finished; *whole is false.
 */
static KmsRing *
read_ring(const char *path, size_t *size, bool *whole)
{
	struct stat st;
	KmsRing    *ring = NULL;
	const char *problem = NULL;
	int			fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);

	if (fd < 0 || fstat(fd, &st) < 0)
		problem = strerror(errno);
	else if (!S_ISREG(st.st_mode))
		problem = "not a regular file";
	else if (st.st_size < KMS_RING_HEADER_SIZE)
		problem = st.st_size == 0 ? "the file is empty" : "not an event ring";
	else
	{
		*size = 0;
		ring = read_file(fd, KMS_RING_HEADER_SIZE);
		if (ring != NULL)
		{
			*size = kms_ring_size(ring);
			munmap(ring, KMS_RING_HEADER_SIZE);
		}
		if (ring == NULL)
			problem = strerror(errno);
		else if (*size == 0 || *size > LARGEST_RING)
			problem = "not an event ring of this version of kms";
		else if ((ring = read_file(fd, *size)) == NULL)
			problem = strerror(errno);
		else if (!kms_ring_valid(ring, *size, kms_ring_identity(ring)))
		{
			problem = "the event ring is damaged";
			munmap(ring, *size);
		}
		else if ((uintmax_t) st.st_size < *size)
		{
			fprintf(stderr, "kms_ring: %s: the file is cut off: %jd of %zu bytes\n",
					path, (intmax_t) st.st_size, *size);
			*whole = false;
		}
	}
	if (fd >= 0)
		close(fd);
	if (problem == NULL)
		return ring;
	fprintf(stderr, "kms_ring: %s: %s\n", path, problem);
	return NULL;
}

/*
 * Return a mapping of "size" bytes with the start of the file, and zeros after
 * its end.  Return NULL with errno on failure.
 */
static void *
read_file(int fd, size_t size)
{
	char	   *map = mmap(NULL, size, PROT_READ | PROT_WRITE,
						   MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	size_t		done = 0;
	ssize_t		bytes = 1;

	if (map == MAP_FAILED)
		return NULL;
	while (done < size && bytes > 0)
	{
		bytes = pread(fd, map + done, size - done, (off_t) done);
		if (bytes > 0)
			done += (size_t) bytes;
	}
	if (bytes >= 0)
		return map;
	munmap(map, size);
	return NULL;
}

static void
print_events(KmsRing *ring, const char *path, uint64_t from)
{
	const KmsRingIdentity *identity = kms_ring_identity(ring);
	KmsRingCounters counters;
	uint64_t	position;
	uint64_t	events = 0;
	uint64_t	unreadable = 0;

	/*
	 * Take the ring over, as the server does, because the header may be older
	 * than the slots.
	 */
	(void) kms_ring_take_over(ring, UINT64_MAX);
	kms_ring_counters(ring, &counters);
	if (from != 0 && from < counters.tail)
		fprintf(stderr, "%s: positions %" PRIu64 " to %" PRIu64 " are not in it:"
				" that server has dealt with them, see its own kms.event\n",
				path, from, counters.tail - 1);
	for (position = counters.tail; position < counters.head; position++)
	{
		KmsEvent	event;

		if (position < from)
			continue;
		if (kms_ring_read(ring, position, &event) == KMS_RING_EVENT)
		{
			print_event(position, &event);
			events++;
		}
		else
			unreadable++;
	}
	fprintf(stderr, "%s: database %" PRIu32 " of system %" PRIu64
			", epoch %" PRId64 ", positions %" PRIu64 " to %" PRIu64
			": %" PRIu64 " events, %" PRIu64 " never finished or damaged%s\n",
			path, identity->database_oid, identity->system_identifier,
			kms_ring_epoch(ring),
			from > counters.head ? counters.head :
			from > counters.tail ? from : counters.tail,
			counters.head, events, unreadable,
			kms_tally_pending(kms_ring_tally(ring)) ?
			"; counts of others are not written either" : "");
}

static void
print_event(uint64_t position, const KmsEvent *event)
{
	int			i;

	printf("{\"position\": %" PRIu64, position);
	for (i = 0; i < kms_event_field_count; i++)
		print_field(event, &kms_event_fields[i]);
	printf("}\n");
}

/*
 * Print a field.  The reason of a failure is a field of its own, any other
 * reason is printed as the context.
 */
static void
print_field(const KmsEvent *event, const KmsEventField *field)
{
	switch (field->kind)
	{
		case KMS_FIELD_TIME:
			printf(", \"%s\": ", field->name);
			print_time(kms_event_number(event, field));
			break;
		case KMS_FIELD_NUMBER:
			printf(", \"%s\": %" PRId64, field->name,
				   kms_event_number(event, field));
			break;
		case KMS_FIELD_DURATION:
			if (kms_event_number(event, field) >= 0)
				printf(", \"%s\": %.3f", field->name,
					   (double) kms_event_number(event, field) / 1000);
			break;
		case KMS_FIELD_REASON:
			print_text(field->name,
					   kms_status_reason((KmsStatus) event->status));
			break;
		default:
			print_text(field->name, kms_event_text(event, field));
			break;
	}
}

static void
print_time(int64_t microseconds)
{
	int64_t		fraction = microseconds % 1000000;
	time_t		seconds;
	struct tm	utc;
	char		buffer[64];

	if (fraction < 0)
		fraction += 1000000;
	seconds = (time_t) ((microseconds - fraction) / 1000000 + SECONDS_TO_2000);
	if (gmtime_r(&seconds, &utc) == NULL ||
		strftime(buffer, sizeof(buffer), "%Y-%m-%dT%H:%M:%S", &utc) == 0)
		printf("null");
	else
		printf("\"%s.%06dZ\"", buffer, (int) fraction);
}

/* Print a text, or nothing if it is NULL. */
static void
print_text(const char *name, const char *value)
{
	if (value == NULL)
		return;
	printf(", \"%s\": ", name);
	print_string(value);
}

/* Print a JSON string in the encoding of the database. */
static void
print_string(const char *value)
{
	const unsigned char *p;

	putchar('"');
	for (p = (const unsigned char *) value; *p != '\0'; p++)
	{
		if (*p == '"' || *p == '\\')
			printf("\\%c", *p);
		else if (*p < 0x20 || *p == 0x7f)
			printf("\\u%04x", *p);
		else
			putchar(*p);
	}
	putchar('"');
}

static void
usage(int status)
{
	fprintf(stderr,
			"usage: kms_ring [--from POSITION] FILE...\n"
			"Print the events that event rings (pg_stat_tmp/kms.*) hold and that were not\n"
			"written to the trail, as JSON, one line per event.\n");
	exit(status);
}
