-- Maintenance by hand: keys that expire, are problematic, are purged, or are kept.

SELECT kms_flush_events();
-- remove what earlier tests left
SET kms.key_retention = '0s';
SELECT count(*) AS tasks FROM kms_maintain();
SELECT count(*) AS tasks FROM kms_maintain();
RESET kms.key_retention;
SELECT * FROM kms_maintain();
SELECT coalesce(max(ticket), 0) AS before FROM kms.event \gset

-- an expired key becomes deprecated, a valid one is left
SET kms.key_lifetime = '1s';
SELECT key_id FROM kms_issue_key('maintain-1') \gset
RESET kms.key_lifetime;
SELECT key_id AS valid_id FROM kms_issue_key('maintain-2') \gset
SELECT pg_sleep(1.1); -- until a key has expired
SELECT state, stored_state FROM kms.keys WHERE key_id = :'key_id';
SELECT task, done, skipped FROM kms_maintain() WHERE done > 0 OR skipped > 0;
SELECT state, stored_state, state_reason, row_version FROM kms.keys WHERE key_id = :'key_id';
SELECT kms_key_state(:'key_id'), kms_key_state(:'valid_id');
-- an expired key is purged after its retention, with its secret, and no other key is
BEGIN;
SET LOCAL kms.key_retention = '1h';
SELECT task, done, skipped FROM kms_maintain() WHERE done > 0 OR skipped > 0;
SET LOCAL kms.key_retention = '0s';
SELECT task, done, skipped FROM kms_maintain() WHERE done > 0 OR skipped > 0;
ROLLBACK;
SELECT count(*) FROM kms.keys WHERE key_id = :'key_id';
-- a key that a foreign key refers to is not purged, and does not stop the rest
SET kms.key_lifetime = '1s';
SELECT key_id AS other_id FROM kms_issue_key('maintain-3') \gset
RESET kms.key_lifetime;
CREATE TABLE maintain_card (key_id text REFERENCES kms.key);
INSERT INTO maintain_card VALUES (:'key_id');
SELECT pg_sleep(1.1); -- until a key has expired
SET kms.key_retention = '0s';
SELECT task, done, skipped FROM kms_maintain() WHERE done > 0 OR skipped > 0;
SELECT key_id = :'key_id' AS kept FROM kms.keys WHERE key_id IN (:'key_id', :'other_id');
DROP TABLE maintain_card;
SELECT task, done, skipped FROM kms_maintain() WHERE done > 0 OR skipped > 0;
RESET kms.key_retention;
SELECT count(*) AS keys FROM kms.keys WHERE device_id IN ('maintain-1', 'maintain-3');
SELECT count(*) AS secrets FROM kms.key_secret WHERE key_id IN (:'key_id', :'other_id');
SELECT kms_flush_events();
SELECT operation, status, reason, device_id, count(*) FROM kms.event
WHERE ticket > :before AND device_id LIKE 'maintain-%' AND operation IN ('deprecate', 'purge')
GROUP BY 1, 2, 3, 4 ORDER BY 1, 4, 2;

-- a row that was changed by hand is not purged, because its dates may be forged
BEGIN;
UPDATE kms.key SET state = 'deprecated', expires_at = expires_at - '1 year'::interval WHERE key_id = :'valid_id';
SELECT task, done, skipped FROM kms_maintain() WHERE done > 0 OR skipped > 0;
ROLLBACK;

-- problematic: more than 10 % failed to decrypt, of 5 or more; malformed input does not count
SELECT key_id AS good_id FROM kms_issue_key('maintain-good') \gset
SELECT kms_encrypt(:'valid_id', 'x') AS c \gset
SELECT count(kms_try_decrypt(:'good_id', 'AAAA')) AS opened FROM generate_series(1, 20);
SELECT count(kms_try_decrypt(:'good_id', '****')) AS opened FROM generate_series(1, 20);
SELECT key_id AS few_id FROM kms_issue_key('maintain-few') \gset
SELECT count(kms_try_decrypt(:'few_id', :'c')) AS opened FROM generate_series(1, 4);
SELECT key_id AS tenth_id FROM kms_issue_key('maintain-tenth') \gset
SELECT count(kms_try_decrypt(:'tenth_id', CASE n WHEN 1 THEN :'c' ELSE c END)) AS opened
FROM generate_series(1, 10) AS n, kms_encrypt(:'tenth_id', 'x') AS c;
SELECT key_id AS bad_id FROM kms_issue_key('maintain-bad') \gset
SELECT count(kms_try_decrypt(:'bad_id', :'c')) AS opened FROM generate_series(1, 5);
SELECT kms_flush_events();
-- no key is deprecated if that is turned off
BEGIN;
SET LOCAL kms.deprecate_problematic_keys = off;
SELECT task, done, skipped FROM kms_maintain() WHERE done > 0 OR skipped > 0;
ROLLBACK;
SELECT task, done, skipped FROM kms_maintain() WHERE done > 0 OR skipped > 0;
SELECT device_id, state, state_reason FROM kms.keys
WHERE key_id IN (:'good_id', :'few_id', :'tenth_id', :'bad_id') ORDER BY 1;
SELECT used FROM kms_rate_limit_status('maintain-bad');
-- the limit does not count the replacement, but does count the next rotation
SELECT key_id <> :'bad_id' AS another, reused FROM kms_issue_key('maintain-bad');
SELECT used FROM kms_rate_limit_status('maintain-bad');
SELECT reused FROM kms_rotate_key('maintain-bad');
SELECT used FROM kms_rate_limit_status('maintain-bad');
SELECT origin, state, state_reason FROM kms.keys WHERE device_id = 'maintain-bad' ORDER BY created_at;
-- at most one key of a device a day
SELECT count(kms_try_decrypt(i.key_id, :'c')) AS opened
FROM generate_series(1, 9), kms_issue_key('maintain-bad') AS i;
SELECT kms_flush_events();
SELECT device_id, failures FROM kms_problematic_keys() WHERE device_id = 'maintain-bad' ORDER BY 2;
SELECT task, done, skipped FROM kms_maintain() WHERE done > 0 OR skipped > 0;
SELECT state FROM kms.keys WHERE device_id = 'maintain-bad' ORDER BY created_at DESC LIMIT 1;

-- the counts are kept for their time
INSERT INTO kms.metric SELECT date_trunc('hour', now()) - '399 days'::interval - n * '1 day'::interval,
	3600, 'decrypt', 'success', '', 1, 1, 1, 1, '{1}' FROM generate_series(0, 3) AS n;
-- minutes older than two days become hours
INSERT INTO kms.metric SELECT date_trunc('hour', now()) - '3 days'::interval + n * '1 minute'::interval,
	60, 'decrypt', 'success', '', 2, n + 1, 0.5, n + 1, array_fill(1, ARRAY[n]) FROM generate_series(1, 3) AS n;
SELECT task, done, skipped, more FROM kms_maintain() WHERE task !~ 'key';
SELECT width, count, sum_ms, min_ms, max_ms, histogram FROM kms.metric
WHERE bucket BETWEEN now() - '4 days'::interval AND now() - '2 days'::interval;
DELETE FROM kms.metric WHERE bucket < now() - '1 day'::interval;

-- a purge of very many waits for confirmation
BEGIN;
INSERT INTO kms.key (key_id, device_id, algorithm, oaep_hash, mgf1_hash, origin, state, created_at,
	expires_at, state_changed_at, row_version, seal)
SELECT 'old-' || n, 'maintain-old', 'RSA-2048', 'sha1', 'sha1', 'generated', 'deprecated', now() - '1 year'::interval,
	now() - '200 days'::interval, now(), 1, '\x00' FROM generate_series(1, 1001) AS n;
SELECT task, done, skipped, more FROM kms_maintain() WHERE task = 'purge keys';
SELECT severity, regexp_replace(finding, 'since .*', 'since ...') AS finding, hint
FROM kms_check() WHERE finding LIKE '%purge%';
SELECT task, skipped, more FROM kms_maintain(true) WHERE task = 'purge keys';
ROLLBACK;

-- with a single master key there is nothing to rewrap
SELECT kms_rewrap_keys(), kms_rewrap_keys(1), kms_rewrap_keys(batch_size => 100000);
SELECT kms_rewrap_keys(0);
SELECT kms_rewrap_keys(NULL);
SELECT kms_rewrap_keys(100001);
SELECT status, label, keys = (SELECT count(*) FROM kms.key_secret) AS all_keys,
	peppers = (SELECT count(*) FROM kms.pepper) + (SELECT count(*) FROM kms.audit_key) AS all_peppers, detail
FROM kms_master_key_status();
SELECT count(DISTINCT master_key_id) AS ids, bool_and(master_key_id = substr(wrapped_key, 2, 8)) AS in_wrap
FROM kms.key_secret;
