/*
 * Looking for what keeps a ciphertext from being opened, for the operator
 * whose client does not work.
 *
 * A caller may be told whether a pair of digests opens the ciphertext, and
 * whether the plaintext is text.  Nothing here may tell of a block that does
 * not open why it does not: not whether it has the padding of PKCS#1 v1.5,
 * nor where its padding is wrong.  Either would be an oracle by which any
 * ciphertext of the key is opened, a block at a time, with no right to
 * decrypt (Bleichenbacher, CRYPTO '98, for PKCS#1 v1.5; Manger, CRYPTO 2001,
 * for OAEP).
 */
#ifndef KMS_KEYS_DIAGNOSE_H
#define KMS_KEYS_DIAGNOSE_H

#include "keys/call.h"
#include "keys/diagnose_form.h"
#include "pg/fault.h"

/*
 * Look in the order in which kms_decrypt does, at the key, the form, the
 * length and the digests, and stop where what follows would tell nothing.
 * Append what is found to *findings (of KmsFinding).
 *
 * Fails as kms_decrypt does if the key is not found or does not open; a state
 * or an expiry that refuses the key is a finding and not a failure.
 */
extern KmsStatus kms_diagnose_ciphertext(KmsCall *call, const char *key_id,
										 const KmsSent *sent, List **findings,
										 KmsFault *fault);

#endif							/* KMS_KEYS_DIAGNOSE_H */
