/*
 * The kind of a key: its algorithm and its digests for OAEP and MGF1, which
 * are stated when it is made.  A device has at most one active, unexpired key
 * of each kind.
 */
#ifndef KMS_KEYS_KIND_H
#define KMS_KEYS_KIND_H

#include "crypto/digest.h"
#include "crypto/key_algorithm.h"
#include "pg/fault.h"
#include "store/key.h"

/* A kind, or the properties of one that a caller named. */
typedef struct KmsKind
{
	KmsKeyAlgorithm algorithm;	/* NONE: not named */
	KmsDigest	oaep_hash;		/* NONE: not named, or a key without OAEP */
	KmsDigest	mgf1_hash;		/* the same */
} KmsKind;

/* Return whether the row has every property that was named. */
extern bool kms_kind_matches(const KmsKind *named, const KmsKeyRow *row);

/*
 * Return KMS_INVALID_ARGUMENT if no key can have the named properties: a
 * digest and an algorithm without OAEP.
 */
extern KmsStatus kms_kind_check(const KmsKind *named, KmsFault *fault);

/*
 * Complete the properties for a new key: NULL ones come from kms.key_algorithm
 * and kms.oaep_hash, and the digest of MGF1 from that of OAEP.  Return
 * KMS_INVALID_ARGUMENT as kms_kind_check does, also if that is the algorithm
 * of the setting.
 */
extern KmsStatus kms_kind_complete(const KmsKind *named, KmsKind *kind,
								   KmsFault *fault);

/* Write the kind into a row. */
extern void kms_kind_fill(const KmsKind *kind, KmsKeyRow *row);

/*
 * Read the kind of a row.  Return false if no key of that kind can be made
 * here, because it is an imported RSA key of another size.
 */
extern bool kms_kind_of(const KmsKeyRow *row, KmsKind *kind);

/* Return whether two keys are of the same kind. */
extern bool kms_kind_same(const KmsKeyRow *a, const KmsKeyRow *b);

/*
 * Write the digests of a new or imported key of this type: those that were
 * named, or the defaults.  Return KMS_INVALID_ARGUMENT as kms_kind_complete
 * does.
 */
extern KmsStatus kms_kind_fill_digests(KmsKeyType type, const KmsKind *named,
									   KmsKeyRow *row, KmsFault *fault);

#endif							/* KMS_KEYS_KIND_H */
