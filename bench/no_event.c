/*
 * Linked into the library that "bench/run events" compares with: there calls
 * record nothing.  src/keys/call.c is compiled with
 * -Dkms_events_push=kms_bench_no_event for it, so that the product needs no
 * such switch.
 */
#include "postgres.h"

#include "shmem/events.h"

extern void kms_bench_no_event(const KmsEvent *event, KmsEventClass class);

void
kms_bench_no_event(const KmsEvent *event, KmsEventClass class)
{
}
