-- JWE: decrypting wherever a ciphertext is text, encrypting, and what is
-- recorded.  test/unit/test_jwe*.c has the vectors and the forms in detail.

\i test/include/outcome.sql

CREATE TEMPORARY TABLE made AS
SELECT a AS algorithm, i.key_id FROM unnest('{RSA-2048,EC-P256,X25519}'::text[]) AS a, kms_issue_key('jwe-' || a, NULL, a, CASE a WHEN 'RSA-2048' THEN 'sha256' END) AS i;
CREATE FUNCTION pg_temp.url(b bytea) RETURNS text LANGUAGE sql AS $$
	SELECT rtrim(translate(encode(b, 'base64'), E'+/\n', '-_'), '=')
$$;
CREATE FUNCTION pg_temp.bytes(base64url text) RETURNS bytea LANGUAGE sql AS $$
	SELECT decode(translate($1, '-_', '+/') || repeat('=', -length($1) & 3), 'base64')
$$;

-- every alg and enc
CREATE TEMPORARY TABLE alg (algorithm text, alg text);
INSERT INTO alg VALUES ('RSA-2048', 'RSA-OAEP'), ('RSA-2048', 'RSA-OAEP-256'), ('RSA-2048', 'RSA-OAEP-384'), ('RSA-2048', 'RSA-OAEP-512');
INSERT INTO alg SELECT k, a FROM unnest('{EC-P256,X25519}'::text[]) AS k, unnest('{ECDH-ES,ECDH-ES+A128KW,ECDH-ES+A192KW,ECDH-ES+A256KW}'::text[]) AS a;
CREATE TEMPORARY TABLE sent AS
SELECT algorithm, key_id, alg, enc, n, kms_encrypt_jwe(key_id, repeat('ä', n), enc, alg) AS jwe
FROM made NATURAL JOIN alg, unnest('{A128GCM,A192GCM,A256GCM,A128CBC-HS256,A192CBC-HS384,A256CBC-HS512}'::text[]) AS enc, unnest('{0,1,500}'::integer[]) AS n;
SELECT count(*) AS sent, bool_and(kms_decrypt(key_id, jwe) = repeat('ä', n)) AS decrypted,
	bool_and(kms_decrypt_jwe(jwe, 'jwe-' || algorithm) = repeat('ä', n)) AS by_kid,
	bool_and(array_length(string_to_array(jwe, '.'), 1) = 5) AS compact FROM sent;
-- the header has what is needed and nothing else
SELECT DISTINCT algorithm, jsonb_object_keys(kms_jwe_header(jwe) -> 'protected') AS member FROM sent ORDER BY 1, 2;
SELECT bool_and(kms_jwe_header(jwe) -> 'protected' ->> 'kid' = key_id AND kms_jwe_header(jwe) -> 'protected' ->> 'alg' = alg
	AND kms_jwe_header(jwe) -> 'protected' ->> 'enc' = enc) AS names_all FROM sent;
-- defaults: alg of the JWK, or RSA-OAEP-256
SELECT algorithm, kms_jwe_header(kms_encrypt_jwe(key_id, 'x')) -> 'protected' ->> 'alg' AS alg, kms_jwk(key_id) ->> 'alg' AS of_jwk,
	kms_jwe_header(kms_encrypt_jwe(key_id, 'x')) -> 'protected' ->> 'enc' AS enc FROM made ORDER BY 1;
SELECT kms_jwe_header(kms_encrypt_jwe(key_id, 'x')) -> 'protected' ->> 'alg' AS without_a_name FROM kms_issue_key('jwe-0', NULL, NULL, 'sha256', 'sha1');
-- two encryptions differ
SELECT count(DISTINCT kms_encrypt_jwe(key_id, 'x')) FROM made, generate_series(1, 5);

-- every function that takes a ciphertext as text
SELECT algorithm, key_id, kms_encrypt_jwe(key_id, 'secret 4711') AS jwe FROM made WHERE algorithm = 'X25519' \gset
SELECT kms_decrypt(:'key_id', :'jwe'), kms_decrypt(:'key_id', E' \n' || :'jwe' || E'\t '), kms_try_decrypt(:'key_id', :'jwe'), kms_decrypt(:'key_id', :'jwe', 'jwe-X25519');
SELECT kms_decrypt_recover(:'key_id', :'jwe', 'a test');
SELECT encode(kms_decrypt_jwe_bytea(:'jwe', NULL), 'escape'), kms_decrypt_jwe(:'jwe', NULL, :'key_id');
SELECT kms_hash_secret(:'key_id', :'jwe') AS hash \gset
SELECT kms_verify_secret(:'key_id', :'jwe', :'hash') AS same, kms_verify_secret(:'key_id', kms_encrypt_jwe(:'key_id', 'other'), :'hash') AS other;
SELECT algorithm, kms_verify_secret(key_id, kms_encrypt_jwe(key_id, 'secret 4711'), :'hash') AS same, kms_verify_secret(key_id, repeat('A', 344), :'hash') AS block,
	kms_verify_secret(key_id, 'a.b.c.d.e', :'hash') AS malformed, kms_verify_secret(key_id, :'jwe' || 'A', :'hash') AS damaged, kms_verify_secret(key_id, NULL, :'hash') AS none
FROM made ORDER BY 1;
SELECT kms_decrypt(:'key_id', NULL) IS NULL AS none, kms_decrypt_jwe(NULL, 'x') IS NULL AS no_jwe, kms_encrypt_jwe(:'key_id', NULL) IS NULL AS no_plaintext;

-- the JSON serialisations, with the additional data
WITH p AS (SELECT string_to_array(:'jwe', '.') AS p)
SELECT format('{"protected":"%s","encrypted_key":"","iv":"%s","ciphertext":"%s","tag":"%s"}', p[1], p[3], p[4], p[5]) AS flattened,
	format('{"protected":"%s","recipients":[{}],"iv":"%s","ciphertext":"%s","tag":"%s"}', p[1], p[3], p[4], p[5]) AS general,
	format('{"protected":"%s","aad":"AAAA","iv":"%s","ciphertext":"%s","tag":"%s"}', p[1], p[3], p[4], p[5]) AS other_aad FROM p \gset
SELECT kms_decrypt(:'key_id', :'flattened') AS flattened, kms_decrypt_jwe(:'general', NULL) AS general;
SELECT pg_temp.outcome(format('SELECT kms_decrypt(%L, %L)', :'key_id', :'other_aad'));

-- a damaged JWE, and that of another key: one error
CREATE FUNCTION pg_temp.changed(jwe text, part integer) RETURNS text LANGUAGE sql AS $$
	SELECT string_agg(CASE WHEN n = part THEN pg_temp.url(set_bit(pg_temp.bytes(p), 0, 1 - get_bit(pg_temp.bytes(p), 0))) ELSE p END, '.' ORDER BY n)
	FROM string_to_table(jwe, '.') WITH ORDINALITY AS t (p, n)
$$;
SELECT m.algorithm, part, pg_temp.outcome(format('SELECT kms_decrypt(%L, %L)', s.key_id, pg_temp.changed(s.jwe, part)), 'detail') AS outcome, count(*)
FROM made AS m JOIN sent AS s USING (key_id), unnest('{2,3,4,5}'::integer[]) AS part
WHERE n = 500 AND split_part(jwe, '.', part) <> '' GROUP BY 1, 2, 3 ORDER BY 1, 2;
SELECT bool_and(kms_try_decrypt(key_id, pg_temp.changed(jwe, 4)) IS NULL) AS none FROM sent WHERE n = 500;
SELECT m.algorithm, pg_temp.outcome(format('SELECT kms_decrypt(%L, %L)', i.key_id, kms_encrypt_jwe(m.key_id, 'x'))) AS of_another_key
FROM made AS m, kms_issue_key('jwe-other', NULL, m.algorithm, CASE m.algorithm WHEN 'RSA-2048' THEN 'sha256' END) AS i ORDER BY 1;

-- what does not fit the key, with the part and never its content
SELECT m.algorithm, o.algorithm AS sent_for, f.message, f.detail FROM made AS m JOIN made AS o ON m.algorithm <> o.algorithm,
	pg_temp.failure(format('SELECT kms_decrypt(%L, %L)', m.key_id, kms_encrypt_jwe(o.key_id, 'x'))) AS f ORDER BY 1, 2;
CREATE FUNCTION pg_temp.with_header(jwe text, header text) RETURNS text LANGUAGE sql AS $$
	SELECT pg_temp.url(convert_to(header, 'UTF8')) || substr(jwe, strpos(jwe, '.'))
$$;
SELECT header, f.code, f.message, f.detail FROM made AS m, unnest(ARRAY[
	'{"alg":"RSA1_5","enc":"A256GCM"}', '{"alg":"RSA-OAEP"}', '{"alg":"RSA-OAEP-256","enc":"A256GCM","zip":"DEF"}',
	'{"alg":"RSA-OAEP-256","enc":"A256GCM","crit":["exp"]}', '{"alg":"dir","enc":"A256GCM"}', '{"enc":"A256GCM"}',
	'{"alg":"RSA-OAEP-256","enc":"A256CBC-HS512"}', '{"alg":"RSA-OAEP-256","alg":"RSA-OAEP","enc":"A256GCM"}', '{', '[]', '']) AS header,
	pg_temp.failure(format('SELECT kms_decrypt(%L, %L)', m.key_id, pg_temp.with_header(kms_encrypt_jwe(m.key_id, 'x'), header))) AS f
WHERE m.algorithm = 'RSA-2048' ORDER BY 1;
-- the point of an ephemeral key that is on no curve
SELECT m.algorithm, f.code, f.message FROM made AS m, kms_encrypt_jwe(m.key_id, 'x') AS jwe,
	pg_temp.failure(format('SELECT kms_decrypt(%L, %L)', m.key_id, pg_temp.with_header(jwe,
		jsonb_set(kms_jwe_header(jwe) -> 'protected', '{epk,x}', to_jsonb(repeat('A', 43)))::text))) AS f
WHERE m.algorithm <> 'RSA-2048' ORDER BY 1;

-- a JWE that was cut off, and other JSON
SELECT cut, f.code, f.message, f.detail FROM sent,
	unnest(ARRAY['^[^.]+\.', '^[^.]+\.[^.]+\.', '^[^.]+\.[^.]+\.....', '^[^.]+\.[^.]+\.[^.]+\.', '.*(?=.)', '.*(?=..)', '.*(?=.{5})']) AS cut,
	pg_temp.failure(format('SELECT kms_decrypt(%L, %L)', key_id, substring(jwe FROM cut))) AS f
WHERE alg = 'RSA-OAEP' AND enc = 'A256GCM' AND n = 500;
SELECT given, f.code, f.message, f.detail FROM unnest(ARRAY['{"token":"eyJ.PIN4711"}', '{"ciphertext":"eyJ.PIN4711"}', '{"pin":"PIN4711"}', '{}']) AS given,
	pg_temp.failure(format('SELECT kms_decrypt_jwe(%L, NULL)', given)) AS f;
SELECT * FROM pg_temp.failure(format('SELECT kms_decrypt_jwe(%L, %L)', 'phone-1', :'jwe'));

-- a kid chooses the key only in the protected header, and only if it is a key id of the device
SELECT pg_temp.outcome(format('SELECT kms_decrypt_jwe(%L, %L)', :'jwe', 'jwe-EC-P256'));
SELECT change, f.code, f.message, f.detail FROM kms_jwe_header(:'jwe') AS h, unnest(ARRAY[NULL, '7', '""', '"no such key!"', '"key_1700000000000_0123456789abcdef01234567"']::jsonb[]) AS change,
	pg_temp.failure(format('SELECT kms_decrypt_jwe(%L, NULL)', pg_temp.with_header(:'jwe', ((h -> 'protected') - 'kid' || CASE WHEN change IS NULL THEN '{}' ELSE jsonb_build_object('kid', change) END)::text))) AS f;
SELECT pg_temp.outcome(format('SELECT kms_decrypt_jwe(%L, NULL)', jsonb_set(:'flattened'::jsonb || jsonb_build_object('header', jsonb_build_object('kid', :'key_id')),
	'{protected}', to_jsonb(pg_temp.url(convert_to(((kms_jwe_header(:'jwe') -> 'protected') - 'kid')::text, 'UTF8'))))::text), 'detail') AS kid_of_a_header;
SELECT pg_temp.outcome(format('SELECT kms_decrypt_jwe(%L, NULL)', repeat('A', 344)), 'detail');
SELECT pg_temp.outcome($$SELECT kms_decrypt_jwe('a.b.c', NULL)$$);

-- arguments that do not apply to a JWE
SELECT arguments, pg_temp.outcome(format('SELECT kms_decrypt(%L, %L, NULL, %s)', :'key_id', :'jwe', arguments), 'detail')
FROM unnest(ARRAY['''sha1''', 'NULL, ''sha1''', 'NULL, NULL, ''\x''', 'NULL, NULL, ''\x00''']) AS arguments;
SELECT pg_temp.outcome(format('SELECT kms_hash_secret(%L, %L, NULL, ''sha1'')', :'key_id', :'jwe'));
-- the client chooses the form, so this is an answer
SELECT pg_temp.outcome(format('SELECT kms_verify_secret(%L, %L, %L, oaep_hash => ''sha1'')', :'key_id', :'jwe', :'hash'));
SELECT arguments, pg_temp.outcome(format('SELECT kms_encrypt_jwe(%L, ''x'', %s)', :'key_id', arguments), 'hint')
FROM unnest(ARRAY['NULL', '''A512GCM''', '''''', '''A256GCM'', ''RSA-OAEP''', '''A256GCM'', ''RSA1_5''']) AS arguments;
SELECT pg_temp.outcome($$SELECT kms_encrypt_jwe('key_1700000000000_0123456789abcdef01234567', 'x')$$), pg_temp.outcome($$SELECT kms_encrypt_jwe(NULL, 'x')$$);

-- limits
SELECT length(jwe) > 60000 AS long, kms_decrypt(:'key_id', jwe) = repeat('x', 48000) AS decrypted FROM kms_encrypt_jwe(:'key_id', repeat('x', 48000)) AS jwe;
SELECT f.code, f.message, f.detail, f.hint FROM pg_temp.failure(format('SELECT kms_encrypt_jwe(%L, repeat(''x'', 50000))', :'key_id')) AS f;
SELECT f.code, f.message, f.detail FROM pg_temp.failure(format('SELECT kms_decrypt(%L, %L)', :'key_id', :'jwe' || repeat('A', 70000))) AS f;
SELECT f.code, f.message, f.detail FROM pg_temp.failure(format('SELECT kms_decrypt_jwe(%L, NULL)', :'jwe' || repeat('A', 70000))) AS f;
SELECT f.code, f.message, f.detail FROM pg_temp.failure(format('SELECT kms_decrypt(%L, %L)', :'key_id', repeat('A', 3000))) AS f;

-- a batch: devices, digests for blocks, JWE beside them, and bytes
SELECT key_id AS rsa_id, kms_encrypt(key_id, 'block', 'sha1', NULL, 'a') AS block FROM made WHERE algorithm = 'RSA-2048' \gset
SELECT * FROM kms_decrypt_batch(ARRAY[:'rsa_id', :'key_id', :'key_id', :'key_id', :'key_id', :'rsa_id'], ARRAY[:'block', :'jwe', :'jwe', :'jwe', NULL, 'a.b'],
	ARRAY['jwe-RSA-2048', 'jwe-X25519', 'jwe-EC-P256', NULL, 'jwe-X25519', 'jwe-RSA-2048'], 'sha1', NULL, 'a');
SELECT * FROM kms_decrypt_batch(ARRAY[:'rsa_id', :'key_id'], ARRAY[:'block', :'jwe']);
SELECT position, encode(plaintext, 'escape') AS plaintext, sqlstate FROM kms_decrypt_batch_bytea(ARRAY[:'rsa_id', :'key_id', :'rsa_id'],
	ARRAY[decode(:'block', 'base64'), convert_to(:'jwe', 'UTF8'), '\x00'], NULL, 'sha1', 'sha1', 'a');
SELECT pg_temp.outcome('SELECT kms_decrypt_batch(''{a,b}'', ''{x,y}'', ''{d}'')', 'hint');
SELECT pg_temp.outcome('SELECT kms_decrypt_batch(''{a,b}'', ''{x,y}'', NULL, ''md5'')');
SELECT pg_temp.outcome('SELECT kms_decrypt_batch_bytea(''{a}'', ''{"\\x00","\\x01"}'')', 'detail');

-- the states of the key
BEGIN;
SELECT kms_disable_key(:'key_id');
SELECT pg_temp.outcome(format('SELECT kms_decrypt_jwe(%L, NULL)', :'jwe'));
SELECT kms_decrypt_recover(:'key_id', :'jwe', 'a test');
SELECT pg_temp.outcome(format('SELECT kms_encrypt_jwe(%L, ''x'')', :'key_id'));
ROLLBACK;

-- in a read-only transaction
BEGIN READ ONLY;
SELECT kms_decrypt_jwe(:'jwe', 'jwe-X25519'), kms_encrypt_jwe(:'key_id', 'x') IS NOT NULL AS encrypted;
COMMIT;

-- what is recorded: the form, also of failures
SELECT kms_flush_events();
SELECT operation, status, reason, form, sum(calls) > 0 AS some FROM kms.event
WHERE key_id IN (SELECT key_id FROM made) AND operation IN ('decrypt', 'encrypt', 'recover', 'verify') AND form IS NOT NULL
	AND (form NOT LIKE 'JWE%' OR form LIKE '% A256GCM')
GROUP BY 1, 2, 3, 4 ORDER BY 4, 1, 2, 3;
SELECT count(*) AS with_content FROM kms.event AS e WHERE to_jsonb(e)::text ~ 'no such key|secret 4711';
