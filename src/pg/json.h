/*
 * Reading JSON with PostgreSQL's parser.
 *
 * PostgreSQL's error messages quote the text, so none is ever raised; an error
 * becomes a flaw.  The file also compiles for programs (FRONTEND), in which
 * unit tests and fuzzers run it.
 */
#ifndef KMS_PG_JSON_H
#define KMS_PG_JSON_H

#include "crypto/json_value.h"
#include "crypto/jwe_problem.h"

/*
 * Read JSON (RFC 8259) in UTF-8, whatever the database's encoding is.  Return
 * KMS_FLAW_NONE, with *value palloc'd, or one of KMS_FLAW_NOT_JSON,
 * KMS_FLAW_NOT_UNICODE, KMS_FLAW_NUL (also as an escape), KMS_FLAW_TOO_DEEP
 * (more than KMS_JSON_DEPTH_MAX levels) and KMS_FLAW_TWICE (an object has a
 * name twice; escapes are resolved first).
 *
 * The members of each object are sorted by name.  Texts in the value have no
 * NUL and may have any other character.
 */
extern KmsJweFlaw kms_json_read(const char *utf8, size_t len,
								const KmsJsonValue **value);

#endif							/* KMS_PG_JSON_H */
