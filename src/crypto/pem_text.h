/*
 * The text of a private key in PEM (RFC 7468), before it is decoded: forms in
 * which software stores or shows keys and which no PEM parser reads.
 */
#ifndef KMS_CRYPTO_PEM_TEXT_H
#define KMS_CRYPTO_PEM_TEXT_H

#include <stdbool.h>
#include <stddef.h>

#include "crypto/import_refusal.h"

/*
 * Return why the text is not PEM of one private key or of a curve and a
 * private key, or KMS_REFUSED_NONE if it may be.
 *
 * White space at both ends, blanks at the end of each line, and lines that end
 * in CR LF are accepted, as OpenSSL, Node and Go accept them.
 */
extern KmsImportRefusal kms_pem_text_judge(const char *pem, size_t len);

/*
 * Return whether a text that was passed as something else, such as a device
 * id, is a private key in one of these forms.
 */
extern bool kms_pem_text_is_key(const char *text, size_t len);

/* Return how many bytes of white space are at the start of the text. */
extern size_t kms_pem_text_space(const char *pem, size_t len);

#endif							/* KMS_CRYPTO_PEM_TEXT_H */
