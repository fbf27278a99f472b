/*
 * Reading DER (X.690) element by element, without copying.
 */
#ifndef KMS_CRYPTO_DER_H
#define KMS_CRYPTO_DER_H

#include <stdbool.h>
#include <stddef.h>

/* The first byte of an element: its class, form and tag. */
#define KMS_DER_INTEGER			0x02
#define KMS_DER_BIT_STRING		0x03
#define KMS_DER_OCTET_STRING	0x04
#define KMS_DER_OID				0x06
#define KMS_DER_SEQUENCE		0x30
#define KMS_DER_CONTEXT_0		0xa0	/* constructed */
#define KMS_DER_CONTEXT_1		0xa1

/* The bytes that remain to be read, or the content of an element. */
typedef struct KmsDer
{
	const unsigned char *bytes;
	size_t		len;
} KmsDer;

/* Return true if the next element begins with this byte. */
extern bool kms_der_next_is(const KmsDer *in, int first);

/*
 * Read an element that begins with this byte.  On success *content, which may
 * be NULL, is its content, and *in is what follows it.  Return false, with *in
 * unchanged, if the next element is another one, does not end within *in, or
 * has no definite length.  May leave an error in OpenSSL's queue.
 */
extern bool kms_der_read(KmsDer *in, int first, KmsDer *content);

#endif							/* KMS_CRYPTO_DER_H */
