/*
 * The table of statuses: one row for each way in which an operation ends.
 *
 *	KMS_STATUS(name, number, kind, sqlstate, reason, message, hint)
 *
 * "number": ring files and kms.event_quarantine contain it, so it never
 * changes its meaning.  A new status takes the next number of its group.
 *
 * "kind": see KmsStatusKind.
 *
 * "reason": what the trail and the metrics show; NULL for KMS_OK.
 *
 * "message" and "hint" are raised with "sqlstate", unless the caller has found
 * a more exact message or hint.  A success is never raised; if it were, that
 * would be an internal error.  The name of a value in braces stands for a
 * space and the value, which is in double quotes if it is a name.
 *	{key}		key id; nothing if the caller does not know it
 *	{device}	device id; nothing if the caller does not know it
 *	{master}	id of the master key that is needed
 *	{month}		label of the current month, YYYY-MM
 *	{time}		time from which a retry may succeed
 *	{utc}		the same for programs: ISO 8601 in UTC, rounded up to a second
 * "hint" may be NULL, and so may be "message" if the caller always has one, or
 * if the status is never raised.
 */
#ifndef KMS_CRYPTO_STATUS_LIST_H
#define KMS_CRYPTO_STATUS_LIST_H

#define KMS_LIBRARY_FAILED "cryptographic library failed"
/*
 * The one hint for every ciphertext that is refused.  Because it never
 * differs, it reveals nothing about the cause.
 */
#define KMS_ASK_DIAGNOSE \
	"An operator who may call kms_diagnose() can run SELECT * FROM kms_diagnose(key_id, ciphertext). Pass bytes as encode(ciphertext, 'base64'); the key id of a JWE is in kms_jwe_header(jwe)."
/* The detail of each status that has a time from which a retry may succeed. */
#define KMS_RETRY_DETAIL "Retry after{utc}."
#define KMS_RESTORE_ROW \
	"The row was changed behind the extension's back; restore it from a backup, or delete the key with kms_destroy_key()."

#define KMS_FIND_KEY \
	"The key never existed, was purged, or belongs to another device than the one that was named. A key id is not a device id."

#define KMS_STATUS_LIST(KMS_STATUS) \
\
	/* The pure layer. */ \
	KMS_STATUS(KMS_OK, 0, KMS_STATUS_SUCCESS, "XX000", \
			   NULL, NULL, NULL) \
	/* Undecryptable.  A caller must not be able to tell why. */ \
	KMS_STATUS(KMS_REJECTED, 1, KMS_STATUS_OF_DATA, "KM001", \
			   "Failed to decrypt data", \
			   "failed to decrypt data", KMS_ASK_DIAGNOSE) \
	/* The length of the ciphertext is not that of the key. */ \
	KMS_STATUS(KMS_BAD_LENGTH, 2, KMS_STATUS_OF_DATA, "22023", \
			   "Invalid argument", NULL, NULL) \
	/* The plaintext is too long for the key and the digest. */ \
	KMS_STATUS(KMS_TOO_LONG, 3, KMS_STATUS_OF_CALL, "22023", \
			   "Invalid argument", NULL, NULL) \
	/* Key material is malformed or inconsistent. */ \
	KMS_STATUS(KMS_BAD_KEY, 4, KMS_STATUS_OF_CALL, "XX000", \
			   "Internal error", KMS_LIBRARY_FAILED, NULL) \
	/* A wrap or a seal does not verify. */ \
	KMS_STATUS(KMS_NOT_AUTHENTIC, 5, KMS_STATUS_OF_DATA, "XX001", \
			   "Stored key does not authenticate", \
			   "stored key{key} does not authenticate", KMS_RESTORE_ROW) \
	/* The stop callback asked for it. */ \
	KMS_STATUS(KMS_INTERRUPTED, 6, KMS_STATUS_OF_CALL, "57014", \
			   "Interrupted", \
			   "canceling key generation", NULL) \
	/* Memory, or the secure heap, is exhausted. */ \
	KMS_STATUS(KMS_NO_MEMORY, 7, KMS_STATUS_OF_CALL, "53200", \
			   "Internal error", \
			   "out of memory", \
			   "Lower kms.key_cache_size, or raise the memory-lock limit of the server.") \
	/* The library failed where it should not. */ \
	KMS_STATUS(KMS_FAILED, 8, KMS_STATUS_OF_CALL, "XX000", \
			   "Internal error", KMS_LIBRARY_FAILED, NULL) \
	/* Text or bytes do not have the required form. */ \
	KMS_STATUS(KMS_BAD_FORMAT, 9, KMS_STATUS_OF_CALL, "22023", \
			   "Invalid argument", NULL, NULL) \
	/* Wrapped under a master key that this server does not have. */ \
	KMS_STATUS(KMS_OTHER_MASTER_KEY, 10, KMS_STATUS_OF_CALL, "KM007", \
			   "Master key is not available", \
			   "key{key} was wrapped under master key{master}, which this server does not have", \
			   "Add that master key to what kms.master_key_file or kms.master_key_command gives, below the current one, and reload the server.") \
	/* OpenSSL's providers do not have X25519. */ \
	KMS_STATUS(KMS_NO_X25519, 11, KMS_STATUS_OF_CALL, "0A000", \
			   "X25519 is not available", \
			   "OpenSSL does not offer X25519", \
			   "Look at the providers that openssl.cnf activates for the server, or use keys of EC-P256.") \
\
	/* A call of the service. */ \
	KMS_STATUS(KMS_KEY_NOT_FOUND, 32, KMS_STATUS_OF_DATA, "KM002", \
			   "Encryption key not found", \
			   "encryption key{key} not found", KMS_FIND_KEY) \
	KMS_STATUS(KMS_KEY_EXPIRED, 33, KMS_STATUS_OF_DATA, "KM003", \
			   "Encryption key has expired", \
			   "encryption key{key} has expired", NULL) \
	KMS_STATUS(KMS_KEY_DISABLED, 34, KMS_STATUS_OF_DATA, "KM004", \
			   "Encryption key is disabled", \
			   "encryption key{key} is disabled", NULL) \
	KMS_STATUS(KMS_KEY_REVOKED, 35, KMS_STATUS_OF_DATA, "KM004", \
			   "Encryption key is revoked", \
			   "encryption key{key} is revoked", NULL) \
	KMS_STATUS(KMS_KEY_PENDING_DELETION, 36, KMS_STATUS_OF_DATA, "KM004", \
			   "Encryption key is pending deletion", \
			   "encryption key{key} is pending deletion", NULL) \
	KMS_STATUS(KMS_KEY_DEPRECATED, 37, KMS_STATUS_OF_DATA, "KM004", \
			   "Encryption key is deprecated", \
			   "encryption key{key} is deprecated", NULL) \
	KMS_STATUS(KMS_RATE_LIMITED, 38, KMS_STATUS_OF_CALL, "KM005", \
			   "Rate limit for key generation exceeded", \
			   "rate limit for key generation exceeded for device{device}", \
			   "Try again after{time}.") \
	KMS_STATUS(KMS_TOO_LARGE, 39, KMS_STATUS_OF_DATA, "KM006", \
			   "Encrypted data size exceeds limit", \
			   "encrypted data size exceeds limit", NULL) \
	KMS_STATUS(KMS_NO_MASTER_KEY, 40, KMS_STATUS_OF_CALL, "KM007", \
			   "Master key is not available", \
			   "master key is not available", \
			   "Set kms.master_key_file or kms.master_key_command in postgresql.conf and reload the server; kms_check(), kms_master_key_status() and the server log say what is wrong.") \
	KMS_STATUS(KMS_INVALID_ARGUMENT, 41, KMS_STATUS_OF_CALL, "22023", \
			   "Invalid argument", NULL, NULL) \
	/* An argument is invalid, and it is the ciphertext. */ \
	KMS_STATUS(KMS_BAD_CIPHERTEXT, 42, KMS_STATUS_OF_DATA, "22023", \
			   "Invalid argument", NULL, KMS_ASK_DIAGNOSE) \
	KMS_STATUS(KMS_NOT_TEXT, 43, KMS_STATUS_OF_DATA, "22021", \
			   "Plaintext is not text", \
			   "decrypted data is not text in the database's encoding", \
			   "Use kms_decrypt_bytea() for binary data.") \
	/* A change whose transaction was rolled back. */ \
	KMS_STATUS(KMS_ROLLED_BACK, 44, KMS_STATUS_OF_CALL, "XX000", \
			   "Rolled back", NULL, NULL) \
	/* Another error ended the call, as a cancel does. */ \
	KMS_STATUS(KMS_UNFINISHED, 45, KMS_STATUS_OF_CALL, "XX000", \
			   "Interrupted", NULL, NULL) \
	/* Everything was already as requested. */ \
	KMS_STATUS(KMS_UNCHANGED, 46, KMS_STATUS_SUCCESS, "XX000", \
			   "No change", NULL, NULL) \
	/* The state of the key does not allow the transition. */ \
	KMS_STATUS(KMS_WRONG_STATE, 47, KMS_STATUS_OF_CALL, "KM004", \
			   "Encryption key is in another state", \
			   NULL, NULL) \
	/* A secret does not match its hash. */ \
	KMS_STATUS(KMS_MISMATCH, 48, KMS_STATUS_OF_CALL, "XX000", \
			   "Secret does not match", NULL, NULL) \
	KMS_STATUS(KMS_LOCKED_OUT, 49, KMS_STATUS_OF_CALL, "KM009", \
			   "Too many failed attempts", \
			   "too many failed attempts", \
			   "Try again after{time}.") \
	KMS_STATUS(KMS_NO_TLS, 50, KMS_STATUS_OF_CALL, "28000", \
			   "TLS is required", \
			   "plaintext is returned over TLS only", \
			   "Connect with TLS (sslmode=verify-full), or through a local socket.") \
	/* A hash names a pepper that this database does not have. */ \
	KMS_STATUS(KMS_NO_PEPPER, 51, KMS_STATUS_OF_CALL, "XX001", \
			   "Stored pepper not found", NULL, NULL) \
	/* No master key has the label of this month. */ \
	KMS_STATUS(KMS_NO_MONTH_KEY, 52, KMS_STATUS_OF_CALL, "KM007", \
			   "Master key is not available", \
			   "no master key is labelled{month}, the month in which this key is made", \
			   "kms.master_key_epochs is on: add a line with that label, a colon and a new key of 64 hexadecimal digits to the master keys, and reload the server.") \
	/* The event of the call is not durable. */ \
	KMS_STATUS(KMS_NOT_AUDITED, 53, KMS_STATUS_OF_CALL, "KM008", \
			   "Operation could not be audited", \
			   "operation could not be audited", NULL) \
\
	/* Fields. */ \
	KMS_STATUS(KMS_FIELD_KEY_NOT_FOUND, 54, KMS_STATUS_OF_DATA, "KM002", \
			   "Field key not found", \
			   "field key not found", \
			   "kms.field_keys lists the field keys.") \
	/* A version, a field key or its field. */ \
	KMS_STATUS(KMS_FIELD_KEY_DESTROYED, 55, KMS_STATUS_OF_DATA, "KM002", \
			   "Field key was destroyed", NULL, NULL) \
	KMS_STATUS(KMS_FIELD_KEY_DISABLED, 56, KMS_STATUS_OF_DATA, "KM004", \
			   "Field key is disabled", NULL, NULL) \
	KMS_STATUS(KMS_NO_RIGHT, 57, KMS_STATUS_OF_CALL, "42501", \
			   "Permission denied", NULL, NULL) \
	/* An argument is invalid, and it is the stored value. */ \
	KMS_STATUS(KMS_BAD_FIELD_VALUE, 58, KMS_STATUS_OF_DATA, "22023", \
			   "Invalid argument", NULL, NULL) \
	/* The state of the field key does not allow the change. */ \
	KMS_STATUS(KMS_FIELD_KEY_STATE, 59, KMS_STATUS_OF_CALL, "55000", \
			   "Field key is in another state", NULL, NULL)

#endif							/* KMS_CRYPTO_STATUS_LIST_H */
