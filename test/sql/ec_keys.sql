-- EC-P256 and X25519 keys: made, handed out, refused for blocks, and in every
-- state.  test/sql/jwe.sql decrypts with them.

\i test/include/outcome.sql

CREATE TEMPORARY TABLE made AS
SELECT a AS algorithm, i.* FROM unnest('{EC-P256,X25519}'::text[]) AS a, kms_issue_key('ec-' || a, '1.0', a) AS i;
SELECT algorithm, algorithm_used, oaep_hash_used, mgf1_hash_used, reused,
	renew_at BETWEEN expires_at - interval '80 hours' AND expires_at - interval '72 hours' AS is_renewed,
	public_key ~ E'^-----BEGIN PUBLIC KEY-----\n([A-Za-z0-9+/]{1,64}=*\n){1,2}-----END PUBLIC KEY-----\n$' AS pem,
	public_key = kms_public_key(key_id) AS same_pem
FROM made ORDER BY 1;
SELECT algorithm, oaep_hash, mgf1_hash, origin, state FROM kms.keys WHERE device_id LIKE 'ec-%' ORDER BY 1;
-- they are found again, and each kind by itself
SELECT m.algorithm, i.key_id = m.key_id AS same, i.reused FROM made AS m, kms_issue_key('ec-' || m.algorithm) AS i ORDER BY 1;
SELECT algorithm_used, reused FROM kms_issue_key('ec-EC-P256', NULL, 'RSA-2048');
SELECT algorithm_used, reused FROM kms_issue_key('ec-EC-P256', NULL, 'EC-P256');
SELECT algorithm_used, reused FROM kms_issue_key('ec-EC-P256', NULL, NULL, 'sha1');

-- JWK: the coordinates of the public key
SELECT algorithm, jsonb_object_keys(kms_jwk(key_id)) AS member FROM made ORDER BY 1, 2;
SELECT algorithm, j ->> 'kty' AS kty, j ->> 'crv' AS crv, j ->> 'alg' AS alg, j ->> 'use' AS use, j ->> 'kid' = key_id AS kid,
	length(j ->> 'x') AS x, length(j ->> 'y') AS y,
	decode(translate((j ->> 'x') || coalesce(j ->> 'y', ''), '-_', '+/'), 'escape') IS NOT NULL AS base64url
FROM made, kms_jwk(key_id) AS j ORDER BY 1;
CREATE FUNCTION pg_temp.bytes(base64url text) RETURNS bytea LANGUAGE sql AS $$
	SELECT decode(translate($1, '-_', '+/') || repeat('=', -length($1) & 3), 'base64')
$$;
SELECT algorithm, pg_temp.bytes(j ->> 'x') || coalesce(pg_temp.bytes(j ->> 'y'), '')
	= substr(der, length(der) - CASE algorithm WHEN 'X25519' THEN 31 ELSE 63 END) AS ends_the_spki
FROM made, kms_jwk(key_id) AS j,
	LATERAL decode(regexp_replace(public_key, '-----[A-Z ]+-----', '', 'g'), 'base64') AS der ORDER BY 1;
SELECT jsonb_path_query_array(kms_jwks('ec-EC-P256'), '$.keys[*].kty') AS kinds;

-- a digest is no property of theirs, which is said before a key is looked for
BEGIN READ ONLY;
SELECT pg_temp.outcome($$SELECT kms_issue_key('ec-0', NULL, 'EC-P256', 'sha256')$$, 'hint');
SELECT pg_temp.outcome($$SELECT kms_issue_key('ec-0', NULL, 'X25519', NULL, 'sha1')$$, 'hint');
SELECT pg_temp.outcome($$SELECT kms_rotate_key('ec-0', NULL, 'X25519', 'sha1', 'sha1')$$, 'detail');
COMMIT;
BEGIN;
SET LOCAL kms.key_algorithm = 'EC-P256';
SELECT algorithm_used FROM kms_issue_key('ec-0');
SELECT pg_temp.outcome($$SELECT kms_issue_key('ec-0', NULL, NULL, 'sha256')$$);
SELECT algorithm_used FROM kms_issue_key('ec-0', NULL, 'RSA-2048', 'sha256');
ROLLBACK;

-- blocks are for RSA
SELECT algorithm, f.* FROM made, pg_temp.failure(format('SELECT kms_encrypt(%L, ''x'')', key_id)) AS f ORDER BY 1;
SELECT algorithm, f.* FROM made, pg_temp.failure(format('SELECT kms_encrypt_bytea(%L, ''x'', ''sha1'')', key_id)) AS f ORDER BY 1;
SELECT algorithm, f.* FROM made, pg_temp.failure(format('SELECT kms_decrypt(%L, repeat(''A'', 344))', key_id)) AS f ORDER BY 1;
SELECT algorithm, f.* FROM made, pg_temp.failure(format('SELECT kms_decrypt_bytea(%L, ''x'')', key_id)) AS f ORDER BY 1;
SELECT algorithm, kms_try_decrypt(key_id, repeat('A', 344)) IS NULL AS none FROM made ORDER BY 1;
SELECT algorithm, f.code, f.message FROM made, pg_temp.failure(format('SELECT kms_hash_secret(%L, repeat(''A'', 344))', key_id)) AS f ORDER BY 1;

-- states
SELECT algorithm, kms_deprecate_key(key_id), kms_disable_key(key_id), kms_enable_key(key_id), kms_revoke_key(key_id, 'lost'),
	kms_key_valid(key_id) FROM made ORDER BY 1;
SELECT algorithm, f.code FROM made, pg_temp.failure(format('SELECT kms_public_key(%L)', key_id)) AS f ORDER BY 1;
SELECT algorithm, used FROM made, kms_rate_limit_status('ec-' || algorithm) ORDER BY 1;
SELECT algorithm, r.algorithm_used, r.reused FROM made, kms_rotate_key('ec-' || algorithm, NULL, algorithm) AS r ORDER BY 1;

-- a changed public key is never handed out
BEGIN;
SELECT key_id FROM kms_issue_key('ec-1', NULL, 'X25519') \gset
UPDATE kms.key_secret SET public_key = (SELECT public_key FROM kms.key_secret JOIN kms.key USING (key_id)
	WHERE device_id = 'ec-X25519' AND state = 'active') WHERE key_id = :'key_id';
SELECT pg_temp.outcome($$SELECT kms_issue_key('ec-1')$$);
SELECT pg_temp.outcome(format('SELECT kms_jwk(%L)', :'key_id'));
ROLLBACK;

SELECT kms_self_test();
SELECT finding FROM kms_check() WHERE finding LIKE '%X25519%';
