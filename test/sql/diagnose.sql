-- kms_diagnose: each finding, in words; never the plaintext; one event a call, and never a failed decrypt.
\set SHOW_CONTEXT never
\pset format unaligned
\pset tuples_only on

-- returns the findings, without key ids, or the error
CREATE FUNCTION pg_temp.diagnosis(key_id text, ciphertext text) RETURNS SETOF text LANGUAGE plpgsql AS $$
DECLARE
	key text := 'key_\d{13}_[0-9a-f]{24}';
BEGIN
	RETURN QUERY SELECT regexp_replace(finding || '. ' || hint, key, 'key_...', 'g') FROM kms_diagnose($1, $2);
EXCEPTION WHEN OTHERS THEN
	RETURN NEXT SQLSTATE || ' ' || regexp_replace(SQLERRM, key, 'key_...', 'g');
END $$;

SET application_name = 'diagnose';
SELECT key_id FROM kms_issue_key('diagnose-1') \gset
SELECT key_id AS large_id FROM kms_issue_key('diagnose-2', NULL, 'RSA-3072') \gset
SELECT kms_encrypt(:'key_id', 'canary-4711') AS c \gset
SELECT kms_encrypt(:'large_id', 'canary-4711') AS large_c \gset

-- a ciphertext that opens with the digest of the key: text, and other bytes
SELECT pg_temp.diagnosis(:'key_id', :'c');
SELECT pg_temp.diagnosis(:'large_id', :'large_c');
SELECT pg_temp.diagnosis(:'key_id', encode(kms_encrypt_bytea(:'key_id', '\xff00c328'), 'base64'));
SELECT pg_temp.diagnosis(:'key_id', translate(rtrim(:'c', '='), '+/', '-_'));
SELECT pg_temp.diagnosis(:'key_id', regexp_replace(:'c', '(.{64})', E'\\1\r\n', 'g'));

-- a ciphertext that opens with other digests: the finding names them and the call
SELECT pg_temp.diagnosis(:'key_id', kms_encrypt(:'key_id', 'canary-4711', oaep_hash => 'sha256'));
SELECT pg_temp.diagnosis(:'key_id', kms_encrypt(:'key_id', 'canary-4711', oaep_hash => 'sha256', mgf1_hash => 'sha1'));
SELECT pg_temp.diagnosis(:'key_id', kms_encrypt(:'key_id', 'canary-4711', mgf1_hash => 'sha512-256'));
-- the same for each pair of digests, and the named call opens it
SELECT count(*) AS pairs, count(DISTINCT f.finding) AS findings, bool_and(f.finding ~
	CASE WHEN oaep = 'sha1' AND mgf1 = 'sha1' THEN 'own digest, sha1$'
		ELSE format('OAEP digest %s and MGF1 digest %s, and the key''s own is sha1$', oaep, mgf1) END) AS right_one
FROM unnest('{sha1,sha224,sha256,sha384,sha512,sha512-224,sha512-256}'::text[]) AS oaep,
	unnest('{sha1,sha224,sha256,sha384,sha512,sha512-224,sha512-256}'::text[]) AS mgf1,
	LATERAL (SELECT finding FROM kms_diagnose(:'key_id', kms_encrypt(:'key_id', 'canary', oaep, mgf1)) LIMIT 1) AS f;
SET kms.oaep_hash = 'sha384';
SELECT key_id AS sha384_id FROM kms_issue_key('diagnose-sha384') \gset
RESET kms.oaep_hash;
SELECT pg_temp.diagnosis(:'sha384_id', kms_encrypt(:'sha384_id', 'canary'));
SELECT pg_temp.diagnosis(:'sha384_id', kms_encrypt(:'sha384_id', 'canary', 'sha1'));

-- a ciphertext that does not open: the same answer for every cause
SELECT pg_temp.diagnosis(:'key_id', kms_encrypt(:'sha384_id', 'canary-4711'));
SELECT count(DISTINCT d) AS answers FROM (VALUES (kms_encrypt(:'key_id', 'canary-4711', label => 'x')),
	(kms_encrypt(:'sha384_id', 'canary-4711')), (encode(decode(repeat('00', 256), 'hex'), 'base64')),
	(encode(decode(repeat('ff', 256), 'hex'), 'base64')), (encode(decode(repeat('00', 255) || '01', 'hex'), 'base64')))
	AS s (c), pg_temp.diagnosis(:'key_id', c) AS d;

-- the length
SELECT pg_temp.diagnosis(:'key_id', :'large_c');
SELECT pg_temp.diagnosis(:'large_id', :'c');
SELECT pg_temp.diagnosis(:'key_id', encode(decode(:'c', 'base64') || decode(:'c', 'base64'), 'base64'));
SELECT pg_temp.diagnosis(:'key_id', encode(decode(:'c', 'base64') || decode(:'c', 'base64') || decode(:'c', 'base64') ||
	decode(:'c', 'base64'), 'base64'));
SELECT pg_temp.diagnosis(:'key_id', encode(substr(decode(:'c', 'base64'), 2), 'base64'));
SELECT pg_temp.diagnosis(:'key_id', encode('\x00' || decode(:'c', 'base64'), 'base64'));
SELECT pg_temp.diagnosis(:'key_id', left(:'c', 200));
SELECT pg_temp.diagnosis(:'key_id', '4711');

-- the form
SELECT pg_temp.diagnosis(:'key_id', NULL);
SELECT pg_temp.diagnosis(:'key_id', '');
SELECT pg_temp.diagnosis(:'key_id', E' \n');
SELECT pg_temp.diagnosis(:'key_id', '!' || :'c');
SELECT pg_temp.diagnosis(:'key_id', left(:'c', 100) || 'ä' || substr(:'c', 101));
SELECT pg_temp.diagnosis(:'key_id', 'ääää');
SELECT pg_temp.diagnosis(:'key_id', 'äAAA');
SELECT pg_temp.diagnosis(:'key_id', left(:'c', 341));
SELECT pg_temp.diagnosis(:'key_id', :'c' || '=');
SELECT pg_temp.diagnosis(:'key_id', :'c' || :'c');
SELECT pg_temp.diagnosis(:'key_id', encode(decode(:'c', 'base64'), 'hex'));
SELECT pg_temp.diagnosis(:'key_id', upper(encode(decode(:'c', 'base64'), 'hex')));
SELECT pg_temp.diagnosis(:'key_id', decode(:'c', 'base64')::text);
SELECT pg_temp.diagnosis(:'key_id', kms_public_key(:'key_id'));
SELECT pg_temp.diagnosis(:'key_id', jsonb_build_object('pin', :'c')::text);
SELECT pg_temp.diagnosis(:'key_id', '"' || :'c' || '"');
SELECT pg_temp.diagnosis(:'key_id', 'data:application/octet-stream;base64,' || :'c');
SELECT pg_temp.diagnosis(:'key_id', 'eyJhbGciOiJSU0EtT0FFUCJ9.' || translate(rtrim(:'c', '='), '+/', '-_') || '.AAAA.AAAA.AAAA');
SELECT pg_temp.diagnosis(:'key_id', 'eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.AAAA');
SELECT pg_temp.diagnosis(:'key_id', replace(:'c', '=', '%3D'));
SELECT pg_temp.diagnosis(:'key_id', encode(convert_to(:'c', 'UTF8'), 'base64'));
SELECT pg_temp.diagnosis(:'key_id', encode(convert_to(encode(decode(:'c', 'base64'), 'hex'), 'UTF8'), 'base64'));
SELECT pg_temp.diagnosis(:'key_id', encode(convert_to(kms_public_key(:'key_id'), 'UTF8'), 'base64'));
-- blanks in place of plus signs
SELECT c AS with_plus FROM generate_series(1, 100), kms_encrypt(:'key_id', 'canary') AS c WHERE c LIKE '%+%' LIMIT 1 \gset
SELECT pg_temp.diagnosis(:'key_id', translate(:'with_plus', '+', ' '));
SELECT pg_temp.diagnosis(:'large_id', translate(:'with_plus', '+', ' ')) LIKE '%blanks%' AS told_of_another_length;

-- a ciphertext that is too long is a finding, and not decoded
SHOW kms.max_ciphertext_size;
SELECT pg_temp.diagnosis(:'key_id', repeat('A', 2048));
SELECT pg_temp.diagnosis(:'key_id', repeat('A', 2049));
SELECT pg_temp.diagnosis(:'key_id', repeat('!', 1000000));
SELECT pg_temp.diagnosis(:'key_id', '{"a": "' || repeat('A', 1000000) || '"}');

-- the key: the same errors as kms_decrypt
SELECT pg_temp.diagnosis(NULL, :'c');
SELECT pg_temp.diagnosis(:'c', :'key_id');
SELECT pg_temp.diagnosis('key_0000000000000_000000000000000000000000', :'c');
BEGIN;
UPDATE kms.key SET device_id = 'diagnose-2' WHERE key_id = :'key_id';
SELECT pg_temp.diagnosis(:'key_id', :'c');
ROLLBACK;
-- a state or an expiry is a finding, and so is the form; nothing is opened
BEGIN;
UPDATE kms.key SET state = 'disabled', prior_state = 'active', seal = NULL WHERE key_id = :'key_id';
SELECT pg_temp.diagnosis(:'key_id', :'c');
UPDATE kms.key SET state = 'revoked' WHERE key_id = :'key_id';
SELECT pg_temp.diagnosis(:'key_id', '"' || :'c' || '"');
UPDATE kms.key SET state = 'pending_deletion' WHERE key_id = :'key_id';
SELECT pg_temp.diagnosis(:'key_id', NULL);
ROLLBACK;
SET kms.key_lifetime = '1s';
SELECT key_id AS expired_id FROM kms_issue_key('diagnose-expired') \gset
RESET kms.key_lifetime;
SELECT kms_encrypt(:'expired_id', 'canary-4711') AS expired_c \gset
SELECT pg_sleep(1.1); -- until a key has expired
SELECT pg_temp.diagnosis(:'expired_id', :'expired_c');
-- a deprecated key still opens, and the other keys of the device are named
SELECT key_id AS new_id FROM kms_rotate_key('diagnose-1') \gset
SELECT pg_temp.diagnosis(:'key_id', :'c');
SELECT pg_temp.diagnosis(:'new_id', :'c');
SELECT hint LIKE '%with them: ' || :'key_id' || '.%' AS names_the_old_key FROM kms_diagnose(:'new_id', :'c') OFFSET 1;

-- in a read-only transaction
BEGIN READ ONLY;
SELECT pg_temp.diagnosis(:'key_id', :'c') LIKE '%own digest%' LIMIT 1;
ROLLBACK;

-- one event a call, never a decrypt, and no key is made problematic by it
SET application_name = 'diagnose events';
SELECT count(d) FROM generate_series(1, 10) AS n, LATERAL kms_diagnose(:'new_id', :'c' || repeat(' ', n)) AS d;
SELECT count(d) FROM pg_temp.diagnosis(:'key_id', :'c') AS d;
SELECT count(d) FROM pg_temp.diagnosis(:'expired_id', '') AS d;
SELECT count(d) FROM pg_temp.diagnosis('key_0000000000000_000000000000000000000000', '') AS d;
RESET application_name;
SELECT kms_flush_events();
SELECT operation, status, reason, device_id, count(*) FROM kms.event WHERE application_name = 'diagnose events'
GROUP BY 1, 2, 3, 4 ORDER BY 1, 2, 3, 4;
SELECT count(*) FROM kms.event WHERE application_name LIKE 'diagnose%' AND operation = 'decrypt';
SELECT count(*) FROM kms_problematic_keys(0, 1) WHERE device_id LIKE 'diagnose%';
SELECT task, done FROM kms_maintain() WHERE task = 'deprecate problematic keys';
SELECT kms_key_state(:'new_id');

-- no finding, hint or event shows what a ciphertext holds
SELECT count(*) FILTER (WHERE d ~ 'canary|4711') AS shown, count(*) > 0 AS told
FROM (VALUES (:'c'), ('canary-4711'), (encode('canary-4711', 'base64')), (encode(convert_to('"canary"', 'UTF8'), 'base64')))
	AS s (c), pg_temp.diagnosis(:'key_id', c) AS d;
SELECT count(*) FROM kms.event AS e WHERE e::text LIKE '%canary%';
