/*
 * Memory of PostgreSQL's library for programs.
 */
#ifndef KMS_TEST_ARENA_H
#define KMS_TEST_ARENA_H

/* Release all that the library and pg/ allocated. */
extern void arena_reset(void);

#endif							/* KMS_TEST_ARENA_H */
