-- Public keys as JSON Web Keys: members, keys that are served, and events.
\set SHOW_CONTEXT never

\i test/include/outcome.sql

-- base64url without padding, read back
CREATE FUNCTION pg_temp.bytes(base64url text) RETURNS bytea LANGUAGE sql AS $$
	SELECT decode(translate($1, '-_', '+/') || repeat('=', -length($1) & 3), 'base64')
$$;

SET application_name = 'jwk';
SELECT key_id, public_key FROM kms_issue_key('jwk-1') \gset
SELECT kms_jwk(:'key_id') AS jwk \gset

-- members and their values
SELECT jsonb_object_keys(:'jwk') AS member ORDER BY 1;
SELECT jwk ->> 'kty' AS kty, jwk ->> 'kid' = :'key_id' AS kid_is_key_id, jwk ->> 'use' AS use,
	jwk ->> 'alg' AS alg, jwk ->> 'e' AS e, jwk ->> 'n' ~ '^[A-Za-z0-9_-]+$' AS n_is_base64url,
	length(jwk ->> 'n') AS n_length
FROM (SELECT :'jwk'::jsonb) AS s (jwk);

-- the numbers are those of the SPKI DER in the PEM, without leading zeros
SELECT s.bits, length(pg_temp.bytes(jwk ->> 'n')) AS n_bytes,
	get_byte(pg_temp.bytes(jwk ->> 'n'), 0) >= 128 AS no_leading_zero,
	position(E'\\x00'::bytea || pg_temp.bytes(jwk ->> 'n') || '\x0203' || pg_temp.bytes(jwk ->> 'e') IN der)
		+ length(pg_temp.bytes(jwk ->> 'n')) + 5 = length(der) AS ends_the_der
FROM (VALUES (2048), (3072), (4096)) AS s (bits), kms_issue_key('jwk-' || s.bits, NULL, 'RSA-' || s.bits) AS i,
	kms_jwk(i.key_id) AS jwk,
	LATERAL decode(regexp_replace(i.public_key, '-----[A-Z ]+-----', '', 'g'), 'base64') AS der;

-- alg follows the digest of the key, and is missing if the digest has no registered name
CREATE FUNCTION pg_temp.with_digest(digest text) RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
	PERFORM set_config('kms.oaep_hash', digest, false);
	RETURN kms_jwk((kms_issue_key('jwk-' || digest)).key_id);
END $$;
SELECT digest, jwk ->> 'alg' AS alg, jwk ? 'alg' AS has_alg
FROM unnest('{sha1,sha224,sha256,sha384,sha512,sha512-224,sha512-256}'::text[]) AS digest,
	pg_temp.with_digest(digest) AS jwk;
RESET kms.oaep_hash;

-- a set with one key, as returned by kms_jwk
SELECT kms_jwks('jwk-1') = jsonb_build_object('keys', jsonb_build_array(kms_jwk(:'key_id'))) AS set_of_one;
-- an unknown device has no keys, without an error
SELECT kms_jwks('jwk-nobody');

-- a deprecated key is served by its name and is not in the set
SELECT key_id AS new_id FROM kms_rotate_key('jwk-1') \gset
SELECT kms_jwk(:'key_id') = :'jwk' AS same;
SELECT jsonb_path_query_array(kms_jwks('jwk-1'), '$.keys[*].kid') = jsonb_build_array(:'new_id') AS new_one_alone;

-- a row that was moved to another device: nothing is served, not even the valid key
BEGIN;
SELECT key_id FROM kms_issue_key('jwk-2') \gset second_
SELECT key_id FROM kms_issue_key('jwk-3') \gset third_
UPDATE kms.key SET device_id = 'jwk-2' WHERE key_id = :'third_key_id';
SELECT pg_temp.outcome('SELECT kms_jwks(''jwk-2'')');
SELECT pg_temp.outcome(format('SELECT kms_jwk(%L) ->> ''kid'' = %L', :'second_key_id', :'second_key_id'));
ROLLBACK;

-- an expired key: refused by its name, not in the set
SET kms.key_lifetime = '1s';
SELECT key_id AS expired_id FROM kms_issue_key('jwk-expired') \gset
RESET kms.key_lifetime;
SELECT pg_sleep(1.1); -- until a key has expired
SELECT pg_temp.outcome(format('SELECT kms_jwk(%L)', :'expired_id'));
SELECT kms_jwks('jwk-expired');
-- an expired key that is not authentic does not block the others
BEGIN;
UPDATE kms.key_secret SET public_key = '' WHERE key_id = :'expired_id';
SELECT pg_temp.outcome('SELECT kms_jwks(''jwk-expired'')');
ROLLBACK;

-- states that deny use need no seal
BEGIN;
UPDATE kms.key SET state = 'revoked', prior_state = 'active', seal = NULL WHERE key_id = :'new_id';
SELECT pg_temp.outcome(format('SELECT kms_jwk(%L)', :'new_id'));
SELECT kms_jwks('jwk-1');
ROLLBACK;

-- a public key that was swapped is never served
BEGIN;
UPDATE kms.key_secret SET public_key = (SELECT public_key FROM kms.key_secret WHERE key_id = :'key_id')
WHERE key_id = :'new_id';
SELECT pg_temp.outcome(format('SELECT kms_jwk(%L)', :'new_id'));
SELECT pg_temp.outcome('SELECT kms_jwks(''jwk-1'')');
ROLLBACK;

-- arguments
SELECT pg_temp.outcome('SELECT kms_jwk(NULL)');
SELECT pg_temp.outcome('SELECT kms_jwk(''not a key id'')');
SELECT pg_temp.outcome('SELECT kms_jwk(''key_0000000000000_000000000000000000000000'')');
SELECT pg_temp.outcome('SELECT kms_jwks(NULL)');
SELECT pg_temp.outcome('SELECT kms_jwks('''')');
SELECT pg_temp.outcome(E'SELECT kms_jwks(E''tab\\there'')');

-- read-only, and in a parallel worker
SET application_name = 'jwk elsewhere';
BEGIN READ ONLY;
SELECT kms_jwk(:'key_id') = :'jwk' AS same, jsonb_array_length(kms_jwks('jwk-1') -> 'keys') AS keys;
SELECT set_config(CASE WHEN current_setting('server_version_num')::int < 160000
	THEN 'force_parallel_mode' ELSE 'debug_parallel_query' END, 'on', true);
SELECT kms_jwk(:'key_id') = :'jwk' AS same, jsonb_array_length(kms_jwks('jwk-1') -> 'keys') AS keys;
ROLLBACK;

-- one event a call, with the device; kms_public_key records the same
SET application_name = 'jwk events';
SELECT kms_jwk(:'key_id') = :'jwk' AS same;
SELECT length(kms_public_key(:'key_id')) > 400 AS pem;
SELECT jsonb_array_length(kms_jwks('jwk-1') -> 'keys') AS keys;
SELECT kms_jwks('jwk-nobody');
SELECT pg_temp.outcome('SELECT kms_jwk(''key_0000000000000_000000000000000000000000'')');
SELECT pg_temp.outcome(format('SELECT kms_jwk(%L)', :'expired_id'));
SELECT pg_temp.outcome('SELECT kms_jwks(NULL)');
BEGIN;
UPDATE kms.key_secret SET public_key = '' WHERE key_id = :'new_id';
SELECT pg_temp.outcome('SELECT kms_jwks(''jwk-1'')');
ROLLBACK;
RESET application_name;
SELECT kms_flush_events();
SELECT operation, status, reason, device_id,
	CASE key_id WHEN :'key_id' THEN 'old' WHEN :'new_id' THEN 'new' WHEN :'expired_id' THEN 'expired' ELSE key_id END AS key
FROM kms.event WHERE application_name = 'jwk events' ORDER BY epoch, ticket;
SELECT operation, status, count(*) FROM kms.event WHERE application_name = 'jwk elsewhere' GROUP BY 1, 2;
