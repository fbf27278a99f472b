-- kms_diagnose of JWE: what is wrong with the form or the key; whether it or its encrypted key opens, never why not.
\set SHOW_CONTEXT never
\pset format unaligned
\pset tuples_only on

SET application_name = 'diagnose jwe';
CREATE TEMP TABLE made AS
SELECT a AS algorithm, i.key_id FROM unnest('{RSA-2048,RSA-3072,EC-P256,X25519}'::text[]) AS a,
	kms_issue_key('diagnose-jwe-' || a, NULL, a) AS i;
SELECT key_id AS rsa FROM made WHERE algorithm = 'RSA-2048' \gset
SELECT key_id AS large FROM made WHERE algorithm = 'RSA-3072' \gset
SELECT key_id AS p256 FROM made WHERE algorithm = 'EC-P256' \gset
SELECT key_id AS x25519 FROM made WHERE algorithm = 'X25519' \gset

-- returns the findings, with the names of keys for their ids
CREATE FUNCTION pg_temp.diagnosis(key_id text, ciphertext text) RETURNS SETOF text LANGUAGE plpgsql AS $$
DECLARE
	d text;
	m made;
BEGIN
	FOR d IN SELECT finding || '. ' || hint FROM kms_diagnose($1, $2) LOOP
		FOR m IN SELECT * FROM made LOOP
			d := replace(d, m.key_id, m.algorithm);
		END LOOP;
		RETURN NEXT d;
	END LOOP;
END $$;
CREATE FUNCTION pg_temp.url(bytes bytea) RETURNS text LANGUAGE sql AS $$
	SELECT translate(encode(bytes, 'base64'), E'+/=\n', '-_')
$$;
-- returns a JWE with another protected header, or with another part
CREATE FUNCTION pg_temp.with_header(jwe text, changes jsonb) RETURNS text LANGUAGE sql AS $$
	SELECT pg_temp.url(convert_to(((kms_jwe_header(jwe) -> 'protected') || changes)::text, 'UTF8')) || substr(jwe, strpos(jwe, '.'))
$$;
CREATE FUNCTION pg_temp.with_part(jwe text, part integer, value text) RETURNS text LANGUAGE sql AS $$
	SELECT string_agg(CASE WHEN n = part THEN value ELSE p END, '.' ORDER BY n) FROM string_to_table(jwe, '.') WITH ORDINALITY AS t (p, n)
$$;
-- returns a JWE of which a bit of a part was changed
CREATE FUNCTION pg_temp.changed(jwe text, part integer) RETURNS text LANGUAGE sql AS $$
	SELECT pg_temp.with_part(jwe, part, pg_temp.url(set_bit(b, 0, 1 - get_bit(b, 0))))
	FROM split_part(jwe, '.', part) AS p, decode(translate(p, '-_', '+/') || repeat('=', -length(p) & 3), 'base64') AS b
$$;

-- one that opens: text, and other bytes; blanks at the ends are ignored
SELECT pg_temp.diagnosis(key_id, E' \n' || kms_encrypt_jwe(key_id, 'canary-4711') || E'\r\n') FROM made;
SELECT pg_temp.diagnosis(:'x25519', json_build_object('protected', p[1], 'iv', p[3], 'ciphertext', p[4], 'tag', p[5])::text)
FROM string_to_array(kms_encrypt_jwe(:'x25519', 'canary-4711'), '.') AS p;

-- each algorithm
SELECT algorithm, alg, enc, string_agg(finding, '; ' ORDER BY finding)
FROM made, unnest(CASE WHEN algorithm ~ 'RSA' THEN '{RSA-OAEP,RSA-OAEP-256,RSA-OAEP-384,RSA-OAEP-512}'::text[]
		ELSE '{ECDH-ES,ECDH-ES+A128KW,ECDH-ES+A192KW,ECDH-ES+A256KW}' END) AS alg,
	unnest('{A128GCM,A192GCM,A256GCM,A128CBC-HS256,A192CBC-HS384,A256CBC-HS512}'::text[]) AS enc,
	kms_diagnose(key_id, kms_encrypt_jwe(key_id, 'canary', enc, alg))
GROUP BY 1, 2, 3 HAVING string_agg(finding, '; ' ORDER BY finding) <> CASE WHEN algorithm ~ 'RSA' THEN 'the encrypted key of the JWE opens'
	ELSE 'the JWE opens; the plaintext is text in the database''s encoding' END;

-- one that does not: the same answer for every cause, but only the encrypted key is tried with an RSA key
SELECT kms_encrypt_jwe(:'rsa', 'canary-4711', 'A128CBC-HS256') AS of_rsa, kms_encrypt_jwe(:'p256', 'canary-4711', alg => 'ECDH-ES+A128KW') AS of_p256 \gset
SELECT pg_temp.diagnosis(:'rsa', pg_temp.changed(:'of_rsa', 5));
SELECT name, min(d) AS answer, count(DISTINCT d) AS answers, count(*) AS times
FROM (VALUES ('RSA', :'rsa', :'of_rsa'), ('EC', :'p256', :'of_p256')) AS s (name, key_id, jwe), generate_series(2, 5) AS part,
	pg_temp.diagnosis(key_id, pg_temp.changed(jwe, part)) AS d
GROUP BY name, name = 'RSA' AND part = 2 ORDER BY 1, 4;
SELECT pg_temp.diagnosis(:'rsa', pg_temp.with_header(:'of_rsa', '{"typ": "JWE"}'));
SELECT pg_temp.diagnosis(:'rsa', pg_temp.with_part(:'of_rsa', 2, pg_temp.url(decode(kms_encrypt(:'rsa', 'no CEK'), 'base64'))));

-- the form, and what it asks for
SELECT change, d FROM unnest('{"{\"alg\": \"RSA1_5\"}","{\"alg\": \"RSA-OAEP-1\"}","{\"alg\": 7}","{\"enc\": \"A256GCM-SIV\"}","{\"zip\": \"DEF\"}","{\"crit\": [\"exp\"]}","{\"enc\": \"A256GCM\"}"}'::jsonb[]) AS change,
	pg_temp.diagnosis(:'rsa', pg_temp.with_header(:'of_rsa', change)) AS d;
SELECT pg_temp.diagnosis(:'rsa', pg_temp.with_part(:'of_rsa', part, value))
FROM (VALUES (1, ''), (1, 'eyJhbGciOiJSU0Et'), (2, 'AAAA'), (3, 'A'), (4, 'AAAA'), (5, '!')) AS v (part, value);
SELECT pg_temp.diagnosis(:'x25519', pg_temp.with_header(kms_encrypt_jwe(:'x25519', 'x'), jsonb_build_object('epk', epk)))
FROM unnest('{"{}","{\"kty\": \"EC\", \"crv\": \"P-256\", \"x\": \"AAAA\"}","{\"kty\": \"OKP\", \"crv\": \"X25519\", \"x\": \"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\"}","{\"kty\": \"OKP\", \"crv\": \"X25519\", \"d\": \"\"}"}'::jsonb[]) AS epk;
SELECT pg_temp.diagnosis(:'rsa', left(:'of_rsa', 300));
SELECT pg_temp.diagnosis(:'rsa', substring(:'of_rsa' FROM '^[^.]+\.[^.]+\.....'));
SELECT DISTINCT pg_temp.diagnosis(:'rsa', k) FROM kms_jwk(:'rsa') AS j, unnest(ARRAY[j::text, jsonb_build_object('keys', jsonb_build_array(j))::text]) AS k;
SELECT pg_temp.diagnosis(:'rsa', '{"ciphertext": "", "protected": "", "protected": ""}');
SELECT pg_temp.diagnosis(:'rsa', '{"ciphertext": "", "protected": "e30", "recipients": []}');
SELECT pg_temp.diagnosis(:'rsa', '{"payload": "", "protected": "e30", "signature": ""}');
SELECT pg_temp.diagnosis(:'rsa', 'eyJhbGciOiJub25lIn0.eyJzdWIiOiIxIn0.');
-- a GCM IV of 16 bytes
SELECT pg_temp.diagnosis(:'rsa', pg_temp.with_part(kms_encrypt_jwe(:'rsa', 'x'), 3, repeat('A', 22)));

-- the key: of another type or size, of another device or this one, or none at all
SELECT pg_temp.diagnosis(:'p256', :'of_rsa');
SELECT pg_temp.diagnosis(:'rsa', :'of_p256');
SELECT pg_temp.diagnosis(:'x25519', :'of_p256');
SELECT pg_temp.diagnosis(:'large', :'of_rsa');
SELECT pg_temp.diagnosis(:'p256', kms_encrypt(:'rsa', 'canary-4711'));
SELECT pg_temp.diagnosis(:'x25519', '4711');
SELECT kms_encrypt(:'rsa', 'canary-4711') AS block \gset
INSERT INTO made SELECT 'new', key_id FROM kms_rotate_key('diagnose-jwe-RSA-2048', NULL, 'X25519');
SELECT key_id AS new_id FROM made WHERE algorithm = 'new' \gset
SELECT pg_temp.diagnosis(:'new_id', :'of_rsa');
SELECT pg_temp.diagnosis(:'new_id', :'block');
-- "kid" that names no key, or another one
SELECT pg_temp.diagnosis(key_id, pg_temp.with_header(:'of_rsa', jsonb_build_object('kid', kid)))
FROM unnest(ARRAY['7', '"canary"', '"canary of another form!"', to_jsonb(:'large'::text)]) AS kid, unnest(ARRAY[:'rsa', :'new_id']) AS key_id;

-- taken as kms_decrypt() takes it, whatever it looks like
SET application_name = 'as sent';
SELECT what, kms_decrypt(:'x25519', jwe), d
FROM string_to_array(kms_encrypt_jwe(:'x25519', 'x'), '.') AS p,
	(VALUES ('an escaped name', '"\u0069v": ', '{}'), ('U+FFFD', '"iv": ', '{"a": "\ufffd"}'), ('U+200B', '"iv": ', '{"a": "' || U&'\200B' || '"}'), ('1e9999', '"iv": ', '{"a": 1e9999}'))
		AS v (what, iv, header),
	format('{"protected": "%s", %s"%s", "ciphertext": "%s", "tag": "%s", "header": %s}', p[1], iv, p[3], p[4], p[5], header) AS jwe,
	pg_temp.diagnosis(:'x25519', jwe) AS d;
SELECT pg_temp.diagnosis(:'rsa', pg_temp.with_part(:'of_rsa', 1, pg_temp.url(convert_to(' ' || CAST(kms_jwe_header(:'of_rsa') -> 'protected' AS text), 'UTF8'))));
SET application_name = 'diagnose jwe';

-- the size: of a JWE it is that of a JWE, also in another form
SHOW kms.max_jwe_size;
SELECT pg_temp.diagnosis(:'x25519', kms_encrypt_jwe(:'x25519', repeat('x', 48000)));
SELECT pg_temp.diagnosis(:'x25519', encode(convert_to(kms_encrypt_jwe(:'x25519', repeat('x', 48000)), 'UTF8'), 'hex'));
SELECT pg_temp.diagnosis(:'x25519', rpad(kms_encrypt_jwe(:'x25519', 'x'), 65537, 'A'));
SELECT pg_temp.diagnosis(:'x25519', rpad(kms_encrypt_jwe(:'x25519', 'x'), 1000000, 'A'));
SELECT pg_temp.diagnosis(:'x25519', '"' || rpad(kms_encrypt_jwe(:'x25519', 'x'), 65537, 'A') || '"');

-- a state or an expiry is a finding, and so is the form; nothing is opened
BEGIN;
UPDATE kms.key SET state = 'revoked', prior_state = 'active', seal = NULL WHERE key_id IN (:'rsa', :'p256');
SELECT pg_temp.diagnosis(:'rsa', '"' || :'of_rsa' || '"');
SELECT pg_temp.diagnosis(:'rsa', pg_temp.changed(:'of_rsa', 2)) LIKE '%does not open%' AS opened;
SELECT pg_temp.diagnosis(:'rsa', pg_temp.with_part(:'of_rsa', 5, 'AAAA'));
SELECT pg_temp.diagnosis(:'p256', :'of_rsa');
ROLLBACK;

-- one event a call, with the form that was sent; no finding, hint or event shows what a JWE holds
SET application_name = 'diagnose jwe events';
SELECT count(*) FROM kms_diagnose(:'rsa', :'of_rsa');
SELECT count(*) FROM kms_diagnose(:'p256', pg_temp.changed(:'of_p256', 4));
SELECT count(*) FROM kms_diagnose(:'rsa', pg_temp.with_part(:'of_rsa', 1, 'eyJhbGciOiJSU0Et'));
RESET application_name;
SELECT kms_flush_events();
SELECT operation, status, form, count(*) FROM kms.event WHERE application_name = 'diagnose jwe events' GROUP BY 1, 2, 3 ORDER BY 3;
SELECT count(*) FILTER (WHERE d ~ 'canary|4711') AS shown, count(*) > 0 AS told
FROM pg_temp.diagnosis(:'rsa', :'of_rsa') AS d;
SELECT count(*) FROM kms.event AS e WHERE e::text LIKE '%canary%';
