/*
 * An event: the record of a call, from the moment when it is pushed to its row
 * in kms.event, and the one table of its fields.
 *
 * All code that handles every field is a loop over this table: the ring, the
 * outbox, the insert into kms.event, the reading of a row, the chain, the
 * forgetting of a device and kms_ring.
 *
 * This code does not use PostgreSQL, so that kms_ring and the unit tests can
 * use it.
 */
#ifndef KMS_SHMEM_EVENT_H
#define KMS_SHMEM_EVENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "crypto/chain.h"

/*
 * The recorded operations.  Ring files contain the numbers, so they never
 * change.
 */
typedef enum KmsOperation
{
	KMS_OP_GENERATE = 1,		/* a key was created for a device */
	KMS_OP_ISSUE = 2,			/* an existing key was handed out */
	KMS_OP_ROTATE = 3,
	KMS_OP_IMPORT = 4,
	KMS_OP_ENCRYPT = 5,
	KMS_OP_DECRYPT = 6,
	KMS_OP_RECOVER = 7,
	KMS_OP_VERIFY = 8,			/* remark: the subject */
	KMS_OP_DEPRECATE = 9,
	KMS_OP_DISABLE = 10,
	KMS_OP_ENABLE = 11,
	KMS_OP_REVOKE = 12,
	KMS_OP_SCHEDULE_DELETION = 13,
	KMS_OP_CANCEL_DELETION = 14,
	KMS_OP_DESTROY = 15,
	KMS_OP_PURGE = 16,			/* maintenance deleted a key */
	KMS_OP_GAP = 17,			/* the trail may lack events here */
	KMS_OP_DIAGNOSE = 18,
	KMS_OP_FORGET = 19,			/* a device; remark: what was forgotten */
	KMS_OP_ENCRYPT_FIELD = 20,
	KMS_OP_DECRYPT_FIELD = 21,
	KMS_OP_REFRESH_FIELD = 22,
	KMS_OP_BLIND_INDEX = 23,
	KMS_OP_CREATE_FIELD_KEY = 24,
	KMS_OP_ROTATE_FIELD_KEY = 25,
	KMS_OP_DISABLE_FIELD_KEY = 26,
	KMS_OP_ENABLE_FIELD_KEY = 27,
	KMS_OP_DESTROY_FIELD_KEY = 28
} KmsOperation;

#define KMS_OPERATION_COUNT 29

/*
 * One event as producers fill it.
 *
 * A text is NUL-terminated, in the database's encoding, truncated at a
 * character boundary; "" means none.  Unused bytes are zero: start with
 * memset(&event, 0, sizeof event), because the event is written to a file and
 * to the trail.
 *
 * A new member needs a line in kms_event_fields.
 */
typedef struct KmsEvent
{
	int64_t		occurred_at;	/* microseconds since 2000-01-01 UTC */
	int64_t		duration_us;	/* of all its calls; -1 if not known */
	int64_t		calls;			/* calls that it stands for; in a gap: lost
								 * events, 0 if unknown */
	uint8_t		operation;		/* KmsOperation */
	uint8_t		status;			/* KmsStatus; KMS_OK is success */
	uint8_t		reserved[6];
	char		key_id[136];	/* up to 128 bytes */
	char		device_id[256];
	char		session_role[64];	/* the role that logged in */
	char		caller_role[64];	/* the caller: after SET ROLE, outside of
									 * SECURITY DEFINER */
	char		effective_role[64]; /* the role whose rights the call has */
	char		client_addr[64];
	char		application_name[64];
	char		remark[256];	/* the caller's text: a reason, a subject */
	char		audit_note[256];	/* kms.audit_context of the transaction */
	char		form[56];		/* of the data sent: "JWE RSA-OAEP A256GCM",
								 * "block sha1/sha1" */
	char		app_version[72];	/* of the request: up to 64 bytes */
} KmsEvent;

/* The type of a field, in the event and in its column. */
typedef enum KmsEventFieldKind
{
	KMS_FIELD_TIME,				/* int64_t; timestamptz */
	KMS_FIELD_NUMBER,			/* int64_t; bigint */
	KMS_FIELD_DURATION,			/* int64_t, microseconds, -1: none; double
								 * precision, milliseconds, or NULL */
	KMS_FIELD_TEXT,				/* char[]; text, or NULL for "" */
	KMS_FIELD_OPERATION,		/* uint8_t; text, its name */
	KMS_FIELD_STATUS,			/* uint8_t; text, "success" or "failure" */
	KMS_FIELD_REASON			/* no member, because it follows from the
								 * others; text, or NULL */
} KmsEventFieldKind;

typedef struct KmsEventField
{
	const char *name;			/* of the column of kms.event and
								 * kms.event_outbox, and in JSON */
	int			column;			/* column number in kms.event, from 0 */
	KmsEventFieldKind kind;
	KmsChainCover cover;		/* KMS_CHAIN_PERSONAL: deleted when the device
								 * is forgotten */
	uint16_t	offset;			/* of the member of KmsEvent */
	uint16_t	size;			/* of the member in bytes; 0 if none */
} KmsEventField;

/* All fields, in the order in which the chain hashes them. */
extern const KmsEventField kms_event_fields[];
extern const int kms_event_field_count;

/*
 * Return the index in this table of the field whose member has this offset, as
 * in kms_event_field_at(offsetof(KmsEvent, key_id)), or -1 if there is none.
 */
extern int	kms_event_field_at(size_t offset);

/*
 * Return the value of a field whose column is text, or NULL for none.  The
 * result points into the event or to a constant.
 */
extern const char *kms_event_text(const KmsEvent *event,
								  const KmsEventField *field);

/* Return the value of any other field. */
extern int64_t kms_event_number(const KmsEvent *event,
								const KmsEventField *field);

/*
 * Terminate each text with a NUL; needed if the event comes from memory that
 * other processes can write.
 */
extern void kms_event_terminate(KmsEvent *event);

/*
 * Return "generate", "schedule_deletion", …, or "unknown" for any other
 * number.
 */
extern const char *kms_event_operation_name(int operation);

/* Return the number of an operation, or 0 for any other name. */
extern int	kms_event_operation_number(const char *name);

#endif							/* KMS_SHMEM_EVENT_H */
