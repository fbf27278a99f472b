-- The kind of a key: its algorithm and digests are stated when it is made, and
-- a device has one active key of each kind.

\i test/include/outcome.sql

CREATE FUNCTION pg_temp.kinds(device text, OUT algorithm text, OUT oaep_hash text, OUT mgf1_hash text,
	OUT state text, OUT keys bigint) RETURNS SETOF record LANGUAGE sql AS $$
	SELECT algorithm, oaep_hash, mgf1_hash, state, count(*) FROM kms.keys
	WHERE device_id = device GROUP BY 1, 2, 3, 4 ORDER BY 1, 2, 3, 4
$$;

-- two versions of an app ask for two kinds in turn, and each keeps its key
SELECT key_id, algorithm_used, oaep_hash_used, mgf1_hash_used, reused
FROM kms_issue_key('kinds-1', '1.0', NULL, 'sha256', 'sha1') \gset java_
SELECT key_id, algorithm_used, oaep_hash_used, mgf1_hash_used, reused
FROM kms_issue_key('kinds-1', '2.0', oaep_hash => 'sha256', mgf1_hash => 'sha256') \gset node_
SELECT :'java_oaep_hash_used' || '/' || :'java_mgf1_hash_used' AS java, :'node_oaep_hash_used' || '/' || :'node_mgf1_hash_used' AS node,
	:'java_key_id' <> :'node_key_id' AS two_keys;
SELECT bool_and(j.key_id = :'java_key_id' AND j.reused) AS java_keeps_its_key,
	bool_and(n.key_id = :'node_key_id' AND n.reused) AS node_keeps_its_key
FROM generate_series(1, 20),
	LATERAL (SELECT * FROM kms_issue_key('kinds-1', '1.0', NULL, 'sha256', 'sha1') OFFSET 0 * generate_series) AS j,
	LATERAL (SELECT * FROM kms_issue_key('kinds-1', '2.0', NULL, 'sha256', 'sha256') OFFSET 0 * generate_series) AS n;
SELECT * FROM pg_temp.kinds('kinds-1');
SELECT used FROM kms_rate_limit_status('kinds-1');

-- the newest key that has every property that was named
SELECT key_id = :'node_key_id' AS newest FROM kms_issue_key('kinds-1');
SELECT key_id = :'node_key_id' AS newest FROM kms_issue_key('kinds-1', oaep_hash => 'sha256');
SELECT key_id = :'java_key_id' AS with_mgf1 FROM kms_issue_key('kinds-1', mgf1_hash => 'sha1');
SELECT key_id = :'node_key_id' AS newest FROM kms_issue_key('kinds-1', algorithm => 'RSA-2048');

-- properties that are not named come from the settings, and the digest of MGF1 from that of OAEP
BEGIN;
SET LOCAL kms.oaep_hash = 'sha384';
SET LOCAL kms.key_algorithm = 'RSA-3072';
SELECT algorithm_used, oaep_hash_used, mgf1_hash_used, reused FROM kms_issue_key('kinds-2');
SELECT algorithm_used, oaep_hash_used, mgf1_hash_used, reused FROM kms_issue_key('kinds-2', oaep_hash => 'sha512');
SELECT algorithm_used, oaep_hash_used, mgf1_hash_used, reused FROM kms_issue_key('kinds-2', mgf1_hash => 'sha1');
SELECT algorithm_used, oaep_hash_used, mgf1_hash_used, reused FROM kms_issue_key('kinds-2', algorithm => 'RSA-2048');
ROLLBACK;

-- encrypting and decrypting use the key's pair, or the digests of the call
SELECT kms_decrypt(:'java_key_id', kms_encrypt(:'java_key_id', 'own pair'));
SELECT kms_decrypt(:'java_key_id', kms_encrypt(:'java_key_id', 'said'), oaep_hash => 'sha256', mgf1_hash => 'sha1');
SELECT kms_decrypt(:'java_key_id', kms_encrypt(:'java_key_id', 'OAEP for both', 'sha256'), oaep_hash => 'sha256');
SELECT kms_decrypt(:'java_key_id', kms_encrypt(:'java_key_id', 'MGF1 alone', 'sha256', 'sha512'), mgf1_hash => 'sha512');
SELECT pg_temp.outcome(format('SELECT kms_decrypt(%L, kms_encrypt(%L, ''x'', ''sha256''))', :'java_key_id', :'java_key_id'));

-- a JWK has alg only if there is a name for the pair
SELECT kms_jwk(:'java_key_id') ? 'alg' AS java, kms_jwk(:'node_key_id') ->> 'alg' AS node;
SELECT jsonb_array_length(kms_jwks('kinds-1') -> 'keys') AS keys;

-- a rotation deprecates the keys of all kinds
SELECT algorithm_used, oaep_hash_used, mgf1_hash_used FROM kms_rotate_key('kinds-1', oaep_hash => 'sha512');
SELECT * FROM pg_temp.kinds('kinds-1');

-- a key that is enabled again stays active unless another one of its kind is
SELECT key_id FROM kms_issue_key('kinds-3', NULL, NULL, 'sha1') \gset one_
SELECT kms_disable_key(:'one_key_id');
SELECT key_id FROM kms_issue_key('kinds-3', NULL, NULL, 'sha256') \gset two_
SELECT kms_enable_key(:'one_key_id') AS of_another_kind;
SELECT kms_disable_key(:'one_key_id');
SELECT key_id FROM kms_issue_key('kinds-3', NULL, NULL, 'sha1') \gset three_
SELECT kms_enable_key(:'one_key_id') AS of_the_same_kind;
SELECT * FROM pg_temp.kinds('kinds-3');

-- the seal covers both digests
BEGIN;
UPDATE kms.key SET mgf1_hash = 'sha256' WHERE key_id = :'java_key_id';
SELECT pg_temp.outcome(format('SELECT kms_encrypt_bytea(%L, ''x'')', :'java_key_id'));
SELECT pg_temp.outcome(format('SELECT kms_public_key(%L)', :'java_key_id'));
ROLLBACK;

-- the limit counts the keys of all kinds
SELECT pg_temp.outcome($$SELECT reused FROM kms_issue_key('kinds-4', NULL, NULL, '$$ || digest || $$')$$)
FROM unnest('{sha1,sha224,sha256,sha384,sha512,sha512-224,sha512-256}'::text[]) AS digest;

-- two active keys of the same kind are a finding, two of two kinds are not
SELECT count(*) FROM kms_check() WHERE finding LIKE '%two active keys%';

-- unknown properties
SELECT pg_temp.outcome($$SELECT kms_issue_key('kinds-5', NULL, 'EC-P257')$$, 'hint');
SELECT pg_temp.outcome($$SELECT kms_issue_key('kinds-5', NULL, NULL, 'md5')$$, 'hint');
SELECT pg_temp.outcome($$SELECT kms_issue_key('kinds-5', NULL, NULL, NULL, 'md5')$$, 'hint');
SELECT pg_temp.outcome($$SELECT kms_rotate_key('kinds-5', NULL, NULL, 'md5')$$, 'hint');
SELECT count(*) FROM kms.keys WHERE device_id = 'kinds-5';

-- each request's version is in its event
SELECT kms_flush_events();
SELECT operation, app_version, count(*) FROM kms.event
WHERE device_id = 'kinds-1' AND operation IN ('generate', 'issue') GROUP BY 1, 2 ORDER BY 1, 2;
SELECT app_version, count(*) FROM kms.keys WHERE device_id = 'kinds-1' GROUP BY 1 ORDER BY 1;
