/*
 * Find what keeps a ciphertext from being opened, for an operator whose client
 * does not work.
 *
 * A caller may learn whether a pair of digests opens the ciphertext, and
 * whether the plaintext is text.  If a block does not open, nothing may reveal
 * why: neither whether it has PKCS#1 v1.5 padding nor where its padding is
 * wrong.  Either would be an oracle, by which a caller without the right to
 * decrypt can open any ciphertext of the key, a block at a time
 * (Bleichenbacher, CRYPTO '98, for PKCS#1 v1.5; Manger, CRYPTO 2001, for
 * OAEP).  The same holds for each block that is made of what was sent, as by
 * reversing its bytes: a finding says only that it opens.
 *
 * A JWE for an RSA key must not be opened either.  Its encrypted key is a
 * block, and the caller could have made the content, under a guess of what a
 * captured block holds: whether the content opens would confirm the guess.  So
 * a finding tells only whether the encrypted key opens with the digest of
 * "alg", which a diagnosis of that block tells as well, and never what it
 * holds, not even whether it has the length of a key.
 *
 * With ECDH-ES there is no such guess, because what an encrypted key holds is
 * random and not a client's secret.  Such a JWE is tried as a whole: a finding
 * says that it opens, or that it does not, and never which part fails.
 *
 * A finding may tell what is judged without the private key, because that is
 * public.
 */
#ifndef KMS_KEYS_DIAGNOSE_H
#define KMS_KEYS_DIAGNOSE_H

#include "keys/call.h"
#include "keys/diagnose_form.h"
#include "pg/fault.h"

/*
 * Check the key, the form, the length and the digests, in the order of
 * kms_decrypt.  Stop if the remaining checks would reveal nothing.  Append the
 * results to *findings (a list of KmsFinding).
 *
 * Return the status of kms_decrypt if the key is not found or does not open.
 * If its state or expiry refuses the key, that is a finding and not a failure.
 */
extern KmsStatus kms_diagnose_ciphertext(KmsCall *call, const char *key_id,
										 const KmsSent *sent, List **findings,
										 KmsFault *fault);

#endif							/* KMS_KEYS_DIAGNOSE_H */
