-- Renewal: a device that asks for a key near the end of its life gets the next
-- one of the same kind, and the old key still opens what it encrypted.

\i test/include/outcome.sql

-- Keys of any age are imported, because no row can be made older.
\set pem_2048 `openssl genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:2048 2>/dev/null`
\set pem_3072 `openssl genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:3072 2>/dev/null`
\set pem_2304 `openssl genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:2304 2>/dev/null`
\set pem_ec `openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 2>/dev/null`
CREATE TEMPORARY TABLE pem (bits integer PRIMARY KEY, pem text);
INSERT INTO pem VALUES (2048, :'pem_2048'), (2304, :'pem_2304'), (3072, :'pem_3072'), (256, :'pem_ec');
CREATE FUNCTION pg_temp.aged(device text, age interval, remaining interval, bits integer DEFAULT 2048,
	oaep_hash text DEFAULT NULL, mgf1_hash text DEFAULT NULL) RETURNS text LANGUAGE sql AS $$
	SELECT kms_import_key(device, p.pem, NULL, '1.0', clock_timestamp() - age, clock_timestamp() + remaining,
		oaep_hash, mgf1_hash, deprecated => false)
	FROM pem AS p WHERE p.bits = aged.bits
$$;
CREATE FUNCTION pg_temp.keys(device text, OUT origin text, OUT kind text, OUT state text, OUT state_reason text,
	OUT has_renewal boolean) RETURNS SETOF record LANGUAGE sql AS $$
	SELECT origin, concat_ws('/', algorithm, oaep_hash, mgf1_hash), state, state_reason, renew_at IS NOT NULL
	FROM kms.keys WHERE device_id = device ORDER BY created_at, expires_at
$$;

-- a new key: the last tenth of its life, spread over a tenth of that
SELECT renew_at BETWEEN expires_at - interval '3 days' * 1.1 AND expires_at - interval '3 days' AS in_time, reused
FROM kms_issue_key('renew-0');
SELECT i.renew_at = j.renew_at AND i.renew_at = k.renew_at AS the_same
FROM kms_issue_key('renew-0') AS i, kms_issue_key('renew-0') AS j, kms.keys AS k WHERE k.key_id = i.key_id;
SELECT count(DISTINCT expires_at - renew_at) > 90 AS spread,
	min(expires_at - renew_at) >= interval '3 days' AND max(expires_at - renew_at) <= interval '79.2 hours' AS within
FROM (SELECT now() AS expires_at, kms.renew_at('key_' || n, now() - interval '30 days', now()) AS renew_at
	FROM generate_series(1, 100) AS n) AS s;
-- at most a third of its life; nothing if the setting is 0; none for keys that are not active
SELECT kms.renew_at('k', now(), now() + interval '3 hours') BETWEEN now() + interval '1.9 hours' AND now() + interval '2 hours' AS a_third;
BEGIN;
SET LOCAL kms.key_renewal = 0;
SELECT renew_at = expires_at AS never FROM kms_issue_key('renew-0');
SELECT pg_temp.aged('renew-off', '29 days', '1 minute') AS old_id \gset
SELECT key_id = :'old_id' AS old_one, reused FROM kms_issue_key('renew-off');
SET LOCAL kms.key_renewal = '1s';
SELECT key_id = :'old_id' AS old_one, reused FROM kms_issue_key('renew-off');
ROLLBACK;

-- in the last days of its life a key is renewed
SELECT pg_temp.aged('renew-1', '29 days', '1 day', 2048, 'sha256', 'sha1') AS old_id \gset
SELECT kms_encrypt(:'old_id', 'on its way') AS sent \gset
SELECT key_id AS new_id, reused, algorithm_used, oaep_hash_used, mgf1_hash_used,
	expires_at > now() + interval '29 days' AS lives_long, renew_at > now() + interval '26 days' AS is_not_due
FROM kms_issue_key('renew-1', '2.0') \gset
SELECT :'reused' AS reused, :'algorithm_used' AS algorithm, :'oaep_hash_used' AS oaep, :'mgf1_hash_used' AS mgf1, :'lives_long' AS lives_long, :'is_not_due' AS is_not_due;
SELECT * FROM pg_temp.keys('renew-1');
SELECT app_version FROM kms.keys WHERE key_id = :'new_id';
-- once; and both keys work until the old one expires
SELECT key_id = :'new_id' AS same, reused FROM kms_issue_key('renew-1');
SELECT kms_decrypt(:'old_id', :'sent') AS what_was_sent, kms_decrypt(:'old_id', kms_encrypt(:'old_id', 'late')) AS old,
	kms_decrypt(:'new_id', kms_encrypt(:'new_id', 'new')) AS new;
SELECT kms_public_key(:'old_id') IS NOT NULL AS has_public_key,
	jsonb_path_query_array(kms_jwks('renew-1'), '$.keys[*].kid') = jsonb_build_array(:'new_id') AS set_has_the_new_one;
-- it costs nothing
SELECT used, next_at FROM kms_rate_limit_status('renew-1');
-- a key that was deprecated otherwise does not encrypt
SELECT key_id AS rotated_id FROM kms_rotate_key('renew-1') \gset
SELECT pg_temp.outcome(format('SELECT kms_encrypt(%L, ''x'')', :'new_id'));
SELECT kms_decrypt(:'old_id', kms_encrypt(:'old_id', 'still')) AS renewed_before;
-- nor does a renewed key from when it is deprecated by hand, which is done once
SELECT kms_deprecate_key(:'old_id'), kms_deprecate_key(:'old_id') AS again;
SELECT pg_temp.outcome(format('SELECT kms_encrypt(%L, ''x'')', :'old_id'));
SELECT kms_decrypt(:'old_id', :'sent') AS what_was_sent;
SELECT state, state_reason, row_version FROM kms.key WHERE key_id = :'old_id';
SELECT kms_disable_key(:'old_id');
SELECT pg_temp.outcome(format('SELECT kms_encrypt(%L, ''x'')', :'old_id'));

-- the trail: one generation and one deprecation
SELECT kms_flush_events();
SELECT operation, status, reason, CASE key_id WHEN :'old_id' THEN 'old' WHEN :'new_id' THEN 'new' WHEN :'rotated_id' THEN 'rotated' END AS key, app_version
FROM kms.event WHERE device_id = 'renew-1' AND operation IN ('generate', 'deprecate', 'issue', 'rotate') AND reason IS DISTINCT FROM 'No change'
ORDER BY ticket;
SELECT key_id = :'old_id' AS old_one, operation, status FROM kms.event WHERE device_id = 'renew-1' AND reason = 'No change';

-- a device whose limit is used up is still renewed
SELECT pg_temp.aged('renew-2', '29 days', '1 day') AS old_id \gset
BEGIN;
SET LOCAL kms.keygen_limit = 1;
SELECT reused FROM kms_issue_key('renew-2', oaep_hash => 'sha512');
SELECT used, allowed FROM kms_rate_limit_status('renew-2');
SELECT pg_temp.outcome($$SELECT kms_issue_key('renew-2', oaep_hash => 'sha384')$$);
SELECT key_id <> :'old_id' AS another, reused FROM kms_issue_key('renew-2', oaep_hash => 'sha1');
SELECT used FROM kms_rate_limit_status('renew-2');
ROLLBACK;
SELECT * FROM pg_temp.keys('renew-2');

-- each kind is renewed by itself
SELECT pg_temp.aged('renew-3', '29 days', '1 day', 2048, 'sha256') AS one_id, pg_temp.aged('renew-3', '2 days', '28 days', 2048, 'sha1') AS two_id \gset
SELECT key_id = :'two_id' AS two FROM kms_issue_key('renew-3', oaep_hash => 'sha1');
SELECT reused FROM kms_issue_key('renew-3', oaep_hash => 'sha256');
SELECT * FROM pg_temp.keys('renew-3');

-- Where there is no ready-made key (the pool has RSA-2048), the old one is
-- handed out in the first half of the time left, and the next one is made in
-- the second half.
-- Nothing is written before.
SELECT pg_temp.aged('renew-4', '27 days', '2 days 23 hours', 3072) AS old_id \gset
BEGIN;
SELECT key_id = :'old_id' AS old_one, reused FROM kms_issue_key('renew-4');
SELECT pg_current_xact_id_if_assigned() IS NULL AS nothing_written;
COMMIT;
SELECT pg_temp.aged('renew-5', '28 days', '1 day', 3072) AS old_id \gset
SELECT key_id = :'old_id' AS old_one, algorithm_used, reused FROM kms_issue_key('renew-5');
-- a size that is not made here stays until it expires
SELECT pg_temp.aged('renew-6', '29 days', '1 minute', 2304) AS old_id \gset
BEGIN;
SELECT key_id = :'old_id' AS old_one, algorithm_used, reused FROM kms_issue_key('renew-6');
SELECT pg_current_xact_id_if_assigned() IS NULL AS nothing_written;
COMMIT;

-- The old key is handed out, and nothing fails, in a read-only transaction …
SELECT pg_temp.aged('renew-7', '29 days', '1 day') AS old_id \gset
BEGIN READ ONLY;
SELECT key_id = :'old_id' AS old_one, reused FROM kms_issue_key('renew-7');
COMMIT;
-- … and if the row cannot be written
BEGIN;
CREATE FUNCTION pg_temp.refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'no'; END $$;
CREATE TRIGGER refuse BEFORE INSERT ON kms.key FOR EACH ROW EXECUTE FUNCTION pg_temp.refuse();
SELECT key_id = :'old_id' AS old_one, reused FROM kms_issue_key('renew-7');
SELECT pg_temp.outcome($$SELECT kms_issue_key('renew-8')$$);
ROLLBACK;
BEGIN;
ALTER TABLE kms.event_outbox ADD CHECK (operation <> 'generate') NOT VALID;
SELECT key_id = :'old_id' AS old_one, reused FROM kms_issue_key('renew-7');
ROLLBACK;
SELECT * FROM pg_temp.keys('renew-7');
-- a savepoint takes the renewal back, and the next call does it again
BEGIN;
SAVEPOINT before;
SELECT key_id <> :'old_id' AS another FROM kms_issue_key('renew-7');
ROLLBACK TO before;
SELECT * FROM pg_temp.keys('renew-7');
SELECT key_id AS new_id FROM kms_issue_key('renew-7') \gset
COMMIT;
SELECT :'new_id' <> :'old_id' AS another;
SELECT * FROM pg_temp.keys('renew-7');

-- a row that was edited is refused, not renewed
SELECT pg_temp.aged('renew-9', '29 days', '1 day') AS old_id \gset
BEGIN;
UPDATE kms.key SET app_version = '9' WHERE key_id = :'old_id';
SELECT pg_temp.outcome($$SELECT kms_issue_key('renew-9')$$);
ROLLBACK;
-- an expired key is not renewed but replaced, which the limit counts
SELECT pg_temp.aged('renew-10', '29 days', '1 second') AS old_id \gset
SELECT pg_sleep(1.1);
SELECT reused FROM kms_issue_key('renew-10');
SELECT used FROM kms_rate_limit_status('renew-10');

-- a renewal keeps the kind of the key; a rotation gives the kind of the settings
SELECT pg_temp.aged('renew-11', '29 days', '1 day', 2048, 'sha1') AS old_id \gset
BEGIN;
SET LOCAL kms.key_algorithm = 'EC-P256';
SELECT algorithm_used, oaep_hash_used, reused FROM kms_issue_key('renew-11');
SELECT algorithm_used, oaep_hash_used FROM kms_rotate_key('renew-11');
SELECT algorithm_used, oaep_hash_used, reused FROM kms_issue_key('renew-11');
ROLLBACK;

-- A transaction renews 50 keys, and hands out the other old ones.  The next
-- transaction goes on.
SELECT count(pg_temp.aged('renew-many-' || n, '29 days', '1 day', 256)) FROM generate_series(1, 80) AS n;
CREATE FUNCTION pg_temp.issue_many(OUT renewed bigint, OUT old bigint, OUT new bigint) LANGUAGE sql AS $$
	WITH i AS MATERIALIZED (
		SELECT i.* FROM generate_series(1, 80) AS n, kms_issue_key('renew-many-' || n, algorithm => 'EC-P256') AS i)
	SELECT count(*) FILTER (WHERE NOT reused), count(*) FILTER (WHERE expires_at < now() + interval '2 days'),
		count(*) FILTER (WHERE expires_at > now() + interval '29 days')
	FROM i
$$;
BEGIN;
SELECT * FROM pg_temp.issue_many();
SELECT * FROM pg_temp.issue_many();
ROLLBACK;
SELECT * FROM pg_temp.issue_many();
SELECT * FROM pg_temp.issue_many();
SELECT * FROM pg_temp.issue_many();
