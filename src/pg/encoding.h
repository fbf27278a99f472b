/*
 * Bytes as text: between UTF-8 and the database's encoding, and as base64.
 *
 * Plaintext goes through here.  PostgreSQL's own conversion errors show the
 * bytes, so kms_encoding_from_utf8 and kms_encoding_to_utf8 do what may raise
 * (finding a conversion, loading its library), and kms_encoding_convert never
 * raises.
 */
#ifndef KMS_PG_ENCODING_H
#define KMS_PG_ENCODING_H

#include "mb/pg_wchar.h"

/* The most bytes that a byte becomes in another encoding. */
#define KMS_ENCODING_GROWTH MAX_CONVERSION_GROWTH

typedef struct KmsEncoding
{
	int			from;			/* numbers of PostgreSQL's encodings */
	int			to;
	Oid			conversion;		/* InvalidOid: the bytes stay as they are */
} KmsEncoding;

/*
 * Find the way from UTF-8, which clients encrypt, to the database's encoding,
 * and the way back.  Return false if it takes a conversion that does not
 * exist.  SQL_ASCII takes none.
 */
extern bool kms_encoding_from_utf8(KmsEncoding *encoding);
extern bool kms_encoding_to_utf8(KmsEncoding *encoding);

/* Bytes that the converted text of "len" bytes needs, with a NUL. */
extern size_t kms_encoding_room(const KmsEncoding *encoding, size_t len);

/*
 * Convert "len" bytes.  "out" must hold kms_encoding_room() bytes ("size").
 * Return false, with "out" wiped, if "in" is not text, or has a character
 * that the other encoding lacks.  "in" is checked only if it is UTF-8.  Never
 * raises.
 */
extern bool kms_encoding_convert(const KmsEncoding *encoding,
								 const unsigned char *in, size_t len,
								 unsigned char *out, size_t size,
								 size_t *out_len);

/*
 * Decode base64 as kms_base64_normalize takes it, into palloc'd bytes; return
 * false if it is none.
 */
extern bool kms_encoding_decode_base64(const char *in, size_t in_len,
									   const unsigned char **data,
									   size_t *len);

/* Encode in the standard alphabet with padding: a palloc'd text. */
extern text *kms_encoding_encode_base64(const unsigned char *data, size_t len);

#endif							/* KMS_PG_ENCODING_H */
