-- Counters and gauges: names, columns, rights, and that a call is counted once whatever becomes of its transaction.
\set SHOW_CONTEXT never

SELECT table_name, column_name, data_type FROM information_schema.columns
WHERE table_schema = 'kms' AND table_name IN ('counters', 'gauges') ORDER BY table_name, ordinal_position;

-- all that are not the age of something that may not have happened yet
SELECT name FROM kms.gauges WHERE name NOT IN ('checkpoint_age_seconds', 'maintenance_age_seconds')
ORDER BY name COLLATE "C";
SELECT count(*) AS negative FROM kms.gauges WHERE value < 0;
SELECT name, value FROM kms.gauges WHERE name IN ('launcher_running', 'master_key_ready', 'events_left_in_rings',
	'writer_failing') ORDER BY name COLLATE "C";
SELECT g.value = s.value::float8 AS same FROM kms.gauges AS g JOIN kms.status AS s ON s.item = 'ring size'
WHERE g.name = 'ring_slots';

SELECT key_id FROM kms_issue_key('monitoring') \gset
SELECT kms_encrypt(:'key_id', 'x') AS c \gset
SELECT name, count(DISTINCT le) AS bounds, bool_and(operation IS NULL) AS no_operation, bool_and(status IS NULL) AS no_status
FROM kms.counters GROUP BY name ORDER BY name COLLATE "C";
SELECT string_agg(le, ' ' ORDER BY value, replace(le, '+Inf', 'Infinity')::float8) AS bounds FROM kms.counters
WHERE name = 'duration_bucket' AND operation = 'encrypt' AND status = 'success';
SELECT count(DISTINCT since) AS counts, max(since) < clock_timestamp() AS begun FROM kms.counters;

-- of calls that no other session makes now
CREATE TEMP TABLE before AS SELECT * FROM kms.counters;
BEGIN READ ONLY;
SELECT kms_decrypt_recover(:'key_id', :'c', 'counted') FROM generate_series(1, 3);
SAVEPOINT s;
SELECT kms_decrypt_recover(:'key_id', 'AAAA', 'counted');
ROLLBACK TO s;
SELECT name FROM kms.gauges WHERE name = 'ring_used';
ROLLBACK;
SELECT a.name, a.status, a.value - coalesce(b.value, 0) AS more
FROM kms.counters AS a LEFT JOIN before AS b ON a.name = b.name AND a.operation = b.operation
	AND a.status = b.status AND a.le IS NOT DISTINCT FROM b.le
WHERE a.operation = 'recover' AND (a.name = 'calls' OR a.le = '+Inf') ORDER BY 1, 2;
SELECT count(*) AS fallen FROM kms.counters AS a JOIN before AS b ON a.name = b.name
	AND a.operation IS NOT DISTINCT FROM b.operation AND a.status IS NOT DISTINCT FROM b.status
	AND a.le IS NOT DISTINCT FROM b.le WHERE a.value < b.value;

-- rights
CREATE ROLE regress_kms_numbers;
GRANT USAGE ON SCHEMA kms TO regress_kms_numbers;
SET ROLE regress_kms_numbers;
SELECT count(*) FROM kms.counters;
SELECT count(*) FROM kms.gauges;
SELECT * FROM kms.read_counters();
SELECT * FROM kms.read_gauges();
RESET ROLE;
GRANT SELECT ON kms.counters, kms.gauges TO regress_kms_numbers;
GRANT EXECUTE ON FUNCTION kms.read_counters, kms.read_gauges TO regress_kms_numbers;
SET ROLE regress_kms_numbers;
SELECT count(*) > 10 AS counters FROM kms.counters;
SELECT count(*) >= 17 AS gauges FROM kms.gauges;
RESET ROLE;
DROP OWNED BY regress_kms_numbers;
DROP ROLE regress_kms_numbers;
