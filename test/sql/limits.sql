-- Five keys a device in any 24 hours, counted from the keys that are there.
\set SHOW_CONTEXT never

\i test/include/outcome.sql

SELECT used, allowed, next_at FROM kms_rate_limit_status('limits-1');
SELECT reused FROM kms_issue_key('limits-1');
-- issuing an existing key does not count
SELECT count(*) FROM generate_series(1, 20), kms_issue_key('limits-1') AS i WHERE i.reused;
SELECT used, allowed, next_at FROM kms_rate_limit_status('limits-1');
-- a rotation that is rolled back does not count
BEGIN;
SELECT reused FROM kms_rotate_key('limits-1');
SELECT used FROM kms_rate_limit_status('limits-1');
ROLLBACK;
SELECT used FROM kms_rate_limit_status('limits-1');
-- each rotation counts
SELECT reused FROM kms_rotate_key('limits-1');
SELECT reused FROM kms_rotate_key('limits-1');
SELECT reused FROM kms_rotate_key('limits-1');
SELECT used, allowed, next_at FROM kms_rate_limit_status('limits-1');
SELECT key_id FROM kms_rotate_key('limits-1') \gset
SELECT used, allowed, next_at > clock_timestamp() + '23 hours 58 minutes' AS not_before,
	next_at < clock_timestamp() + '24 hours' AS within,
	next_at = (SELECT min(created_at) + '24 hours' FROM kms.keys WHERE device_id = 'limits-1')
		AS when_the_oldest_leaves
FROM kms_rate_limit_status('limits-1');
\x on
SELECT * FROM pg_temp.failure('SELECT kms_rotate_key(''limits-1'')');
\x off
-- the existing key stays in use and is issued
SELECT key_id = :'key_id' AS same, reused FROM kms_issue_key('limits-1');
SELECT count(*) AS keys, count(*) FILTER (WHERE state = 'active') AS active
FROM kms.keys WHERE device_id = 'limits-1';
-- another device has its own count
SELECT used FROM kms_rate_limit_status('limits-2');

-- the window moves: a key that leaves it makes room for one, and no more
SET kms.keygen_window = '1h';
UPDATE kms.key SET created_at = created_at - '1 hour'::interval
WHERE key_id = (SELECT key_id FROM kms.keys WHERE device_id = 'limits-1'
	ORDER BY created_at LIMIT 1);
SELECT used, allowed, next_at FROM kms_rate_limit_status('limits-1');
SELECT reused FROM kms_rotate_key('limits-1');
SELECT code FROM pg_temp.failure('SELECT kms_rotate_key(''limits-1'')');
RESET kms.keygen_window;

-- a lower limit counts existing keys, and next_at follows it
SET kms.keygen_limit = 2;
SELECT used, allowed,
	next_at = (SELECT created_at + '24 hours' FROM kms.keys WHERE device_id = 'limits-1'
		ORDER BY created_at DESC OFFSET 1 LIMIT 1) AS when_the_second_newest_leaves
FROM kms_rate_limit_status('limits-1');
RESET kms.keygen_limit;

-- the detail is for programs: UTC whatever the session displays, and rounded up, so that a retry at that time succeeds
CREATE FUNCTION pg_temp.retry_after(query text, OUT retry_at timestamptz, OUT hint_at timestamptz) LANGUAGE plpgsql AS $$
DECLARE
	detail text;
	hint text;
BEGIN
	EXECUTE query;
EXCEPTION WHEN SQLSTATE 'KM005' THEN
	GET STACKED DIAGNOSTICS detail = PG_EXCEPTION_DETAIL, hint = PG_EXCEPTION_HINT;
	retry_at := substring(detail FROM '^Retry after (\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ)\.$')::timestamptz;
	hint_at := substring(hint FROM '^Try again after (.*)\.$')::timestamptz;
END $$;
BEGIN;
SET LOCAL DateStyle = 'SQL, DMY';
SET LOCAL TimeZone = 'Asia/Kathmandu';
SELECT retry_at >= next_at AS not_before, retry_at < next_at + '1 second' AS rounded_up,
	hint_at = next_at AS as_the_hint, retry_at = date_trunc('second', retry_at) AS whole_seconds
FROM pg_temp.retry_after('SELECT kms_rotate_key(''limits-1'')'), kms_rate_limit_status('limits-1');
COMMIT;
SET kms.keygen_limit = 2;
SELECT key_id AS oldest_id FROM kms_issue_key('limits-4') \gset
SELECT reused FROM kms_rotate_key('limits-4');
SELECT retry_at FROM pg_temp.retry_after('SELECT kms_rotate_key(''limits-4'')') \gset
-- instead of waiting until then
UPDATE kms.key SET created_at = created_at - (:'retry_at' - clock_timestamp())
WHERE key_id = :'oldest_id';
SELECT reused FROM kms_rotate_key('limits-4');
RESET kms.keygen_limit;

-- an expired device over its limit has no key, and the message says why
SET kms.keygen_limit = 1;
SET kms.key_lifetime = '1s';
SELECT reused FROM kms_issue_key('limits-3');
RESET kms.key_lifetime;
SELECT pg_sleep(1.1); -- until a key has expired
SELECT code, message FROM pg_temp.failure('SELECT kms_issue_key(''limits-3'')');
RESET kms.keygen_limit;
SELECT kms_flush_events();
SELECT operation, status, reason, device_id, key_id, count(*) FROM kms.event
WHERE reason = 'Rate limit for key generation exceeded' AND device_id LIKE 'limits-%'
GROUP BY 1, 2, 3, 4, 5 ORDER BY device_id;

-- a superuser can give a database or a role a policy of its own
SELECT current_database() AS database \gset
ALTER DATABASE :"database" SET kms.keygen_limit = 7;
\c -
SELECT used, allowed FROM kms_rate_limit_status('limits-1');
ALTER DATABASE :"database" RESET kms.keygen_limit;
SET kms.keygen_limit = 0;
-- settings of the server can be set in its configuration only
SET kms.event_retention = '1d';
SET kms.event_ring_size = '1MB';
SET kms.master_key_file = '/tmp/x';
ALTER SYSTEM SET kms.master_key_file = '/tmp/x';
SET kms.no_such_setting = 1;

-- a plain user can set none of them in any way
CREATE ROLE regress_kms_plain LOGIN;
SET ROLE regress_kms_plain;
DO $$
DECLARE
	setting record;
	statement text;
	tried int := 0;
	refused int := 0;
BEGIN
	FOR setting IN SELECT name, reset_val AS value FROM pg_settings
		WHERE name LIKE 'kms.%' AND name NOT IN ('kms.audit_context', 'kms.progress_interval') LOOP
		FOREACH statement IN ARRAY ARRAY[
			'SET %I = %L', 'SET LOCAL %I = %L',
			'SELECT set_config(''%s'', %L, false)',
			'ALTER ROLE CURRENT_USER SET %I = %L',
			'ALTER SYSTEM SET %I = %L'] LOOP
			tried := tried + 1;
			BEGIN
				EXECUTE format(statement, setting.name, setting.value);
				RAISE NOTICE 'a plain user could %', format(statement, setting.name, setting.value);
			EXCEPTION
				WHEN insufficient_privilege OR cant_change_runtime_param
					OR active_sql_transaction THEN
					refused := refused + 1;
			END;
		END LOOP;
	END LOOP;
	RAISE NOTICE 'all refused: %, many: %', tried = refused, tried > 80;
END $$;
CREATE FUNCTION pg_temp.with_setting() RETURNS int LANGUAGE sql
	SET kms.keygen_limit = 1000 AS 'SELECT 1';
-- a plain user cannot see where the master key is
\set VERBOSITY sqlstate
SHOW kms.master_key_file;
\set VERBOSITY default
SELECT count(*) FROM pg_settings WHERE name = 'kms.master_key_file';
RESET ROLE;
DROP ROLE regress_kms_plain;
-- the context of each setting
SELECT name, context FROM pg_settings WHERE name LIKE 'kms.%' ORDER BY name COLLATE "C";
-- the key whose date was changed
DELETE FROM kms.key WHERE device_id = 'limits-1';
