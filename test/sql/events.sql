-- Every call of an operation ends in one event; metrics and summary add up.
-- Needs: max_prepared_transactions > 0
\set SHOW_CONTEXT never

SET application_name = 'events';
SELECT key_id FROM kms_issue_key('events-old') \gset
SELECT key_id AS new_id FROM kms_rotate_key('events-old') \gset
SELECT kms_encrypt(:'new_id', 'x') AS c,
	encode(kms_encrypt_bytea(:'new_id', '\xff'), 'base64') AS binary_c \gset

-- the calls, each under an application name of its own, by which its events are found
CREATE TEMP TABLE call (n int GENERATED ALWAYS AS IDENTITY, query text);
INSERT INTO call (query) VALUES
	('kms_issue_key(''events-1'')'), ('kms_issue_key(''events-1'')'),
	('kms_rotate_key(''events-1'')'), ('kms_rotate_key(''events-2'')'),
	('kms_public_key(%1$L)'),
	('kms_encrypt(%1$L, ''x'')'), ('kms_encrypt_bytea(%1$L, ''x'')'),
	('kms_decrypt(%1$L, %2$L)'), ('kms_decrypt(%1$L, %2$L, ''events-old'')'),
	('kms_decrypt_bytea(%1$L, decode(%2$L, ''base64''))'),
	('kms_try_decrypt(%1$L, %2$L)'),
	('kms_try_decrypt_bytea(%1$L, decode(%2$L, ''base64''))'),
	('kms_decrypt_recover(%1$L, %2$L, ''why'')'),
	('kms_decrypt_recover_bytea(%1$L, decode(%2$L, ''base64''), ''why'')'),
	-- failures
	('kms_issue_key('''')'), ('kms_issue_key(NULL)'),
	('kms_issue_key(''events-3'', NULL, ''RSA-1'')'),
	('kms_rotate_key(''events-3'', repeat(''v'', 65))'),
	('kms_public_key(''key_0000000000000_000000000000000000000000'')'),
	('kms_public_key(''not one'')'),
	('kms_encrypt(%4$L, ''x'')'), ('kms_encrypt(%1$L, repeat(''x'', 300))'),
	('kms_encrypt(%1$L, ''x'', ''md5'')'),
	('kms_decrypt(%4$L, %2$L)'), ('kms_decrypt(%1$L, %3$L)'),
	('kms_decrypt(%1$L, ''AAAA'')'), ('kms_decrypt(%1$L, ''*'')'),
	('kms_decrypt(%1$L, repeat(''A'', 3000))'),
	('kms_decrypt(%1$L, %2$L, ''events-1'')'), ('kms_decrypt(NULL, %2$L)'),
	('kms_decrypt(''key_0000000000000_000000000000000000000000'', %2$L)'),
	('kms_try_decrypt(%4$L, %2$L)'), ('kms_try_decrypt(''not one'', %2$L)'),
	('kms_decrypt_recover(%4$L, %2$L, ''why'')'),
	('kms_decrypt_recover(%1$L, %2$L, NULL)'),
	-- no operation, or no data: no event
	('kms_decrypt(%1$L, NULL)'), ('kms_encrypt(%1$L, NULL)'),
	('kms_key_state(%1$L)'), ('kms_key_valid(%1$L)'), ('kms_version()'),
	('kms_rate_limit_status(''events-1'')'), ('kms_metrics_summary()'),
	('kms_jwe_header(''e30....'')'), ('kms_jwe_header(%2$L)'),
	('kms_self_test()'), ('kms_flush_events()'),
	-- JWE
	('kms_encrypt_jwe(%1$L, ''x'')'), ('kms_encrypt_jwe(%1$L, NULL)'),
	('kms_decrypt_jwe(''e30....'', NULL)'), ('kms_decrypt_jwe(NULL, NULL)');
CREATE PROCEDURE pg_temp.run(key text, ciphertext text, binary_c text, old text)
LANGUAGE plpgsql AS $$
DECLARE c record;
BEGIN
	FOR c IN SELECT * FROM call ORDER BY n LOOP
		PERFORM set_config('application_name', 'call ' || c.n, false);
		BEGIN
			EXECUTE 'SELECT ' || format(c.query, key, ciphertext, binary_c, old);
		EXCEPTION WHEN OTHERS THEN NULL;
		END;
	END LOOP;
END $$;
CALL pg_temp.run(:'new_id', :'c', :'binary_c', :'key_id');
SET application_name = 'events';
SELECT kms_flush_events();
SELECT n, regexp_replace(replace(replace(replace(replace(query,
		'%1$L', 'KEY'), '%2$L', 'C'), '%3$L', 'BINARY'), '%4$L', 'OLD'), 'key_0+_0+', 'NONE') AS call,
	operation, status, reason, key_id = :'new_id' AS key, device_id, context
FROM call LEFT JOIN kms.event ON application_name = 'call ' || n
ORDER BY n, operation DESC;

-- the other columns of each event
SELECT bool_and(session_role = session_user) AS session_role,
	bool_and(caller_role = current_user) AS caller_role,
	bool_and(effective_role = current_user) AS effective_role,
	bool_and(calls = 1) AS calls,
	bool_and(client_addr IS NULL) AS no_address,
	bool_and(occurred_at BETWEEN now() - interval '1 hour' AND clock_timestamp()) AS time,
	bool_and(duration_ms >= 0 OR operation = 'deprecate') AS duration,
	bool_and(epoch <> 0) AS epoch,
	count(DISTINCT ticket) = count(*) AS tickets
FROM kms.event WHERE application_name LIKE 'call %';
SELECT count(*) = max(ticket) - min(ticket) + 1 AS no_gaps FROM kms.event;

-- a change that is undone leaves a failure; failures and reads are recorded in any case
SET application_name = 'undone';
BEGIN;
SELECT reused FROM kms_issue_key('events-undone');
SELECT kms_decrypt(:'new_id', :'c');
SELECT length(kms_encrypt(:'new_id', 'x'));
SAVEPOINT s;
SELECT reused FROM kms_rotate_key('events-kept');
ROLLBACK TO s;
SAVEPOINT s;
SELECT reused FROM kms_rotate_key('events-kept');
RELEASE s;
SELECT kms_decrypt(:'new_id', :'binary_c');
ROLLBACK;
SET application_name = 'kept';
BEGIN;
SAVEPOINT s;
SELECT reused FROM kms_issue_key('events-kept');
RELEASE s;
SAVEPOINT s;
SELECT reused FROM kms_rotate_key('events-kept');
ROLLBACK TO s;
COMMIT;
SET application_name = 'events';
SELECT kms_flush_events();
SELECT application_name, operation, status, reason, device_id, count(*) FROM kms.event
WHERE application_name IN ('undone', 'kept') GROUP BY 1, 2, 3, 4, 5 ORDER BY 1, 2, 3, 4, 5;
SELECT device_id, count(*) FROM kms.keys WHERE device_id IN ('events-undone', 'events-kept') GROUP BY 1;

-- two-phase commit
SET application_name = 'two-phase';
BEGIN;
SELECT reused FROM kms_issue_key('events-prepared');
PREPARE TRANSACTION 'kms prepared';
COMMIT PREPARED 'kms prepared';
BEGIN;
SELECT reused FROM kms_issue_key('events-not-prepared');
PREPARE TRANSACTION 'kms not prepared';
ROLLBACK PREPARED 'kms not prepared';
SET application_name = 'events';
SELECT kms_flush_events();
SELECT operation, status, reason, device_id FROM kms.event WHERE application_name = 'two-phase';

-- the outbox and the quarantine are empty
SELECT count(*) FROM kms.event_outbox;
SELECT count(*) FROM kms.event_quarantine;

-- metrics add up with the trail
SELECT count(*) AS differences FROM (
	SELECT operation, status, CASE WHEN status = 'failure' THEN reason END AS reason, count(*) AS count
	FROM kms.event WHERE operation <> 'gap' GROUP BY 1, 2, 3) AS e
FULL JOIN (
	SELECT operation, status, nullif(reason, '') AS reason, sum(count) AS count
	FROM kms.metric GROUP BY 1, 2, 3) AS m
	ON (e.operation, e.status, e.count) = (m.operation, m.status, m.count)
		AND e.reason IS NOT DISTINCT FROM m.reason
WHERE e.operation IS NULL OR m.operation IS NULL;
SELECT bool_and(date_trunc('minute', bucket) = bucket) AS minutes,
	bool_and(min_ms <= max_ms AND sum_ms <= max_ms * count) AS times,
	bool_and(width = 60) AS width FROM kms.metric WHERE operation NOT IN ('deprecate', 'purge');

-- the summary: exactly these keys, of these types
SELECT kms_metrics_summary(1) AS s \gset
SELECT key, jsonb_typeof(value) FROM jsonb_each(:'s') ORDER BY key;
SELECT list, count(*) > 0 AS some, string_agg(DISTINCT keys, ' | ') AS keys
FROM (VALUES ('metrics'), ('failureRates'), ('topFailures')) AS l (list),
	jsonb_array_elements(:'s'::jsonb -> list) AS e,
	LATERAL (SELECT string_agg(key || ' ' || jsonb_typeof(value), ', ' ORDER BY key)
		FROM jsonb_each(e) WHERE e ->> 'operation' NOT IN ('deprecate', 'purge')) AS k (keys)
GROUP BY 1 ORDER BY 1;
SELECT :'s'::jsonb -> 'timeframeHours' AS hours,
	jsonb_array_length(:'s'::jsonb -> 'topFailures') AS top;
SELECT count(*) AS differences FROM (
	SELECT operation, status, count(*) FROM kms.event WHERE operation <> 'gap' GROUP BY 1, 2
	EXCEPT SELECT e ->> 'operation', e ->> 'status', (e ->> 'count')::bigint
	FROM jsonb_array_elements(:'s'::jsonb -> 'metrics') AS e) AS d;
SELECT bool_and((e ->> 'p50')::float <= (e ->> 'p95')::float
	AND (e ->> 'p95')::float <= (e ->> 'p99')::float
	AND (e ->> 'p99')::float <= (e ->> 'max_duration')::float) AS ordered
FROM jsonb_array_elements(:'s'::jsonb -> 'metrics') AS e WHERE e ->> 'operation' NOT IN ('deprecate', 'purge');
SELECT bool_and(abs((e ->> 'failure_rate')::numeric - f.rate) < 0.001) AS rates
FROM jsonb_array_elements(:'s'::jsonb -> 'failureRates') AS e
JOIN (SELECT operation, 100.0 * count(*) FILTER (WHERE status = 'failure') / count(*) AS rate
	FROM kms.event GROUP BY 1) AS f ON f.operation = e ->> 'operation';
SELECT bool_and(count <= lag) AS most_frequent_first FROM (
	SELECT (e ->> 'count')::int AS count, lag((e ->> 'count')::int) OVER (ORDER BY n) AS lag
	FROM jsonb_array_elements(:'s'::jsonb -> 'topFailures') WITH ORDINALITY AS t (e, n)) AS o;
-- the summary includes the latest call
SELECT (e ->> 'count')::int AS before FROM jsonb_array_elements(kms_metrics_summary() -> 'metrics') AS e
WHERE e ->> 'operation' = 'decrypt' AND e ->> 'status' = 'success' \gset
SELECT count(kms_decrypt(:'new_id', :'c')) FROM generate_series(1, 100);
SELECT (e ->> 'count')::int - :before AS more
FROM jsonb_array_elements(kms_metrics_summary() -> 'metrics') AS e
WHERE e ->> 'operation' = 'decrypt' AND e ->> 'status' = 'success';
SELECT kms_metrics_summary(NULL) -> 'timeframeHours' AS hours,
	kms_metrics_summary(8760) -> 'timeframeHours' AS year;

-- the views show the same
SELECT count(*) AS differences FROM (
	SELECT operation, status, reason, count FROM kms.metrics
	EXCEPT SELECT operation, status, CASE WHEN status = 'failure' THEN reason END, count(*)
	FROM kms.event GROUP BY 1, 2, 3) AS d;
SELECT count(*) AS differences FROM (
	SELECT operation, operations, failures, failure_rate FROM kms.failure_rates
	EXCEPT SELECT operation, count(*), count(*) FILTER (WHERE status = 'failure'),
		round(100.0 * count(*) FILTER (WHERE status = 'failure') / count(*), 2)
	FROM kms.event GROUP BY 1) AS d;
SELECT count(*) = jsonb_array_length(:'s'::jsonb -> 'topFailures') AS ten FROM kms.top_failures;
SELECT item FROM kms.status;
SELECT item, CASE item WHEN 'version' THEN
	(value = (SELECT extversion FROM pg_extension WHERE extname = 'kms'))::text ELSE value END AS value
FROM kms.status
WHERE item IN ('version', 'launcher', 'master key', 'events dropped', 'events damaged',
	'events without a ring', 'changes in the outbox', 'events quarantined', 'master keys')
ORDER BY item;
-- no view shows key material
\a
SELECT table_name, string_agg(column_name || ' ' || data_type, ', ' ORDER BY ordinal_position)
FROM information_schema.columns WHERE table_schema = 'kms' AND table_name IN ('keys', 'event')
GROUP BY 1 ORDER BY 1;
\a

-- problematic keys: only real failures to decrypt count, of keys with enough operations
SELECT key_id AS bad_id FROM kms_issue_key('events-bad') \gset
SELECT count(kms_try_decrypt(:'bad_id', :'c')) AS opened FROM generate_series(1, 3);
SELECT count(kms_try_decrypt(:'bad_id', 'AAAA')) AS opened FROM generate_series(1, 10);
SELECT count(kms_decrypt(:'bad_id', kms_encrypt(:'bad_id', 'x'))) AS opened FROM generate_series(1, 3);
SELECT kms_flush_events();
SELECT key_id = :'bad_id' AS key, device_id, operations, failures, failure_rate
FROM kms_problematic_keys() WHERE device_id LIKE 'events-%';
SELECT count(*) FROM kms_problematic_keys(50) WHERE device_id = 'events-bad';
SELECT count(*) FROM kms_problematic_keys(49.9, 7) WHERE device_id = 'events-bad';
SELECT count(*) FROM kms_problematic_keys(49.9, 6, 1) WHERE device_id = 'events-bad';
SELECT count(*) FROM kms.problematic_keys WHERE device_id = 'events-bad';

-- kms.audit_context: for the transaction, at most 255 bytes, never part of SQL
BEGIN;
SELECT set_config('kms.audit_context', 'user 17; '' OR true --', true) <> '' AS set;
SELECT kms_encrypt(:'bad_id', 'x') IS NOT NULL AS encrypted;
SELECT kms_try_decrypt(:'bad_id', 'AAAA');
SELECT key_id <> '' AS made FROM kms_issue_key('events-context');
COMMIT;
SET kms.audit_context = 'session';
SELECT kms_verify_secret(:'bad_id', 'AAAA', '$2a$04$x', 'account-1');
RESET kms.audit_context;
SELECT key_id <> '' AS handed_out FROM kms_issue_key('events-context');
SELECT kms_flush_events();
SELECT operation, status, context, audit_context FROM kms.event
WHERE audit_context IS NOT NULL OR device_id = 'events-context' ORDER BY operation;
SELECT length(set_config('kms.audit_context', repeat('x', 255), false));
SELECT set_config('kms.audit_context', repeat('x', 256), false);
SELECT set_config('kms.audit_context', E'a\nb', false);
SELECT length(current_setting('kms.audit_context')) AS kept;
RESET kms.audit_context;
