/*
 * Values and blind indexes, made with Python's cryptography and hmac, not with
 * the code under test.  docs/design/field-format.md shows them, too.  Never
 * use these keys for anything else, and no nonce twice.
 */
#ifndef KMS_TEST_FIELD_VECTORS_H
#define KMS_TEST_FIELD_VECTORS_H

#include "crypto/fold.h"

/* All are hexadecimal. */
#define FIELD_KEY \
	"000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"
#define FIELD_ID "a0a1a2a3a4a5a6a7"
#define FIELD_NONCE \
	"404142434445464748494a4b4c4d4e4f5051525354555657"
#define FIELD_INDEX_KEY \
	"202122232425262728292a2b2c2d2e2f303132333435363738393a3b3c3d3e3f"

#define C_16 "63636363636363636363636363636363"
#define C_128 C_16 C_16 C_16 C_16 C_16 C_16 C_16 C_16
#define C_1024 C_128 C_128 C_128 C_128 C_128 C_128 C_128 C_128
#define S_15 "737373737373737373737373737373"
#define S_51 S_15 S_15 S_15 "737373737373"
#define S_255 S_51 S_51 S_51 S_51 S_51

typedef struct ValueVector
{
	const char *name;
	int			version;
	const char *context;
	const char *plaintext;
	const char *value;
} ValueVector;

static const ValueVector value_vectors[] = {
	{"nothing in no context", 1,
		"",
		"",
		"6b6601a0a1a2a3a4a5a6a70001404142434445464748494a4b4c4d4e4f505152"
	"53545556573bd68974b01d9ac58319ff9fdb73e494"},
	{"a tax id", 1,
		"706572736f6e2e7461785f69643a35353065383430302d653239622d34316434"
		"2d613731362d343436363535343430303030",
		"3132203334352036373820393031",
		"6b6601a0a1a2a3a4a5a6a70001404142434445464748494a4b4c4d4e4f505152"
		"53545556574ff366e0d4c6454f0e9e03b48e0b542c86cc4b0e47eaaed3dc898d"
	"c3f60d"},
	{"UTF-8 and the last version", 65535,
		"53747261c39f65",
		"4772c3bcc39f652c20e4bda0e5a5bd",
		"6b6601a0a1a2a3a4a5a6a7ffff404142434445464748494a4b4c4d4e4f505152"
		"535455565739b3856f236c005519429e2d5b9f556f36b8a34efed787dd63a3ad"
	"fe5289a7"},
	{"bytes of more than a block", 258,
		"00",
		"000102030405060708090a0b0c0d0e0f10",
		"6b6601a0a1a2a3a4a5a6a70102404142434445464748494a4b4c4d4e4f505152"
		"53545556577ec044d0e4f6637e31af2986b237e6e120841c62cd9bb0199ac25f"
	"f328230932df"},
	{"the longest context", 2,
		C_1024,
		"78",
		"6b6601a0a1a2a3a4a5a6a70002404142434445464748494a4b4c4d4e4f505152"
	"535455565706e10e3920a589e07aece0b23936e6f923"}
};

typedef struct IndexVector
{
	const char *name;
	const char *scope;
	KmsFold		fold;
	const char *text;
	const char *index;
} IndexVector;

static const IndexVector index_vectors[] = {
	{"a tax id as it is",
		"706572736f6e2e7461785f6964", KMS_FOLD_NONE,
		"3132203334352036373820393031",
	"3c4390ad24867abc24a2afe624ca5320"},
	{"its digits",
		"706572736f6e2e7461785f6964", KMS_FOLD_DIGITS,
		"3132203334352036373820393031",
	"3be94872d5c3defb9b190e679808680c"},
	{"letters and digits",
		"706572736f6e2e6962616e", KMS_FOLD_ALNUM,
		"646538392033373034203030343420303533322030313330203030",
	"32ef09a83b541a7961464c64b493e306"},
	{"the same in capitals",
		"706572736f6e2e6962616e", KMS_FOLD_ALNUM,
		"44453839333730343030343430353332303133303030",
	"32ef09a83b541a7961464c64b493e306"},
	{"nothing",
		"78", KMS_FOLD_NONE,
		"",
	"871b85014284aabc74f07fdf11de1bfc"},
	{"nothing that is left",
		"78", KMS_FOLD_DIGITS,
		"6e6f6e65",
	"62ba93f129c5e174914c3451e8275eec"},
	{"UTF-8",
		"706572736f6e2e6e616d65", KMS_FOLD_NONE,
		"4772c3bcc39f65",
	"eff280e05f1c7146013af9322b25fc1f"},
	{"UTF-8 folded",
		"706572736f6e2e6e616d65", KMS_FOLD_ALNUM,
		"4772c3bcc39f65",
	"20f0c8361815900395e43b2e9727bb6f"},
	{"the longest scope",
		S_255, KMS_FOLD_NONE,
		"78",
	"98fbd658915cb712244c19693b7e3d33"}
};

#endif							/* KMS_TEST_FIELD_VECTORS_H */
