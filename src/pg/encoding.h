/*
 * Text as bytes: conversion between UTF-8 and the database's encoding, and
 * base64.
 *
 * The text may be plaintext, and PostgreSQL's own conversion errors show the
 * bytes.  So the steps that may raise an error (finding a conversion, loading
 * its library) are in kms_encoding_from_utf8 and kms_encoding_to_utf8, and
 * kms_encoding_convert never raises one.
 */
#ifndef KMS_PG_ENCODING_H
#define KMS_PG_ENCODING_H

#include "mb/pg_wchar.h"

/* The most bytes that one byte can become in another encoding. */
#define KMS_ENCODING_GROWTH MAX_CONVERSION_GROWTH

typedef struct KmsEncoding
{
	int			from;			/* PostgreSQL's numbers of the encodings */
	int			to;
	Oid			conversion;		/* InvalidOid if the bytes stay as they are */
} KmsEncoding;

/*
 * Find the conversion from UTF-8, in which clients encrypt, to the database's
 * encoding, or back.  Return false if a conversion is needed that does not
 * exist.  SQL_ASCII needs none.
 */
extern bool kms_encoding_from_utf8(KmsEncoding *encoding);
extern bool kms_encoding_to_utf8(KmsEncoding *encoding);

/* Return true if the text is ASCII, and so the same in every encoding. */
extern bool kms_encoding_is_ascii(const char *in, size_t len);

/*
 * Return the bytes that the converted text of "len" bytes needs, with a NUL.
 */
extern size_t kms_encoding_room(const KmsEncoding *encoding, size_t len);

/*
 * Convert "len" bytes.  "out" must hold kms_encoding_room() bytes ("size").
 * Return false, with "out" wiped, if "in" is not text or has a character that
 * the other encoding does not have.  "in" is checked only if it is UTF-8.
 * Raises no error.
 */
extern bool kms_encoding_convert(const KmsEncoding *encoding,
								 const unsigned char *in, size_t len,
								 unsigned char *out, size_t size,
								 size_t *out_len);

/*
 * Decode base64 in any form that kms_base64_normalize accepts, into palloc'd
 * bytes.  Return false if it is not base64.
 */
extern bool kms_encoding_decode_base64(const char *in, size_t in_len,
									   const unsigned char **data,
									   size_t *len);

/* Encode in the standard alphabet with padding.  Return a palloc'd text. */
extern text *kms_encoding_encode_base64(const unsigned char *data, size_t len);

/*
 * Encode in base64url without padding (RFC 7515, 2), with a NUL at the end.
 * Return the length without it.  "out" must hold kms_encoding_url_room()
 * bytes.  Raises no error.
 */
extern size_t kms_encoding_url_room(size_t len);
extern size_t kms_encoding_encode_url(const void *data, size_t len, char *out);

#endif							/* KMS_PG_ENCODING_H */
