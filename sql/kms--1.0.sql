/* kms 1.0: a key management service inside the database */

-- complain if script is sourced in psql, rather than via CREATE EXTENSION
\echo Use "CREATE EXTENSION kms" to load this file. \quit

/* Stop with a hint if the script's objects could not be created here. */
CREATE FUNCTION @extschema@.kms_begin_script() RETURNS void
AS 'MODULE_PATHNAME', 'kms_api_begin_script'
LANGUAGE C VOLATILE STRICT PARALLEL UNSAFE COST 1000;

REVOKE ALL ON FUNCTION @extschema@.kms_begin_script FROM PUBLIC;

COMMENT ON FUNCTION @extschema@.kms_begin_script IS
'Raise an error if the script cannot run here.';

SELECT @extschema@.kms_begin_script();

DROP FUNCTION @extschema@.kms_begin_script();

CREATE SCHEMA kms;

REVOKE ALL ON SCHEMA kms FROM PUBLIC;

COMMENT ON SCHEMA kms IS
'Tables and views of the key management service.';

CREATE SCHEMA kms_field;

REVOKE ALL ON SCHEMA kms_field FROM PUBLIC;

COMMENT ON SCHEMA kms_field IS
'Rights on field keys: functions that only return true, one per field and right. EXECUTE of PUBLIC does not count.';

/*
 * Tables.
 *
 * kms.key is narrow: it holds the columns that change during the life of a
 * key and those that each call reads.  kms.key_secret holds the large,
 * constant bytes, so that a sweep over many keys does not rewrite them.  Only
 * the C code writes state, times, version and seal; a row that was edited by
 * hand no longer authenticates (XX001).
 *
 * The fillfactor is 100, because free space in pages would save nothing: each
 * change of a key changes its state, which is indexed, so no update is HOT.
 * Autovacuum starts after 2 % of the rows have changed.  With ten million
 * keys, those are 200,000 rows, most of a day's expiries.  With the default of
 * 20 %, each sweep would read a week's dead index entries.  Rows are not
 * frozen early, because most are purged before they are 50,000,000
 * transactions old.
 */
CREATE TABLE kms.key (
	key_id text COLLATE "C" NOT NULL,
	device_id text COLLATE "C" NOT NULL,
	app_version text COLLATE "C",
	algorithm text COLLATE "C" NOT NULL,
	oaep_hash text COLLATE "C" NOT NULL,
	mgf1_hash text COLLATE "C" NOT NULL,
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
		('{generated,replacement,renewal,imported}'::pg_catalog.text[])),
	CONSTRAINT key_state_check CHECK (state OPERATOR(pg_catalog.=) ANY
		('{active,deprecated,disabled,revoked,pending_deletion}'::pg_catalog.text[]))
) WITH (autovacuum_vacuum_scale_factor = 0.02,
		autovacuum_analyze_scale_factor = 0.02);

ALTER TABLE kms.key ALTER COLUMN seal SET STORAGE PLAIN;
ALTER TABLE kms.key ALTER COLUMN seal SET STATISTICS 0;

-- for issuing, rotating and the rate limit: a device's keys, newest last
CREATE INDEX key_device_idx ON kms.key (device_id, created_at);
-- for the sweeps: keys that expire, and keys that are due to be purged
CREATE INDEX key_expiry_idx ON kms.key (state, expires_at);
CREATE INDEX key_delete_idx ON kms.key (delete_at)
	WHERE delete_at IS NOT NULL;
-- keys that maintenance could not delete, for example because a foreign key
-- refers to them
CREATE INDEX key_tried_idx ON kms.key (tried_at) WHERE tried_at IS NOT NULL;

COMMENT ON TABLE kms.key IS
'One row per key: device, state and times, authenticated by its seal. Foreign keys of users'' tables refer to this table.';

/*
 * There is no foreign key to kms.key, because pg_restore --jobs loads both
 * tables at the same time.  master_key_id is the fingerprint of the master
 * key, as it stands in the wrap.
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

-- to count the keys under a master key, and to find keys to rewrap
CREATE INDEX key_secret_master_key_idx ON kms.key_secret (master_key_id);

COMMENT ON TABLE kms.key_secret IS
'Public keys (SPKI DER) and wrapped private keys, which only the master key unwraps.';

/*
 * Keys that wait for a device.  "home" names the database that made the key
 * (system identifier, timeline and OID), so that no copy of that database
 * issues the same key.
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
'Ready-made keys that are not issued yet: public key (SPKI DER) and wrapped private key. Dumps leave this table out, because the pool fills again.';

/*
 * A denial (disabled, revoked or pending_deletion) of a key whose row could
 * not be changed at once, because the master key is missing or another
 * transaction has locked the row.  Maintenance applies it to the row later.
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
'Keys that were disabled, revoked or scheduled for deletion and whose rows do not say so yet. A denial is in force from its commit.';

/*
 * Peppers, with which secrets are hashed.  Each hash names its pepper.  If a
 * row is lost, no hash that names it can be verified.
 */
CREATE TABLE kms.pepper (
	pepper_id text COLLATE "C" NOT NULL,
	created_at timestamptz NOT NULL,
	wrapped bytea NOT NULL,
	CONSTRAINT pepper_pkey PRIMARY KEY (pepper_id)
);

COMMENT ON TABLE kms.pepper IS
'Wrapped peppers of kms_hash_secret, which only the master key unwraps.';

/*
 * Keys that sign the trail.  The wrap authenticates the public key, because
 * it holds the key's SHA-256.
 */
CREATE TABLE kms.audit_key (
	signing_key_id text COLLATE "C" NOT NULL,
	created_at timestamptz NOT NULL,
	wrapped_key bytea NOT NULL,
	public_key bytea NOT NULL,
	CONSTRAINT audit_key_pkey PRIMARY KEY (signing_key_id)
);

COMMENT ON TABLE kms.audit_key IS
'Ed25519 keys that sign the trail: public keys (SPKI DER) and wrapped private keys, which only the master key unwraps.';

/*
 * Field keys.  Row 0 of a key stands for the key as a whole, and holds the
 * wrapped key of its blind indexes; the other rows are its versions.  A
 * destroyed row has lost its wrapped bytes.  No row is deleted, so no name or
 * id is used again.
 *
 * "wrapped_under" has the fingerprints (8 bytes each) of all master keys that
 * have ever wrapped the secret.  "rotate_at" tells maintenance when the next
 * version is due, and is not sealed.  A row that was disabled while there was
 * no master key has no seal until maintenance adds one.
 */
CREATE TABLE kms.field_key (
	field_key text COLLATE "C" NOT NULL,
	version integer NOT NULL,
	field_key_id bytea NOT NULL,
	created_at timestamptz NOT NULL,
	state text COLLATE "C" NOT NULL,
	state_changed_at timestamptz NOT NULL,
	row_version bigint NOT NULL,
	rotate_after interval,
	rotate_at timestamptz,
	wrapped_key bytea,
	wrapped_under bytea NOT NULL,
	seal bytea,
	master_key_id bytea GENERATED ALWAYS AS
		(pg_catalog.substr(COALESCE(seal, wrapped_key), 2, 8)) STORED,
	CONSTRAINT field_key_pkey PRIMARY KEY (field_key, version),
	CONSTRAINT field_key_id_key UNIQUE (field_key_id, version),
	CONSTRAINT field_key_version_check CHECK
		(version OPERATOR(pg_catalog.>=) 0
		 AND version OPERATOR(pg_catalog.<=) 65535),
	CONSTRAINT field_key_state_check CHECK (state OPERATOR(pg_catalog.=) ANY
		('{enabled,disabled,destroyed}'::pg_catalog.text[]))
) WITH (autovacuum_vacuum_scale_factor = 0.02);

ALTER TABLE kms.field_key ALTER COLUMN wrapped_key SET STATISTICS 0;
ALTER TABLE kms.field_key ALTER COLUMN wrapped_under SET STATISTICS 0;
ALTER TABLE kms.field_key ALTER COLUMN seal SET STATISTICS 0;
ALTER TABLE kms.field_key ALTER COLUMN master_key_id SET STATISTICS 0;

-- to find rows to rewrap
CREATE INDEX field_key_master_key_idx ON kms.field_key (master_key_id);
-- for maintenance: versions to be followed by the next, and rows to be sealed
CREATE INDEX field_key_rotate_idx ON kms.field_key (rotate_at)
	WHERE rotate_at IS NOT NULL AND state OPERATOR(pg_catalog.=) 'enabled';
CREATE INDEX field_key_unsealed_idx ON kms.field_key (field_key, version)
	WHERE seal IS NULL;

COMMENT ON TABLE kms.field_key IS
'Field keys with their versions: states, dates and wrapped keys, which only the master key unwraps.';

/*
 * The trail.
 *
 * (epoch, ticket) identifies an event.  Only the database's event writer gives
 * tickets.  They count up over all epochs without gaps, so the trail is read
 * in their order.
 *
 * "context" is text that the caller passed with the call: the reason of a
 * revoke, the subject of a verify.  "audit_context" is text that the
 * application set for the transaction.
 *
 * Three roles show who called: "session_role" logged in; "caller_role" is the
 * role after SET ROLE, outside of SECURITY DEFINER functions; "effective_role"
 * is the role whose rights the call had.
 *
 * "calls" is the number of calls that the row stands for.  In a gap it is the
 * number of events lost, or 0 if that is not known.  "form" is the
 * form of the data sent: "JWE RSA-OAEP-256 A256GCM", or "block sha256/sha1"
 * with the digests for OAEP and MGF1.  "app_version" is that of the request.
 *
 * "hash" begins with a format byte.  It covers the row and the hash of the row
 * before it.  A device can be forgotten, so the hash covers the personal
 * columns only through a salted commitment: device_id, client_addr, context,
 * audit_context and the reason of a success, which is the caller's text.
 * After they are deleted, "forgotten" stands for them.  Each row that the
 * writer wrote has a hash, and either a salt or "forgotten".
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
	app_version text COLLATE "C",
	CONSTRAINT event_pkey PRIMARY KEY (ticket, epoch)
) WITH (autovacuum_vacuum_scale_factor = 0.02,
		autovacuum_vacuum_insert_scale_factor = 0.1);

CREATE INDEX event_key_idx ON kms.event (key_id, occurred_at)
	WHERE key_id IS NOT NULL;
CREATE INDEX event_time_idx ON kms.event (occurred_at);
-- for kms_problematic_keys(): failed decrypts
CREATE INDEX event_decrypt_failure_idx ON kms.event (occurred_at)
	WHERE operation OPERATOR(pg_catalog.=) 'decrypt'
		AND status OPERATOR(pg_catalog.=) 'failure';

-- for kms_check(), which compares them with the rows of the keys: the changes of
-- a key in their order, its end included, and keys that were ever denied
CREATE INDEX event_change_idx ON kms.event (key_id, ticket)
	WHERE status OPERATOR(pg_catalog.=) 'success'
		AND operation OPERATOR(pg_catalog.=) ANY
		('{generate,rotate,import,deprecate,disable,enable,revoke,schedule_deletion,cancel_deletion,destroy,purge}'::pg_catalog.text[]);
CREATE INDEX event_denial_idx ON kms.event (key_id)
	WHERE status OPERATOR(pg_catalog.=) 'success'
		AND operation OPERATOR(pg_catalog.=) ANY
		('{disable,revoke,schedule_deletion,cancel_deletion}'::pg_catalog.text[]);

-- for kms_check(): the changes of a field key
CREATE INDEX event_field_idx ON kms.event (key_id)
	WHERE status OPERATOR(pg_catalog.=) 'success'
		AND operation OPERATOR(pg_catalog.=) ANY
		('{disable_field_key,enable_field_key,destroy_field_key}'::pg_catalog.text[]);

COMMENT ON TABLE kms.event IS
'The trail: one row per event, kept for kms.event_retention.';

/*
 * Successful changes.  The changing transaction writes the row, and the event
 * writer moves it to kms.event.
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
	app_version text COLLATE "C",
	CONSTRAINT event_outbox_pkey PRIMARY KEY (event_id),
	CONSTRAINT event_outbox_operation_check CHECK (operation OPERATOR(pg_catalog.=) ANY
		('{generate,rotate,import,deprecate,disable,enable,revoke,schedule_deletion,cancel_deletion,destroy,purge,forget,create_field_key,rotate_field_key,disable_field_key,enable_field_key,destroy_field_key}'::pg_catalog.text[]))
) WITH (autovacuum_vacuum_scale_factor = 0,
		autovacuum_vacuum_threshold = 1000);

COMMENT ON TABLE kms.event_outbox IS
'Successful changes on their way to kms.event.';

/*
 * One row for each ring that ever fed the trail.  Every event before ring
 * position "position" is in kms.event or kms.event_quarantine.  "last_ticket"
 * is the last ticket given, and "hash" is the hash of the row that has it.
 *
 * If handed_over_at is set, the server was stopped in an orderly way and the
 * tables have every event that was recorded.  The first writer after the next
 * start sets it to NULL.
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
'How far each event ring has been written to the trail.';

/*
 * Events that could not be written to kms.event.  They are stored here with
 * the error, so that the events after them can be written.  Each has its
 * ticket and its place in the chain.
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
'Events that could not be written to kms.event: their bytes and the error.';

/*
 * Signatures of the trail.  The kind says what is signed:
 *
 * - checkpoint: the row with this ticket had this hash when it was signed.
 * - start: this was the last row that retention has deleted.
 * - acceptance: this row is a gap that follows the row "previous", and
 *   kms_audit_accept() has appended it.
 *
 * "able_since" is the time since which the signing server had been running
 * with the master key.
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
'Signed hashes of the trail, and its signed start. kms_audit_checkpoints() returns them in a form that others can verify.';

/*
 * Events counted per minute (width 60) or, after two days, per hour (width
 * 3600).  The reason of a success is ''.  The histogram has up to 80 elements.
 * Element i counts durations up to 16 us * 2^((i - 1) / 4), and element 80
 * counts all longer ones.  Zeros at both ends are not stored, so subscripts
 * may begin after 1.
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
'Events counted per minute or hour, operation, status and reason, with a histogram of their durations.';

/*
 * The state of maintenance between two rounds; one row.
 *
 * "clock" is the clock by which maintenance decides what to delete.
 * "clock_run_time" is the machine's run time at that moment, in microseconds,
 * and "clock_boot" the id of its boot.  The seal covers these three and the
 * database.
 *
 * A row of another table that is older than "installed_at" was restored from
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
'One row: how much the purge has deleted today, whether it waits for confirmation, and the sealed clock by which maintenance deletes.';

/*
 * Dumps contain all tables except two: kms.maintenance, whose row this script
 * has just inserted, and kms.pool_key, because the pool fills again.
 */
SELECT pg_catalog.pg_extension_config_dump('kms.key', '');
SELECT pg_catalog.pg_extension_config_dump('kms.key_secret', '');
SELECT pg_catalog.pg_extension_config_dump('kms.denial', '');
SELECT pg_catalog.pg_extension_config_dump('kms.denial_denial_id_seq', '');
SELECT pg_catalog.pg_extension_config_dump('kms.pepper', '');
SELECT pg_catalog.pg_extension_config_dump('kms.audit_key', '');
SELECT pg_catalog.pg_extension_config_dump('kms.field_key', '');
SELECT pg_catalog.pg_extension_config_dump('kms.event', '');
SELECT pg_catalog.pg_extension_config_dump('kms.event_outbox', '');
SELECT pg_catalog.pg_extension_config_dump('kms.event_outbox_event_id_seq', '');
SELECT pg_catalog.pg_extension_config_dump('kms.event_epoch', '');
SELECT pg_catalog.pg_extension_config_dump('kms.event_quarantine', '');
SELECT pg_catalog.pg_extension_config_dump('kms.event_checkpoint', '');
SELECT pg_catalog.pg_extension_config_dump('kms.metric', '');

/*
 * Functions.  No name is overloaded.  PUBLIC may call kms_version() only.
 *
 * COST is in units of cpu_operator_cost: the number of integer comparisons in
 * a WHERE clause that take as long as one call.  It was measured on a machine
 * on which an RSA-2048 private operation takes 0.4 ms: the processor time of a
 * backend over some thousand rows with the call, less the time without it,
 * divided by 10 ns and rounded to one digit.  The cost of functions that
 * change keys decides no plan.
 */
CREATE FUNCTION kms_version() RETURNS text
AS 'MODULE_PATHNAME', 'kms_api_version'
LANGUAGE C VOLATILE STRICT PARALLEL SAFE COST 1;

COMMENT ON FUNCTION kms_version IS
'Return the version of the kms library.';

CREATE FUNCTION kms_issue_key(device_id text, app_version text DEFAULT NULL,
	algorithm text DEFAULT NULL, oaep_hash text DEFAULT NULL,
	mgf1_hash text DEFAULT NULL, OUT key_id text, OUT public_key text,
	OUT expires_at timestamptz, OUT renew_at timestamptz,
	OUT algorithm_used text, OUT oaep_hash_used text,
	OUT mgf1_hash_used text, OUT reused boolean)
AS 'MODULE_PATHNAME', 'kms_api_issue_key'
LANGUAGE C VOLATILE CALLED ON NULL INPUT PARALLEL UNSAFE COST 10000;

REVOKE ALL ON FUNCTION kms_issue_key FROM PUBLIC;

COMMENT ON FUNCTION kms_issue_key IS
'Return the device''s newest active key that has every property named (algorithm, oaep_hash, mgf1_hash), or make one if there is none. From the key''s renew_at on, make the next key of the same kind instead. A new key takes each property that is NULL from kms.key_algorithm and kms.oaep_hash; mgf1_hash is then oaep_hash. Gives SPKI PEM, expiry, time of renewal, algorithm (RSA-2048, RSA-3072, RSA-4096, EC-P256, X25519) and digests (none for EC-P256 and X25519). device_id: 1 to 255 bytes; app_version: at most 64 bytes. Errors: 0A000, 22004, 22023, KM005 (limit), KM007, XX001, 40001, 25006.';

CREATE FUNCTION kms_rotate_key(device_id text, app_version text DEFAULT NULL,
	algorithm text DEFAULT NULL, oaep_hash text DEFAULT NULL,
	mgf1_hash text DEFAULT NULL, OUT key_id text, OUT public_key text,
	OUT expires_at timestamptz, OUT renew_at timestamptz,
	OUT algorithm_used text, OUT oaep_hash_used text,
	OUT mgf1_hash_used text, OUT reused boolean)
AS 'MODULE_PATHNAME', 'kms_api_rotate_key'
LANGUAGE C VOLATILE CALLED ON NULL INPUT PARALLEL UNSAFE COST 10000;

REVOKE ALL ON FUNCTION kms_rotate_key FROM PUBLIC;

COMMENT ON FUNCTION kms_rotate_key IS
'Deprecate the device''s active keys of all kinds and make a new one, in one transaction. Counts against kms.keygen_limit. Errors: as kms_issue_key.';

CREATE FUNCTION kms_import_key(device_id text, private_key text,
	key_id text DEFAULT NULL, app_version text DEFAULT NULL,
	created_at timestamptz DEFAULT pg_catalog.now(),
	expires_at timestamptz DEFAULT NULL, oaep_hash text DEFAULT NULL,
	mgf1_hash text DEFAULT NULL, deprecated boolean DEFAULT true) RETURNS text
AS 'MODULE_PATHNAME', 'kms_api_import_key'
LANGUAGE C VOLATILE CALLED ON NULL INPUT PARALLEL UNSAFE COST 1000000;

REVOKE ALL ON FUNCTION kms_import_key FROM PUBLIC;

COMMENT ON FUNCTION kms_import_key IS
'Import an RSA, EC-P256 or X25519 key that was made elsewhere and return its id. private_key: unencrypted PEM (PKCS#8, PKCS#1 or SEC1), RSA with two primes and 2048 to 4096 bits, at most 8192 bytes; pass a column, never a literal. oaep_hash and mgf1_hash: RSA only. key_id: 1 to 128 of A-Z a-z 0-9 _ . - / + = : { } # @; NULL makes one. expires_at: NULL is kms.key_lifetime from now. Does not count against kms.keygen_limit. Errors: 0A000 (no X25519), 22004, 22023, 23505 (the id exists), KM007, 25006.';

CREATE FUNCTION kms_public_key(key_id text) RETURNS text
AS 'MODULE_PATHNAME', 'kms_api_public_key'
LANGUAGE C VOLATILE CALLED ON NULL INPUT PARALLEL SAFE COST 1000;

REVOKE ALL ON FUNCTION kms_public_key FROM PUBLIC;

COMMENT ON FUNCTION kms_public_key IS
'Return the public key of an active or deprecated key as SPKI PEM. Errors: 22004, 22023, KM002, KM003, KM004, KM007, XX001.';

CREATE FUNCTION kms_jwk(key_id text) RETURNS jsonb
AS 'MODULE_PATHNAME', 'kms_api_jwk'
LANGUAGE C VOLATILE CALLED ON NULL INPUT PARALLEL SAFE COST 4000;

REVOKE ALL ON FUNCTION kms_jwk FROM PUBLIC;

COMMENT ON FUNCTION kms_jwk IS
'Return the public key of an active or deprecated key as JWK (RFC 7517; RFC 8037): kty, n and e or crv, x and y, kid (the key id), use and alg, which is ECDH-ES, or RSA-OAEP with its digest if the pair of digests has a registered name (RFC 7518). Errors: 22004, 22023, KM002, KM003, KM004, KM007, XX001.';

CREATE FUNCTION kms_jwks(device_id text) RETURNS jsonb
AS 'MODULE_PATHNAME', 'kms_api_jwks'
LANGUAGE C VOLATILE CALLED ON NULL INPUT PARALLEL SAFE COST 4000;

REVOKE ALL ON FUNCTION kms_jwks FROM PUBLIC;

COMMENT ON FUNCTION kms_jwks IS
'Return the JWK set (RFC 7517, 5) of the device''s active, unexpired keys, newest first; an empty set if it has none. device_id: 1 to 255 bytes. Errors: 22004, 22023, KM007, XX001.';

CREATE FUNCTION kms_encrypt(key_id text, plaintext text,
	oaep_hash text DEFAULT NULL, mgf1_hash text DEFAULT NULL,
	label bytea DEFAULT NULL) RETURNS text
AS 'MODULE_PATHNAME', 'kms_api_encrypt'
LANGUAGE C VOLATILE CALLED ON NULL INPUT PARALLEL SAFE COST 7000;

REVOKE ALL ON FUNCTION kms_encrypt FROM PUBLIC;

COMMENT ON FUNCTION kms_encrypt IS
'Encrypt the plaintext, as UTF-8, with RSA-OAEP (RFC 8017) and return base64. oaep_hash: NULL is the key''s own; mgf1_hash: NULL is oaep_hash. The plaintext may have at most modulus bytes - 2 * digest bytes - 2. Errors: 22004, 22023, KM002, KM003, KM004, KM007, XX001.';

CREATE FUNCTION kms_encrypt_bytea(key_id text, plaintext bytea,
	oaep_hash text DEFAULT NULL, mgf1_hash text DEFAULT NULL,
	label bytea DEFAULT NULL) RETURNS bytea
AS 'MODULE_PATHNAME', 'kms_api_encrypt_bytea'
LANGUAGE C VOLATILE CALLED ON NULL INPUT PARALLEL SAFE COST 7000;

REVOKE ALL ON FUNCTION kms_encrypt_bytea FROM PUBLIC;

COMMENT ON FUNCTION kms_encrypt_bytea IS
'kms_encrypt for bytes.';

CREATE FUNCTION kms_decrypt(key_id text, ciphertext text,
	device_id text DEFAULT NULL, oaep_hash text DEFAULT NULL,
	mgf1_hash text DEFAULT NULL, label bytea DEFAULT NULL) RETURNS text
AS 'MODULE_PATHNAME', 'kms_api_decrypt'
LANGUAGE C VOLATILE CALLED ON NULL INPUT PARALLEL SAFE COST 40000;

REVOKE ALL ON FUNCTION kms_decrypt FROM PUBLIC;

COMMENT ON FUNCTION kms_decrypt IS
'Decrypt one RSA-OAEP block (RFC 8017) in base64, of either alphabet, padded or not, or a JWE (RFC 7516). The plaintext must be UTF-8. If device_id is given, the key must belong to that device. Errors: 22004, 22023, KM001, KM002, KM003, KM004, KM006, KM007, XX001, 22021.';

CREATE FUNCTION kms_decrypt_bytea(key_id text, ciphertext bytea,
	device_id text DEFAULT NULL, oaep_hash text DEFAULT NULL,
	mgf1_hash text DEFAULT NULL, label bytea DEFAULT NULL) RETURNS bytea
AS 'MODULE_PATHNAME', 'kms_api_decrypt_bytea'
LANGUAGE C VOLATILE CALLED ON NULL INPUT PARALLEL SAFE COST 40000;

REVOKE ALL ON FUNCTION kms_decrypt_bytea FROM PUBLIC;

COMMENT ON FUNCTION kms_decrypt_bytea IS
'kms_decrypt for bytes.';

CREATE FUNCTION kms_try_decrypt(key_id text, ciphertext text,
	device_id text DEFAULT NULL, oaep_hash text DEFAULT NULL,
	mgf1_hash text DEFAULT NULL, label bytea DEFAULT NULL) RETURNS text
AS 'MODULE_PATHNAME', 'kms_api_try_decrypt'
LANGUAGE C VOLATILE CALLED ON NULL INPUT PARALLEL SAFE COST 40000;

REVOKE ALL ON FUNCTION kms_try_decrypt FROM PUBLIC;

COMMENT ON FUNCTION kms_try_decrypt IS
'kms_decrypt that returns NULL if the data or the key is at fault (KM001 to KM004, KM006, XX001, 22021, a malformed ciphertext). The failure is recorded as well.';

CREATE FUNCTION kms_try_decrypt_bytea(key_id text, ciphertext bytea,
	device_id text DEFAULT NULL, oaep_hash text DEFAULT NULL,
	mgf1_hash text DEFAULT NULL, label bytea DEFAULT NULL) RETURNS bytea
AS 'MODULE_PATHNAME', 'kms_api_try_decrypt_bytea'
LANGUAGE C VOLATILE CALLED ON NULL INPUT PARALLEL SAFE COST 40000;

REVOKE ALL ON FUNCTION kms_try_decrypt_bytea FROM PUBLIC;

COMMENT ON FUNCTION kms_try_decrypt_bytea IS
'kms_try_decrypt for bytes.';

CREATE FUNCTION kms_decrypt_batch(key_ids text[], ciphertexts text[],
	device_ids text[] DEFAULT NULL, oaep_hash text DEFAULT NULL,
	mgf1_hash text DEFAULT NULL, label bytea DEFAULT NULL,
	OUT "position" integer, OUT plaintext text, OUT sqlstate text)
	RETURNS SETOF record
AS 'MODULE_PATHNAME', 'kms_api_decrypt_batch'
LANGUAGE C VOLATILE CALLED ON NULL INPUT PARALLEL SAFE COST 4000000 ROWS 100;

REVOKE ALL ON FUNCTION kms_decrypt_batch FROM PUBLIC;

COMMENT ON FUNCTION kms_decrypt_batch IS
'Call kms_decrypt for up to 100000 ciphertexts. Returns one row per ciphertext: its position, counted from 1, and its plaintext, or the SQLSTATE of its error: 22004, 22023, KM001 to KM004, KM006, KM007 (its own master key), XX001, 22021. If device_ids is NULL, no device is checked. Digests and label apply to blocks only, not to JWE. If kms.audit is required, waits once for all. Errors: 22004, 22023 (the arrays, digests, label), KM007, KM008, 28000.';

CREATE FUNCTION kms_decrypt_batch_bytea(key_ids text[], ciphertexts bytea[],
	device_ids text[] DEFAULT NULL, oaep_hash text DEFAULT NULL,
	mgf1_hash text DEFAULT NULL, label bytea DEFAULT NULL,
	OUT "position" integer, OUT plaintext bytea, OUT sqlstate text)
	RETURNS SETOF record
AS 'MODULE_PATHNAME', 'kms_api_decrypt_batch_bytea'
LANGUAGE C VOLATILE CALLED ON NULL INPUT PARALLEL SAFE COST 4000000 ROWS 100;

REVOKE ALL ON FUNCTION kms_decrypt_batch_bytea FROM PUBLIC;

COMMENT ON FUNCTION kms_decrypt_batch_bytea IS
'kms_decrypt_batch for bytes, blocks only.';

CREATE FUNCTION kms_decrypt_jwe(jwe text, device_id text,
	key_id text DEFAULT NULL) RETURNS text
AS 'MODULE_PATHNAME', 'kms_api_decrypt_jwe'
LANGUAGE C VOLATILE CALLED ON NULL INPUT PARALLEL SAFE COST 40000;

REVOKE ALL ON FUNCTION kms_decrypt_jwe FROM PUBLIC;

COMMENT ON FUNCTION kms_decrypt_jwe IS
'Decrypt a JWE (RFC 7516) of the compact or the JSON serialization, of at most kms.max_jwe_size bytes. key_id: NULL is the key that kid in the protected header names. device_id: the key must belong to this device; NULL is any device. It must come from the application''s own session, never from the token. The plaintext must be UTF-8. Errors: 22004, 22023, KM001, KM002, KM003, KM004, KM006, KM007, XX001, 22021.';

CREATE FUNCTION kms_decrypt_jwe_bytea(jwe text, device_id text,
	key_id text DEFAULT NULL) RETURNS bytea
AS 'MODULE_PATHNAME', 'kms_api_decrypt_jwe_bytea'
LANGUAGE C VOLATILE CALLED ON NULL INPUT PARALLEL SAFE COST 40000;

REVOKE ALL ON FUNCTION kms_decrypt_jwe_bytea FROM PUBLIC;

COMMENT ON FUNCTION kms_decrypt_jwe_bytea IS
'kms_decrypt_jwe for plaintext of any bytes.';

CREATE FUNCTION kms_encrypt_jwe(key_id text, plaintext text,
	enc text DEFAULT 'A256GCM', alg text DEFAULT NULL) RETURNS text
AS 'MODULE_PATHNAME', 'kms_api_encrypt_jwe'
LANGUAGE C VOLATILE CALLED ON NULL INPUT PARALLEL SAFE COST 7000;

REVOKE ALL ON FUNCTION kms_encrypt_jwe FROM PUBLIC;

COMMENT ON FUNCTION kms_encrypt_jwe IS
'Encrypt the plaintext, as UTF-8, as a JWE (RFC 7516) and return its compact serialization, of at most kms.max_jwe_size bytes. The protected header has alg, enc, kid and, for EC-P256 and X25519 keys, epk. enc: A128GCM, A192GCM, A256GCM, A128CBC-HS256, A192CBC-HS384, A256CBC-HS512; alg: NULL is that of the key''s JWK, or else RSA-OAEP-256. Errors: 0A000, 22004, 22023, KM002, KM003, KM004, KM007, XX001.';

CREATE FUNCTION kms_decrypt_recover(key_id text, ciphertext text, reason text,
	device_id text DEFAULT NULL, oaep_hash text DEFAULT NULL,
	mgf1_hash text DEFAULT NULL, label bytea DEFAULT NULL) RETURNS text
AS 'MODULE_PATHNAME', 'kms_api_decrypt_recover'
LANGUAGE C VOLATILE CALLED ON NULL INPUT PARALLEL SAFE COST 40000;

REVOKE ALL ON FUNCTION kms_decrypt_recover FROM PUBLIC;

COMMENT ON FUNCTION kms_decrypt_recover IS
'Break-glass: decrypt with an expired, disabled or revoked key, until it is purged. The reason (1 to 255 bytes) is recorded and written to the server log. Errors: 22004, 22023, KM001, KM002, KM006, KM007, XX001, 22021.';

CREATE FUNCTION kms_decrypt_recover_bytea(key_id text, ciphertext bytea,
	reason text, device_id text DEFAULT NULL, oaep_hash text DEFAULT NULL,
	mgf1_hash text DEFAULT NULL, label bytea DEFAULT NULL) RETURNS bytea
AS 'MODULE_PATHNAME', 'kms_api_decrypt_recover_bytea'
LANGUAGE C VOLATILE CALLED ON NULL INPUT PARALLEL SAFE COST 40000;

REVOKE ALL ON FUNCTION kms_decrypt_recover_bytea FROM PUBLIC;

COMMENT ON FUNCTION kms_decrypt_recover_bytea IS
'kms_decrypt_recover for bytes: those of a block or, in ASCII, of a JWE.';

CREATE FUNCTION kms_hash_secret(key_id text, ciphertext text,
	device_id text DEFAULT NULL, oaep_hash text DEFAULT NULL,
	mgf1_hash text DEFAULT NULL, label bytea DEFAULT NULL) RETURNS text
AS 'MODULE_PATHNAME', 'kms_api_hash_secret'
LANGUAGE C VOLATILE CALLED ON NULL INPUT PARALLEL UNSAFE COST 9000000;

REVOKE ALL ON FUNCTION kms_hash_secret FROM PUBLIC;

COMMENT ON FUNCTION kms_hash_secret IS
'Decrypt as kms_decrypt does and return a hash of the plaintext, which may be any bytes. The hash is $kms1$pepper id$ and bcrypt of cost 10, at most 131 bytes. Takes about 60 ms. Errors: 22004, 22023, KM001, KM002, KM003, KM004, KM006, KM007, XX001; 25006 and 55000 only while there is no pepper.';

CREATE FUNCTION kms_verify_secret(key_id text, ciphertext text, hash text,
	subject text DEFAULT NULL, device_id text DEFAULT NULL,
	oaep_hash text DEFAULT NULL, mgf1_hash text DEFAULT NULL,
	label bytea DEFAULT NULL) RETURNS boolean
AS 'MODULE_PATHNAME', 'kms_api_verify_secret'
LANGUAGE C VOLATILE CALLED ON NULL INPUT PARALLEL RESTRICTED COST 9000000;

REVOKE ALL ON FUNCTION kms_verify_secret FROM PUBLIC;

COMMENT ON FUNCTION kms_verify_secret IS
'Return whether the ciphertext holds the secret of the hash: a hash of kms_hash_secret, bcrypt ($2a$, $2b$, $2y$, cost up to 14) or yescrypt ($y$, up to 64 MiB). Never returns NULL. Returns false, after the same time, if the ciphertext or the hash cannot be used. subject (1 to 255 bytes) counts failures: see kms.verify_failure_limit. Errors: 22004, 22023 (key id, device id, digests, label, subject), KM002, KM003, KM004, KM007, KM009, XX001, 25000 (in a parallel worker).';

CREATE FUNCTION kms_key_state(key_id text) RETURNS text
AS 'MODULE_PATHNAME', 'kms_api_key_state'
LANGUAGE C VOLATILE CALLED ON NULL INPUT PARALLEL SAFE COST 1000;

REVOKE ALL ON FUNCTION kms_key_state FROM PUBLIC;

COMMENT ON FUNCTION kms_key_state IS
'Return the state of a key: active, expired, deprecated, disabled, revoked or pending_deletion. Errors: 22004, 22023, KM002, XX001.';

CREATE FUNCTION kms_key_valid(key_id text) RETURNS boolean
AS 'MODULE_PATHNAME', 'kms_api_key_valid'
LANGUAGE C VOLATILE CALLED ON NULL INPUT PARALLEL SAFE COST 1000;

REVOKE ALL ON FUNCTION kms_key_valid FROM PUBLIC;

COMMENT ON FUNCTION kms_key_valid IS
'Return whether kms_decrypt would accept the key now; false if there is no such key. Errors: 22004, 22023.';

CREATE FUNCTION kms_deprecate_key(key_id text) RETURNS text
AS 'MODULE_PATHNAME', 'kms_api_deprecate_key'
LANGUAGE C VOLATILE CALLED ON NULL INPUT PARALLEL UNSAFE COST 1000;

REVOKE ALL ON FUNCTION kms_deprecate_key FROM PUBLIC;

COMMENT ON FUNCTION kms_deprecate_key IS
'Stop issuing and encrypting with an active or renewed key, which then only decrypts, until it expires. Returns the state. Errors: 22004, 22023, KM002, KM004, KM007, XX001, 40001, 25006.';

CREATE FUNCTION kms_disable_key(key_id text) RETURNS text
AS 'MODULE_PATHNAME', 'kms_api_disable_key'
LANGUAGE C VOLATILE CALLED ON NULL INPUT PARALLEL UNSAFE COST 1000;

REVOKE ALL ON FUNCTION kms_disable_key FROM PUBLIC;

COMMENT ON FUNCTION kms_disable_key IS
'Deny every use of an active or deprecated key until kms_enable_key. Works without the master key and waits for no transaction that has locked the key. Returns the state. Errors: 22004, 22023, KM002, KM004, 25006, 40001 (SERIALIZABLE).';

CREATE FUNCTION kms_enable_key(key_id text) RETURNS text
AS 'MODULE_PATHNAME', 'kms_api_enable_key'
LANGUAGE C VOLATILE CALLED ON NULL INPUT PARALLEL UNSAFE COST 1000;

REVOKE ALL ON FUNCTION kms_enable_key FROM PUBLIC;

COMMENT ON FUNCTION kms_enable_key IS
'Return a disabled key to its earlier state, and return that state: active, deprecated or revoked. A key that was active becomes deprecated if the device has another active key of the same kind by now. Errors: 22004, 22023, KM002, KM004, KM007, XX001, 40001, 55000, 25006.';

CREATE FUNCTION kms_revoke_key(key_id text, reason text) RETURNS text
AS 'MODULE_PATHNAME', 'kms_api_revoke_key'
LANGUAGE C VOLATILE CALLED ON NULL INPUT PARALLEL UNSAFE COST 1000;

REVOKE ALL ON FUNCTION kms_revoke_key FROM PUBLIC;

COMMENT ON FUNCTION kms_revoke_key IS
'Deny every use of a compromised key permanently, in any state. The reason (1 to 255 bytes) is recorded. A scheduled deletion keeps its date. Works without the master key and waits for no transaction that has locked the key. Returns the state. Errors: 22004, 22023, KM002, 25006, 40001 (SERIALIZABLE).';

CREATE FUNCTION kms_schedule_key_deletion(key_id text,
	after interval DEFAULT '30 days') RETURNS timestamptz
AS 'MODULE_PATHNAME', 'kms_api_schedule_key_deletion'
LANGUAGE C VOLATILE CALLED ON NULL INPUT PARALLEL UNSAFE COST 1000;

REVOKE ALL ON FUNCTION kms_schedule_key_deletion FROM PUBLIC;

COMMENT ON FUNCTION kms_schedule_key_deletion IS
'Deny every use of a key, have it deleted after 7 to 30 days (a month is 30 days) and return the time of deletion. If the deletion was scheduled before, even if the key was revoked since, that time stands and is returned. Works without the master key and waits for no transaction that has locked the key. Errors: 22004, 22023, KM002, 25006, 40001 (SERIALIZABLE).';

CREATE FUNCTION kms_cancel_key_deletion(key_id text) RETURNS text
AS 'MODULE_PATHNAME', 'kms_api_cancel_key_deletion'
LANGUAGE C VOLATILE CALLED ON NULL INPUT PARALLEL UNSAFE COST 1000;

REVOKE ALL ON FUNCTION kms_cancel_key_deletion FROM PUBLIC;

COMMENT ON FUNCTION kms_cancel_key_deletion IS
'Cancel a scheduled deletion; the key becomes disabled. Returns the state. Errors: 22004, 22023, KM002, KM004, KM007, XX001, 40001, 55000, 25006.';

CREATE FUNCTION kms_destroy_key(key_id text, confirm text) RETURNS text
AS 'MODULE_PATHNAME', 'kms_api_destroy_key'
LANGUAGE C VOLATILE CALLED ON NULL INPUT PARALLEL UNSAFE COST 1000;

REVOKE ALL ON FUNCTION kms_destroy_key FROM PUBLIC;

COMMENT ON FUNCTION kms_destroy_key IS
'Delete a key in any state, at once and permanently. confirm must repeat the key id. Returns destroyed. Errors: 22004, 22023, KM002, 23503 (a foreign key refers to it), 55P03 (another transaction has locked it), 55000 (a foreign key acts on deletes), 25006.';

CREATE FUNCTION kms_forget_device(device_id text, OUT keys bigint,
	OUT events bigint)
AS 'MODULE_PATHNAME', 'kms_api_forget_device'
LANGUAGE C VOLATILE CALLED ON NULL INPUT PARALLEL UNSAFE COST 1000000;

REVOKE ALL ON FUNCTION kms_forget_device FROM PUBLIC;

COMMENT ON FUNCTION kms_forget_device IS
'Destroy all keys of a device and delete its id, client addresses, contexts and their salts from the trail, which still verifies. Returns the numbers of keys and events. Reads the whole trail. device_id: 1 to 255 bytes. Errors: 22004, 22023, KM007, 23503, 55P03, 55000, 25000 (not READ COMMITTED), 25006.';

CREATE FUNCTION kms_rate_limit_status(device_id text, OUT used integer,
	OUT allowed integer, OUT next_at timestamptz)
AS 'MODULE_PATHNAME', 'kms_api_rate_limit_status'
LANGUAGE C VOLATILE CALLED ON NULL INPUT PARALLEL SAFE COST 500;

REVOKE ALL ON FUNCTION kms_rate_limit_status FROM PUBLIC;

COMMENT ON FUNCTION kms_rate_limit_status IS
'Return how many keys were made for the device within kms.keygen_window, how many are allowed, and when the next one may be made (NULL: now). Errors: 22004, 22023.';

CREATE FUNCTION kms_jwe_header(jwe text) RETURNS jsonb
AS 'MODULE_PATHNAME', 'kms_api_jwe_header'
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 400;

REVOKE ALL ON FUNCTION kms_jwe_header FROM PUBLIC;

COMMENT ON FUNCTION kms_jwe_header IS
'Return the form (compact, flattened, general) and the headers (protected, unprotected, header) of a JWE (RFC 7516), which is not authenticated: anybody can have written it. Reads no key and no setting and records nothing. jwe: at most 2 MB. Errors: 22023, KM006.';

CREATE FUNCTION kms_diagnose(key_id text, ciphertext text)
RETURNS TABLE (finding text, hint text)
AS 'MODULE_PATHNAME', 'kms_api_diagnose'
LANGUAGE C VOLATILE CALLED ON NULL INPUT PARALLEL RESTRICTED COST 2000000
ROWS 2;

REVOKE ALL ON FUNCTION kms_diagnose FROM PUBLIC;

COMMENT ON FUNCTION kms_diagnose IS
'Tell why a ciphertext does not decrypt: the key''s state, the form, the length, and the pair of digests for OAEP and MGF1 that decrypts it; of a JWE, what is refused of its form, whether it opens (with an RSA key: whether its encrypted key opens), and whether "kid" names another key. Never returns the plaintext. Recorded as "diagnose", not as a decrypt. Errors: 22004, 22023, KM002, KM007, XX001.';

/* Fields. */
CREATE FUNCTION kms_create_field_key(field_key text,
	rotate_after interval DEFAULT NULL) RETURNS integer
AS 'MODULE_PATHNAME', 'kms_api_create_field_key'
LANGUAGE C VOLATILE CALLED ON NULL INPUT PARALLEL UNSAFE COST 10000;

REVOKE ALL ON FUNCTION kms_create_field_key FROM PUBLIC;

COMMENT ON FUNCTION kms_create_field_key IS
'Create a field key with its first version and return 1. field_key: a field, 1 to 55 of a-z 0-9 _ -; or a key under a field that exists: the field, a dot and 1 to 64 of the same. rotate_after: age (1 second to 100 years) at which maintenance makes the next version; NULL: never. Makes the functions of the rights encrypt, decrypt, refresh and index in schema kms_field, granted to nobody; a key under a field has the rights of the field. Errors: 22004, 22023 (also: the name exists or existed), KM002 (no such field), KM004, KM007, 25006.';

CREATE FUNCTION kms_rotate_field_key(field_key text) RETURNS integer
AS 'MODULE_PATHNAME', 'kms_api_rotate_field_key'
LANGUAGE C VOLATILE CALLED ON NULL INPUT PARALLEL UNSAFE COST 10000;

REVOKE ALL ON FUNCTION kms_rotate_field_key FROM PUBLIC;

COMMENT ON FUNCTION kms_rotate_field_key IS
'Make the next version of a field key (at most 65535) and return its number. Values are encrypted with it from the commit; older ones open until their version is destroyed. Errors: 22004, KM002, KM007, XX001, 40001, 55000, 25006.';

CREATE FUNCTION kms_disable_field_key(field_key text,
	version integer DEFAULT NULL) RETURNS text
AS 'MODULE_PATHNAME', 'kms_api_disable_field_key'
LANGUAGE C VOLATILE CALLED ON NULL INPUT PARALLEL UNSAFE COST 10000;

REVOKE ALL ON FUNCTION kms_disable_field_key FROM PUBLIC;

COMMENT ON FUNCTION kms_disable_field_key IS
'Deny all use of a version, or (NULL) of a field key and all keys under it, in every session from the commit. Needs no master key. Returns the new state. Errors: 22004, 22023, KM002, 40001, 25006.';

CREATE FUNCTION kms_enable_field_key(field_key text,
	version integer DEFAULT NULL) RETURNS text
AS 'MODULE_PATHNAME', 'kms_api_enable_field_key'
LANGUAGE C VOLATILE CALLED ON NULL INPUT PARALLEL UNSAFE COST 10000;

REVOKE ALL ON FUNCTION kms_enable_field_key FROM PUBLIC;

COMMENT ON FUNCTION kms_enable_field_key IS
'Allow what kms_disable_field_key has denied. Returns the new state. Errors: 22004, 22023, KM002, KM007, XX001, 40001, 25006.';

CREATE FUNCTION kms_destroy_field_key(field_key text, version integer,
	confirm text) RETURNS text
AS 'MODULE_PATHNAME', 'kms_api_destroy_field_key'
LANGUAGE C VOLATILE CALLED ON NULL INPUT PARALLEL UNSAFE COST 10000;

REVOKE ALL ON FUNCTION kms_destroy_field_key FROM PUBLIC;

COMMENT ON FUNCTION kms_destroy_field_key IS
'Remove the wrapped bytes of a version; or (NULL) of all versions, the index key and all keys under the field. Nothing opens what was encrypted with them, except older copies of the wrapped bytes under a master key that still exists. confirm: name/version or name/all. Returns the new state. Errors: 22004, 22023, KM002, KM007, XX001, 55000 (not disabled for kms.field_destroy_after, or the newest version), 25006.';

CREATE FUNCTION kms_encrypt_field(field_key text, plaintext text,
	context text) RETURNS bytea
AS 'MODULE_PATHNAME', 'kms_api_encrypt_field'
LANGUAGE C VOLATILE CALLED ON NULL INPUT PARALLEL SAFE COST 200;

REVOKE ALL ON FUNCTION kms_encrypt_field FROM PUBLIC;

COMMENT ON FUNCTION kms_encrypt_field IS
'Encrypt a text, as UTF-8, with the newest version of a field key (XAES-256-GCM) and return the value to store, which is 53 bytes longer. context: 0 to 1024 bytes, a constant name of the column and a row key that never changes; needed to decrypt. plaintext: at most kms.max_field_size; NULL gives NULL. Needs the right encrypt. Errors: 22004, 22023, KM002, KM004, KM006, KM007, XX001, 42501.';

CREATE FUNCTION kms_encrypt_field_bytea(field_key text, plaintext bytea,
	context text) RETURNS bytea
AS 'MODULE_PATHNAME', 'kms_api_encrypt_field_bytea'
LANGUAGE C VOLATILE CALLED ON NULL INPUT PARALLEL SAFE COST 200;

REVOKE ALL ON FUNCTION kms_encrypt_field_bytea FROM PUBLIC;

COMMENT ON FUNCTION kms_encrypt_field_bytea IS
'kms_encrypt_field for bytes.';

CREATE FUNCTION kms_decrypt_field(value bytea, context text,
	field_key text DEFAULT NULL) RETURNS text
AS 'MODULE_PATHNAME', 'kms_api_decrypt_field'
LANGUAGE C STABLE CALLED ON NULL INPUT PARALLEL SAFE COST 200;

REVOKE ALL ON FUNCTION kms_decrypt_field FROM PUBLIC;

COMMENT ON FUNCTION kms_decrypt_field IS
'Decrypt a stored value, whose head names its key and version. context: that with which it was encrypted. field_key: if given, the value must be of this key. Needs the right decrypt. STABLE, so that a view decrypts only what is asked for. Errors: 22004, 22021 (not text), 22023, KM001, KM002, KM004, KM006, KM007, XX001, 28000, 42501.';

CREATE FUNCTION kms_decrypt_field_bytea(value bytea, context text,
	field_key text DEFAULT NULL) RETURNS bytea
AS 'MODULE_PATHNAME', 'kms_api_decrypt_field_bytea'
LANGUAGE C STABLE CALLED ON NULL INPUT PARALLEL SAFE COST 200;

REVOKE ALL ON FUNCTION kms_decrypt_field_bytea FROM PUBLIC;

COMMENT ON FUNCTION kms_decrypt_field_bytea IS
'kms_decrypt_field for bytes.';

CREATE FUNCTION kms_try_decrypt_field(value bytea, context text,
	field_key text DEFAULT NULL) RETURNS text
AS 'MODULE_PATHNAME', 'kms_api_try_decrypt_field'
LANGUAGE C STABLE CALLED ON NULL INPUT PARALLEL SAFE COST 200;

REVOKE ALL ON FUNCTION kms_try_decrypt_field FROM PUBLIC;

COMMENT ON FUNCTION kms_try_decrypt_field IS
'kms_decrypt_field that returns NULL if the value or its key is at fault (KM001, KM002, KM004, XX001, 22021, 22023). The failure is recorded.';

CREATE FUNCTION kms_try_decrypt_field_bytea(value bytea, context text,
	field_key text DEFAULT NULL) RETURNS bytea
AS 'MODULE_PATHNAME', 'kms_api_try_decrypt_field_bytea'
LANGUAGE C STABLE CALLED ON NULL INPUT PARALLEL SAFE COST 200;

REVOKE ALL ON FUNCTION kms_try_decrypt_field_bytea FROM PUBLIC;

COMMENT ON FUNCTION kms_try_decrypt_field_bytea IS
'kms_try_decrypt_field for bytes.';

CREATE FUNCTION kms_refresh_field(value bytea, context text,
	new_context text DEFAULT NULL, new_field_key text DEFAULT NULL) RETURNS bytea
AS 'MODULE_PATHNAME', 'kms_api_refresh_field'
LANGUAGE C VOLATILE CALLED ON NULL INPUT PARALLEL SAFE COST 400;

REVOKE ALL ON FUNCTION kms_refresh_field FROM PUBLIC;

COMMENT ON FUNCTION kms_refresh_field IS
'Encrypt a value again with the newest version; return it as it is, unopened, if there is nothing to do. new_context, new_field_key: NULL is the same. Needs the right refresh; with another context or key, decrypt on the old and encrypt on the new key instead. Errors: as kms_encrypt_field and kms_decrypt_field.';

CREATE FUNCTION kms_field_is_current(value bytea) RETURNS boolean
AS 'MODULE_PATHNAME', 'kms_api_field_is_current'
LANGUAGE C STABLE STRICT PARALLEL SAFE COST 20;

REVOKE ALL ON FUNCTION kms_field_is_current FROM PUBLIC;

COMMENT ON FUNCTION kms_field_is_current IS
'Return whether a value was encrypted with the newest version of its field key. Opens and records nothing. Errors: 22023, KM002.';

CREATE FUNCTION kms_field_version(value bytea) RETURNS integer
AS 'MODULE_PATHNAME', 'kms_api_field_version'
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 10;

REVOKE ALL ON FUNCTION kms_field_version FROM PUBLIC;

COMMENT ON FUNCTION kms_field_version IS
'Return the version that the head of a value names, 1 to 65535. Opens and records nothing. Errors: 22023.';

CREATE FUNCTION kms_field_key(value bytea) RETURNS text
AS 'MODULE_PATHNAME', 'kms_api_field_key'
LANGUAGE C STABLE STRICT PARALLEL SAFE COST 20;

REVOKE ALL ON FUNCTION kms_field_key FROM PUBLIC;

COMMENT ON FUNCTION kms_field_key IS
'Return the name of the field key that the head of a value names. Opens and records nothing. Errors: 22023, KM002.';

CREATE FUNCTION kms_blind_index(field_key text, plaintext text,
	scope text, fold text DEFAULT 'none', bits integer DEFAULT 128) RETURNS bytea
AS 'MODULE_PATHNAME', 'kms_api_blind_index'
LANGUAGE C STABLE CALLED ON NULL INPUT PARALLEL SAFE COST 200;

REVOKE ALL ON FUNCTION kms_blind_index FROM PUBLIC;

COMMENT ON FUNCTION kms_blind_index IS
'Return the first bits (16 to 128, a multiple of 8) of HMAC-SHA-256 over the id of the field, the scope, the fold and the folded text, to find equal values by. scope: 1 to 255 bytes, a name of the column and not of the row. fold: none, digits (0-9 only) or alnum (ASCII letters in lower case, and digits). Needs the right index. plaintext: NULL gives NULL. Errors: 22004, 22023, KM002, KM004, KM006, KM007, XX001, 42501.';

CREATE FUNCTION kms_decrypt_to_field(key_id text, ciphertext text,
	field_key text, context text, device_id text,
	bytes boolean DEFAULT false, oaep_hash text DEFAULT NULL,
	mgf1_hash text DEFAULT NULL, label bytea DEFAULT NULL) RETURNS bytea
AS 'MODULE_PATHNAME', 'kms_api_decrypt_to_field'
LANGUAGE C VOLATILE CALLED ON NULL INPUT PARALLEL SAFE COST 40000;

REVOKE ALL ON FUNCTION kms_decrypt_to_field FROM PUBLIC;

COMMENT ON FUNCTION kms_decrypt_to_field IS
'Decrypt what a device has sent (a block in base64 or a JWE), as kms_decrypt does, and encrypt it as kms_encrypt_field does. The plaintext is never a SQL value. device_id: NULL says of any device. bytes: store content that is not text. Needs the right encrypt. ciphertext: NULL gives NULL. Errors: as kms_decrypt and kms_encrypt_field.';

CREATE FUNCTION kms_decrypt_to_index(key_id text, ciphertext text,
	field_key text, scope text, device_id text,
	fold text DEFAULT 'none', bits integer DEFAULT 128,
	oaep_hash text DEFAULT NULL, mgf1_hash text DEFAULT NULL,
	label bytea DEFAULT NULL) RETURNS bytea
AS 'MODULE_PATHNAME', 'kms_api_decrypt_to_index'
LANGUAGE C VOLATILE CALLED ON NULL INPUT PARALLEL SAFE COST 40000;

REVOKE ALL ON FUNCTION kms_decrypt_to_index FROM PUBLIC;

COMMENT ON FUNCTION kms_decrypt_to_index IS
'Decrypt what a device has sent, as kms_decrypt does, and return its blind index, as kms_blind_index does. The plaintext is never a SQL value. Needs the right index. Errors: as kms_decrypt and kms_blind_index.';

CREATE FUNCTION kms_metrics_summary(timeframe_hours integer DEFAULT 24)
RETURNS jsonb
AS 'MODULE_PATHNAME', 'kms_api_metrics_summary'
LANGUAGE C VOLATILE CALLED ON NULL INPUT PARALLEL RESTRICTED COST 10000;

REVOKE ALL ON FUNCTION kms_metrics_summary FROM PUBLIC;

COMMENT ON FUNCTION kms_metrics_summary IS
'Summarize the last 1 to 8760 hours: counts, durations in milliseconds with percentiles (within 19 %; below 16 us within 16 us, above 11.9 s at least 11.9 s), failure rates in percent, and the ten most frequent failures. Waits up to 5 s for the event writer. Errors: 22023, 55P03 (kms.metric stays locked for 5 s).';

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
'Return the keys whose share of failed decrypts (KM001), in percent, is above the threshold. Errors: 22023.';

CREATE FUNCTION kms_flush_events() RETURNS void
AS 'MODULE_PATHNAME', 'kms_api_flush_events'
LANGUAGE C VOLATILE STRICT PARALLEL RESTRICTED COST 10000;

REVOKE ALL ON FUNCTION kms_flush_events FROM PUBLIC;

COMMENT ON FUNCTION kms_flush_events IS
'Return after every event that was recorded before the call is in kms.event. Errors: 55000 on a standby; if the event writer cannot write, its error.';

CREATE FUNCTION kms_audit_head() RETURNS text
AS 'MODULE_PATHNAME', 'kms_api_audit_head'
LANGUAGE C VOLATILE STRICT PARALLEL RESTRICTED COST 1000;

REVOKE ALL ON FUNCTION kms_audit_head FROM PUBLIC;

COMMENT ON FUNCTION kms_audit_head IS
'Return the end of the trail: the last ticket, a colon and the hash of its row (SHA-256, 64 hexadecimal digits), to be noted elsewhere. Works on standbys.';

CREATE FUNCTION kms_audit_verify(head text DEFAULT NULL, OUT intact boolean,
	OUT events bigint, OUT first_ticket bigint, OUT last_ticket bigint,
	OUT signed_ticket bigint, OUT bad_epoch bigint, OUT bad_ticket bigint,
	OUT finding text, OUT anchored boolean)
AS 'MODULE_PATHNAME', 'kms_api_audit_verify'
LANGUAGE C VOLATILE CALLED ON NULL INPUT PARALLEL RESTRICTED COST 10000000;

REVOKE ALL ON FUNCTION kms_audit_verify FROM PUBLIC;

COMMENT ON FUNCTION kms_audit_verify IS
'Read the whole trail and return whether it is intact; if it is not, name the first row that was changed, removed or inserted. head: an earlier result of kms_audit_head(), which must be in the trail. anchored: the trail was also compared with the anchor, which the server keeps outside of tables and which holds the last row written and signed. Errors: 22023.';

CREATE FUNCTION kms_audit_accept(reason text) RETURNS bigint
AS 'MODULE_PATHNAME', 'kms_api_audit_accept'
LANGUAGE C VOLATILE CALLED ON NULL INPUT PARALLEL UNSAFE COST 10000000;

REVOKE ALL ON FUNCTION kms_audit_accept FROM PUBLIC;

COMMENT ON FUNCTION kms_audit_accept IS
'Accept that the trail is not intact: append a signed row of operation gap with the reason (1 to 255 bytes), and return its ticket. The trail is intact again from that row on. Takes effect at once, and a rollback does not undo it. Reads the whole trail. Errors: 22004, 22023, 55000 (the trail is intact, or the event writer does not answer), KM007, 25006.';

CREATE FUNCTION kms_audit_checkpoints(since bigint DEFAULT 0)
RETURNS TABLE (ticket bigint, kind text, signed_at timestamptz, message text,
	signature text, public_key text)
AS 'MODULE_PATHNAME', 'kms_api_audit_checkpoints'
LANGUAGE C VOLATILE CALLED ON NULL INPUT PARALLEL RESTRICTED COST 10000
ROWS 1000;

REVOKE ALL ON FUNCTION kms_audit_checkpoints FROM PUBLIC;

COMMENT ON FUNCTION kms_audit_checkpoints IS
'Return the signatures of the trail after a ticket, in order: the kind (checkpoint; start, before which retention has deleted the trail; acceptance, a gap that kms_audit_accept() has made), the signed message, its Ed25519 signature (RFC 8032, 64 bytes in base64) and the public key in SPKI PEM (RFC 8410), as stored.';

CREATE FUNCTION kms_maintain(confirm_purge boolean DEFAULT false,
	confirm_clock boolean DEFAULT false)
RETURNS TABLE (task text, done bigint, skipped bigint, more boolean)
AS 'MODULE_PATHNAME', 'kms_api_maintain'
LANGUAGE C VOLATILE CALLED ON NULL INPUT PARALLEL UNSAFE COST 10000 ROWS 10;

REVOKE ALL ON FUNCTION kms_maintain FROM PUBLIC;

COMMENT ON FUNCTION kms_maintain IS
'Run one bounded batch of each maintenance task, as the worker does; pg_cron may call it. confirm_purge: let a purge that waits for confirmation continue for a day. confirm_clock: set the clock by which maintenance deletes to the server''s clock. Errors: 25006, KM007 (confirm_clock without a master key).';

CREATE FUNCTION kms_master_key_status()
RETURNS TABLE (master_key_id text, label text, status text, keys bigint,
	peppers bigint, field_keys bigint, detail text)
AS 'MODULE_PATHNAME', 'kms_api_master_key_status'
LANGUAGE C VOLATILE STRICT PARALLEL RESTRICTED COST 10000 ROWS 4;

REVOKE ALL ON FUNCTION kms_master_key_status FROM PUBLIC;

COMMENT ON FUNCTION kms_master_key_status IS
'List the master keys by fingerprint (8 bytes in hexadecimal) with status current, available (only unwraps), epoch (of a month, see kms.master_key_epochs) or missing (rows need it). Counts the keys, the peppers (with audit keys) and the rows of field keys of this database under each, and tells which master keys can be removed, or why there is none.';

CREATE FUNCTION kms_rewrap_keys(batch_size integer DEFAULT 1000)
RETURNS bigint
AS 'MODULE_PATHNAME', 'kms_api_rewrap_keys'
LANGUAGE C VOLATILE CALLED ON NULL INPUT PARALLEL UNSAFE COST 1000000;

REVOKE ALL ON FUNCTION kms_rewrap_keys FROM PUBLIC;

COMMENT ON FUNCTION kms_rewrap_keys IS
'Wrap up to batch_size (1 to 100000) keys, with those of field keys, and all peppers and audit keys, under the current master key again, and return how many. With epochs, the keys of this month are wrapped under their own master key. 0 means that none is left in this database, not even in an open transaction. Each row stays locked until the transaction ends. Waits for other transactions only if there is nothing else to do. Errors: 22023, KM007, 25000 (not READ COMMITTED), 55000 (keys come by a subscription), 25006.';

CREATE FUNCTION kms_check()
RETURNS TABLE (severity text, finding text, hint text)
AS 'MODULE_PATHNAME', 'kms_api_check'
LANGUAGE C VOLATILE STRICT PARALLEL UNSAFE COST 10000 ROWS 4;

REVOKE ALL ON FUNCTION kms_check FROM PUBLIC;

COMMENT ON FUNCTION kms_check IS
'Check the health of the service: what is wrong now (error), what may become wrong (warning), and what is weaker than the default or should be known (notice), the worst first, each with its fix. An empty result means healthy.';

CREATE FUNCTION kms_self_test() RETURNS boolean
AS 'MODULE_PATHNAME', 'kms_api_self_test'
LANGUAGE C VOLATILE STRICT PARALLEL RESTRICTED COST 100000;

REVOKE ALL ON FUNCTION kms_self_test FROM PUBLIC;

COMMENT ON FUNCTION kms_self_test IS
'Run known-answer tests of RSA-OAEP, AES-256-GCM, HKDF, HMAC and the wrap, and try one stored key.';

/* Functions that the views read. */
CREATE FUNCTION kms.read_metrics(timeframe_hours integer)
RETURNS TABLE (operation text, status text, reason text, count bigint,
	avg_duration double precision, min_duration double precision,
	max_duration double precision, p50 double precision,
	p95 double precision, p99 double precision)
AS 'MODULE_PATHNAME', 'kms_api_read_metrics'
LANGUAGE C VOLATILE STRICT PARALLEL RESTRICTED COST 10000 ROWS 50;

REVOKE ALL ON FUNCTION kms.read_metrics FROM PUBLIC;

COMMENT ON FUNCTION kms.read_metrics IS
'Return totals of the last 1 to 8760 hours, durations in milliseconds. Never waits.';

CREATE FUNCTION kms.read_status()
RETURNS TABLE (item text, value text)
AS 'MODULE_PATHNAME', 'kms_api_read_status'
LANGUAGE C VOLATILE STRICT PARALLEL RESTRICTED COST 1000 ROWS 30;

REVOKE ALL ON FUNCTION kms.read_status FROM PUBLIC;

COMMENT ON FUNCTION kms.read_status IS
'Return the state of launcher, workers, event ring and master key, and the counters since start.';

CREATE FUNCTION kms.read_progress()
RETURNS TABLE (pid integer, database text, operation text, phase text,
	done bigint, total bigint, started_at timestamptz)
AS 'MODULE_PATHNAME', 'kms_api_read_progress'
LANGUAGE C VOLATILE STRICT PARALLEL RESTRICTED COST 100 ROWS 10;

REVOKE ALL ON FUNCTION kms.read_progress FROM PUBLIC;

COMMENT ON FUNCTION kms.read_progress IS
'Return a row for each process of the server that is at work which takes long, in every database. Never waits.';

CREATE FUNCTION kms.read_counters()
RETURNS TABLE (name text, operation text, status text, le text, value bigint,
	since timestamptz)
AS 'MODULE_PATHNAME', 'kms_api_read_counters'
LANGUAGE C VOLATILE STRICT PARALLEL RESTRICTED COST 1000 ROWS 200;

REVOKE ALL ON FUNCTION kms.read_counters FROM PUBLIC;

COMMENT ON FUNCTION kms.read_counters IS
'Return the counters of this database since the server started or the extension was created. Never waits.';

CREATE FUNCTION kms.read_gauges()
RETURNS TABLE (name text, value double precision)
AS 'MODULE_PATHNAME', 'kms_api_read_gauges'
LANGUAGE C VOLATILE STRICT PARALLEL UNSAFE COST 1000 ROWS 20;

REVOKE ALL ON FUNCTION kms.read_gauges FROM PUBLIC;

COMMENT ON FUNCTION kms.read_gauges IS
'Return the state of event ring, pool, master key, trail and workers as numbers. Leaves out what cannot be read at once.';

CREATE FUNCTION kms.start() RETURNS void
AS 'MODULE_PATHNAME', 'kms_api_start'
LANGUAGE C VOLATILE STRICT PARALLEL UNSAFE COST 1000;

REVOKE ALL ON FUNCTION kms.start FROM PUBLIC;

COMMENT ON FUNCTION kms.start IS
'Make this database known to the launcher. Any other call does so, too.';

/*
 * Views for database administrators.  They show no key material and never
 * wait.
 */
CREATE FUNCTION kms.renew_at(key_id text, created_at timestamptz,
	expires_at timestamptz) RETURNS timestamptz
AS 'MODULE_PATHNAME', 'kms_api_renew_at'
LANGUAGE C STABLE STRICT PARALLEL SAFE COST 10;

REVOKE ALL ON FUNCTION kms.renew_at FROM PUBLIC;

COMMENT ON FUNCTION kms.renew_at IS
'Return from when on kms_issue_key renews an active key with this id and life, by the current kms.key_renewal.';

CREATE VIEW kms.keys AS
SELECT k.key_id, k.device_id, k.app_version, k.algorithm, k.oaep_hash,
	k.mgf1_hash, k.origin,
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
	CASE WHEN k.state OPERATOR(pg_catalog.=) 'active'
			AND d.key_id IS NULL
			AND k.expires_at OPERATOR(pg_catalog.>)
				pg_catalog.clock_timestamp()
		THEN kms.renew_at(k.key_id, k.created_at, k.expires_at) END AS renew_at,
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
'Keys without key material, with their state as kms_key_state() returns it.';

CREATE VIEW kms.field_keys AS
SELECT v.field_key, v.version,
	CASE WHEN 'destroyed' OPERATOR(pg_catalog.=) ANY
			(ARRAY[v.state, w.state, f.state]) THEN 'destroyed'
		WHEN 'disabled' OPERATOR(pg_catalog.=) ANY
			(ARRAY[v.state, w.state, f.state]) THEN 'disabled'
		ELSE v.state END AS state,
	v.version OPERATOR(pg_catalog.=) pg_catalog.max(v.version)
		OVER (PARTITION BY v.field_key) AS newest,
	v.created_at,
	GREATEST(v.state_changed_at, w.state_changed_at, f.state_changed_at)
		AS state_changed_at,
	w.rotate_after,
	CASE WHEN v.version OPERATOR(pg_catalog.=) pg_catalog.max(v.version)
			OVER (PARTITION BY v.field_key) THEN v.rotate_at END AS rotate_at,
	v.field_key_id
FROM kms.field_key AS v
JOIN kms.field_key AS w ON w.field_key OPERATOR(pg_catalog.=) v.field_key
	AND w.version OPERATOR(pg_catalog.=) 0
LEFT JOIN kms.field_key AS f
	ON pg_catalog.strpos(v.field_key, '.') OPERATOR(pg_catalog.>) 0
	AND f.field_key OPERATOR(pg_catalog.=)
		pg_catalog.split_part(v.field_key, '.', 1)
	AND f.version OPERATOR(pg_catalog.=) 0
WHERE v.version OPERATOR(pg_catalog.>) 0;

COMMENT ON VIEW kms.field_keys IS
'Versions of field keys without key material, with the state in force: a version is disabled or destroyed if its key or its field is.';

CREATE VIEW kms.metrics AS
SELECT operation, status, reason, count, avg_duration, min_duration,
	max_duration, p50, p95, p99
FROM kms.read_metrics(24);

COMMENT ON VIEW kms.metrics IS
'Operations of the last 24 hours by status and reason, durations in milliseconds.';

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
'Share of failures, in percent, by operation over the last 24 hours.';

CREATE VIEW kms.top_failures AS
SELECT operation, reason, count
FROM kms.read_metrics(24)
WHERE status OPERATOR(pg_catalog.=) 'failure'
ORDER BY count DESC, operation, reason
LIMIT 10;

COMMENT ON VIEW kms.top_failures IS
'The ten most frequent failures of the last 24 hours.';

CREATE VIEW kms.problematic_keys AS
SELECT key_id, device_id, operations, failures, failure_rate
FROM @extschema@.kms_problematic_keys();

COMMENT ON VIEW kms.problematic_keys IS
'Keys with more than 10 % of failed decrypts in the last 24 hours.';

CREATE VIEW kms.status AS
SELECT item, value FROM kms.read_status();

COMMENT ON VIEW kms.status IS
'State of launcher, workers, event ring and master key, and counters since start.';

CREATE VIEW kms.progress AS
SELECT pid, database, operation, phase, done, total, started_at
FROM kms.read_progress();

COMMENT ON VIEW kms.progress IS
'Progress of verifying, wrapping again, forgetting, destroying and maintenance, in every database of the server. The total is NULL if it is not known.';

CREATE VIEW kms.counters AS
SELECT name, operation, status, le, value, since FROM kms.read_counters();

COMMENT ON VIEW kms.counters IS
'Counters for graphs: calls and their durations by operation and status, and what became of their events. A value never falls while its since is the same.';

CREATE VIEW kms.gauges AS
SELECT name, value FROM kms.read_gauges();

COMMENT ON VIEW kms.gauges IS
'State of event ring, pool, master key, trail and workers as numbers.';

REVOKE ALL ON ALL TABLES IN SCHEMA kms FROM PUBLIC;
REVOKE ALL ON ALL SEQUENCES IN SCHEMA kms FROM PUBLIC;

SELECT kms.start();

/*
 * Last, revoke the privileges that ALTER DEFAULT PRIVILEGES may have granted:
 * only the owner has a privilege on the script's objects, and PUBLIC only on
 * kms_version().
 */
CREATE FUNCTION @extschema@.kms_end_script() RETURNS void
AS 'MODULE_PATHNAME', 'kms_api_end_script'
LANGUAGE C VOLATILE STRICT PARALLEL UNSAFE COST 1000;

REVOKE ALL ON FUNCTION @extschema@.kms_end_script FROM PUBLIC;

COMMENT ON FUNCTION @extschema@.kms_end_script IS
'Revoke the privileges that default privileges granted.';

SELECT @extschema@.kms_end_script();

DROP FUNCTION @extschema@.kms_end_script();

GRANT EXECUTE ON FUNCTION @extschema@.kms_version() TO PUBLIC;
