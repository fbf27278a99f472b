-- Importing EC-P256 and X25519 keys that were made elsewhere.
-- test/unit/test_ec_import.c has the encodings in detail.

\i test/include/outcome.sql

\set dir `mktemp -d`
\setenv KEYS :dir
\! cd $KEYS && openssl ecparam -name prime256v1 -genkey -out sec1 && openssl pkcs8 -topk8 -nocrypt -in sec1 -out pkcs8
\! cd $KEYS && openssl ec -in sec1 -no_public -out half 2>/dev/null && openssl ec -in sec1 -conv_form compressed -out compressed 2>/dev/null
\! cd $KEYS && openssl genpkey -algorithm X25519 -out x25519
\! cd $KEYS && openssl ec -in sec1 -param_enc explicit -out explicit 2>/dev/null
\! cd $KEYS && for curve in secp384r1 secp521r1 secp256k1 brainpoolP256r1; do openssl ecparam -name $curve -genkey -noout -out $curve; done
\! cd $KEYS && for kind in X448 ED25519 ED448; do openssl genpkey -algorithm $kind -out $kind; done
\set sec1 `cat $KEYS/sec1`
\set p256_pub `openssl pkey -in $KEYS/sec1 -pubout`
\set x25519 `cat $KEYS/x25519`
\set x25519_pub `openssl pkey -in $KEYS/x25519 -pubout`
CREATE TEMP TABLE pem (name text PRIMARY KEY, pem text);
\set pkcs8 `cat $KEYS/pkcs8`
\set half `cat $KEYS/half`
\set compressed `cat $KEYS/compressed`
INSERT INTO pem VALUES ('sec1', :'sec1'), ('pkcs8', :'pkcs8'), ('half', :'half'), ('compressed', :'compressed'), ('x25519', :'x25519'),
	('sec1 as PKCS#8', replace(substring(:'sec1' FROM '-----BEGIN EC PRIVATE.*'), 'EC PRIVATE', 'PRIVATE')),
	('pkcs8 as EC', replace(:'pkcs8', 'PRIVATE', 'EC PRIVATE')), ('x25519 as RSA', replace(:'x25519', 'PRIVATE', 'RSA PRIVATE'));
SELECT name, split_part(pem, E'\n', 1) AS line FROM pem ORDER BY name COLLATE "C";

-- each form is the same key
SELECT kms_import_key('ec ' || name, pem, replace(name, ' ', '-')) FROM pem ORDER BY name COLLATE "C";
SELECT key_id, algorithm, oaep_hash, mgf1_hash, origin, state, state_reason,
	kms_public_key(key_id) = CASE algorithm WHEN 'X25519' THEN :'x25519_pub' ELSE :'p256_pub' END || E'\n' AS same_public
FROM kms.keys WHERE device_id LIKE 'ec %' ORDER BY key_id COLLATE "C";
-- and is stored as one that is made here
CREATE TEMP TABLE made AS SELECT i.* FROM unnest('{EC-P256,X25519}'::text[]) AS a, kms_issue_key('ec made', NULL, a) AS i;
SELECT k.algorithm, count(DISTINCT length(s.wrapped_key)) AS lengths, count(*) AS keys
FROM kms.keys AS k JOIN kms.key_secret AS s USING (key_id) WHERE k.device_id LIKE 'ec %' GROUP BY 1 ORDER BY 1;

-- an active key encrypts, and each import of it decrypts
SELECT kms_import_key('ec', pem, 'active-' || name, deprecated => false) FROM pem WHERE name IN ('pkcs8', 'x25519') ORDER BY 1;
SELECT key_id, algorithm_used, oaep_hash_used, reused FROM kms_issue_key('ec', NULL, 'EC-P256');
SELECT jsonb_path_query_array(kms_jwks('ec'), '$.keys[*].crv') @> '["P-256", "X25519"]' AS both;
SELECT a AS active, k.key_id, kms_decrypt(k.key_id, jwe) AS plaintext
FROM unnest('{active-pkcs8,active-x25519}'::text[]) AS a, kms_encrypt_jwe(a, '4711') AS jwe, kms.keys AS k
WHERE k.algorithm = CASE a WHEN 'active-x25519' THEN 'X25519' ELSE 'EC-P256' END AND k.device_id LIKE 'ec%' AND k.origin = 'imported' ORDER BY 1, k.key_id COLLATE "C";
SELECT kms_decrypt_jwe(kms_encrypt_jwe('active-x25519', '4711'), 'ec');
-- another device is not told whether there is such a key
SELECT pg_temp.outcome(format('SELECT kms_decrypt_jwe(%L, ''other'')', jwe)) AS of_another_device,
	pg_temp.outcome(format('SELECT kms_decrypt(''no-such-key'', %L, ''other'')', jwe)) AS of_none
FROM kms_encrypt_jwe('active-x25519', '4711') AS jwe;
-- a device may have one active key of each kind
SELECT pg_temp.outcome($$SELECT kms_import_key('ec', pem, 'second', deprecated => false) FROM pem WHERE name = 'half'$$);

-- digests are no property of theirs
SELECT f.* FROM pg_temp.failure($$SELECT kms_import_key('ec', pem, 'digest', oaep_hash => 'sha256') FROM pem WHERE name = 'sec1'$$) AS f;
SELECT pg_temp.outcome($$SELECT kms_import_key('ec', pem, 'digest', mgf1_hash => 'sha1') FROM pem WHERE name = 'x25519'$$, 'hint');
-- that hint followed
SELECT kms_import_key('ec', pem, 'digest') FROM pem WHERE name = 'x25519';

-- refused keys
\set explicit `cat $KEYS/explicit`
\set p384 `cat $KEYS/secp384r1`
\set p521 `cat $KEYS/secp521r1`
\set secp256k1 `cat $KEYS/secp256k1`
\set brainpool `cat $KEYS/brainpoolP256r1`
\set x448 `cat $KEYS/X448`
\set ed25519 `cat $KEYS/ED25519`
\set ed448 `cat $KEYS/ED448`
\! rm -r $KEYS
CREATE TEMP TABLE bad (name text PRIMARY KEY, pem text);
INSERT INTO bad VALUES ('explicit', :'explicit'), ('P-384', :'p384'), ('P-521', :'p521'), ('secp256k1', :'secp256k1'),
	('brainpoolP256r1', :'brainpool'), ('X448', :'x448'), ('Ed25519', :'ed25519'), ('Ed448', :'ed448');
-- the number is not that of the public key, or too large
INSERT INTO bad SELECT name || ' number', E'-----BEGIN EC PRIVATE KEY-----\n' || encode(overlay(der PLACING number FROM 8), 'base64') || E'\n-----END EC PRIVATE KEY-----\n'
FROM decode(regexp_replace(substring(:'sec1' FROM '-----BEGIN EC PRIVATE.*'), '-----[A-Z ]+-----', '', 'g'), 'base64') AS der,
	LATERAL (VALUES ('another', set_byte(substring(der FROM 8 FOR 1), 0, get_byte(der, 7) # 1)),
		('too large a', decode(repeat('ff', 32), 'hex')), ('no', decode(repeat('00', 32), 'hex'))) AS v (name, number);
SELECT name, pg_temp.outcome(format('SELECT kms_import_key(%L, pem) FROM bad WHERE name = %L', 'ec refused', name))
FROM bad ORDER BY name COLLATE "C";
SELECT count(*) AS stored FROM kms.keys WHERE device_id = 'ec refused';

SELECT kms_flush_events();
SELECT operation, status, reason, count(*) FROM kms.event WHERE operation = 'import' AND (device_id = 'ec' OR device_id LIKE 'ec %') GROUP BY 1, 2, 3 ORDER BY 2, 3;
SELECT count(*) > 5 AS lines, count(*) FILTER (WHERE EXISTS
	(SELECT FROM kms.event AS e WHERE position(line in e::text) > 0)) AS in_the_trail
FROM pem, regexp_split_to_table(pem, E'\n') AS line WHERE length(line) > 10 AND line !~ '^-';
SELECT finding FROM kms_check() WHERE finding ~ 'authenticate|older';
