-- Rows of kms.field_key that the owner of the table has changed.  A use of the
-- key fails, or is right; nothing opens as something else.
\i test/include/outcome.sql
SET client_min_messages = warning;
\pset null NULL
\pset format unaligned

SELECT kms_create_field_key('forged'), kms_create_field_key('forged.ann'), kms_create_field_key('target');
CREATE TABLE value (v1 bytea, v2 bytea, ann bytea, target bytea);
INSERT INTO value (v1, ann, target)
SELECT kms_encrypt_field('forged', 'one', 'c'), kms_encrypt_field('forged.ann', 'ann', 'c'),
	kms_encrypt_field('target', 'target', 'c');
SELECT kms_rotate_field_key('forged');
UPDATE value SET v2 = kms_encrypt_field('forged', 'two', 'c');
CREATE TABLE index_before AS SELECT kms_blind_index('forged', 'x', 's') AS idx;

-- Return what becomes of each use of the keys.  A value that is encrypted must
-- be of the key that was named.
CREATE FUNCTION pg_temp.short(query text) RETURNS text LANGUAGE sql AS $$
	SELECT CASE WHEN o ~ '^[A-Z0-9]{5} ' THEN left(o, 5) || CASE
		WHEN o ~ 'does not authenticate' THEN ' forged'
		WHEN o ~ 'is disabled' THEN ' disabled' WHEN o ~ 'destroyed' THEN ' destroyed'
		WHEN o ~ 'not found' THEN ' not found' ELSE substr(o, 6) END ELSE o END
	FROM pg_temp.outcome(query) AS o
$$;
CREATE VIEW uses AS SELECT
	pg_temp.short($$SELECT kms_field_key(kms_encrypt_field('forged', 'x', 'c'))$$) AS encrypt,
	pg_temp.short($$SELECT kms_decrypt_field(v1, 'c') FROM value$$) AS v1,
	pg_temp.short($$SELECT kms_decrypt_field(v2, 'c') FROM value$$) AS v2,
	pg_temp.short($$SELECT kms_decrypt_field(ann, 'c') FROM value$$) AS ann,
	pg_temp.short($$SELECT kms_field_key(kms_encrypt_field('forged.ann', 'x', 'c'))$$) AS encrypt_ann,
	pg_temp.short($$SELECT kms_decrypt_field(target, 'c') FROM value$$) AS target,
	pg_temp.short($$SELECT kms_field_key(kms_encrypt_field('target', 'x', 'c'))$$) AS encrypt_target,
	pg_temp.short($$SELECT kms_blind_index('forged', 'x', 's') = idx FROM index_before$$) AS index,
	pg_temp.short($$SELECT kms_blind_index('forged.ann', 'x', 's') = idx FROM index_before$$) AS index_ann,
	pg_temp.short($$SELECT kms_refresh_field(v1, 'c') IS NOT NULL FROM value$$) AS refresh,
	pg_temp.short($$SELECT concat_ws(' ', kms_field_is_current(v1), kms_field_is_current(v2), kms_field_key(v2)) FROM value$$) AS head;
SELECT * FROM uses;
\t

-- Each of these is undone again.
CREATE TEMP TABLE forgery (n serial, what text);
INSERT INTO forgery (what)
SELECT format('UPDATE kms.field_key SET %s WHERE field_key = %L AND version = %s', change, 'forged', version)
FROM unnest(ARRAY[
	$$field_key = 'renamed'$$,
	$$field_key_id = '\x0123456789abcdef'$$,
	$$field_key_id = field_key_id || '\x00'$$,
	$$field_key_id = ''$$,
	$$version = version + 10$$,
	$$state = 'disabled'$$,
	$$state = 'destroyed'$$,
	$$created_at = created_at + interval '1 second'$$,
	$$state_changed_at = state_changed_at - interval '1 second'$$,
	$$row_version = row_version + 1$$,
	$$rotate_after = '1 second'$$,
	$$rotate_at = now()$$,
	$$wrapped_key = set_byte(wrapped_key, 60, get_byte(wrapped_key, 60) # 1)$$,
	$$wrapped_key = NULL$$,
	$$wrapped_key = wrapped_key || '\x00'$$,
	$$wrapped_key = decode(repeat('00', 1000000), 'hex')$$,
	$$wrapped_under = ''$$,
	$$wrapped_under = wrapped_under || wrapped_under$$,
	$$wrapped_under = '\x00'$$,
	$$wrapped_under = decode(repeat('00', 1000000), 'hex')$$,
	$$seal = set_byte(seal, 30, get_byte(seal, 30) # 1)$$,
	$$seal = substr(seal, 2)$$,
	$$seal = NULL$$,
	$$seal = decode(repeat('00', 1000000), 'hex')$$,
	$$seal = NULL, state = 'disabled'$$]) WITH ORDINALITY AS f (change, n), generate_series(0, 2) AS version
ORDER BY n, version;
INSERT INTO forgery (what) VALUES
	('DELETE FROM kms.field_key WHERE field_key = ''forged'' AND version = 0'),
	('DELETE FROM kms.field_key WHERE field_key = ''forged'' AND version = 1'),
	('DELETE FROM kms.field_key WHERE field_key = ''forged'' AND version = 2'),
	('DELETE FROM kms.field_key WHERE field_key = ''forged'' AND version > 0'),
	('DELETE FROM kms.field_key WHERE field_key = ''forged.ann'' AND version = 0'),
	('UPDATE kms.field_key SET rotate_after = ''1 day'' WHERE field_key = ''forged.ann'' AND version = 0'),
	('UPDATE kms.field_key SET field_key = ''renamed'' WHERE field_key = ''forged'''),
	('UPDATE kms.field_key SET field_key = ''target.ann'' WHERE field_key = ''forged.ann''');

-- moves between rows: the wrap, the wrap and the seal, all but the name
INSERT INTO forgery (what)
SELECT format($$UPDATE kms.field_key AS t SET %s FROM kms.field_key AS f
	WHERE (t.field_key, t.version) = ('forged', %s) AND (f.field_key, f.version) = (%L, %s)$$,
	what, t, split_part(f, '/', 1), split_part(f, '/', 2))
FROM unnest(ARRAY[
	'wrapped_key = f.wrapped_key',
	'wrapped_key = f.wrapped_key, seal = f.seal',
	'wrapped_key = f.wrapped_key, seal = f.seal, wrapped_under = f.wrapped_under, created_at = f.created_at, state_changed_at = f.state_changed_at, row_version = f.row_version']) WITH ORDINALITY AS w (what, n),
	(VALUES (1, 'forged/2'), (2, 'forged/0'), (0, 'forged/2'), (1, 'target/1'), (0, 'target/0')) AS m (t, f)
ORDER BY n, t, f;

SELECT format('BEGIN; %s; SELECT * FROM uses; ROLLBACK', what) FROM forgery ORDER BY n \gexec

-- ---- Names and ids of two keys are exchanged ---------------------------

CREATE TEMP TABLE was AS SELECT field_key, version, field_key_id FROM kms.field_key;
ALTER TABLE kms.field_key DROP CONSTRAINT field_key_id_key;
CREATE INDEX field_key_id_key ON kms.field_key (field_key_id, version);
-- row 0 of one key has the id of the other one
BEGIN;
UPDATE kms.field_key SET field_key_id = (SELECT field_key_id FROM was WHERE (field_key, version) = ('target', 0))
WHERE field_key = 'forged' AND version = 0;
SELECT * FROM uses;
ROLLBACK;
-- both rows 0
BEGIN;
UPDATE kms.field_key AS k SET field_key_id = w.field_key_id FROM was AS w
WHERE k.version = 0 AND w.version = 0 AND (k.field_key, w.field_key) IN (('forged', 'target'), ('target', 'forged'));
SELECT * FROM uses;
ROLLBACK;
-- a name leads to the id of the other key, all of whose rows are as they were;
-- of two rows with one id and number, the later one is found
BEGIN;
DELETE FROM kms.field_key WHERE field_key = 'forged' AND version > 0;
UPDATE kms.field_key SET field_key_id = (SELECT field_key_id FROM was WHERE (field_key, version) = ('target', 0))
WHERE field_key = 'forged' AND version = 0;
UPDATE kms.field_key SET rotate_at = now() WHERE field_key = 'target' AND version = 0;
SELECT * FROM uses;
-- also in one statement with uses that are right
SELECT u.* FROM generate_series(1, 2) AS n, LATERAL (SELECT n, uses.* FROM uses) AS u;
ROLLBACK;
DROP INDEX kms.field_key_id_key;
ALTER TABLE kms.field_key ADD CONSTRAINT field_key_id_key UNIQUE (field_key_id, version);

-- ---- What no constraint forbids any more -------------------------------

BEGIN;
ALTER TABLE kms.field_key DROP CONSTRAINT field_key_state_check;
UPDATE kms.field_key SET state = 'open to all, with more letters' WHERE field_key = 'forged' AND version = 1;
SELECT * FROM uses;
ROLLBACK;
BEGIN;
ALTER TABLE kms.field_key DROP CONSTRAINT field_key_version_check;
UPDATE kms.field_key SET version = -1 WHERE field_key = 'forged' AND version = 0;
UPDATE kms.field_key SET version = 70000 WHERE field_key = 'forged' AND version = 2;
SELECT * FROM uses;
ROLLBACK;
BEGIN;
UPDATE kms.field_key SET field_key = repeat('x', 200) WHERE field_key = 'forged' AND version = 1;
UPDATE kms.field_key SET field_key = E'a"b\n' || repeat('é', 50) WHERE field_key = 'target';
SELECT * FROM uses;
SELECT pg_temp.short($$SELECT kms_field_key(target) FROM value$$);
ROLLBACK;

-- ---- A change, and an old row restored ----------------------------------

CREATE TEMP TABLE old AS SELECT * FROM kms.field_key WHERE field_key = 'forged' AND version IN (0, 1);
SELECT kms_disable_field_key('forged', 1);
-- denied, whatever else is changed
BEGIN;
UPDATE kms.field_key SET row_version = 7, seal = NULL, created_at = now() WHERE field_key = 'forged' AND version = 1;
SELECT * FROM uses;
SELECT pg_temp.outcome($$SELECT kms_enable_field_key('forged', 1)$$);
ROLLBACK;
-- allowed by hand
BEGIN;
UPDATE kms.field_key SET state = 'enabled' WHERE field_key = 'forged' AND version = 1;
SELECT * FROM uses;
ROLLBACK;
BEGIN;
UPDATE kms.field_key SET state = 'enabled', seal = NULL WHERE field_key = 'forged' AND version = 1;
SELECT * FROM uses;
SELECT pg_temp.outcome($$SELECT kms_disable_field_key('forged', 1)$$), pg_temp.outcome($$SELECT kms_enable_field_key('forged', 1)$$);
ROLLBACK;
-- a complete old row authenticates, as SPEC says
BEGIN;
DELETE FROM kms.field_key WHERE field_key = 'forged' AND version = 1;
INSERT INTO kms.field_key (field_key, version, field_key_id, created_at, state, state_changed_at, row_version, wrapped_key, wrapped_under, seal)
SELECT field_key, version, field_key_id, created_at, state, state_changed_at, row_version, wrapped_key, wrapped_under, seal FROM old WHERE version = 1;
SELECT * FROM uses;
ROLLBACK;
SELECT kms_enable_field_key('forged', 1);

-- a newest row with another name does not take a value to that key
BEGIN;
INSERT INTO kms.field_key (field_key, version, field_key_id, created_at, state, state_changed_at, row_version, wrapped_under)
SELECT 'target', 65535, field_key_id, created_at, state, state_changed_at, 1, wrapped_under
FROM kms.field_key WHERE field_key = 'forged' AND version = 0;
SELECT pg_temp.short($$SELECT kms_field_key(kms_refresh_field(v1, 'c')) FROM value$$);
ROLLBACK;

-- ---- Changes of forged rows ----------------------------------------------

CREATE VIEW changes AS SELECT
	pg_temp.short($$SELECT kms_rotate_field_key('forged')$$) AS rotate,
	pg_temp.short($$SELECT kms_disable_field_key('forged')$$) AS disable,
	pg_temp.short($$SELECT kms_destroy_field_key('forged', NULL, 'forged/all')$$) AS destroy,
	pg_temp.short($$SELECT kms_enable_field_key('forged')$$) AS enable,
	pg_temp.short($$SELECT kms_disable_field_key('forged', 1)$$) AS disable_version,
	pg_temp.short($$SELECT kms_destroy_field_key('forged', 1, 'forged/1')$$) AS destroy_version,
	pg_temp.short($$SELECT kms_enable_field_key('forged', 1)$$) AS enable_version;
SELECT format('BEGIN; %s; SELECT * FROM changes; ROLLBACK', what) FROM forgery
WHERE what ~ 'row_version \+ 1|1000000|seal = NULL|renamed|state =|f.wrapped_key WHERE|wrapped_key = NULL' ORDER BY n \gexec

-- a destroyed key that is said to be disabled is no key again
BEGIN;
SET LOCAL kms.field_destroy_after = 0;
SELECT kms_disable_field_key('forged');
SELECT kms_destroy_field_key('forged', NULL, 'forged/all');
-- a version that came back is destroyed again
UPDATE kms.field_key SET state = 'enabled', wrapped_key = '\x00' WHERE field_key = 'forged' AND version = 1;
SELECT kms_destroy_field_key('forged', NULL, 'forged/all');
SELECT state, wrapped_key FROM kms.field_key WHERE field_key = 'forged' AND version = 1;
UPDATE kms.field_key SET state = 'disabled', seal = NULL WHERE field_key LIKE 'forged%';
SELECT pg_temp.short($$SELECT kms_enable_field_key('forged')$$), pg_temp.short($$SELECT kms_enable_field_key('forged', 1)$$),
	pg_temp.short($$SELECT kms_rotate_field_key('forged')$$);
SELECT * FROM uses;
ROLLBACK;

SELECT * FROM uses;
SELECT kms_flush_events();
SELECT count(*) FROM kms.event_quarantine;
DROP VIEW uses, changes;
DROP TABLE value, index_before;
SET kms.field_destroy_after = 0;
SELECT kms_disable_field_key('forged'), kms_disable_field_key('target');
SELECT kms_destroy_field_key('forged', NULL, 'forged/all'), kms_destroy_field_key('target', NULL, 'target/all');
