-- Issuing and rotating: the results, reuse of keys, and defaults.

\i test/include/outcome.sql

SELECT length(key_id) AS id_length,
	key_id ~ '^key_[0-9]{13}_[0-9a-f]{24}$' AS id_shape,
	abs(substr(key_id, 5, 13)::bigint
		- extract(epoch FROM clock_timestamp()) * 1000) < 60000 AS id_time,
	public_key ~ E'^-----BEGIN PUBLIC KEY-----\n([A-Za-z0-9+/]{64}\n){6}[A-Za-z0-9+/]+=*\n-----END PUBLIC KEY-----\n$' AS pem,
	abs(extract(epoch FROM expires_at - clock_timestamp()) - 30 * 86400) < 60
		AS expires_in_30_days,
	algorithm_used, oaep_hash_used, mgf1_hash_used, reused
FROM kms_issue_key('issue-1');

-- the existing key is issued again; test/sql/kinds.sql shows the properties
SELECT key_id, public_key, expires_at FROM kms_issue_key('issue-1') \gset
SELECT key_id = :'key_id' AS same_id, public_key = :'public_key' AS same_public,
	expires_at = :'expires_at' AS same_expiry, algorithm_used, reused
FROM kms_issue_key('issue-1', '9.9', 'RSA-2048', 'sha1', 'sha1');
SELECT kms_public_key(:'key_id') = :'public_key' AS same_public;
SELECT kms_key_state(:'key_id'), kms_key_valid(:'key_id');

-- the row
SELECT device_id, app_version, algorithm, oaep_hash, mgf1_hash, origin, state,
	stored_state, state_reason, created_at = state_changed_at AS untouched,
	expires_at - created_at AS life, delete_at, row_version
FROM kms.keys WHERE key_id = :'key_id';

-- each size, once; the length of the SPKI shows the modulus
SELECT s.bits, i.algorithm_used, i.reused,
	length(decode(regexp_replace(i.public_key, '-----[A-Z ]+-----', '', 'g'),
		'base64')) AS spki_bytes
FROM (VALUES (2048), (3072), (4096)) AS s (bits),
	kms_issue_key('issue-' || s.bits, NULL, 'RSA-' || s.bits) AS i;

-- settings of the superuser are the defaults of new keys
BEGIN;
SET LOCAL kms.key_algorithm = 'RSA-3072';
SET LOCAL kms.oaep_hash = 'sha512-256';
SET LOCAL kms.key_lifetime = '1d';
SELECT algorithm_used, oaep_hash_used, mgf1_hash_used, reused,
	abs(extract(epoch FROM expires_at - clock_timestamp()) - 86400) < 60
		AS expires_in_a_day
FROM kms_issue_key('issue-settings');
ROLLBACK;

-- app_version: up to 64 bytes, kept as it is
SELECT reused FROM kms_issue_key('issue-app', 'résumé 1.0 (beta)');
SELECT app_version FROM kms.keys WHERE device_id = 'issue-app';
SELECT reused FROM kms_issue_key('issue-app-64', repeat('v', 64));
SELECT reused FROM kms_issue_key('issue-app-65', repeat('v', 65));
SELECT reused FROM kms_issue_key('issue-app-empty', '');

-- a composite expanded to columns calls the function once a column
SELECT (kms_issue_key('issue-star')).* \gset
SELECT (kms_issue_key('issue-star')).key_id = :'key_id' AS same_id;
SELECT count(*) AS keys FROM kms.keys WHERE device_id = 'issue-star';
SELECT count(DISTINCT r.key_id) AS ids, bool_or(r.reused) AS reused
FROM (SELECT (kms_rotate_key('issue-star')).*) AS r;
SELECT count(*) AS keys, count(*) FILTER (WHERE state = 'active') AS active
FROM kms.keys WHERE device_id = 'issue-star';

-- rotation: the old key is deprecated, and the new one is issued from now on
SELECT key_id AS old_id FROM kms_issue_key('issue-rotate', '1.0') \gset
SELECT kms_encrypt(:'old_id', 'still opens') AS old_ciphertext \gset
SELECT * FROM kms_rotate_key('issue-rotate', '2.0') \gset new_
SELECT :'new_key_id' <> :'old_id' AS another, :'new_algorithm_used' AS algorithm,
	:'new_oaep_hash_used' AS oaep_hash, :'new_reused' AS reused;
SELECT key_id = :'new_key_id' AS new_one, reused FROM kms_issue_key('issue-rotate');
SELECT kms_key_state(:'old_id'), kms_key_valid(:'old_id');
SELECT kms_public_key(:'old_id') LIKE '-----BEGIN PUBLIC KEY-----%' AS public_key;
SELECT kms_decrypt(:'old_id', :'old_ciphertext');
SELECT state, state_reason, row_version, app_version FROM kms.keys
WHERE device_id = 'issue-rotate' ORDER BY created_at;

-- each statement rotates again, also within one transaction, at any isolation level
BEGIN ISOLATION LEVEL REPEATABLE READ;
SELECT key_id AS first_id FROM kms_rotate_key('issue-rotate') \gset
SELECT key_id AS second_id FROM kms_rotate_key('issue-rotate') \gset
SELECT :'first_id' <> :'second_id' AS another;
ROLLBACK;
SELECT key_id = :'new_key_id' AS as_before_rollback FROM kms_issue_key('issue-rotate');

-- rotating a device that has no key is issuing
SELECT algorithm_used, reused FROM kms_rotate_key('issue-first', NULL, 'RSA-2048');

-- a key expires by the clock, without a worker
SET kms.key_lifetime = '1s';
SELECT key_id FROM kms_issue_key('issue-expiry') \gset
RESET kms.key_lifetime;
SELECT kms_encrypt(:'key_id', 'gone') AS ciphertext \gset
SELECT pg_sleep(1.1); -- until a key has expired
SELECT kms_key_state(:'key_id'), kms_key_valid(:'key_id');
SELECT pg_temp.outcome(format('SELECT kms_decrypt(%L, %L)', :'key_id', :'ciphertext'));
SELECT pg_temp.outcome(format('SELECT kms_public_key(%L)', :'key_id'));
SELECT pg_temp.outcome(format('SELECT kms_encrypt(%L, ''x'')', :'key_id'));
SELECT state, stored_state FROM kms.keys WHERE key_id = :'key_id';
-- the device of an expired key gets another key
SELECT key_id <> :'key_id' AS another, reused FROM kms_issue_key('issue-expiry');

-- invalid device ids, app versions and algorithms
SELECT kms_issue_key(NULL);
SELECT kms_issue_key('');
SELECT kms_issue_key(E'tab\there');
SELECT kms_issue_key('issue-x', E'new\nline');
SELECT kms_issue_key('issue-x', NULL, 'rsa-2048');
SELECT kms_issue_key('issue-x', NULL, 'RSA-1024');
SELECT kms_issue_key('issue-x', NULL, '');
SELECT count(*) AS keys FROM kms.keys WHERE device_id = 'issue-x';

-- the state of keys that do not exist
SELECT kms_key_valid('key_0000000000000_000000000000000000000000');
SELECT kms_key_state('key_0000000000000_000000000000000000000000');
