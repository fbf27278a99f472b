-- Decrypting in parallel workers: the plaintext is right, each row is recorded once.

\i test/include/plan.sql

SELECT key_id FROM kms_issue_key('parallel-1') \gset
CREATE TABLE parallel_card (n int, c text);
INSERT INTO parallel_card SELECT n, kms_encrypt(:'key_id', 'card ' || n) FROM generate_series(1, 300) AS n;
INSERT INTO parallel_card VALUES (0, 'AAAA');
ANALYZE parallel_card;
SET application_name = 'parallel';
SET parallel_setup_cost = 0;
SET parallel_tuple_cost = 0;
SET min_parallel_table_scan_size = 0;
SET max_parallel_workers_per_gather = 2;

-- the planner uses parallel workers by itself
SELECT count(*) FILTER (WHERE p ~ 'Gather') AS gather,
	count(*) FILTER (WHERE p ~ 'Parallel Seq Scan') AS parallel_scan
FROM pg_temp.plan(format('SELECT count(*) FROM parallel_card WHERE kms_try_decrypt(%L, c) = ''card '' || n', :'key_id')) AS p;
SELECT count(*) FROM parallel_card WHERE kms_try_decrypt(:'key_id', c) = 'card ' || n;
SELECT kms_flush_events();
SELECT operation, status, reason, session_role = session_user AS by_us, device_id, count(*),
	count(DISTINCT ticket) AS tickets
FROM kms.event WHERE application_name = 'parallel' GROUP BY 1, 2, 3, 4, 5 ORDER BY 2;

-- a failure in a worker is raised once and recorded by the process in which it happened
SET application_name = 'parallel failure';
\set SHOW_CONTEXT never
SELECT count(*) FROM parallel_card WHERE n = 0 AND kms_decrypt(:'key_id', c) = 'x';
\set SHOW_CONTEXT errors
SELECT kms_flush_events();
SELECT operation, status, reason, session_role = session_user AS by_us, count(*)
FROM kms.event WHERE application_name = 'parallel failure' GROUP BY 1, 2, 3, 4;

-- each call is made in a worker
SELECT set_config(CASE WHEN current_setting('server_version_num')::int < 160000
	THEN 'force_parallel_mode' ELSE 'debug_parallel_query' END, 'on', false);
SET application_name = 'parallel forced';
SELECT kms_decrypt(:'key_id', c) FROM parallel_card WHERE n = 7;
SELECT length(kms_encrypt(:'key_id', 'x')), kms_key_state(:'key_id'), kms_key_valid(:'key_id'),
	length(kms_public_key(:'key_id')) > 400 AS public_key;
SELECT used FROM kms_rate_limit_status('parallel-1');
SELECT kms_decrypt_recover(:'key_id', c, 'in a worker') FROM parallel_card WHERE n = 8;
SELECT kms_decrypt(:'key_id', c) FROM parallel_card WHERE n = 0;
SELECT count(*) AS gather FROM pg_temp.plan('SELECT kms_issue_key(''parallel-1'')') AS p WHERE p ~ 'Gather';
SELECT reused FROM kms_issue_key('parallel-1');
SELECT reused FROM kms_issue_key('parallel-2');
SELECT reused FROM kms_rotate_key('parallel-2');
SELECT jsonb_typeof(kms_metrics_summary());
SELECT kms_flush_events();
SELECT operation, status, reason, session_role = session_user AS by_us, count(*)
FROM kms.event WHERE application_name = 'parallel forced' GROUP BY 1, 2, 3, 4 ORDER BY 1, 2;
-- a rollback of the leader undoes no event of a worker
SET application_name = 'parallel undone';
BEGIN;
SELECT kms_decrypt(:'key_id', c) FROM parallel_card WHERE n = 9;
ROLLBACK;
SELECT kms_flush_events();
SELECT operation, status, reason, count(*)
FROM kms.event WHERE application_name = 'parallel undone' GROUP BY 1, 2, 3;
DROP TABLE parallel_card;
