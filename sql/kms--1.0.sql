/* kms 1.0: a key management service inside the database */

-- complain if script is sourced in psql, rather than via CREATE EXTENSION
\echo Use "CREATE EXTENSION kms" to load this file. \quit

/* Says what to do instead if there is a schema kms, or is to be one. */
CREATE FUNCTION @extschema@.kms_begin_script() RETURNS void
AS 'MODULE_PATHNAME', 'kms_api_begin_script'
LANGUAGE C VOLATILE STRICT PARALLEL UNSAFE COST 1000;

REVOKE ALL ON FUNCTION @extschema@.kms_begin_script FROM PUBLIC;

COMMENT ON FUNCTION @extschema@.kms_begin_script IS
'what the script needs is there';

SELECT @extschema@.kms_begin_script();

DROP FUNCTION @extschema@.kms_begin_script();

CREATE SCHEMA kms;

REVOKE ALL ON SCHEMA kms FROM PUBLIC;

COMMENT ON SCHEMA kms IS 'tables and views of the key management service';

/*
 * Tables.
 *
 * kms.key is narrow: what changes in the life of a key and what each call
 * reads.  kms.key_secret holds the large, constant bytes; a sweep over many
 * keys does not rewrite them.  State, times, version and seal are written by
 * the C code only; a row edited by hand no longer authenticates (XX001).
 *
 * Each change of a key changes its state, which is indexed, so no update is
 * HOT and room left in pages would save nothing: the fillfactor is 100.
 * Vacuum comes after a change of 2 %, of ten million keys after 200,000, which
 * is most of a day's expiries; with the default of 20 % the sweeps would walk
 * over a week's dead entries of the indexes.  Rows are not frozen early:
 * before they are 50,000,000 transactions old most are purged.
 */
CREATE TABLE kms.key (
	key_id text COLLATE "C" NOT NULL,
	device_id text COLLATE "C" NOT NULL,
	app_version text COLLATE "C",
	algorithm text COLLATE "C" NOT NULL,
	oaep_hash text COLLATE "C" NOT NULL,
	origin text COLLATE "C" NOT NULL,
	state text COLLATE "C" NOT NULL,
	prior_state text COLLATE "C",
	state_reason text COLLATE "C",
	created_at timestamptz NOT NULL,
	expires_at timestamptz NOT NULL,
	state_changed_at timestamptz NOT NULL,
	delete_at timestamptz,
	row_version bigint NOT NULL,
	seal bytea,
	tried_at timestamptz,
	CONSTRAINT key_pkey PRIMARY KEY (key_id),
	CONSTRAINT key_origin_check CHECK (origin OPERATOR(pg_catalog.=) ANY
		('{generated,replacement,imported}'::pg_catalog.text[])),
	CONSTRAINT key_state_check CHECK (state OPERATOR(pg_catalog.=) ANY
		('{active,deprecated,disabled,revoked,pending_deletion}'::pg_catalog.text[]))
) WITH (autovacuum_vacuum_scale_factor = 0.02,
		autovacuum_analyze_scale_factor = 0.02);

ALTER TABLE kms.key ALTER COLUMN seal SET STORAGE PLAIN;
ALTER TABLE kms.key ALTER COLUMN seal SET STATISTICS 0;

-- a device's keys, newest last: issuing, rotating, the rate limit
CREATE INDEX key_device_idx ON kms.key (device_id, created_at);
-- what expires, and what is purged when
CREATE INDEX key_expiry_idx ON kms.key (state, expires_at);
CREATE INDEX key_delete_idx ON kms.key (delete_at)
	WHERE delete_at IS NOT NULL;
-- what maintenance could not deal with, as a foreign key refers to it, say
CREATE INDEX key_tried_idx ON kms.key (tried_at) WHERE tried_at IS NOT NULL;

COMMENT ON TABLE kms.key IS
'one row a key: device, state, times; authenticated by its seal. Foreign keys of users'' tables refer to this one';

/*
 * No foreign key: pg_restore --jobs would load the two tables side by side.
 * The fingerprint of the master key is that in the wrap itself.
 */
CREATE TABLE kms.key_secret (
	key_id text COLLATE "C" NOT NULL,
	public_key bytea NOT NULL,
	wrapped_key bytea NOT NULL,
	master_key_id bytea GENERATED ALWAYS AS
		(pg_catalog.substr(wrapped_key, 2, 8)) STORED,
	CONSTRAINT key_secret_pkey PRIMARY KEY (key_id)
) WITH (toast_tuple_target = 8160, autovacuum_vacuum_scale_factor = 0.02);

ALTER TABLE kms.key_secret ALTER COLUMN public_key SET STORAGE EXTERNAL;
ALTER TABLE kms.key_secret ALTER COLUMN wrapped_key SET STORAGE EXTERNAL;
ALTER TABLE kms.key_secret ALTER COLUMN public_key SET STATISTICS 0;
ALTER TABLE kms.key_secret ALTER COLUMN wrapped_key SET STATISTICS 0;
ALTER TABLE kms.key_secret ALTER COLUMN master_key_id SET STATISTICS 0;

-- what is under a master key: how much, and what is to be wrapped anew
CREATE INDEX key_secret_master_key_idx ON kms.key_secret (master_key_id);

COMMENT ON TABLE kms.key_secret IS
'public keys (SPKI DER) and wrapped private keys, which open only under the master key';

/*
 * Keys that are to become a device's.  "home" is the database that made them,
 * so that no other uses a copy: system identifier, timeline, OID.
 */
CREATE TABLE kms.pool_key (
	pool_key_id text COLLATE "C" NOT NULL,
	home text COLLATE "C" NOT NULL,
	algorithm text COLLATE "C" NOT NULL,
	created_at timestamptz NOT NULL,
	public_key bytea NOT NULL,
	wrapped_key bytea NOT NULL,
	CONSTRAINT pool_key_pkey PRIMARY KEY (pool_key_id)
) WITH (toast_tuple_target = 8160, autovacuum_vacuum_scale_factor = 0,
		autovacuum_vacuum_threshold = 100);

ALTER TABLE kms.pool_key ALTER COLUMN public_key SET STORAGE EXTERNAL;
ALTER TABLE kms.pool_key ALTER COLUMN wrapped_key SET STORAGE EXTERNAL;
ALTER TABLE kms.pool_key ALTER COLUMN public_key SET STATISTICS 0;
ALTER TABLE kms.pool_key ALTER COLUMN wrapped_key SET STATISTICS 0;

COMMENT ON TABLE kms.pool_key IS
'ready-made keys that no device has yet: public key (SPKI DER) and wrapped private key. Not dumped: it is filled again';

/*
 * What denies the use of a key whose row could not be changed at once: the
 * master key is missing, or another transaction has the row.  Maintenance
 * brings it into the row.  Deny means: disabled, revoked, pending_deletion.
 */
CREATE TABLE kms.denial (
	denial_id bigint GENERATED ALWAYS AS IDENTITY,
	key_id text COLLATE "C" NOT NULL,
	state text COLLATE "C" NOT NULL,
	reason text COLLATE "C",
	denied_at timestamptz NOT NULL,
	delete_at timestamptz,
	CONSTRAINT denial_pkey PRIMARY KEY (denial_id),
	CONSTRAINT denial_state_check CHECK (state OPERATOR(pg_catalog.=) ANY
		('{disabled,revoked,pending_deletion}'::pg_catalog.text[])),
	CONSTRAINT denial_delete_at_check CHECK
		((state OPERATOR(pg_catalog.=) 'pending_deletion')
		 OPERATOR(pg_catalog.=) (delete_at IS NOT NULL))
) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 0);

CREATE INDEX denial_key_idx ON kms.denial (key_id);

COMMENT ON TABLE kms.denial IS
'keys that were disabled, revoked or scheduled for deletion and whose rows do not say so yet; in force from its commit';

/*
 * What hashes of secrets are made with, named in each hash.  A lost row makes
 * every hash that names it worthless.
 */
CREATE TABLE kms.pepper (
	pepper_id text COLLATE "C" NOT NULL,
	created_at timestamptz NOT NULL,
	wrapped bytea NOT NULL,
	CONSTRAINT pepper_pkey PRIMARY KEY (pepper_id)
);

COMMENT ON TABLE kms.pepper IS
'wrapped peppers of kms_hash_secret, which open only under the master key';

/*
 * What the trail is signed with.  The public key is authenticated by the
 * wrap, which holds its SHA-256.
 */
CREATE TABLE kms.audit_key (
	signing_key_id text COLLATE "C" NOT NULL,
	created_at timestamptz NOT NULL,
	wrapped_key bytea NOT NULL,
	public_key bytea NOT NULL,
	CONSTRAINT audit_key_pkey PRIMARY KEY (signing_key_id)
);

COMMENT ON TABLE kms.audit_key IS
'Ed25519 keys that sign the trail: public keys (SPKI DER) and wrapped private keys, which open only under the master key';

/*
 * The trail.  (epoch, ticket) identifies an event; tickets are given by the
 * one writer of a database, count up over all epochs and have no gaps, so the
 * trail is read in their order.  "context" is what the caller said with the
 * call: the reason of a revoke, the subject of a verify; "audit_context" what
 * his application set for the transaction.
 *
 * Three roles tell who asked: "session_role" logged in, "caller_role" is that
 * after SET ROLE, outside of SECURITY DEFINER, and "effective_role" is whose
 * rights the call had.  "calls" is how many calls the row stands for; in a gap
 * how many events were lost, 0 if that is not known.  "form" is reserved: the
 * form of what was sent.
 *
 * "hash" begins with a format byte; it covers the row and the one before it; what a device can be forgotten
 * of (device_id, client_addr, context, audit_context, and the reason of a
 * success, which is the caller's) through a salt, so that it can go: then
 * "forgotten" stands for it.  A row of the writer has a hash, and one of the two.
 */
CREATE TABLE kms.event (
	epoch bigint NOT NULL,
	ticket bigint NOT NULL,
	occurred_at timestamptz NOT NULL,
	operation text COLLATE "C" NOT NULL,
	status text COLLATE "C" NOT NULL,
	reason text COLLATE "C",
	duration_ms double precision,
	key_id text COLLATE "C",
	device_id text COLLATE "C",
	session_role text COLLATE "C",
	effective_role text COLLATE "C",
	client_addr text COLLATE "C",
	application_name text COLLATE "C",
	context text COLLATE "C",
	audit_context text COLLATE "C",
	salt bytea,
	hash bytea,
	forgotten bytea,
	caller_role text COLLATE "C",
	calls bigint NOT NULL DEFAULT 1,
	form text COLLATE "C",
	CONSTRAINT event_pkey PRIMARY KEY (ticket, epoch)
) WITH (autovacuum_vacuum_scale_factor = 0.02,
		autovacuum_vacuum_insert_scale_factor = 0.1);

CREATE INDEX event_key_idx ON kms.event (key_id, occurred_at)
	WHERE key_id IS NOT NULL;
CREATE INDEX event_time_idx ON kms.event (occurred_at);
-- failed decrypts, from which problematic keys are found
CREATE INDEX event_decrypt_failure_idx ON kms.event (occurred_at)
	WHERE operation OPERATOR(pg_catalog.=) 'decrypt'
		AND status OPERATOR(pg_catalog.=) 'failure';

-- changes of a key in their order, its end too, and keys that were ever denied,
-- which kms_check() compares with their rows
CREATE INDEX event_change_idx ON kms.event (key_id, ticket)
	WHERE status OPERATOR(pg_catalog.=) 'success'
		AND operation OPERATOR(pg_catalog.=) ANY
		('{generate,rotate,import,deprecate,disable,enable,revoke,schedule_deletion,cancel_deletion,destroy,purge}'::pg_catalog.text[]);
CREATE INDEX event_denial_idx ON kms.event (key_id)
	WHERE status OPERATOR(pg_catalog.=) 'success'
		AND operation OPERATOR(pg_catalog.=) ANY
		('{disable,revoke,schedule_deletion,cancel_deletion}'::pg_catalog.text[]);

COMMENT ON TABLE kms.event IS
'the trail: one row an event, kept kms.event_retention';

/*
 * Successes of changes, written by the changing transaction itself and moved
 * to kms.event by the writer.
 */
CREATE TABLE kms.event_outbox (
	event_id bigint GENERATED ALWAYS AS IDENTITY,
	occurred_at timestamptz NOT NULL,
	operation text COLLATE "C" NOT NULL,
	reason text COLLATE "C",
	duration_ms double precision,
	key_id text COLLATE "C",
	device_id text COLLATE "C",
	session_role text COLLATE "C",
	effective_role text COLLATE "C",
	client_addr text COLLATE "C",
	application_name text COLLATE "C",
	context text COLLATE "C",
	audit_context text COLLATE "C",
	caller_role text COLLATE "C",
	calls bigint NOT NULL DEFAULT 1,
	form text COLLATE "C",
	CONSTRAINT event_outbox_pkey PRIMARY KEY (event_id),
	CONSTRAINT event_outbox_operation_check CHECK (operation OPERATOR(pg_catalog.=) ANY
		('{generate,rotate,import,deprecate,disable,enable,revoke,schedule_deletion,cancel_deletion,destroy,purge,forget}'::pg_catalog.text[]))
) WITH (autovacuum_vacuum_scale_factor = 0,
		autovacuum_vacuum_threshold = 1000);

COMMENT ON TABLE kms.event_outbox IS
'successful changes on their way to kms.event';

/*
 * One row for each ring that ever fed the trail: how far it has been read
 * (every event before ring position "position" is in kms.event or was set
 * aside), the last ticket given, and the hash of the row that has it.  While
 * handed_over_at is set nothing was recorded that is not in the tables: the
 * server was stopped in an orderly way.  The first writer after the next start
 * takes that back.
 */
CREATE TABLE kms.event_epoch (
	epoch bigint NOT NULL,
	started_at timestamptz NOT NULL,
	position bigint NOT NULL,
	last_ticket bigint NOT NULL,
	hash bytea NOT NULL,
	left_out_at timestamptz,
	counted bigint NOT NULL DEFAULT 0,
	handed_over_at timestamptz,
	CONSTRAINT event_epoch_pkey PRIMARY KEY (epoch)
);

COMMENT ON TABLE kms.event_epoch IS
'how far each event ring has been written to the trail';

/*
 * Events that could not be written, with the reason, so that the rest goes on.
 * Each has its ticket and its place in the chain.
 */
CREATE TABLE kms.event_quarantine (
	epoch bigint NOT NULL,
	ticket bigint NOT NULL,
	set_aside_at timestamptz NOT NULL,
	error text COLLATE "C" NOT NULL,
	event bytea,
	salt bytea,
	hash bytea,
	forgotten bytea,
	CONSTRAINT event_quarantine_pkey PRIMARY KEY (ticket, epoch)
);

COMMENT ON TABLE kms.event_quarantine IS
'events that could not be written to kms.event, as they were, and why';

/*
 * Signatures of the trail.  A checkpoint: the row with this ticket had this
 * hash when it was signed; a start: it was the last one that retention has
 * deleted; an acceptance: it is a gap that follows from the row "previous", and
 * kms_audit_accept() has put it there.  The server had been running, and had
 * the master key, since "able_since" when it signed.
 */
CREATE TABLE kms.event_checkpoint (
	ticket bigint NOT NULL,
	kind text COLLATE "C" NOT NULL,
	epoch bigint NOT NULL,
	hash bytea NOT NULL,
	previous bigint NOT NULL,
	signed_at timestamptz NOT NULL,
	signing_key_id text COLLATE "C" NOT NULL,
	signature bytea NOT NULL,
	able_since timestamptz NOT NULL,
	CONSTRAINT event_checkpoint_pkey PRIMARY KEY (ticket, kind),
	CONSTRAINT event_checkpoint_kind_check CHECK (kind OPERATOR(pg_catalog.=)
		ANY ('{acceptance,checkpoint,start}'::pg_catalog.text[]))
);

COMMENT ON TABLE kms.event_checkpoint IS
'signed hashes of the trail, and its signed start; kms_audit_checkpoints() has them in a form that others can verify';

/*
 * Events counted a minute (width 60) or, when older than two days, an hour
 * (width 3600).  Reason is '' for successes.  Element i of the histogram, of
 * 1 to 80, counts durations up to 16 us * 2^((i - 1) / 4); the last one all
 * longer.  Zeros at both ends are left out: subscripts may begin after 1.
 */
CREATE TABLE kms.metric (
	bucket timestamptz NOT NULL,
	width integer NOT NULL,
	operation text COLLATE "C" NOT NULL,
	status text COLLATE "C" NOT NULL,
	reason text COLLATE "C" NOT NULL,
	count bigint NOT NULL,
	sum_ms double precision NOT NULL,
	min_ms double precision NOT NULL,
	max_ms double precision NOT NULL,
	histogram bigint[] NOT NULL,
	CONSTRAINT metric_pkey PRIMARY KEY (bucket, width, operation, status, reason)
) WITH (fillfactor = 50, autovacuum_vacuum_scale_factor = 0.05);

ALTER TABLE kms.metric ALTER COLUMN histogram SET STATISTICS 0;

COMMENT ON TABLE kms.metric IS
'events counted per minute or hour, operation, status and reason, with latency histogram';

/*
 * What maintenance remembers from round to round; one row.  "clock" is the
 * clock that what is deleted is judged by, with the run time of the machine at
 * that moment in microseconds and the id of its start; the seal covers the
 * three and the database.  What is older than "installed_at" was restored from
 * a dump.
 */
CREATE TABLE kms.maintenance (
	only_row boolean NOT NULL DEFAULT true,
	purge_window_start timestamptz,
	purge_window_keys bigint NOT NULL DEFAULT 0,
	purged bigint NOT NULL DEFAULT 0,
	purge_blocked_at timestamptz,
	purge_waiting bigint NOT NULL DEFAULT 0,
	purge_confirmed_until timestamptz,
	purge_cleared bigint NOT NULL DEFAULT 0,
	purge_seal bytea,
	installed_at timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp(),
	clock timestamptz,
	clock_run_time bigint,
	clock_boot text COLLATE "C",
	clock_seal bytea,
	CONSTRAINT maintenance_pkey PRIMARY KEY (only_row),
	CONSTRAINT maintenance_only_row_check CHECK (only_row)
);

INSERT INTO kms.maintenance DEFAULT VALUES;

COMMENT ON TABLE kms.maintenance IS
'one row: how much the purge has deleted today, whether it waits for confirmation, and the sealed clock by which maintenance deletes';

/*
 * Dump and restore carry all of it but kms.maintenance, which begins anew with
 * the row that was made above, and the pool, which is filled again.
 */
SELECT pg_catalog.pg_extension_config_dump('kms.key', '');
SELECT pg_catalog.pg_extension_config_dump('kms.key_secret', '');
SELECT pg_catalog.pg_extension_config_dump('kms.denial', '');
SELECT pg_catalog.pg_extension_config_dump('kms.denial_denial_id_seq', '');
SELECT pg_catalog.pg_extension_config_dump('kms.pepper', '');
SELECT pg_catalog.pg_extension_config_dump('kms.audit_key', '');
SELECT pg_catalog.pg_extension_config_dump('kms.event', '');
SELECT pg_catalog.pg_extension_config_dump('kms.event_outbox', '');
SELECT pg_catalog.pg_extension_config_dump('kms.event_outbox_event_id_seq', '');
SELECT pg_catalog.pg_extension_config_dump('kms.event_epoch', '');
SELECT pg_catalog.pg_extension_config_dump('kms.event_quarantine', '');
SELECT pg_catalog.pg_extension_config_dump('kms.event_checkpoint', '');
SELECT pg_catalog.pg_extension_config_dump('kms.metric', '');

/*
 * Functions.  One name, one function.  PUBLIC has kms_version() only.
 *
 * COST, in units of cpu_operator_cost, is how many integer comparisons in a
 * WHERE take as long as a call: a backend's processor time for some thousand
 * rows with the call less that without it, over 10 ns, to one digit, where an
 * RSA-2048 private operation takes 0.4 ms.  No plan hangs on the cost of what
 * changes keys.
 */
CREATE FUNCTION kms_version() RETURNS text
AS 'MODULE_PATHNAME', 'kms_api_version'
LANGUAGE C VOLATILE STRICT PARALLEL SAFE COST 1;

COMMENT ON FUNCTION kms_version IS 'version of the kms library';

CREATE FUNCTION kms_issue_key(device_id text, app_version text DEFAULT NULL,
	algorithm text DEFAULT NULL, OUT key_id text, OUT public_key text,
	OUT expires_at timestamptz, OUT algorithm_used text, OUT oaep_hash text,
	OUT reused boolean)
AS 'MODULE_PATHNAME', 'kms_api_issue_key'
LANGUAGE C VOLATILE CALLED ON NULL INPUT PARALLEL UNSAFE COST 10000;

REVOKE ALL ON FUNCTION kms_issue_key FROM PUBLIC;

COMMENT ON FUNCTION kms_issue_key IS
'the device''s valid key, made if it has none: SPKI PEM, expiry, algorithm (RSA-2048, RSA-3072, RSA-4096) and OAEP digest. device_id: 1 to 255 bytes; app_version: at most 64. Errors: 22004, 22023, KM005 (limit), KM007, XX001, 40001';

CREATE FUNCTION kms_rotate_key(device_id text, app_version text DEFAULT NULL,
	algorithm text DEFAULT NULL, OUT key_id text, OUT public_key text,
	OUT expires_at timestamptz, OUT algorithm_used text, OUT oaep_hash text,
	OUT reused boolean)
AS 'MODULE_PATHNAME', 'kms_api_rotate_key'
LANGUAGE C VOLATILE CALLED ON NULL INPUT PARALLEL UNSAFE COST 10000;

REVOKE ALL ON FUNCTION kms_rotate_key FROM PUBLIC;

COMMENT ON FUNCTION kms_rotate_key IS
'deprecates the device''s active keys and makes a new one, in one transaction; counts against kms.keygen_limit. Errors as kms_issue_key';

CREATE FUNCTION kms_import_key(device_id text, private_key text,
	key_id text DEFAULT NULL, app_version text DEFAULT NULL,
	created_at timestamptz DEFAULT pg_catalog.now(),
	expires_at timestamptz DEFAULT NULL, oaep_hash text DEFAULT NULL,
	deprecated boolean DEFAULT true) RETURNS text
AS 'MODULE_PATHNAME', 'kms_api_import_key'
LANGUAGE C VOLATILE CALLED ON NULL INPUT PARALLEL UNSAFE COST 1000000;

REVOKE ALL ON FUNCTION kms_import_key FROM PUBLIC;

COMMENT ON FUNCTION kms_import_key IS
'brings in an RSA key made elsewhere and returns its id. private_key: unencrypted PEM (PKCS#8 or PKCS#1) of two primes, 2048 to 4096 bits, at most 8192 bytes, from a column and never a literal; key_id: 1 to 64 of A-Z a-z 0-9 _ . -, NULL has one made; expires_at NULL: kms.key_lifetime from now. Not counted against kms.keygen_limit. Errors: 22004, 22023, 23505 (the id exists), KM007, 25006';

CREATE FUNCTION kms_public_key(key_id text) RETURNS text
AS 'MODULE_PATHNAME', 'kms_api_public_key'
LANGUAGE C VOLATILE CALLED ON NULL INPUT PARALLEL SAFE COST 1000;

REVOKE ALL ON FUNCTION kms_public_key FROM PUBLIC;

COMMENT ON FUNCTION kms_public_key IS
'public key of an active or deprecated key as SPKI PEM. Errors: 22004, 22023, KM002, KM003, KM004, KM007, XX001';

CREATE FUNCTION kms_jwk(key_id text) RETURNS jsonb
AS 'MODULE_PATHNAME', 'kms_api_jwk'
LANGUAGE C VOLATILE CALLED ON NULL INPUT PARALLEL SAFE COST 4000;

REVOKE ALL ON FUNCTION kms_jwk FROM PUBLIC;

COMMENT ON FUNCTION kms_jwk IS
'public key of an active or deprecated key as JWK (RFC 7517): kty, n, e, kid (the key id), use and, where the digest has a registered name (RFC 7518), alg. Errors: 22004, 22023, KM002, KM003, KM004, KM007, XX001';

CREATE FUNCTION kms_jwks(device_id text) RETURNS jsonb
AS 'MODULE_PATHNAME', 'kms_api_jwks'
LANGUAGE C VOLATILE CALLED ON NULL INPUT PARALLEL SAFE COST 4000;

REVOKE ALL ON FUNCTION kms_jwks FROM PUBLIC;

COMMENT ON FUNCTION kms_jwks IS
'JWK set (RFC 7517, 5) of the device''s active, unexpired keys, newest first; an empty one for a device that has none. device_id: 1 to 255 bytes. Errors: 22004, 22023, KM007, XX001';

CREATE FUNCTION kms_encrypt(key_id text, plaintext text,
	oaep_hash text DEFAULT NULL, mgf1_hash text DEFAULT NULL,
	label bytea DEFAULT NULL) RETURNS text
AS 'MODULE_PATHNAME', 'kms_api_encrypt'
LANGUAGE C VOLATILE CALLED ON NULL INPUT PARALLEL SAFE COST 7000;

REVOKE ALL ON FUNCTION kms_encrypt FROM PUBLIC;

COMMENT ON FUNCTION kms_encrypt IS
'RSA-OAEP (RFC 8017) of the plaintext in UTF-8, in base64; oaep_hash NULL is the key''s own, mgf1_hash NULL the same as oaep_hash. The plaintext may have modulus bytes - 2 * digest bytes - 2. Errors: 22004, 22023, KM002, KM003, KM004, KM007, XX001';

CREATE FUNCTION kms_encrypt_bytea(key_id text, plaintext bytea,
	oaep_hash text DEFAULT NULL, mgf1_hash text DEFAULT NULL,
	label bytea DEFAULT NULL) RETURNS bytea
AS 'MODULE_PATHNAME', 'kms_api_encrypt_bytea'
LANGUAGE C VOLATILE CALLED ON NULL INPUT PARALLEL SAFE COST 7000;

REVOKE ALL ON FUNCTION kms_encrypt_bytea FROM PUBLIC;

COMMENT ON FUNCTION kms_encrypt_bytea IS 'kms_encrypt on bytes';

CREATE FUNCTION kms_decrypt(key_id text, ciphertext text,
	device_id text DEFAULT NULL, oaep_hash text DEFAULT NULL,
	mgf1_hash text DEFAULT NULL, label bytea DEFAULT NULL) RETURNS text
AS 'MODULE_PATHNAME', 'kms_api_decrypt'
LANGUAGE C VOLATILE CALLED ON NULL INPUT PARALLEL SAFE COST 40000;

REVOKE ALL ON FUNCTION kms_decrypt FROM PUBLIC;

COMMENT ON FUNCTION kms_decrypt IS
'opens one RSA-OAEP block (RFC 8017) in base64, of either alphabet, padded or not; the plaintext is text in UTF-8. If device_id is given the key must be that device''s. Errors: 22004, 22023, KM001, KM002, KM003, KM004, KM006, KM007, XX001, 22021';

CREATE FUNCTION kms_decrypt_bytea(key_id text, ciphertext bytea,
	device_id text DEFAULT NULL, oaep_hash text DEFAULT NULL,
	mgf1_hash text DEFAULT NULL, label bytea DEFAULT NULL) RETURNS bytea
AS 'MODULE_PATHNAME', 'kms_api_decrypt_bytea'
LANGUAGE C VOLATILE CALLED ON NULL INPUT PARALLEL SAFE COST 40000;

REVOKE ALL ON FUNCTION kms_decrypt_bytea FROM PUBLIC;

COMMENT ON FUNCTION kms_decrypt_bytea IS 'kms_decrypt on bytes';

CREATE FUNCTION kms_try_decrypt(key_id text, ciphertext text,
	device_id text DEFAULT NULL, oaep_hash text DEFAULT NULL,
	mgf1_hash text DEFAULT NULL, label bytea DEFAULT NULL) RETURNS text
AS 'MODULE_PATHNAME', 'kms_api_try_decrypt'
LANGUAGE C VOLATILE CALLED ON NULL INPUT PARALLEL SAFE COST 40000;

REVOKE ALL ON FUNCTION kms_try_decrypt FROM PUBLIC;

COMMENT ON FUNCTION kms_try_decrypt IS
'kms_decrypt that gives NULL where the data or the key is at fault (KM001 to KM004, KM006, XX001, 22021, a malformed ciphertext); the failure is recorded all the same';

CREATE FUNCTION kms_try_decrypt_bytea(key_id text, ciphertext bytea,
	device_id text DEFAULT NULL, oaep_hash text DEFAULT NULL,
	mgf1_hash text DEFAULT NULL, label bytea DEFAULT NULL) RETURNS bytea
AS 'MODULE_PATHNAME', 'kms_api_try_decrypt_bytea'
LANGUAGE C VOLATILE CALLED ON NULL INPUT PARALLEL SAFE COST 40000;

REVOKE ALL ON FUNCTION kms_try_decrypt_bytea FROM PUBLIC;

COMMENT ON FUNCTION kms_try_decrypt_bytea IS 'kms_try_decrypt on bytes';

CREATE FUNCTION kms_decrypt_batch(key_ids text[], ciphertexts text[],
	OUT "position" integer, OUT plaintext text, OUT sqlstate text)
	RETURNS SETOF record
AS 'MODULE_PATHNAME', 'kms_api_decrypt_batch'
LANGUAGE C VOLATILE CALLED ON NULL INPUT PARALLEL SAFE COST 4000000 ROWS 100;

REVOKE ALL ON FUNCTION kms_decrypt_batch FROM PUBLIC;

COMMENT ON FUNCTION kms_decrypt_batch IS
'kms_decrypt of up to 100000 pairs: a row a pair with its position, from 1, and its plaintext, or the SQLSTATE of what is wrong with it: 22004, 22023, KM001 to KM004, KM006, KM007 (its own master key), XX001, 22021. One wait for all where kms.audit = required. Errors: 22004, 22023 (the arrays), KM007, KM008, 28000';

CREATE FUNCTION kms_decrypt_recover(key_id text, ciphertext text, reason text,
	device_id text DEFAULT NULL, oaep_hash text DEFAULT NULL,
	mgf1_hash text DEFAULT NULL, label bytea DEFAULT NULL) RETURNS text
AS 'MODULE_PATHNAME', 'kms_api_decrypt_recover'
LANGUAGE C VOLATILE CALLED ON NULL INPUT PARALLEL SAFE COST 40000;

REVOKE ALL ON FUNCTION kms_decrypt_recover FROM PUBLIC;

COMMENT ON FUNCTION kms_decrypt_recover IS
'break-glass: opens what expired, disabled and revoked keys protect until they are purged; the reason (1 to 255 bytes) is recorded and written to the server log. Errors: 22004, 22023, KM001, KM002, KM006, KM007, XX001, 22021';

CREATE FUNCTION kms_decrypt_recover_bytea(key_id text, ciphertext bytea,
	reason text, device_id text DEFAULT NULL, oaep_hash text DEFAULT NULL,
	mgf1_hash text DEFAULT NULL, label bytea DEFAULT NULL) RETURNS bytea
AS 'MODULE_PATHNAME', 'kms_api_decrypt_recover_bytea'
LANGUAGE C VOLATILE CALLED ON NULL INPUT PARALLEL SAFE COST 40000;

REVOKE ALL ON FUNCTION kms_decrypt_recover_bytea FROM PUBLIC;

COMMENT ON FUNCTION kms_decrypt_recover_bytea IS 'kms_decrypt_recover on bytes';

CREATE FUNCTION kms_hash_secret(key_id text, ciphertext text,
	device_id text DEFAULT NULL, oaep_hash text DEFAULT NULL,
	mgf1_hash text DEFAULT NULL, label bytea DEFAULT NULL) RETURNS text
AS 'MODULE_PATHNAME', 'kms_api_hash_secret'
LANGUAGE C VOLATILE CALLED ON NULL INPUT PARALLEL UNSAFE COST 9000000;

REVOKE ALL ON FUNCTION kms_hash_secret FROM PUBLIC;

COMMENT ON FUNCTION kms_hash_secret IS
'opens what kms_decrypt opens and returns a hash of it, of any bytes, to be stored: $kms1$pepper id$ and bcrypt of cost 10, at most 131 bytes. Takes about 60 ms. Errors: 22004, 22023, KM001, KM002, KM003, KM004, KM006, KM007, XX001; 25006, 55000 only where there is no pepper yet';

CREATE FUNCTION kms_verify_secret(key_id text, ciphertext text, hash text,
	subject text DEFAULT NULL, device_id text DEFAULT NULL,
	oaep_hash text DEFAULT NULL, mgf1_hash text DEFAULT NULL,
	label bytea DEFAULT NULL) RETURNS boolean
AS 'MODULE_PATHNAME', 'kms_api_verify_secret'
LANGUAGE C VOLATILE CALLED ON NULL INPUT PARALLEL RESTRICTED COST 9000000;

REVOKE ALL ON FUNCTION kms_verify_secret FROM PUBLIC;

COMMENT ON FUNCTION kms_verify_secret IS
'whether the ciphertext holds the secret of the hash: one of kms_hash_secret, bcrypt ($2a$, $2b$, $2y$, cost up to 14) or yescrypt ($y$, up to 64 MiB). Never NULL; false, after the same time, also for a ciphertext or hash that cannot be used. subject, 1 to 255 bytes, counts failures: see kms.verify_failure_limit. Errors: 22004, 22023 (key id, device id, digests, label, subject), KM002, KM003, KM004, KM007, KM009, XX001, 25000 (in a parallel worker)';

CREATE FUNCTION kms_key_state(key_id text) RETURNS text
AS 'MODULE_PATHNAME', 'kms_api_key_state'
LANGUAGE C VOLATILE CALLED ON NULL INPUT PARALLEL SAFE COST 1000;

REVOKE ALL ON FUNCTION kms_key_state FROM PUBLIC;

COMMENT ON FUNCTION kms_key_state IS
'active, expired, deprecated, disabled, revoked or pending_deletion. Errors: 22004, 22023, KM002, XX001';

CREATE FUNCTION kms_key_valid(key_id text) RETURNS boolean
AS 'MODULE_PATHNAME', 'kms_api_key_valid'
LANGUAGE C VOLATILE CALLED ON NULL INPUT PARALLEL SAFE COST 1000;

REVOKE ALL ON FUNCTION kms_key_valid FROM PUBLIC;

COMMENT ON FUNCTION kms_key_valid IS
'whether kms_decrypt would take this key now; false for one that is not there. Errors: 22004, 22023';

CREATE FUNCTION kms_deprecate_key(key_id text) RETURNS text
AS 'MODULE_PATHNAME', 'kms_api_deprecate_key'
LANGUAGE C VOLATILE CALLED ON NULL INPUT PARALLEL UNSAFE COST 1000;

REVOKE ALL ON FUNCTION kms_deprecate_key FROM PUBLIC;

COMMENT ON FUNCTION kms_deprecate_key IS
'takes an active key out of use for issuing and encrypting; it decrypts until it expires. Returns the state. Errors: 22004, 22023, KM002, KM004, KM007, XX001, 40001';

CREATE FUNCTION kms_disable_key(key_id text) RETURNS text
AS 'MODULE_PATHNAME', 'kms_api_disable_key'
LANGUAGE C VOLATILE CALLED ON NULL INPUT PARALLEL UNSAFE COST 1000;

REVOKE ALL ON FUNCTION kms_disable_key FROM PUBLIC;

COMMENT ON FUNCTION kms_disable_key IS
'denies every use of an active or deprecated key until kms_enable_key; works without the master key, and waits for no transaction that has the key. Returns the state. Errors: 22004, 22023, KM002, KM004';

CREATE FUNCTION kms_enable_key(key_id text) RETURNS text
AS 'MODULE_PATHNAME', 'kms_api_enable_key'
LANGUAGE C VOLATILE CALLED ON NULL INPUT PARALLEL UNSAFE COST 1000;

REVOKE ALL ON FUNCTION kms_enable_key FROM PUBLIC;

COMMENT ON FUNCTION kms_enable_key IS
'brings a disabled key back to where it was, and returns that state: active (deprecated, if the device has another active key by now), deprecated, or revoked. Errors: 22004, 22023, KM002, KM004, KM007, XX001, 40001';

CREATE FUNCTION kms_revoke_key(key_id text, reason text) RETURNS text
AS 'MODULE_PATHNAME', 'kms_api_revoke_key'
LANGUAGE C VOLATILE CALLED ON NULL INPUT PARALLEL UNSAFE COST 1000;

REVOKE ALL ON FUNCTION kms_revoke_key FROM PUBLIC;

COMMENT ON FUNCTION kms_revoke_key IS
'denies every use of a key for ever, as it is compromised, whatever its state; the reason (1 to 255 bytes) is recorded, and the date of a scheduled deletion stays. Works without the master key, and waits for no transaction that has the key. Returns the state. Errors: 22004, 22023, KM002';

CREATE FUNCTION kms_schedule_key_deletion(key_id text,
	after interval DEFAULT '30 days') RETURNS timestamptz
AS 'MODULE_PATHNAME', 'kms_api_schedule_key_deletion'
LANGUAGE C VOLATILE CALLED ON NULL INPUT PARALLEL UNSAFE COST 1000;

REVOKE ALL ON FUNCTION kms_schedule_key_deletion FROM PUBLIC;

COMMENT ON FUNCTION kms_schedule_key_deletion IS
'denies every use of a key and has it deleted after 7 to 30 days (a month is 30); returns when, of a key that was scheduled before, also if it was revoked since, the time that stands. Works without the master key, and waits for no transaction that has the key. Errors: 22004, 22023, KM002';

CREATE FUNCTION kms_cancel_key_deletion(key_id text) RETURNS text
AS 'MODULE_PATHNAME', 'kms_api_cancel_key_deletion'
LANGUAGE C VOLATILE CALLED ON NULL INPUT PARALLEL UNSAFE COST 1000;

REVOKE ALL ON FUNCTION kms_cancel_key_deletion FROM PUBLIC;

COMMENT ON FUNCTION kms_cancel_key_deletion IS
'a key that is pending deletion becomes disabled. Returns the state. Errors: 22004, 22023, KM002, KM004, KM007, XX001, 40001';

CREATE FUNCTION kms_destroy_key(key_id text, confirm text) RETURNS text
AS 'MODULE_PATHNAME', 'kms_api_destroy_key'
LANGUAGE C VOLATILE CALLED ON NULL INPUT PARALLEL UNSAFE COST 1000;

REVOKE ALL ON FUNCTION kms_destroy_key FROM PUBLIC;

COMMENT ON FUNCTION kms_destroy_key IS
'deletes a key in any state, at once and for ever; confirm must repeat the key id. Returns destroyed. Errors: 22004, 22023, KM002, 23503 (a foreign key refers to it), 55P03 (another transaction has it), 55000 (a foreign key acts on deletes)';

CREATE FUNCTION kms_forget_device(device_id text, OUT keys bigint,
	OUT events bigint)
AS 'MODULE_PATHNAME', 'kms_api_forget_device'
LANGUAGE C VOLATILE CALLED ON NULL INPUT PARALLEL UNSAFE COST 1000000;

REVOKE ALL ON FUNCTION kms_forget_device FROM PUBLIC;

COMMENT ON FUNCTION kms_forget_device IS
'destroys all keys of a device, and takes its id, client addresses, contexts and their salts out of the trail, whose chain still verifies; returns how many of each. Reads the whole trail. device_id: 1 to 255 bytes. Errors: 22004, 22023, KM007, 23503, 55P03, 55000, 25000 (not READ COMMITTED), 25006';

CREATE FUNCTION kms_rate_limit_status(device_id text, OUT used integer,
	OUT allowed integer, OUT next_at timestamptz)
AS 'MODULE_PATHNAME', 'kms_api_rate_limit_status'
LANGUAGE C VOLATILE CALLED ON NULL INPUT PARALLEL SAFE COST 500;

REVOKE ALL ON FUNCTION kms_rate_limit_status FROM PUBLIC;

COMMENT ON FUNCTION kms_rate_limit_status IS
'keys made for the device within kms.keygen_window, how many are allowed, and when the next one may be made (NULL: now). Errors: 22004, 22023';

CREATE FUNCTION kms_diagnose(key_id text, ciphertext text)
RETURNS TABLE (finding text, hint text)
AS 'MODULE_PATHNAME', 'kms_api_diagnose'
LANGUAGE C VOLATILE CALLED ON NULL INPUT PARALLEL RESTRICTED COST 2000000
ROWS 2;

REVOKE ALL ON FUNCTION kms_diagnose FROM PUBLIC;

COMMENT ON FUNCTION kms_diagnose IS
'why a ciphertext does not open: the key''s state, the form (of at most kms.max_ciphertext_size bytes), the length, and which pair of digests for OAEP and MGF1 opens it; never the plaintext. Recorded as "diagnose", not as a decrypt. Errors: 22004, 22023, KM002, KM007, XX001';

CREATE FUNCTION kms_metrics_summary(timeframe_hours integer DEFAULT 24)
RETURNS jsonb
AS 'MODULE_PATHNAME', 'kms_api_metrics_summary'
LANGUAGE C VOLATILE CALLED ON NULL INPUT PARALLEL RESTRICTED COST 10000;

REVOKE ALL ON FUNCTION kms_metrics_summary FROM PUBLIC;

COMMENT ON FUNCTION kms_metrics_summary IS
'operations of the last 1 to 8760 hours: counts, durations in milliseconds with percentiles (within 19 %; below 16 us within 16 us, above 11.9 s at least 11.9 s), failure rates in percent, the ten most frequent failures. Waits up to 5 s for the event writer. Errors: 22023';

CREATE FUNCTION kms_problematic_keys(
	failure_threshold_percent numeric DEFAULT 10,
	min_operations integer DEFAULT 5, timeframe_hours integer DEFAULT 24)
RETURNS TABLE (key_id text, device_id text, operations bigint,
	failures bigint, failure_rate numeric)
AS 'MODULE_PATHNAME', 'kms_api_problematic_keys'
LANGUAGE C VOLATILE CALLED ON NULL INPUT PARALLEL RESTRICTED COST 10000
ROWS 100;

REVOKE ALL ON FUNCTION kms_problematic_keys FROM PUBLIC;

COMMENT ON FUNCTION kms_problematic_keys IS
'keys whose share of failed decrypts (KM001), in percent, is above the threshold. Errors: 22023';

CREATE FUNCTION kms_flush_events() RETURNS void
AS 'MODULE_PATHNAME', 'kms_api_flush_events'
LANGUAGE C VOLATILE STRICT PARALLEL RESTRICTED COST 10000;

REVOKE ALL ON FUNCTION kms_flush_events FROM PUBLIC;

COMMENT ON FUNCTION kms_flush_events IS
'returns once every event recorded before the call is in kms.event. Errors: 55000 on a standby, or with the error of the event writer if it cannot write';

CREATE FUNCTION kms_audit_head() RETURNS text
AS 'MODULE_PATHNAME', 'kms_api_audit_head'
LANGUAGE C VOLATILE STRICT PARALLEL RESTRICTED COST 1000;

REVOKE ALL ON FUNCTION kms_audit_head FROM PUBLIC;

COMMENT ON FUNCTION kms_audit_head IS
'where the trail ends: the last ticket, a colon and the hash of its row (SHA-256, 64 hexadecimal digits), to be noted elsewhere; on standbys, too';

CREATE FUNCTION kms_audit_verify(head text DEFAULT NULL, OUT intact boolean,
	OUT events bigint, OUT first_ticket bigint, OUT last_ticket bigint,
	OUT signed_ticket bigint, OUT bad_epoch bigint, OUT bad_ticket bigint,
	OUT finding text, OUT anchored boolean)
AS 'MODULE_PATHNAME', 'kms_api_audit_verify'
LANGUAGE C VOLATILE CALLED ON NULL INPUT PARALLEL RESTRICTED COST 10000000;

REVOKE ALL ON FUNCTION kms_audit_verify FROM PUBLIC;

COMMENT ON FUNCTION kms_audit_verify IS
'whether the trail is as it was written: reads all of it, and names the first row that was changed, removed or put in; a head is what kms_audit_head() gave once, which must be in it; anchored: it was also compared with where it was last written and signed, which the server keeps outside of tables. Errors: 22023';

CREATE FUNCTION kms_audit_accept(reason text) RETURNS bigint
AS 'MODULE_PATHNAME', 'kms_api_audit_accept'
LANGUAGE C VOLATILE CALLED ON NULL INPUT PARALLEL UNSAFE COST 10000000;

REVOKE ALL ON FUNCTION kms_audit_accept FROM PUBLIC;

COMMENT ON FUNCTION kms_audit_accept IS
'accepts that the trail is not intact: puts a signed row of operation gap behind it, with the reason (1 to 255 bytes), from which it is intact again, and returns its ticket. Takes effect at once; a rollback does not undo it. Reads the whole trail. Errors: 22004, 22023, 55000 (the trail is intact, or no event writer), KM007, 25006';

CREATE FUNCTION kms_audit_checkpoints(since bigint DEFAULT 0)
RETURNS TABLE (ticket bigint, kind text, signed_at timestamptz, message text,
	signature text, public_key text)
AS 'MODULE_PATHNAME', 'kms_api_audit_checkpoints'
LANGUAGE C VOLATILE CALLED ON NULL INPUT PARALLEL RESTRICTED COST 10000
ROWS 1000;

REVOKE ALL ON FUNCTION kms_audit_checkpoints FROM PUBLIC;

COMMENT ON FUNCTION kms_audit_checkpoints IS
'signatures of the trail after a ticket, by ticket: kind (checkpoint; start, where retention has deleted what was before; acceptance, a gap that kms_audit_accept() has made), the message that is signed, its Ed25519 signature (RFC 8032, 64 bytes in base64) and the public key in SPKI PEM (RFC 8410), as stored';

CREATE FUNCTION kms_maintain(confirm_purge boolean DEFAULT false,
	confirm_clock boolean DEFAULT false)
RETURNS TABLE (task text, done bigint, skipped bigint, more boolean)
AS 'MODULE_PATHNAME', 'kms_api_maintain'
LANGUAGE C VOLATILE CALLED ON NULL INPUT PARALLEL UNSAFE COST 10000 ROWS 10;

REVOKE ALL ON FUNCTION kms_maintain FROM PUBLIC;

COMMENT ON FUNCTION kms_maintain IS
'one bounded batch of each maintenance task, as the worker or pg_cron runs it; confirm_purge lets a purge that waits for confirmation go on for a day; confirm_clock sets the clock by which maintenance deletes to the server''s clock (KM007 without a master key)';

CREATE FUNCTION kms_master_key_status()
RETURNS TABLE (master_key_id text, label text, status text, keys bigint,
	peppers bigint, detail text)
AS 'MODULE_PATHNAME', 'kms_api_master_key_status'
LANGUAGE C VOLATILE STRICT PARALLEL RESTRICTED COST 10000 ROWS 4;

REVOKE ALL ON FUNCTION kms_master_key_status FROM PUBLIC;

COMMENT ON FUNCTION kms_master_key_status IS
'master keys by fingerprint (8 bytes in hex): current, available (only unwraps), epoch (a month''s: kms.master_key_epochs), missing (rows need it); how many keys and peppers (with audit keys) of this database are wrapped under each, and which can go; or why there is none';

CREATE FUNCTION kms_rewrap_keys(batch_size integer DEFAULT 1000)
RETURNS bigint
AS 'MODULE_PATHNAME', 'kms_api_rewrap_keys'
LANGUAGE C VOLATILE CALLED ON NULL INPUT PARALLEL UNSAFE COST 1000000;

REVOKE ALL ON FUNCTION kms_rewrap_keys FROM PUBLIC;

COMMENT ON FUNCTION kms_rewrap_keys IS
'wraps at most batch_size (1 to 100000) keys, and all peppers and audit keys, again, under the current master key (with epochs: keys of this month under its own) and returns how many; 0: none of this database is left that could be, also in no open transaction. Each is locked to the end of the transaction; waits for others only if it has nothing else to do. Errors: 22023, KM007, 25000 (not READ COMMITTED), 55000 (keys come by a subscription), 25006';

CREATE FUNCTION kms_check()
RETURNS TABLE (severity text, finding text, hint text)
AS 'MODULE_PATHNAME', 'kms_api_check'
LANGUAGE C VOLATILE STRICT PARALLEL UNSAFE COST 10000 ROWS 4;

REVOKE ALL ON FUNCTION kms_check FROM PUBLIC;

COMMENT ON FUNCTION kms_check IS
'the health check: what is wrong now (error), may become so (warning), is weaker than by default or should be known (notice), the worst first, and how to fix it; an empty result means healthy';

CREATE FUNCTION kms_self_test() RETURNS boolean
AS 'MODULE_PATHNAME', 'kms_api_self_test'
LANGUAGE C VOLATILE STRICT PARALLEL RESTRICTED COST 100000;

REVOKE ALL ON FUNCTION kms_self_test FROM PUBLIC;

COMMENT ON FUNCTION kms_self_test IS
'known answers for RSA-OAEP, AES-256-GCM, HKDF, HMAC and the wrap, and one stored key tried';

/* What the views read. */
CREATE FUNCTION kms.read_metrics(timeframe_hours integer)
RETURNS TABLE (operation text, status text, reason text, count bigint,
	avg_duration double precision, min_duration double precision,
	max_duration double precision, p50 double precision,
	p95 double precision, p99 double precision)
AS 'MODULE_PATHNAME', 'kms_api_read_metrics'
LANGUAGE C VOLATILE STRICT PARALLEL RESTRICTED COST 10000 ROWS 50;

REVOKE ALL ON FUNCTION kms.read_metrics FROM PUBLIC;

COMMENT ON FUNCTION kms.read_metrics IS
'totals of the last 1 to 8760 hours, durations in milliseconds; never waits';

CREATE FUNCTION kms.read_status()
RETURNS TABLE (item text, value text)
AS 'MODULE_PATHNAME', 'kms_api_read_status'
LANGUAGE C VOLATILE STRICT PARALLEL RESTRICTED COST 1000 ROWS 30;

REVOKE ALL ON FUNCTION kms.read_status FROM PUBLIC;

COMMENT ON FUNCTION kms.read_status IS
'launcher, workers, event ring, master key and counters since start';

CREATE FUNCTION kms.start() RETURNS void
AS 'MODULE_PATHNAME', 'kms_api_start'
LANGUAGE C VOLATILE STRICT PARALLEL UNSAFE COST 1000;

REVOKE ALL ON FUNCTION kms.start FROM PUBLIC;

COMMENT ON FUNCTION kms.start IS
'makes this database known to the launcher; any other call does so, too';

/*
 * Views for DBAs.  No key material, and none waits.
 */
CREATE VIEW kms.keys AS
SELECT k.key_id, k.device_id, k.app_version, k.algorithm, k.oaep_hash,
	k.origin,
	CASE WHEN d.state IS NOT NULL THEN d.state
		WHEN k.state OPERATOR(pg_catalog.=) ANY
			('{pending_deletion,revoked}'::pg_catalog.text[]) THEN k.state
		WHEN k.state OPERATOR(pg_catalog.=) 'disabled'
			OR d.key_id IS NOT NULL THEN 'disabled'
		WHEN k.expires_at OPERATOR(pg_catalog.<=)
			pg_catalog.clock_timestamp() THEN 'expired'
		ELSE k.state END AS state,
	k.state AS stored_state,
	CASE WHEN k.state OPERATOR(pg_catalog.=) 'revoked'
			OR k.prior_state OPERATOR(pg_catalog.=) 'revoked'
		THEN k.state_reason
		ELSE COALESCE(d.reason, k.state_reason) END AS state_reason,
	k.created_at, k.expires_at,
	GREATEST(d.denied_at, k.state_changed_at) AS state_changed_at,
	COALESCE(k.delete_at, d.delete_at) AS delete_at, k.row_version
FROM kms.key AS k
LEFT JOIN (SELECT key_id,
		(pg_catalog.array_agg(state ORDER BY denial_id DESC)
			FILTER (WHERE state OPERATOR(pg_catalog.<>) 'disabled'))[1] AS state,
		(pg_catalog.array_agg(reason ORDER BY denial_id)
			FILTER (WHERE state OPERATOR(pg_catalog.=) 'revoked'))[1] AS reason,
		pg_catalog.max(denied_at) AS denied_at,
		pg_catalog.min(delete_at) AS delete_at
	FROM kms.denial GROUP BY key_id) AS d
	ON d.key_id OPERATOR(pg_catalog.=) k.key_id;

COMMENT ON VIEW kms.keys IS
'keys without key material; state as kms_key_state() tells it';

CREATE VIEW kms.metrics AS
SELECT operation, status, reason, count, avg_duration, min_duration,
	max_duration, p50, p95, p99
FROM kms.read_metrics(24);

COMMENT ON VIEW kms.metrics IS
'operations of the last 24 hours by status and reason; durations in milliseconds';

CREATE VIEW kms.failure_rates AS
SELECT operation, pg_catalog.sum(count)::pg_catalog.int8 AS operations,
	COALESCE(pg_catalog.sum(count) FILTER
		(WHERE status OPERATOR(pg_catalog.=) 'failure'), 0)::pg_catalog.int8
		AS failures,
	pg_catalog.round(100.0 OPERATOR(pg_catalog.*)
		COALESCE(pg_catalog.sum(count) FILTER
			(WHERE status OPERATOR(pg_catalog.=) 'failure'), 0)
		OPERATOR(pg_catalog./) pg_catalog.sum(count), 2) AS failure_rate
FROM kms.read_metrics(24)
GROUP BY operation
ORDER BY operation;

COMMENT ON VIEW kms.failure_rates IS
'share of failures, in percent, by operation over the last 24 hours';

CREATE VIEW kms.top_failures AS
SELECT operation, reason, count
FROM kms.read_metrics(24)
WHERE status OPERATOR(pg_catalog.=) 'failure'
ORDER BY count DESC, operation, reason
LIMIT 10;

COMMENT ON VIEW kms.top_failures IS
'the ten most frequent failures of the last 24 hours';

CREATE VIEW kms.problematic_keys AS
SELECT key_id, device_id, operations, failures, failure_rate
FROM @extschema@.kms_problematic_keys();

COMMENT ON VIEW kms.problematic_keys IS
'keys with more than 10 % of failed decrypts in the last 24 hours';

CREATE VIEW kms.status AS
SELECT item, value FROM kms.read_status();

COMMENT ON VIEW kms.status IS
'launcher, workers, event ring, master key and counters since start';

REVOKE ALL ON ALL TABLES IN SCHEMA kms FROM PUBLIC;
REVOKE ALL ON ALL SEQUENCES IN SCHEMA kms FROM PUBLIC;

SELECT kms.start();

/*
 * Last: whatever ALTER DEFAULT PRIVILEGES said, nobody but the owner has a
 * privilege on what this script has made, and PUBLIC on kms_version() only.
 */
CREATE FUNCTION @extschema@.kms_end_script() RETURNS void
AS 'MODULE_PATHNAME', 'kms_api_end_script'
LANGUAGE C VOLATILE STRICT PARALLEL UNSAFE COST 1000;

REVOKE ALL ON FUNCTION @extschema@.kms_end_script FROM PUBLIC;

COMMENT ON FUNCTION @extschema@.kms_end_script IS
'takes the privileges away that default privileges gave';

SELECT @extschema@.kms_end_script();

DROP FUNCTION @extschema@.kms_end_script();

GRANT EXECUTE ON FUNCTION @extschema@.kms_version() TO PUBLIC;
