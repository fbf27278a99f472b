#include <stdlib.h>

#include "crypto/mask.h"
#include "tap.h"

#define HEX16 "0123456789abcdef"
#define HEX64 HEX16 HEX16 HEX16 HEX16
#define X64 "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"
#define X512 X64 X64 X64 X64 X64 X64 X64 X64

typedef struct MaskCase
{
	const char *in;
	const char *out;			/* lines with "|" behind each */
	const char *name;
} MaskCase;

static const MaskCase cases[] = {
	{"", "", "nothing"},
	{"\n\n\r\n", "", "empty lines"},
	{"gpg: no key\n", "gpg: no key|", "a line"},
	{"one\ntwo", "one|two|", "a last line without an end"},
	{"one\r\ntwo\r\n", "one|two|", "CR LF"},
	{"10%\r20%\rdone\n", "10%|20%|done|", "CR alone"},
	{HEX16 HEX16 HEX16 "0123456789abcde\rf",
	HEX16 HEX16 HEX16 "0123456789abcde|f|", "CR between digits"},
	{"a\tb\033[1m\001\177\303\244", "a b?[1m????|", "what is not printable"},
	{HEX64, "[not shown]|", "a key"},
	{"+ printf %s " HEX64 "\n", "+ printf %s [not shown]|", "a traced key"},
	{HEX64 HEX64 "0\n", "[not shown]|", "a longer run"},
	{HEX64 "," HEX64 "\n" HEX64 "\n",
	"[not shown],[not shown]|[not shown]|", "several keys"},
	{"label:" HEX64 " # x", "label:[not shown] # x|", "a line of a file"},
	{"0123456789ABCDEF" HEX16 HEX16 HEX16, "[not shown]|", "upper case"},
	{HEX16 HEX16 HEX16 "0123456789abcde\n",
	HEX16 HEX16 HEX16 "0123456789abcde|", "a digit less"},
	{HEX16 HEX16 "-" HEX16 HEX16, HEX16 HEX16 "-" HEX16 HEX16 "|",
	"two halves"},
	{X512 "y\n", X512 "|y|", "a long line"},
	{X512 "\nz", X512 "|z|", "a line of just that length"},
	{X64 X64 X64 X64 X64 X64 X64 "xxxxxxxxxxxxxxxx" HEX64 "z",
		X64 X64 X64 X64 X64 X64 X64 "xxxxxxxxxxxxxxxx[not shown]z|",
	"a key at the end of a long line"},
	{X512 HEX64 "\n", X512 "|[not shown]|", "a key behind it"}
};

/* The lines that come of pieces of this size. */
static const char *
lines(const char *in, size_t len, size_t size, size_t limit, KmsMask *mask)
{
	static char out[4096];
	size_t		at = 0;
	size_t		end = 0;
	size_t		used;

	out[0] = '\0';
	kms_mask_begin(mask, limit);
	while (at < len)
	{
		size_t		piece = len - at < size ? len - at : size;

		if (kms_mask_take(mask, in + at, piece, &used))
			end += (size_t) snprintf(out + end, sizeof(out) - end, "%s|",
									 mask->line);
		at += used;
	}
	if (kms_mask_end(mask))
		snprintf(out + end, sizeof(out) - end, "%s|", mask->line);
	return out;
}

static void
test_lines(void)
{
	static const size_t sizes[] = {1, 7, 63, 64, 65, 4096};
	KmsMask		mask;
	size_t		i;
	size_t		j;

	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
	{
		for (j = 0; j < sizeof(sizes) / sizeof(sizes[0]); j++)
		{
			const char *out = lines(cases[i].in, strlen(cases[i].in),
									sizes[j], 8192, &mask);

			check(strcmp(out, cases[i].out) == 0, "%s, in pieces of %d: %s",
				  cases[i].name, (int) sizes[j], out);
			check(!mask.cut, "nothing is left out");
		}
	}
}

static void
test_limit(void)
{
	KmsMask		mask;
	size_t		i;
	const char *out;

	for (i = 0; i < 300; i++)
	{
		const char *in = "some words\nof " HEX64 "\nand " HEX16 " so on";

		out = lines(in, strlen(in), 5, i, &mask);
		check(mask.cut == (i < 50), "a limit of %d", (int) i);
		check(strstr(out, "0123456789abcdef0") == NULL, "no key is shown");
	}
	out = lines("abc\ndef\nghi\n", 12, 12, 7, &mask);
	check(strcmp(out, "abc|def|g|") == 0 && mask.cut,
		  "the limit counts all output: %s", out);
	out = lines(HEX64, 64, 64, 0, &mask);
	check(strcmp(out, "") == 0 && mask.cut, "none");
}

static void
test_wiped(void)
{
	KmsMask		mask;

	(void) lines(HEX16, 16, 16, 100, &mask);
	check(memcmp(mask.run, HEX16, 8) != 0, "digits held back are wiped");
	(void) lines("0" HEX64, 65, 65, 100, &mask);
	check(memcmp(mask.run, "0" HEX16, 8) != 0, "digits of a key are wiped");
}

int
main(void)
{
	test_lines();
	test_limit();
	test_wiped();
	return tap_done();
}
