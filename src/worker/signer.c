#include "postgres.h"

#include "utils/timestamp.h"

#include "worker/signer.h"

#include "pg/fault.h"
#include "shmem/acceptance.h"
#include "shmem/master.h"
#include "shmem/session_ring.h"
#include "worker/clean_stop.h"

/* A request to accept a gap, and the ticket of the gap that it became. */
typedef struct Acceptance
{
	KmsTrailWriter *writer;
	KmsAcceptance wish;
	int64		ticket;
} Acceptance;

static void note_able(KmsTrailWriter *writer, KmsDatabase *database);
static void sign(void *arg);
static void write_gap(void *arg);

void
kms_signer_sign(KmsTrailWriter *writer, KmsDatabase *database)
{
	KmsWorkerError error;
	const char *name;

	writer->unsigned_left = false;
	note_able(writer, database);
	if (writer->keeper.anchor.broken != KMS_ANCHOR_HOLDS ||
		!kms_sign_is_due(&writer->signing, &writer->last) ||
		kms_worker_try(sign, writer, &error))
		return;
	writer->signing.known = false;
	name = kms_worker_database();
	if (error.sqlstate != ERRCODE_QUERY_CANCELED)
		ereport(LOG,
				(errcode(error.sqlstate),
				 errmsg("kms writer of database \"%s\": the trail could not be signed, which is tried again: %s",
						name, error.message)));
}

/*
 * Each writer notes since when it has been able to sign; maintenance requests
 * a writer every few minutes.
 */
static void
note_able(KmsTrailWriter *writer, KmsDatabase *database)
{
	if (kms_master_generation() == 0 || writer->keeper.renewed)
		database->able_since = 0;
	writer->keeper.renewed = false;
	if (kms_master_generation() != 0 && database->able_since == 0)
		database->able_since = GetCurrentTimestamp();
	writer->signing.able_since = database->able_since;
}

static void
sign(void *arg)
{
	KmsTrailWriter *writer = arg;
	KmsKeeper  *keeper = &writer->keeper;
	KmsSigning *signing = &writer->signing;

	kms_trail_writer_begin(writer, "signing the trail");
	if (kms_continuity_confirm(keeper))
	{
		int64		before = keeper->anchor.current.signed_ticket;

		writer->unsigned_left = kms_sign_checkpoint(signing, &writer->last,
													before);
		if (signing->ticket != before)
			kms_continuity_commit(keeper, &writer->last, signing->ticket,
								  signing->hash);
	}
	kms_trail_writer_end(writer);
	kms_continuity_committed(keeper);
	kms_continuity_file(keeper, true);
}

void
kms_signer_accept(KmsTrailWriter *writer)
{
	static Acceptance acceptance;
	KmsAcceptanceAnswer answer = {0};
	KmsWorkerError error;

	if (!kms_acceptance_wanted(&acceptance.wish))
		return;
	acceptance.writer = writer;
	kms_clean_stop_allow();		/* it may have many rows to delete */
	if (kms_worker_try(write_gap, &acceptance, &error))
		answer.ticket = acceptance.ticket;
	else
	{
		kms_continuity_forget(&writer->keeper);
		writer->signing.known = false;
		strlcpy(answer.error, error.message, sizeof(answer.error));
	}
	kms_acceptance_answer(&answer);
	kms_clean_stop_defer();
}

/* The gap follows the last good row, as if there were no rows after that. */
static void
write_gap(void *arg)
{
	Acceptance *acceptance = arg;
	KmsTrailWriter *writer = acceptance->writer;
	const KmsAcceptance *wish = &acceptance->wish;
	KmsSigning *signing = &writer->signing;
	KmsTrail	trail;

	kms_trail_writer_begin(writer, "accepting a gap of the trail");
	kms_trail_writer_open(writer, kms_session_ring_get(), false, &trail);
	(void) kms_event_table_skip(&trail);
	kms_event_table_clear(&trail);
	memcpy(trail.hash, wish->hash, sizeof(trail.hash));
	kms_event_table_append(&trail, &wish->gap, 1);
	kms_event_table_close(&trail);
	kms_sign_accept(signing, &trail, wish->after);
	kms_continuity_accept(&writer->keeper);
	kms_trail_writer_commit(writer, &trail);
	writer->last = trail;
	acceptance->ticket = trail.last_ticket;
	kms_continuity_file(&writer->keeper, true);
}
