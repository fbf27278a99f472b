-- kms_try_decrypt: a bad row does not stop a query, but other errors do.
\set SHOW_CONTEXT never

\i test/include/outcome.sql

SELECT key_id FROM kms_issue_key('try-1') \gset
SELECT key_id AS other_id FROM kms_issue_key('try-2') \gset
SET kms.key_lifetime = '1s';
SELECT key_id AS expired_id FROM kms_issue_key('try-expired') \gset
SELECT kms_encrypt(:'expired_id', 'plain') AS expired \gset
RESET kms.key_lifetime;
SELECT key_id AS changed_id FROM kms_issue_key('try-changed') \gset
SELECT kms_encrypt(:'key_id', 'plain') AS good \gset
UPDATE kms.key SET expires_at = expires_at + '1 day' WHERE key_id = :'changed_id';
SELECT pg_sleep(1.1); -- until a key has expired

-- a table of good rows and of every kind of bad row (except KM004: see "errors")
CREATE TEMP TABLE card (n int, what text, key_id text, c text);
INSERT INTO card VALUES
	(1, 'good', :'key_id', :'good'),
	(2, 'KM001', :'other_id', :'good'),
	(3, 'KM002', 'key_0000000000000_000000000000000000000000', :'good'),
	(4, 'KM003', :'expired_id', :'expired'),
	(5, 'KM006', :'key_id', repeat('A', 3000)),
	(6, 'XX001', :'changed_id', :'good'),
	(7, '22021', :'key_id', encode(kms_encrypt_bytea(:'key_id', '\xff'), 'base64')),
	(8, '22023, not base64', :'key_id', '****'),
	(9, '22023, length', :'key_id', 'AAAA'),
	(10, 'no data', :'key_id', NULL),
	(11, 'good', :'key_id', kms_encrypt(:'key_id', 'plain too')),
	(12, 'JWE', :'key_id', kms_encrypt_jwe(:'key_id', 'plain three'));
SELECT n, what, kms_try_decrypt(key_id, c) AS text,
	convert_from(kms_try_decrypt_bytea(key_id,
		CASE WHEN what LIKE '22%' OR what = 'JWE' THEN '\x00'::bytea ELSE decode(c, 'base64') END), 'UTF8') AS bytes,
	pg_temp.outcome(format('SELECT kms_decrypt(%L, %L)', key_id, c)) AS decrypt
FROM card ORDER BY n;
-- bytes that are not text are no failure of the function for bytes
SELECT kms_try_decrypt_bytea(key_id, decode(c, 'base64')) AS bytes FROM card WHERE n = 7;

-- the device is checked, too
SELECT kms_try_decrypt(:'key_id', :'good', 'try-2') IS NULL AS refused,
	kms_try_decrypt(:'key_id', :'good', 'try-1') AS opened;

-- digests and a label are for blocks, and the client chooses the form: a JWE beside them is a bad row
SELECT n, kms_try_decrypt(key_id, c, NULL, 'sha1') AS oaep_hash, kms_try_decrypt(key_id, c, mgf1_hash => 'sha1') AS mgf1_hash,
	kms_try_decrypt(key_id, c, label => '') AS label FROM card WHERE n IN (1, 12) ORDER BY n;

-- mistakes of the caller raise an error
SELECT what, pg_temp.outcome(query) FROM (VALUES
	('no key id', format('SELECT kms_try_decrypt(NULL, %L)', :'good')),
	('malformed key id', format('SELECT kms_try_decrypt(''a b'', %L)', :'good')),
	('digest', format('SELECT kms_try_decrypt(%L, %L, NULL, ''md5'')', :'key_id', :'good')),
	('MGF1 digest', format('SELECT kms_try_decrypt(%L, %L, NULL, NULL, ''md5'')', :'key_id', :'good')),
	('device id', format('SELECT kms_try_decrypt(%L, %L, '''')', :'key_id', :'good')),
	('label', format('SELECT kms_try_decrypt(%L, %L, label => convert_to(repeat(''x'', 5000), ''UTF8''))', :'key_id', :'good'))
	) AS q (what, query);
-- faults of the server, like a missing master key, raise an error
BEGIN;
UPDATE kms.key SET seal = overlay(seal PLACING '\x0123456789abcdef' FROM 2) WHERE key_id = :'other_id';
UPDATE kms.key_secret SET wrapped_key = overlay(wrapped_key PLACING '\x0123456789abcdef' FROM 2) WHERE key_id = :'other_id';
SELECT pg_temp.outcome(format('SELECT kms_try_decrypt(%L, %L)', :'other_id', :'good'));
ROLLBACK;

-- each failure is recorded all the same, as kms_decrypt records it
SELECT kms_flush_events();
SELECT coalesce(max(ticket), 0) AS before FROM kms.event \gset
SELECT count(kms_try_decrypt(key_id, c)) AS opened FROM card;
SELECT kms_flush_events();
SELECT status, reason, count(*) FROM kms.event
WHERE ticket > :before AND operation = 'decrypt' GROUP BY 1, 2 ORDER BY 1, 2;
DELETE FROM kms.key WHERE device_id = 'try-changed';
