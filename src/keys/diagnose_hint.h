/*
 * Hints of kms_diagnose().
 *
 * Each hint ends in one of two ways: with "SQL:" and an expression to
 * evaluate, or with KMS_NOTHING_CAN_BE_DONE.  The expression expects the
 * arguments of kms_diagnose() in two columns, key_id and ciphertext.  The call
 * that decrypts names the key itself, so that it also holds in a diagnosis to
 * which a hint has led.
 */
#ifndef KMS_KEYS_DIAGNOSE_HINT_H
#define KMS_KEYS_DIAGNOSE_HINT_H

#include "nodes/pg_list.h"

#define KMS_NOTHING_CAN_BE_DONE "kms can do nothing with it."

/*
 * Append a finding whose hint ends with SQL, or with KMS_NOTHING_CAN_BE_DONE
 * if "sql" is NULL.  The strings are not copied.
 */
extern void kms_diagnose_hint_add(List **findings, const char *finding,
								  const char *hint, const char *sql);

/*
 * Return a text in which "in" stands for <in> and the number for <n>.  "in"
 * may be NULL if the text has no <in>.
 */
extern char *kms_diagnose_hint_expand(const char *template, const char *in,
									  size_t number);

#endif							/* KMS_KEYS_DIAGNOSE_HINT_H */
