-- The states of a key: every allowed transition, every other is refused, and each is recorded.
-- Needs: kms.maintenance = off
\set SHOW_CONTEXT never

\i test/include/outcome.sql

-- brings the key of a new device to a state, and returns its id
CREATE FUNCTION pg_temp.key_in(state text, device text) RETURNS text
LANGUAGE plpgsql AS $$
DECLARE id text;
BEGIN
	SELECT key_id INTO id FROM kms_issue_key(device);
	CASE state
		WHEN 'active' THEN NULL;
		WHEN 'deprecated' THEN PERFORM kms_deprecate_key(id);
		WHEN 'disabled' THEN PERFORM kms_disable_key(id);
		WHEN 'revoked' THEN PERFORM kms_revoke_key(id, 'lost phone');
		WHEN 'pending_deletion' THEN PERFORM kms_schedule_key_deletion(id);
	END CASE;
	RETURN id;
END $$;

-- every operation on a key of every state; pairs of one state are idempotent
CREATE TEMP TABLE tried AS
SELECT s.state, o.operation, pg_temp.outcome(format(o.query,
		pg_temp.key_in(s.state, s.state || ' ' || o.operation)), 'hint') AS outcome
FROM unnest('{active,deprecated,disabled,revoked,pending_deletion}'::text[])
	WITH ORDINALITY AS s (state, n),
	(VALUES (1, 'deprecate', 'SELECT kms_deprecate_key(%L)'),
		(2, 'disable', 'SELECT kms_disable_key(%L)'),
		(3, 'enable', 'SELECT kms_enable_key(%L)'),
		(4, 'revoke', 'SELECT kms_revoke_key(%L, ''stolen'')'),
		(5, 'schedule', 'SELECT kms_schedule_key_deletion(%L) > now() + ''29 days'''),
		(6, 'cancel', 'SELECT kms_cancel_key_deletion(%L)')) AS o (n, operation, query)
ORDER BY s.n, o.n;
SELECT * FROM tried;

-- what each state allows
CREATE TEMP TABLE sample AS
SELECT state, 'uses ' || state AS device, pg_temp.key_in('active', 'uses ' || state) AS id
FROM unnest('{active,deprecated,disabled,revoked,pending_deletion}'::text[]) AS state;
ALTER TABLE sample ADD COLUMN c text;
UPDATE sample SET c = kms_encrypt(id, 'four digits');
DO $$
DECLARE s record;
BEGIN
	FOR s IN SELECT * FROM sample LOOP
		PERFORM pg_temp.key_in(s.state, s.device);
	END LOOP;
END $$;
SELECT s.state, pg_temp.outcome(format(q.query, s.id, s.c)) AS outcome, q.what
FROM sample AS s, (VALUES ('public key', 'SELECT kms_public_key(%L) IS NOT NULL'),
	('encrypt', 'SELECT kms_encrypt(%L, ''x'') IS NOT NULL'),
	('decrypt', 'SELECT kms_decrypt(%L, %L)'),
	('recover', 'SELECT kms_decrypt_recover(%L, %L, ''test'')'),
	('state', 'SELECT kms_key_state(%L)'), ('valid', 'SELECT kms_key_valid(%L)'))
	AS q (what, query)
ORDER BY q.what, s.state;
SELECT s.state, k.key_id = s.id AS same, k.reused
FROM sample AS s, kms_issue_key(s.device) AS k ORDER BY 1;

-- a key comes back in its previous state; a second active key of a device does not
SELECT pg_temp.key_in('active', 'back') AS id \gset
SELECT kms_disable_key(:'id'), kms_enable_key(:'id'), kms_enable_key(:'id');
SELECT kms_deprecate_key(:'id'), kms_disable_key(:'id'), kms_enable_key(:'id');
SELECT kms_schedule_key_deletion(:'id', '7 days') BETWEEN now() + '7 days' AND now() + '7 days 1 minute' AS at,
	kms_schedule_key_deletion(:'id', '20 days') < now() + '8 days' AS stands;
SELECT kms_cancel_key_deletion(:'id'), kms_cancel_key_deletion(:'id'), kms_enable_key(:'id');
SELECT kms_revoke_key(:'id', 'sold'), kms_revoke_key(:'id', 'sold again');
SELECT kms_schedule_key_deletion(:'id') IS NOT NULL AS scheduled,
	kms_cancel_key_deletion(:'id'), kms_enable_key(:'id');
SELECT state, stored_state, state_reason, delete_at, row_version FROM kms.keys WHERE key_id = :'id';
SELECT pg_temp.key_in('disabled', 'second') AS id \gset
SELECT kms_encrypt(key_id, 'x') IS NOT NULL AS other, key_id <> :'id' AS new FROM kms_issue_key('second');
SELECT kms_enable_key(:'id');
SELECT state, state_reason FROM kms.keys WHERE key_id = :'id';
SELECT count(*) FROM kms.keys WHERE device_id = 'second' AND state = 'active';

-- a revoke works in one call from every state: the date of a deletion stays, and the first reason
SELECT pg_temp.key_in('disabled', 'both') AS id \gset
SELECT kms_revoke_key(:'id', 'seen on a market');
SELECT state, state_reason FROM kms.keys WHERE key_id = :'id';
SELECT pg_temp.key_in('active', 'dated') AS id \gset
SELECT kms_schedule_key_deletion(:'id', '7 days') AS due \gset
SELECT kms_revoke_key(:'id', 'sold'), kms_revoke_key(:'id', 'sold again');
SELECT state, state_reason, delete_at = :'due' AS stands, row_version FROM kms.keys WHERE key_id = :'id';
SELECT pg_temp.outcome(format('SELECT kms_cancel_key_deletion(%L)', :'id'), 'hint');
SELECT kms_schedule_key_deletion(:'id', '20 days') = :'due' AS stands, kms_key_state(:'id');
SELECT kms_revoke_key(:'id', 'and again');
SELECT kms_schedule_key_deletion(:'id') = :'due' AS stands, kms_cancel_key_deletion(:'id'), kms_enable_key(:'id');
SELECT state, state_reason, delete_at, row_version FROM kms.keys WHERE key_id = :'id';
-- a disabled key is scheduled in one call, too, and comes back as disabled
SELECT pg_temp.key_in('disabled', 'scheduled') AS id \gset
SELECT kms_schedule_key_deletion(:'id') IS NOT NULL AS scheduled, kms_cancel_key_deletion(:'id'), kms_enable_key(:'id');
-- in kms.denial the two changes mean the same, in either order
SELECT device, pg_temp.key_in('pending_deletion', device) AS id INTO TEMP late
FROM unnest('{late first,late second}'::text[]) AS device;
SELECT k.delete_at AS due FROM kms.keys AS k WHERE device_id = 'late first' \gset
BEGIN ISOLATION LEVEL REPEATABLE READ;
SELECT kms_revoke_key(id, 'lost'), kms_key_state(id) FROM late;
SELECT kms_schedule_key_deletion(id) IS NOT NULL AS scheduled, kms_key_state(id) FROM late
WHERE device = 'late second';
COMMIT;
SELECT device_id, state, stored_state, state_reason, delete_at IS NOT NULL AS dated FROM kms.keys
WHERE device_id ~ '^late ' ORDER BY 1;
SELECT task, done FROM kms_maintain() WHERE task = 'seal denials';
SELECT device_id, state, stored_state, state_reason, delete_at IS NOT NULL AS dated, row_version FROM kms.keys
WHERE device_id ~ '^late ' ORDER BY 1;
SELECT delete_at = :'due' AS stands FROM kms.keys WHERE device_id = 'late first';
SELECT kms_cancel_key_deletion(id), kms_enable_key(id) FROM late WHERE device = 'late second';

-- arguments
SELECT pg_temp.outcome(q, 'hint') FROM unnest(ARRAY[
	'SELECT kms_disable_key(NULL)', 'SELECT kms_disable_key('''')', 'SELECT kms_disable_key(''4711 4711'')',
	'SELECT kms_disable_key(''key_1234567890123_0123456789abcdef01234567'')',
	format('SELECT kms_revoke_key(%L, NULL)', :'id'), format('SELECT kms_revoke_key(%L, '''')', :'id'),
	format('SELECT kms_revoke_key(%L, repeat(''r'', 256))', :'id'),
	format('SELECT kms_schedule_key_deletion(%L, NULL)', :'id'),
	format('SELECT kms_schedule_key_deletion(%L, ''6 days 23:59:59'')', :'id'),
	format('SELECT kms_schedule_key_deletion(%L, ''30 days 1 second'')', :'id'),
	format('SELECT kms_schedule_key_deletion(%L, ''-8 days'')', :'id'),
	format('SELECT kms_schedule_key_deletion(%L, ''178000000 years'')', :'id'),
	format('SELECT kms_destroy_key(%L, NULL)', :'id'), format('SELECT kms_destroy_key(%L, ''yes'')', :'id'),
	'SELECT kms_destroy_key(''key_1234567890123_0123456789abcdef01234567'', ''key_1234567890123_0123456789abcdef01234567'')'
	]) AS q;
SELECT kms_schedule_key_deletion(:'id', '1 mon') BETWEEN now() + '30 days' AND now() + '30 days 1 minute' AS a_month_has_30;

-- destroying deletes at once, from any state
SELECT state, kms_destroy_key(id, confirm => id) FROM sample ORDER BY 1;
SELECT count(*) FROM kms.key WHERE key_id IN (SELECT id FROM sample);
SELECT count(*) FROM kms.key_secret WHERE key_id IN (SELECT id FROM sample);
SELECT DISTINCT pg_temp.outcome(format('SELECT kms_decrypt(%L, %L)', id, c), 'hint') FROM sample;

-- a key that a foreign key refers to is not destroyed, and no key is while one acts on deletes
SELECT pg_temp.key_in('active', 'referred') AS id \gset
CREATE TABLE card (key_id text COLLATE "C" REFERENCES kms.key);
INSERT INTO card VALUES (:'id');
SELECT pg_temp.outcome(format('SELECT kms_destroy_key(%L, %L)', :'id', :'id'), 'hint');
ALTER TABLE card DROP CONSTRAINT card_key_id_fkey,
	ADD FOREIGN KEY (key_id) REFERENCES kms.key DEFERRABLE INITIALLY DEFERRED;
SELECT pg_temp.outcome(format('SELECT kms_destroy_key(%L, %L)', :'id', :'id'), 'hint');
-- such a foreign key is refused now, but may exist from before
BEGIN;
ALTER EXTENSION kms DROP TABLE kms.key;
ALTER TABLE card DROP CONSTRAINT card_key_id_fkey,
	ADD FOREIGN KEY (key_id) REFERENCES kms.key ON DELETE CASCADE;
ALTER EXTENSION kms ADD TABLE kms.key;
SELECT pg_temp.outcome(format('SELECT kms_destroy_key(%L, %L)', :'id', :'id'), 'hint');
SELECT count(*) FROM card;
ROLLBACK;
DROP TABLE card;
SELECT kms_destroy_key(:'id', :'id');

-- every call left one event, with the reason of a revocation; a call without effect says so
SELECT kms_flush_events();
SELECT operation, status, reason, context, count(*) FROM kms.event
WHERE device_id = 'back' AND operation <> 'issue' GROUP BY 1, 2, 3, 4 ORDER BY 1, 2, 3, 4;
SELECT t.state, t.operation, e.status, e.reason, count(e.ticket)
FROM tried AS t JOIN kms.event AS e ON e.device_id = t.state || ' ' || t.operation
	AND e.operation = CASE t.operation WHEN 'schedule' THEN 'schedule_deletion'
		WHEN 'cancel' THEN 'cancel_deletion' ELSE t.operation END
	AND (t.operation <> 'revoke' OR e.context IS DISTINCT FROM 'lost phone')
GROUP BY 1, 2, 3, 4 ORDER BY 1, 2, 3, 4;
SELECT operation, status, reason, count(*) FROM kms.event WHERE operation = 'destroy'
GROUP BY 1, 2, 3 ORDER BY 1, 2, 3;

-- a change that is undone has no effect, and is recorded as undone
SELECT pg_temp.key_in('active', 'undone') AS id \gset
BEGIN;
SELECT kms_revoke_key(:'id', 'a mistake');
SAVEPOINT s;
SELECT kms_schedule_key_deletion(:'id') IS NOT NULL AS scheduled;
ROLLBACK TO s;
SELECT kms_key_state(:'id');
ROLLBACK;
SELECT kms_key_state(:'id');
SELECT kms_flush_events();
SELECT operation, status, reason, context FROM kms.event WHERE key_id = :'id' ORDER BY operation;

-- the row agrees with the trail
SELECT count(*) FROM kms_check() WHERE finding LIKE '%older than the trail%';
SELECT count(*) FROM kms.denial;

-- nothing is written in a read-only transaction
BEGIN READ ONLY;
SELECT kms_revoke_key(:'id', 'read only');
ROLLBACK;

-- a denial that is not in the row yet is in force, and the trail agrees with it
SELECT pg_temp.key_in('active', 'denied') AS id \gset
SELECT kms_encrypt(:'id', 'x') AS c \gset
BEGIN ISOLATION LEVEL REPEATABLE READ;
SELECT kms_revoke_key(:'id', 'in a snapshot'), kms_key_state(:'id');
COMMIT;
SELECT kms_key_state(:'id'), pg_temp.outcome(format('SELECT kms_decrypt(%L, %L)', :'id', :'c'), 'hint'),
	kms_decrypt_recover(:'id', :'c', 'test');
SELECT reused FROM kms_issue_key('denied');
SELECT state, stored_state, state_reason, row_version FROM kms.keys WHERE key_id = :'id';
SELECT state, reason, delete_at FROM kms.denial;
SELECT severity, finding FROM kms_check() WHERE finding LIKE 'keys were%' OR finding LIKE '%older than%';
-- further denials are merged: the strongest counts, and no revocation is lost
SELECT kms_schedule_key_deletion(:'id') IS NOT NULL AS scheduled, kms_key_state(:'id');
SELECT kms_cancel_key_deletion(:'id');
SELECT state, stored_state, state_reason, row_version FROM kms.keys WHERE key_id = :'id';
SELECT count(*) FROM kms.denial;
SELECT kms_enable_key(:'id');

-- maintenance moves the denial into the row
SELECT pg_temp.key_in('active', 'folded') AS id \gset
BEGIN ISOLATION LEVEL REPEATABLE READ;
SELECT kms_disable_key(:'id');
COMMIT;
SELECT task, done, skipped, more FROM kms_maintain() WHERE task = 'seal denials';
SELECT state, stored_state, row_version FROM kms.keys WHERE key_id = :'id';
SELECT count(*) FROM kms.denial;
SELECT kms_enable_key(:'id');

-- a denial holds for a row that does not authenticate, too, and such a row is never sealed
SELECT pg_temp.key_in('active', 'edited') AS id \gset
UPDATE kms.key SET expires_at = expires_at + '1 year' WHERE key_id = :'id';
SELECT kms_revoke_key(:'id', 'edited by hand');
SELECT task, done, skipped FROM kms_maintain() WHERE task = 'seal denials';
SELECT pg_temp.outcome(format('SELECT kms_encrypt(%L, ''x'')', :'id'), 'hint');
SELECT pg_temp.outcome(format('SELECT kms_cancel_key_deletion(%L)', :'id'), 'hint');
SELECT state, stored_state FROM kms.keys WHERE key_id = :'id';
SELECT kms_destroy_key(:'id', :'id');
SELECT count(*) FROM kms.denial;

-- more denials than one round moves
SELECT pg_temp.key_in('active', 'many') AS id \gset
BEGIN ISOLATION LEVEL REPEATABLE READ;
SELECT count(kms_disable_key(:'id')) FROM generate_series(1, 20);
COMMIT;
BEGIN;
ALTER EXTENSION kms DROP TABLE kms.denial;
CREATE TABLE noted (denial_id bigint REFERENCES kms.denial ON DELETE CASCADE);
ALTER EXTENSION kms ADD TABLE kms.denial;
SELECT pg_temp.outcome(format('SELECT kms_enable_key(%L)', :'id'), 'hint');
ROLLBACK;
SELECT kms_enable_key(:'id'), kms_key_state(:'id');
SELECT row_version FROM kms.keys WHERE key_id = :'id';
SELECT count(*) FROM kms.denial;
BEGIN ISOLATION LEVEL REPEATABLE READ;
SELECT count(kms_disable_key(:'id')) FROM generate_series(1, 20);
COMMIT;
SELECT task, done, skipped FROM kms_maintain() WHERE task = 'seal denials';
SELECT count(*) FROM kms.denial;
SELECT kms_enable_key(:'id');

-- a deletion needs its time
SELECT pg_temp.outcome('INSERT INTO kms.denial (key_id, state, denied_at)
	VALUES (''k'', ''pending_deletion'', now())');
SELECT pg_temp.outcome('INSERT INTO kms.denial (key_id, state, denied_at, delete_at)
	VALUES (''k'', ''revoked'', now(), now())');

-- denials with invented versions do not hide a row that was restored
INSERT INTO kms.denial (key_id, state, denied_at) VALUES (:'id', 'disabled', now());
SELECT task, done FROM kms_maintain() WHERE task = 'seal denials';
SELECT kms_enable_key(:'id');
SELECT kms_flush_events();
SELECT count(*) FROM kms_check() WHERE finding LIKE 'keys have changed more often than the trail says%';
CREATE TEMP TABLE saved AS SELECT * FROM kms.key WHERE key_id = :'id';
SELECT kms_revoke_key(:'id', 'stolen');
SELECT kms_flush_events();
UPDATE kms.key AS k SET state = s.state, state_reason = s.state_reason, state_changed_at = s.state_changed_at,
	row_version = s.row_version, seal = s.seal FROM saved AS s WHERE k.key_id = s.key_id;
SELECT kms_key_state(:'id');
SELECT count(*) FROM kms_check() WHERE finding LIKE 'keys are older than the trail says%';
SELECT kms_destroy_key(:'id', :'id');

-- a key id that was destroyed and is imported again starts with a new history
\set pem `openssl genrsa 2048 2>/dev/null`
CREATE TEMP TABLE pem AS SELECT :'pem'::text AS pem;
SELECT kms_import_key('again', pem, 'again-1') FROM pem;
SELECT kms_disable_key('again-1'), kms_destroy_key('again-1', 'again-1');
SELECT kms_import_key('again', pem, 'again-1') FROM pem;
SELECT kms_disable_key('again-1'), kms_enable_key('again-1');
SELECT kms_flush_events();
SELECT finding FROM kms_check() WHERE finding ~ 'again-1';

-- a revocation with the reason that maintenance uses does not count as a problematic key
SELECT pg_temp.key_in('active', 'words') AS id \gset
SELECT kms_revoke_key(:'id', 'Problematic');
SELECT FROM kms_issue_key('words');
SELECT origin, count(*) FROM kms.keys WHERE device_id = 'words' GROUP BY 1;

-- a denial whose key was deleted long ago is dropped
INSERT INTO kms.denial (key_id, state, denied_at) VALUES ('gone', 'disabled', now() - '6 days'::interval),
	('long-gone', 'disabled', now() - '8 days'::interval);
SELECT task, done FROM kms_maintain() WHERE task = 'seal denials';
SELECT key_id FROM kms.denial;
DELETE FROM kms.denial;

-- a deletion that was in kms.denial alone leaves time to cancel it
SELECT pg_temp.key_in('active', 'due') AS id \gset
INSERT INTO kms.denial (key_id, state, denied_at, delete_at)
VALUES (:'id', 'pending_deletion', now() - '8 days'::interval, now() - '1 day'::interval);
SELECT kms_key_state(:'id');
SELECT task, done, skipped FROM kms_maintain() WHERE task IN ('seal denials', 'purge keys');
SELECT count(*) FROM kms.key WHERE key_id = :'id';
-- a revoked key is not deleted before its time, even if it expired longer ago than kms.key_retention
SELECT kms_import_key(device, pem, device, created_at => now() - '95 days'::interval,
	expires_at => now() - '89 days'::interval)
FROM pem, unnest('{passed,ahead,undated}'::text[]) AS device;
SELECT kms_schedule_key_deletion('ahead') IS NOT NULL AS scheduled, kms_revoke_key('ahead', 'sold'),
	kms_revoke_key('undated', 'sold');
INSERT INTO kms.denial (key_id, state, denied_at, delete_at) VALUES
	('passed', 'pending_deletion', now() - '8 days'::interval, now() - '1 day'::interval),
	('passed', 'revoked', now(), NULL);
SET kms.key_retention = '80d';
SELECT task, done, skipped FROM kms_maintain() WHERE task = 'seal denials';
RESET kms.key_retention;
SELECT key_id, state FROM kms.key WHERE key_id IN ('passed', 'ahead', 'undated') ORDER BY 1;
