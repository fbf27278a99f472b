/*
 * The order of recognition.
 *
 * Of what is packed into each other, the outermost layer must be found first,
 * and of two forms that a text may have, the one that is rarer by chance:
 *
 * 1. characters: the other families expect ASCII, and blanks for plus signs
 *	  can be found only before white space is ignored;
 * 2. foreign marks at the start: no other form begins like that by chance,
 *	  and some begin with a bracket or a brace ({cipher});
 * 3. what programs print: lists of bytes are also JSON, but JSON is not
 *	  always a list of bytes;
 * 4. JSON and quotes: the escapes inside belong to them;
 * 5. escapes, which are then the text's own;
 * 6. digits: hexadecimal digits are also base64, and each of the forms above
 *	  may be made of digits;
 * 7. a JWE with a flaw, because each of the forms above makes one.
 */
#include "crypto/looks.h"

#include "crypto/looks_family.h"

#define LOOKS_ROW(name, holds, finding, hint, sql) \
	[name] = {holds, finding, hint, sql},

static const KmsLooksRow rows[KMS_LOOKS_COUNT] = {
	KMS_LOOKS_LIST(LOOKS_ROW)
};

static KmsLooks looks_trimmed(const char *in, size_t len, size_t block,
							  KmsLooksUndone *undone);

KmsLooks
kms_looks_text(const char *in, size_t len, size_t block, KmsLooksUndone *undone)
{
	KmsLooks	looks;

	undone->len = 0;
	undone->number = 0;
	looks = kms_looks_characters(in, len, block, undone);
	if (looks != KMS_LOOKS_PLAIN)
		return looks;
	while (len > 0 && kms_looks_is_space(in[0]))
	{
		in++;
		len--;
	}
	while (len > 0 && kms_looks_is_space(in[len - 1]))
		len--;
	return looks_trimmed(in, len, block, undone);
}

static KmsLooks
looks_trimmed(const char *in, size_t len, size_t block, KmsLooksUndone *undone)
{
	KmsLooks	looks = kms_looks_foreign(in, len, undone);

	if (looks == KMS_LOOKS_PLAIN)
		looks = kms_looks_printed(in, len, undone);
	if (looks == KMS_LOOKS_PLAIN)
		looks = kms_looks_json(in, len, block, undone);
	if (looks == KMS_LOOKS_PLAIN)
		looks = kms_looks_escaped(in, len, undone);
	if (looks == KMS_LOOKS_PLAIN)
		looks = kms_looks_digits(in, len, block, undone);
	if (looks == KMS_LOOKS_PLAIN && kms_looks_foreign_begins_jwe(in, len))
		looks = KMS_LOOKS_JWE;
	return looks;
}

const KmsLooksRow *
kms_looks_row(KmsLooks looks)
{
	return &rows[looks];
}
