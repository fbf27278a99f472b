/*
 * Stamps of what a session has read of field keys.
 *
 * A stamp is fresh within one statement of the client, for at most a second,
 * and as long as no change of kms.field_key has been heard of.
 * docs/design/fields.md says why.
 */
#ifndef KMS_KEYS_FIELD_STAMP_H
#define KMS_KEYS_FIELD_STAMP_H

#include "datatype/timestamp.h"
#include "portability/instr_time.h"

typedef struct KmsFieldStamp
{
	uint64		heard;			/* changes heard of by then */
	TimestampTz statement;
	instr_time	at;
} KmsFieldStamp;

/* Register the transaction callbacks.  Called once, from _PG_init. */
extern void kms_field_stamp_install(void);

/*
 * Return the number of changes heard of.  Call it before rows are read, so
 * that a change that comes in the meantime is not missed.
 */
extern uint64 kms_field_stamp_heard(void);

/* Stamp rows that were read after "heard" was returned. */
extern void kms_field_stamp_set(KmsFieldStamp *stamp, uint64 heard,
								instr_time now);

/* Raises no error. */
extern bool kms_field_stamp_is_fresh(const KmsFieldStamp *stamp,
									 instr_time now);

#endif							/* KMS_KEYS_FIELD_STAMP_H */
