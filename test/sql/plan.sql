-- The cost of a decrypt makes plans that evaluate it last and in parallel workers.

\i test/include/plan.sql

SELECT key_id FROM kms_issue_key('plan-1') \gset
-- one row a page
CREATE TABLE plan_card (n int, c text, filler text) WITH (autovacuum_enabled = off);
ALTER TABLE plan_card ALTER COLUMN filler SET STORAGE PLAIN;
INSERT INTO plan_card SELECT n, 'AAAA', repeat('x', 5000) FROM generate_series(1, 1000) AS n;
ANALYZE plan_card;
SET max_parallel_workers_per_gather = 2;

-- no workers below 8 MB, unless the table says so, and some workers above
SELECT pg_temp.plan(format('SELECT count(kms_try_decrypt(%L, c)) FROM plan_card', :'key_id'));
ALTER TABLE plan_card SET (parallel_workers = 2);
SELECT pg_temp.plan(format('SELECT count(kms_try_decrypt(%L, c)) FROM plan_card', :'key_id'));
ALTER TABLE plan_card RESET (parallel_workers);
INSERT INTO plan_card SELECT n, 'AAAA', repeat('x', 5000) FROM generate_series(1001, 1100) AS n;
ANALYZE plan_card;
SELECT pg_temp.plan(format('SELECT count(kms_try_decrypt(%L, c)) FROM plan_card', :'key_id'));
SELECT pg_temp.plan(format('SELECT count(*) FROM plan_card WHERE kms_decrypt_bytea(%L, c::bytea) = ''x''', :'key_id'));
-- the decrypt is the reason for the workers
SELECT pg_temp.plan('SELECT count(*) FROM plan_card');

-- cheap conditions are evaluated first, wherever they stand
SET max_parallel_workers_per_gather = 0;
SELECT pg_temp.plan(format('SELECT n FROM plan_card WHERE kms_decrypt(%L, c) = ''x'' AND (n = 7 OR n * 2 = 8 OR n * 3 = 27)', :'key_id'));

-- rows that LIMIT cuts off are not decrypted
SELECT pg_temp.plan(format('SELECT n, kms_decrypt(%L, c) FROM plan_card ORDER BY n LIMIT 3', :'key_id'));
DROP TABLE plan_card;
