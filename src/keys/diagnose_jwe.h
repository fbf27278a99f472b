/*
 * Findings of kms_diagnose() about a JWE: what kms_decrypt() refuses of its
 * form, whether it or its encrypted key opens, and which key it names.
 *
 * See keys/diagnose.h for what a caller may learn.
 */
#ifndef KMS_KEYS_DIAGNOSE_JWE_H
#define KMS_KEYS_DIAGNOSE_JWE_H

#include "crypto/jwe.h"
#include "crypto/jwe_form.h"
#include "keys/call.h"
#include "keys/diagnose_form.h"
#include "keys/digest_pair.h"
#include "pg/fault.h"
#include "store/key.h"

/* A JWE that was sent, as far as it could be judged. */
typedef struct KmsDiagnoseJwe
{
	KmsJweForm	form;
	bool		has_headers;	/* they could be read */
	bool		has_other_kid;	/* "kid" does not name the key */
	const char *named;			/* the key that it names, or NULL if there is
								 * no such key */
	bool		is_supported;	/* and so are its algorithms and parts */
	bool		fits;			/* the key, too; then this is filled: */
	KmsJwe		jwe;
} KmsDiagnoseJwe;

/*
 * Judge a JWE as kms_decrypt() does, and append a finding if it would refuse
 * it.  The key need not be open.  "call" records the form.
 */
extern void kms_diagnose_jwe_judge(KmsCall *call, const KmsKeyRow *row,
								   const KmsUnpacked *sent,
								   KmsDiagnoseJwe *jwe, List **findings);

/*
 * Try to open a JWE that fits the key, append what was found, and set *opens.
 * With an RSA key only the encrypted key is tried, and if that opens, *opens
 * is KMS_OPENS_TEXT.  The plaintext is wiped and never returned.
 */
extern KmsStatus kms_diagnose_jwe_open(KmsKeyPair *key,
									   const KmsKeyRow *row,
									   const KmsUnpacked *sent,
									   const KmsDiagnoseJwe *jwe,
									   KmsOpens *opens, List **findings,
									   KmsFault *fault);

/*
 * Append a finding if "kid" of the protected header does not name the key.
 */
extern void kms_diagnose_jwe_report_kid(const KmsKeyRow *row,
										const KmsUnpacked *sent,
										const KmsDiagnoseJwe *jwe,
										KmsOpens opens, List **findings);

/*
 * Return the SQL that diagnoses the JWE with the other key that "kid" names,
 * or NULL if there is none.
 */
extern const char *kms_diagnose_jwe_sql_of_named(const KmsUnpacked *sent,
												 const KmsDiagnoseJwe *jwe);

/* Return whether a supported JWE fits a key.  Nothing is opened. */
extern bool kms_diagnose_jwe_fits(const KmsDiagnoseJwe *jwe,
								  const KmsKeyRow *row);

#endif							/* KMS_KEYS_DIAGNOSE_JWE_H */
