#include <limits.h>

#include <openssl/asn1.h>

#include "crypto/der.h"

bool
kms_der_next_is(const KmsDer *in, int first)
{
	return in->len > 0 && in->bytes[0] == first;
}

bool
kms_der_read(KmsDer *in, int first, KmsDer *content)
{
	const unsigned char *at = in->bytes;
	long		size;
	int			tag;
	int			class;
	int			form;

	if (!kms_der_next_is(in, first) || in->len > INT_MAX)
		return false;
	form = ASN1_get_object(&at, &size, &tag, &class, (long) in->len);
	if ((form & ~V_ASN1_CONSTRUCTED) != 0)
		return false;
	if (content != NULL)
	{
		content->bytes = at;
		content->len = (size_t) size;
	}
	at += size;
	in->len -= (size_t) (at - in->bytes);
	in->bytes = at;
	return true;
}
