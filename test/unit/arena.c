/*
 * The memory of PostgreSQL's library for programs, which releases nothing on
 * errors, as a server releases a memory context.  Each allocation is one of
 * malloc's, so that the sanitizers watch its ends.
 */
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "arena.h"

typedef struct Chunk
{
	struct Chunk *next;
	struct Chunk **link;		/* what points to this one */
} Chunk;

static Chunk *chunks;

extern void *palloc(size_t size);
extern void *palloc0(size_t size);
extern void *palloc_extended(size_t size, int flags);
extern void *repalloc(void *pointer, size_t size);
extern char *pstrdup(const char *string);
extern char *pnstrdup(const char *string, size_t size);
extern void pfree(void *pointer);
extern void *pg_malloc(size_t size);
extern void *pg_malloc0(size_t size);
extern void *pg_malloc_extended(size_t size, int flags);
extern void *pg_realloc(void *pointer, size_t size);
extern char *pg_strdup(const char *string);
extern void pg_free(void *pointer);

static void
link_chunk(Chunk *chunk)
{
	chunk->next = chunks;
	chunk->link = &chunks;
	if (chunks != NULL)
		chunks->link = &chunk->next;
	chunks = chunk;
}

static void
unlink_chunk(Chunk *chunk)
{
	*chunk->link = chunk->next;
	if (chunk->next != NULL)
		chunk->next->link = chunk->link;
}

void
arena_reset(void)
{
	while (chunks != NULL)
		pfree(chunks + 1);
}

void *
palloc(size_t size)
{
	Chunk	   *chunk = malloc(sizeof(Chunk) + size);

	if (chunk == NULL)
		abort();
	link_chunk(chunk);
	return chunk + 1;
}

void *
palloc0(size_t size)
{
	return memset(palloc(size), 0, size);
}

/* The flags say that memory is zero, and what a failure does. */
void *
palloc_extended(size_t size, int flags)
{
	(void) flags;
	return palloc0(size);
}

void *
repalloc(void *pointer, size_t size)
{
	Chunk	   *chunk = (Chunk *) pointer - 1;

	unlink_chunk(chunk);
	chunk = realloc(chunk, sizeof(Chunk) + size);
	if (chunk == NULL)
		abort();
	link_chunk(chunk);
	return chunk + 1;
}

char *
pstrdup(const char *string)
{
	return pnstrdup(string, strlen(string));
}

char *
pnstrdup(const char *string, size_t size)
{
	size_t		len = strnlen(string, size);
	char	   *copy = palloc(len + 1);

	memcpy(copy, string, len);
	copy[len] = '\0';
	return copy;
}

void
pfree(void *pointer)
{
	Chunk	   *chunk = (Chunk *) pointer - 1;

	unlink_chunk(chunk);
	free(chunk);
}

void *
pg_malloc(size_t size)
{
	return palloc(size);
}

void *
pg_malloc0(size_t size)
{
	return palloc0(size);
}

void *
pg_malloc_extended(size_t size, int flags)
{
	return palloc_extended(size, flags);
}

void *
pg_realloc(void *pointer, size_t size)
{
	return pointer == NULL ? palloc(size) : repalloc(pointer, size);
}

char *
pg_strdup(const char *string)
{
	return pstrdup(string);
}

void
pg_free(void *pointer)
{
	if (pointer != NULL)
		pfree(pointer);
}
