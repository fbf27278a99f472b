#include "postgres.h"

#include "keys/kind.h"

#include "pg/settings.h"

#define NO_DIGEST "none"		/* in a row: the key does not use OAEP */

static bool has_digest(const char *stored, KmsDigest named);
static KmsStatus complete_digests(KmsKeyType type, KmsKind *kind,
								  KmsFault *fault);
static KmsStatus check_digests(KmsKeyType type, const KmsKind *kind,
							   KmsFault *fault);
static void fill_digest(KmsDigest digest, char *stored, size_t size);

bool
kms_kind_matches(const KmsKind *named, const KmsKeyRow *row)
{
	return (named->algorithm == KMS_ALGORITHM_NONE ||
			strcmp(row->algorithm,
				   kms_key_algorithm_name(named->algorithm)) == 0) &&
		has_digest(row->oaep_hash, named->oaep_hash) &&
		has_digest(row->mgf1_hash, named->mgf1_hash);
}

static bool
has_digest(const char *stored, KmsDigest named)
{
	return named == KMS_DIGEST_NONE ||
		strcmp(stored, kms_digest_name(named)) == 0;
}

KmsStatus
kms_kind_check(const KmsKind *named, KmsFault *fault)
{
	return check_digests(kms_key_algorithm_type(named->algorithm), named,
						 fault);
}

KmsStatus
kms_kind_complete(const KmsKind *named, KmsKind *kind, KmsFault *fault)
{
	*kind = *named;
	if (kind->algorithm == KMS_ALGORITHM_NONE)
		kind->algorithm = (KmsKeyAlgorithm) kms_key_algorithm;
	return complete_digests(kms_key_algorithm_type(kind->algorithm), kind,
							fault);
}

static KmsStatus
complete_digests(KmsKeyType type, KmsKind *kind, KmsFault *fault)
{
	KmsStatus	status = check_digests(type, kind, fault);

	if (status != KMS_OK || type != KMS_TYPE_RSA)
		return status;
	if (kind->oaep_hash == KMS_DIGEST_NONE)
		kind->oaep_hash = (KmsDigest) kms_oaep_hash;
	if (kind->mgf1_hash == KMS_DIGEST_NONE)
		kind->mgf1_hash = kind->oaep_hash;
	return status;
}

/* "type" is NONE if it is not known. */
static KmsStatus
check_digests(KmsKeyType type, const KmsKind *kind, KmsFault *fault)
{
	if (type == KMS_TYPE_NONE || type == KMS_TYPE_RSA ||
		(kind->oaep_hash == KMS_DIGEST_NONE &&
		 kind->mgf1_hash == KMS_DIGEST_NONE))
		return kms_fault(fault, KMS_OK);
	return kms_fault_argument(fault, "keys of this algorithm have no digests",
							  "EC-P256 and X25519 keys are not used with OAEP.",
							  "Leave out oaep_hash and mgf1_hash, or name an RSA algorithm.");
}

void
kms_kind_fill(const KmsKind *kind, KmsKeyRow *row)
{
	strlcpy(row->algorithm, kms_key_algorithm_name(kind->algorithm),
			sizeof(row->algorithm));
	fill_digest(kind->oaep_hash, row->oaep_hash, sizeof(row->oaep_hash));
	fill_digest(kind->mgf1_hash, row->mgf1_hash, sizeof(row->mgf1_hash));
}

static void
fill_digest(KmsDigest digest, char *stored, size_t size)
{
	const char *name = kms_digest_name(digest);

	strlcpy(stored, name != NULL ? name : NO_DIGEST, size);
}

KmsStatus
kms_kind_fill_digests(KmsKeyType type, const KmsKind *named, KmsKeyRow *row,
					  KmsFault *fault)
{
	KmsKind		kind = *named;
	KmsStatus	status = complete_digests(type, &kind, fault);

	if (status == KMS_OK)
	{
		fill_digest(kind.oaep_hash, row->oaep_hash, sizeof(row->oaep_hash));
		fill_digest(kind.mgf1_hash, row->mgf1_hash, sizeof(row->mgf1_hash));
	}
	else
		fault->hint = "Leave out oaep_hash and mgf1_hash for this key.";
	return status;
}

bool
kms_kind_of(const KmsKeyRow *row, KmsKind *kind)
{
	kind->algorithm = kms_key_algorithm_by_name(row->algorithm);
	kind->oaep_hash = kms_digest_by_name(row->oaep_hash);
	kind->mgf1_hash = kms_digest_by_name(row->mgf1_hash);
	return kind->algorithm != KMS_ALGORITHM_NONE;
}

bool
kms_kind_same(const KmsKeyRow *a, const KmsKeyRow *b)
{
	return strcmp(a->algorithm, b->algorithm) == 0 &&
		strcmp(a->oaep_hash, b->oaep_hash) == 0 &&
		strcmp(a->mgf1_hash, b->mgf1_hash) == 0;
}
