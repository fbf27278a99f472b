/*
 * Reading the text of a JWE.
 *
 * The file also compiles for programs (FRONTEND), as pg/json does.
 */
#ifndef KMS_PG_JWE_TEXT_H
#define KMS_PG_JWE_TEXT_H

#include "crypto/jwe_form.h"

/*
 * Read a JWE up to its headers: steps 1 to 3 of crypto/jwe_form.h.  The JSON
 * form is in UTF-8, the compact form in any encoding of a server.  Return
 * KMS_OK, or KMS_BAD_FORMAT with *problem filled.  The form points into the
 * text and into palloc'd memory.
 */
extern KmsStatus kms_jwe_text_read(const char *utf8, size_t len,
								   KmsJweForm *form, KmsJweProblem *problem);

#endif							/* KMS_PG_JWE_TEXT_H */
