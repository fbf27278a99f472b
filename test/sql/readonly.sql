-- Read-only and serializable transactions, prepared statements, cursors, suspended portals.
\set SHOW_CONTEXT never

SELECT key_id FROM kms_issue_key('readonly-1') \gset
CREATE TEMP TABLE card (n int, c text);
INSERT INTO card SELECT n, kms_encrypt(:'key_id', 'card ' || n) FROM generate_series(1, 20) AS n;

-- functions that only read work in read-only transactions
SET application_name = 'read only';
BEGIN READ ONLY;
SELECT kms_decrypt(:'key_id', c) FROM card WHERE n = 1;
SELECT kms_decrypt_recover(:'key_id', c, 'read only') FROM card WHERE n = 1;
SELECT kms_try_decrypt(:'key_id', 'AAAA') IS NULL AS refused;
SELECT length(kms_encrypt(:'key_id', 'x'));
SELECT key_id = :'key_id' AS same, reused FROM kms_issue_key('readonly-1');
SELECT kms_public_key(:'key_id') IS NOT NULL AS public_key, kms_key_state(:'key_id'), kms_key_valid(:'key_id');
SELECT used, allowed FROM kms_rate_limit_status('readonly-1');
SELECT kms_flush_events();
SELECT jsonb_typeof(kms_metrics_summary());
SELECT count(*) >= 0 AS problems FROM kms_problematic_keys();
SELECT count(*) > 0 AS status FROM kms.status;
-- other tests have left keys that were changed by hand, and it tries any key
SET LOCAL client_min_messages = error;
SELECT kms_self_test() IS NOT NULL AS tested;
SET LOCAL client_min_messages = notice;
SELECT count(*) FROM kms_master_key_status();
SELECT count(*) >= 0 AS checked FROM kms_check();
-- functions that write raise an error
SAVEPOINT s;
SELECT reused FROM kms_issue_key('readonly-2');
ROLLBACK TO s;
SELECT reused FROM kms_rotate_key('readonly-1');
ROLLBACK TO s;
SELECT kms_rewrap_keys();
ROLLBACK TO s;
SELECT * FROM kms_maintain();
ROLLBACK;
SELECT kms_flush_events();
SELECT operation, status, reason, count(*) FROM kms.event
WHERE application_name = 'read only' GROUP BY 1, 2, 3 ORDER BY 1, 2, 3;

-- serializable, deferrable
SET application_name = 'isolation';
BEGIN ISOLATION LEVEL SERIALIZABLE READ ONLY DEFERRABLE;
SELECT kms_decrypt(:'key_id', c) FROM card WHERE n = 2;
COMMIT;
BEGIN ISOLATION LEVEL SERIALIZABLE;
SELECT kms_decrypt(:'key_id', c) FROM card WHERE n = 3;
SELECT reused FROM kms_issue_key('readonly-3');
SELECT reused FROM kms_issue_key('readonly-3');
SELECT reused FROM kms_rotate_key('readonly-3');
COMMIT;
BEGIN ISOLATION LEVEL REPEATABLE READ;
SELECT reused FROM kms_rotate_key('readonly-3');
SELECT count(*) FILTER (WHERE state = 'active') AS active, count(*) AS keys
FROM kms.keys WHERE device_id = 'readonly-3';
COMMIT;

-- prepared statements, beyond the five custom plans
SET application_name = 'prepared';
PREPARE opened (text, int) AS SELECT kms_decrypt($1, c) FROM card WHERE n = $2;
EXECUTE opened (:'key_id', 1);
EXECUTE opened (:'key_id', 2);
EXECUTE opened (:'key_id', 3);
EXECUTE opened (:'key_id', 4);
EXECUTE opened (:'key_id', 5);
EXECUTE opened (:'key_id', 6);
EXECUTE opened (:'key_id', 7);
SET plan_cache_mode = force_generic_plan;
EXECUTE opened (:'key_id', 8);
RESET plan_cache_mode;
PREPARE made (text) AS SELECT reused FROM kms_issue_key($1);
EXECUTE made ('readonly-1');
DEALLOCATE ALL;
SELECT kms_flush_events();
SELECT operation, status, count(*) FROM kms.event
WHERE application_name = 'prepared' GROUP BY 1, 2 ORDER BY 1;

-- each row that was opened has its event, even if the query stops early
SET application_name = 'cursor';
BEGIN READ ONLY;
DECLARE c NO SCROLL CURSOR FOR SELECT kms_decrypt(:'key_id', c) FROM card;
FETCH 2 FROM c;
MOVE 1 IN c;
FETCH 1 FROM c;
ROLLBACK;
SELECT kms_flush_events();
SELECT operation, status, count(*) FROM kms.event
WHERE application_name = 'cursor' GROUP BY 1, 2;
SET application_name = 'cursor with hold';
BEGIN;
DECLARE h CURSOR WITH HOLD FOR SELECT kms_decrypt(:'key_id', c) FROM card WHERE n <= 5;
COMMIT;
FETCH 1 FROM h;
CLOSE h;
SET application_name = 'limit';
SELECT kms_decrypt(:'key_id', c) FROM card LIMIT 3;
-- psql fetches row by row and stops: a portal that is not run to its end
SET application_name = 'portal';
\set FETCH_COUNT 2
SELECT kms_decrypt(:'key_id', c) AS p, 1 / (n - 5) AS stop FROM card WHERE n <= 6;
\unset FETCH_COUNT
SET application_name = 'done';
SELECT kms_flush_events();
SELECT application_name, status, count(*) FROM kms.event
WHERE application_name IN ('cursor with hold', 'limit', 'portal') AND operation = 'decrypt'
GROUP BY 1, 2 ORDER BY 1;
