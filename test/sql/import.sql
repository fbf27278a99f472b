-- Importing: an imported key keeps its id and opens earlier ciphertexts, wrong
-- keys are refused, and no part of a private key is shown.

\i test/include/outcome.sql

-- keys of a service that kept them in the clear, and its ciphertexts
\set dir `mktemp -d`
\setenv KEYS :dir
\! cd $KEYS && openssl genrsa -out a 2048 2>/dev/null && openssl pkcs8 -topk8 -nocrypt -in a -out a8
\! cd $KEYS && openssl genrsa -traditional -out b 3072 2>/dev/null
\! cd $KEYS && openssl genrsa -3 -out c 2048 2>/dev/null
\! cd $KEYS && openssl genrsa -out d 4096 2>/dev/null
\! cd $KEYS && for k in a b c d; do openssl rsa -traditional -in $k -out $k.pkcs1 2>/dev/null && openssl pkey -in $k -pubout -out $k.pub && printf %s 4711 | openssl pkeyutl -encrypt -pubin -inkey $k.pub -pkeyopt rsa_padding_mode:oaep | base64 -w0 > $k.ciphertext; done
\set a8 `cat $KEYS/a8`
\set a1 `cat $KEYS/a.pkcs1`
\set b1 `cat $KEYS/b.pkcs1`
\set c8 `openssl pkey -in $KEYS/c`
\set d8 `openssl pkey -in $KEYS/d`
\set a_pub `cat $KEYS/a.pub`
\set a_ciphertext `cat $KEYS/a.ciphertext`
\set b_ciphertext `cat $KEYS/b.ciphertext`
\set c_ciphertext `cat $KEYS/c.ciphertext`
\set d_ciphertext `cat $KEYS/d.ciphertext`
CREATE TEMP TABLE pem (name text PRIMARY KEY, pem text);
INSERT INTO pem VALUES ('a8', :'a8'), ('a1', :'a1'), ('b1', :'b1'), ('c8', :'c8'), ('d8', :'d8');
SELECT name, split_part(pem, E'\n', 1) AS line FROM pem ORDER BY name;

-- defaults: a generated id, deprecated, expires after kms.key_lifetime
SELECT kms_import_key('import-1', pem) AS made FROM pem WHERE name = 'a8' \gset
SELECT :'made' ~ '^key_[0-9]{13}_[0-9a-f]{24}$' AS id_shape;
SELECT device_id, app_version, algorithm, oaep_hash, origin, state, state_reason,
	abs(extract(epoch FROM created_at - clock_timestamp())) < 60 AS created_now,
	abs(extract(epoch FROM expires_at - clock_timestamp()) - 30 * 86400) < 60
		AS expires_in_30_days, delete_at, row_version
FROM kms.keys WHERE key_id = :'made';
SELECT kms_decrypt(:'made', :'a_ciphertext'), kms_key_state(:'made');
SELECT kms_public_key(:'made') = :'a_pub' || E'\n' AS same_public;
SELECT pg_temp.outcome(format('SELECT kms_encrypt(%L, %L)', :'made', 'x'));

-- with all arguments, and an id in the form of another service
SELECT kms_import_key('import-2', pem, 'Old.Key_7-b', '2.3.1', '2020-01-01 00:00+00',
	clock_timestamp() + interval '5 days', 'sha256', NULL, true)
FROM pem WHERE name = 'b1';
SELECT device_id, app_version, algorithm, oaep_hash, state, state_reason, created_at AT TIME ZONE 'UTC' AS created_at,
	expires_at > now() + interval '4 days' AS expires_then
FROM kms.keys WHERE key_id = 'Old.Key_7-b';
SELECT kms_decrypt('Old.Key_7-b', :'b_ciphertext', oaep_hash => 'sha1');
SELECT kms_decrypt('Old.Key_7-b', :'b_ciphertext', 'import-2', 'sha1');
SELECT pg_temp.outcome(format('SELECT kms_decrypt(%L, %L, %L, %L)', 'Old.Key_7-b', :'b_ciphertext', 'import-1', 'sha1'));

-- other forms, sizes and exponents; NULL means the default; line ends of CR LF
SELECT kms_import_key('import-3', pem, 'a1') FROM pem WHERE name = 'a1';
SELECT kms_import_key('import-3', replace(pem, E'\n', E'\r\n'), 'a1-crlf', NULL, NULL, NULL, NULL, NULL) FROM pem WHERE name = 'a1';
SELECT kms_import_key('import-3', pem, 'c8') FROM pem WHERE name = 'c8';
SELECT kms_import_key('import-3', pem, 'd8') FROM pem WHERE name = 'd8';
SELECT key_id, algorithm, oaep_hash, state,
	abs(extract(epoch FROM created_at - clock_timestamp())) < 60 AS created_now,
	abs(extract(epoch FROM expires_at - clock_timestamp()) - 30 * 86400) < 60 AS in_30_days
FROM kms.keys WHERE device_id = 'import-3' ORDER BY key_id;
SELECT kms_decrypt('a1', :'a_ciphertext'), kms_decrypt('a1-crlf', :'a_ciphertext'),
	kms_decrypt('c8', :'c_ciphertext'), kms_decrypt('d8', :'d_ciphertext');

-- an id with every mark and of full length is used like any other
SELECT rpad('urn:kms/{8400-e29b}:a+b=c#1@x.y_z', 128, '/') AS long_id \gset
SELECT kms_import_key('import-9', pem, :'long_id') = :'long_id' AS imported FROM pem WHERE name = 'a8';
SELECT kms_decrypt(:'long_id', :'a_ciphertext'), kms_try_decrypt(:'long_id', :'a_ciphertext'), kms_key_state(:'long_id');
SELECT kms_jwk(:'long_id') ->> 'kid' = :'long_id' AS kid, kms_public_key(:'long_id') = :'a_pub' || E'\n' AS same_public;
SELECT plaintext FROM kms_decrypt_batch(ARRAY[:'long_id', :'long_id'], ARRAY[:'a_ciphertext', :'a_ciphertext']);
SELECT pg_temp.outcome(format('SELECT kms_encrypt(%L, %L)', :'long_id', 'x'));
SELECT kms_disable_key(:'long_id'), kms_enable_key(:'long_id'), kms_revoke_key(:'long_id', 'a test');
SELECT kms_decrypt_recover(:'long_id', :'a_ciphertext', 'a test');
SELECT pg_temp.outcome(format('SELECT kms_key_state(%L)', left(:'long_id', 127)));
SELECT pg_temp.outcome(format('SELECT kms_import_key(%L, pem, %L) FROM pem WHERE name = %L', 'import-9', :'long_id' || 'x', 'a8'));
SELECT kms_flush_events();
SELECT operation, status, key_id = :'long_id' AS whole, count(*) FROM kms.event
WHERE key_id LIKE left(:'long_id', 64) || '%' GROUP BY 1, 2, 3 ORDER BY operation COLLATE "C", 2;

-- only an active key locks its device, so that one transaction can import many thousands
BEGIN;
SELECT kms_import_key('import-4', pem, 'unlocked') FROM pem WHERE name = 'a8';
SELECT count(*) AS locks FROM pg_locks WHERE locktype = 'object' AND classid = 'kms.key'::regclass AND pid = pg_backend_pid();
SELECT kms_import_key('import-4', pem, 'locked', deprecated => false) FROM pem WHERE name = 'a8';
SELECT count(*) AS locks FROM pg_locks WHERE locktype = 'object' AND classid = 'kms.key'::regclass AND pid = pg_backend_pid();
ROLLBACK;

-- settings of the superuser
BEGIN;
SET LOCAL kms.oaep_hash = 'sha384';
SET LOCAL kms.key_lifetime = '1d';
SELECT kms_import_key('import-4', pem, 'settings') FROM pem WHERE name = 'a8';
SELECT oaep_hash, abs(extract(epoch FROM expires_at - clock_timestamp()) - 86400) < 60 AS in_a_day
FROM kms.keys WHERE key_id = 'settings';
ROLLBACK;

-- an active key is issued, and rotated like any other
SELECT kms_import_key('import-5', pem, 'active', deprecated => false) FROM pem WHERE name = 'a8';
SELECT key_id, public_key = :'a_pub' || E'\n' AS same_public, algorithm_used, reused FROM kms_issue_key('import-5');
SELECT kms_decrypt('active', kms_encrypt('active', 'new'));
SELECT state, state_reason FROM kms.keys WHERE key_id = 'active';
-- a second active key is refused, a deprecated one is not
SELECT pg_temp.outcome($$SELECT kms_import_key('import-5', pem, 'second', deprecated => false) FROM pem WHERE name = 'a8'$$);
SELECT kms_import_key('import-5', pem, 'third') FROM pem WHERE name = 'a8';
SELECT key_id = 'active' AS same, reused FROM kms_issue_key('import-5');
SELECT key_id <> 'active' AS other, reused FROM kms_rotate_key('import-5');
SELECT key_id, state, state_reason FROM kms.keys WHERE device_id = 'import-5' AND key_id !~ '^key_' ORDER BY key_id;
-- a rotation in the same statement does not take the imported key for its own
SELECT kms_import_key('import-6', pem, 'with-rotation', deprecated => false) AS imported,
	(kms_rotate_key('import-6')).key_id <> 'with-rotation' AS rotated
FROM pem WHERE name = 'a8';
SELECT kms_key_state('with-rotation');

-- an expired key opens with break-glass until it is purged, and cannot be imported again
SELECT kms_import_key('import-7', pem, 'expired', NULL, '2020-01-01', now() - interval '89 days') FROM pem WHERE name = 'a8';
SELECT kms_key_state('expired'), kms_key_valid('expired');
SELECT kms_decrypt_recover('expired', :'a_ciphertext', 'a test');
-- an expired active key blocks neither another import nor a new key
SELECT kms_import_key('import-7', pem, 'expired-active', NULL, '2020-01-01', now() - interval '1 day', deprecated => false) FROM pem WHERE name = 'a8';
SELECT kms_import_key('import-7', pem, 'active-7', deprecated => false) FROM pem WHERE name = 'a8';
SELECT key_id, kms_key_state(key_id) FROM kms.keys WHERE device_id = 'import-7' ORDER BY key_id;

-- many at once, the newest that is not deprecated kept in use, as the manual has it
CREATE TEMP TABLE client_encryption_key AS
SELECT 'many-' || n AS id, 'import-' || CASE WHEN n < 4 THEN 'x' ELSE 'y' END AS device_id,
	timestamptz '2020-01-01' + n * interval '1 day' AS created_at, n IN (3, 4) AS deprecated,
	(SELECT pem FROM pem WHERE name = 'a8') AS private_key
FROM generate_series(1, 5) AS n;
SELECT kms_import_key(device_id => k.device_id, private_key => k.private_key, key_id => k.id, created_at => k.created_at,
	deprecated => k.deprecated OR EXISTS (
		SELECT FROM client_encryption_key AS n
		WHERE n.device_id = k.device_id AND NOT n.deprecated
			AND (n.created_at, n.id) > (k.created_at, k.id))) AS id,
	kms_key_state(k.id) AS state
FROM client_encryption_key AS k;

-- the limit does not count imported keys
SELECT used FROM kms_rate_limit_status('import-3');
SELECT used FROM kms_rate_limit_status('import-5');
SELECT count(*) AS keys FROM kms.keys WHERE device_id LIKE 'import-%';

-- ---- Refusals -------------------------------------------------------------

-- wrong arguments
SELECT kms_import_key('refused', pem, 'a1') FROM pem WHERE name = 'a8';
\echo :SQLSTATE
SELECT kms_import_key(device_id, pem, 'a1') FROM pem, kms.keys WHERE name = 'a8' AND key_id = 'a1';
\echo :SQLSTATE
SELECT kms_import_key(NULL, pem) FROM pem WHERE name = 'a8';
\echo :SQLSTATE
SELECT kms_import_key('', pem) FROM pem WHERE name = 'a8';
SELECT kms_import_key(pem, 'refused') FROM pem WHERE name = 'a8';
SELECT kms_import_key('refused', NULL);
\echo :SQLSTATE
SELECT kms_import_key('refused', '');
SELECT kms_import_key('refused', repeat('x', 8193));
\echo :SQLSTATE
SELECT kms_import_key('refused', 'x', pem) FROM pem WHERE name = 'a8';
SELECT kms_import_key('refused', pem, 'no id') FROM pem WHERE name = 'a8';
SELECT kms_import_key('refused', pem, '') FROM pem WHERE name = 'a8';
SELECT kms_import_key('refused', pem, app_version => repeat('v', 65)) FROM pem WHERE name = 'a8';
SELECT kms_import_key('refused', pem, oaep_hash => 'md5') FROM pem WHERE name = 'a8';
SELECT kms_import_key('refused', pem, oaep_hash => pem) FROM pem WHERE name = 'a8';
SELECT kms_import_key('refused', pem, created_at => 'infinity') FROM pem WHERE name = 'a8';
SELECT kms_import_key('refused', pem, created_at => '-infinity') FROM pem WHERE name = 'a8';
SELECT kms_import_key('refused', pem, created_at => now() + interval '1 hour') FROM pem WHERE name = 'a8';
SELECT kms_import_key('refused', pem, expires_at => 'infinity') FROM pem WHERE name = 'a8';
SELECT kms_import_key('refused', pem, created_at => '2020-01-02', expires_at => '2020-01-02') FROM pem WHERE name = 'a8';
SELECT kms_import_key('refused', pem, created_at => '2020-01-01', expires_at => now() - interval '90 days') FROM pem WHERE name = 'a8';
SELECT kms_import_key('import-5', pem, deprecated => false) FROM pem WHERE name = 'a8';
BEGIN READ ONLY;
SELECT kms_import_key('refused', pem) FROM pem WHERE name = 'a8';
\echo :SQLSTATE
ROLLBACK;

-- the detail names the refused row, with the ids of it that have the right form
SELECT kms_import_key('refused', 'garbage', 'Old.Key_7-c');
SELECT kms_import_key(E'a\tb', pem, 'Old.Key_7-c') FROM pem WHERE name = 'a8';
SELECT kms_import_key(NULL, pem, 'no id') FROM pem WHERE name = 'a8';
SELECT kms_import_key('refused', NULL, 'Old.Key_7-c');
SELECT kms_import_key('refused', repeat('x', 8193), 'Old.Key_7-c');
SELECT kms_import_key('refused', pem, 'Old.Key_7-c', app_version => '') FROM pem WHERE name = 'a8';
SELECT kms_import_key('refused', pem, 'Old.Key_7-c', oaep_hash => 'md5') FROM pem WHERE name = 'a8';
SELECT kms_import_key('import-1', pem, 'Old.Key_7-c', expires_at => 'infinity') FROM pem WHERE name = 'a8';
SELECT kms_import_key('import-5', pem, 'Old.Key_7-c', deprecated => false) FROM pem WHERE name = 'a8';
-- a private key that is passed as another argument is neither shown nor recorded
\set x25519 MC4CAQAwBQYDK2VuBCIEIHcHbQpzGKV9PBbBclGyZkXfTC4H68CZKrF3b6UduSwq
SELECT kms_import_key('refused', 'Old.Key_7-c', :'x25519');
SELECT kms_import_key(:'x25519', 'phone-1');
SELECT kms_import_key('refused', 'Old.Key_7-c', NULL, :'x25519');
SELECT kms_import_key(encode(decode(:'x25519', 'base64'), 'hex'), 'phone-1');
SELECT kms_import_key('-----BEGIN PRIVATE KEY-----' || :'x25519' || '-----END PRIVATE KEY-----', 'phone-1');
SELECT kms_import_key('{"kty":"OKP","crv":"X25519","x":"AA","d":"AA"}', 'phone-1');
SELECT kms_flush_events();
SELECT count(*) FROM kms.event AS e WHERE e::text ~ 'MC4CAQ|302e0201|"d"';
-- an id in base64 that is none
SELECT kms_import_key('MC4AAQAwBQYDK2VuBCIEIHcHbQpzGKV9PBbBclGyZkXfTC4H68CZKrF3b6UduSwq', 'garbage');

-- half a minute ahead is accepted, because clocks differ
BEGIN;
SELECT kms_import_key('import-8', pem, 'ahead', created_at => clock_timestamp() + interval '30 seconds') FROM pem WHERE name = 'a8';
ROLLBACK;

-- wrong keys: other forms, kinds and sizes
\! cd $KEYS && openssl pkcs8 -topk8 -in a -passout pass:x -out encrypted
\! cd $KEYS && openssl rsa -traditional -aes128 -in a -passout pass:x -out encrypted1 2>/dev/null
\! cd $KEYS && openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-384 -out ec 2>/dev/null
\! cd $KEYS && openssl genpkey -algorithm RSA-PSS -pkeyopt rsa_keygen_bits:2048 -out pss 2>/dev/null
\! cd $KEYS && openssl genrsa -traditional -primes 3 -out three 2048 2>/dev/null
\! cd $KEYS && openssl genrsa -out short 1024 2>/dev/null
\! cd $KEYS && openssl req -x509 -new -key a -subj /CN=x -out certificate 2>/dev/null
\set encrypted `cat $KEYS/encrypted`
\set encrypted1 `cat $KEYS/encrypted1`
\set ec `cat $KEYS/ec`
\set pss `cat $KEYS/pss`
\set three `cat $KEYS/three`
\set short `cat $KEYS/short`
\set certificate `cat $KEYS/certificate`
\! rm -r $KEYS
-- the same with the numbers changed: byte "position" of PKCS#1, from the end
-- if that is negative, is changed
CREATE FUNCTION pg_temp.spoiled(pem text, pos integer, difference integer) RETURNS text LANGUAGE sql AS $$
	SELECT E'-----BEGIN RSA PRIVATE KEY-----\n' ||
		encode(set_byte(der, at, get_byte(der, at) # difference), 'base64') ||
		E'\n-----END RSA PRIVATE KEY-----\n'
	FROM decode(regexp_replace(pem, '-----[A-Z ]+-----', '', 'g'), 'base64') AS der,
		LATERAL (VALUES (CASE WHEN pos < 0 THEN length(der) + pos ELSE pos END)) AS a (at) $$;

CREATE TEMP TABLE bad (name text PRIMARY KEY, pem text);
INSERT INTO bad VALUES ('garbage', 'garbage'), ('encrypted PKCS#8', :'encrypted'),
	('encrypted PKCS#1', :'encrypted1'), ('P-384', :'ec'), ('RSASSA-PSS', :'pss'),
	('three primes', :'three'), ('1024 bits', :'short'), ('public key', :'a_pub'),
	('certificate', :'certificate'), ('two keys', :'a8' || E'\n' || :'a1'),
	('text before', 'key: ' || E'\n' || :'a8'), ('text after', :'a8' || E'\nx'),
	('half', left(:'a8', 800)), ('not base64', overlay(:'a8' placing '*' from 100)),
	('even exponent', pg_temp.spoiled(:'a1', 272, 1)),
	('exponent 1', pg_temp.spoiled(pg_temp.spoiled(:'a1', 270, 1), 272, 0)),
	('modulus', pg_temp.spoiled(:'a1', 100, 1)),
	('private exponent', pg_temp.spoiled(:'a1', 400, 1)),
	('coefficient', pg_temp.spoiled(:'a1', -1, 1)),
	('structure', pg_temp.spoiled(:'a1', 4, 1));
SELECT name, pg_temp.outcome(format('SELECT kms_import_key(%L, pem) FROM bad WHERE name = %L', 'refused', name))
FROM bad ORDER BY name COLLATE "C";
SELECT kms_import_key('refused', pem) FROM bad WHERE name = 'garbage';
-- what kms_jwk() returns is not private
SELECT kms_import_key('refused', kms_jwk('a1')::text);
-- stored elsewhere and compressed is the same
CREATE TEMP TABLE toasted (pem text);
ALTER TABLE toasted ALTER COLUMN pem SET STORAGE EXTERNAL;
INSERT INTO toasted SELECT pem FROM pem WHERE name = 'd8';
SELECT pg_relation_size(reltoastrelid) > 0 AS elsewhere FROM pg_class WHERE oid = 'toasted'::regclass;
CREATE TEMP TABLE compressed (pem text);
INSERT INTO compressed SELECT pem || repeat(E'\n', 4000) FROM pem WHERE name = 'd8';
SELECT pg_column_size(pem) < length(pem) AS smaller FROM compressed;
BEGIN;
SELECT kms_import_key('import-8', pem, 'elsewhere') FROM toasted;
SELECT kms_import_key('import-8', pem, 'compressed') FROM compressed;
SELECT kms_decrypt('elsewhere', :'d_ciphertext'), kms_decrypt('compressed', :'d_ciphertext');
ROLLBACK;

-- no refused key is stored
SELECT count(*) AS stored FROM kms.keys WHERE device_id = 'refused' OR device_id = 'import-8';
SELECT count(*) AS stored FROM kms.key_secret AS s WHERE NOT EXISTS (SELECT FROM kms.key AS k WHERE k.key_id = s.key_id);

-- ---- Events ---------------------------------------------------------------

SELECT kms_flush_events();
SELECT operation, status, reason, count(*), count(key_id) AS with_key, count(device_id) AS with_device
FROM kms.event WHERE operation = 'import' GROUP BY 1, 2, 3 ORDER BY 2, 3, 1;
SELECT count(*) AS of_a_key FROM kms.event WHERE key_id = 'Old.Key_7-b' AND operation = 'import';
SELECT duration_ms > 1 AS takes_its_time FROM kms.event WHERE key_id = 'a1' AND operation = 'import' AND status = 'success';
-- no event has a line of a PEM
SELECT count(*) > 100 AS lines, count(*) FILTER (WHERE EXISTS
	(SELECT FROM kms.event AS e WHERE position(line in e::text) > 0)) AS in_the_trail
FROM pem, regexp_split_to_table(pem, E'\n') AS line WHERE length(line) > 10 AND line !~ '^-';
SELECT severity, finding FROM kms_check() WHERE finding ~ 'authenticate|older';
