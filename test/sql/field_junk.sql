-- Functions of fields with NULL for each argument, and with junk of every size.
\i test/include/outcome.sql
SET client_min_messages = warning;

SELECT kms_create_field_key('junk');
SELECT kms_create_field_key('junk.ann');
CREATE TABLE good AS SELECT key_id, kms_encrypt(key_id, 'x') AS block, kms_encrypt_field('junk', 'x', 'c') AS value
FROM kms_issue_key('field junk');

-- ---- NULL ----------------------------------------------------------------

-- Each function with arguments that are right, and what it says of NULL.
CREATE TABLE call (n serial, function text, arguments text[]);
INSERT INTO call (function, arguments)
SELECT f, a::text[] FROM good, LATERAL (VALUES
	('kms_encrypt_field', ARRAY['''junk''', '''x''', '''c''']),
	('kms_encrypt_field_bytea', ARRAY['''junk''', '''\x00''', '''c''']),
	('kms_decrypt_field', ARRAY[quote_literal(value), '''c''', '''junk''']),
	('kms_decrypt_field_bytea', ARRAY[quote_literal(value), '''c''', '''junk''']),
	('kms_try_decrypt_field', ARRAY[quote_literal(value), '''c''', '''junk''']),
	('kms_try_decrypt_field_bytea', ARRAY[quote_literal(value), '''c''', '''junk''']),
	('kms_refresh_field', ARRAY[quote_literal(value), '''c''', '''d''', '''junk.ann''']),
	('kms_field_is_current', ARRAY[quote_literal(value)]),
	('kms_field_version', ARRAY[quote_literal(value)]),
	('kms_field_key', ARRAY[quote_literal(value)]),
	('kms_blind_index', ARRAY['''junk''', '''x''', '''s''', '''digits''', '16']),
	('kms_decrypt_to_field', ARRAY[quote_literal(key_id), quote_literal(block), '''junk''', '''c''', '''field junk''', 'true', '''sha1''', '''sha1''', '''''']),
	('kms_decrypt_to_index', ARRAY[quote_literal(key_id), quote_literal(block), '''junk''', '''s''', '''field junk''', '''none''', '16', '''sha1''', '''sha1''', '''''']),
	('kms_create_field_key', ARRAY['''junk.n''', '''1 day''']),
	('kms_rotate_field_key', ARRAY['''junk''']),
	('kms_disable_field_key', ARRAY['''junk''', '1']),
	('kms_enable_field_key', ARRAY['''junk''', '1']),
	('kms_destroy_field_key', ARRAY['''junk''', '1', '''junk/1'''])) AS v (f, a);
CREATE FUNCTION pg_temp.outcome_of(function text, arguments text[]) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	o text;
BEGIN
	o := pg_temp.outcome(format('SELECT %s(%s)', function, array_to_string(arguments, ', ')));
	RAISE EXCEPTION USING ERRCODE = 'UNDO0', MESSAGE = CASE
		WHEN o ~ '^[A-Z0-9]{5} ' THEN o
		WHEN o = 'NULL' THEN 'NULL' ELSE 'done' END;
EXCEPTION WHEN SQLSTATE 'UNDO0' THEN
	RETURN SQLERRM;
END $$;
SELECT c.function, coalesce(p.proargnames[i], 'none') AS null_argument,
	pg_temp.outcome_of(c.function, CASE WHEN i > 0 THEN c.arguments[:i - 1] || 'NULL'::text || c.arguments[i + 1:] ELSE c.arguments END)
FROM call AS c JOIN pg_proc AS p ON p.proname = c.function, generate_series(0, cardinality(c.arguments)) AS i
ORDER BY c.n, i;

-- all of them; of no value nothing is asked
SELECT c.function, pg_temp.outcome_of(c.function, array_fill('NULL'::text, ARRAY[cardinality(c.arguments)]))
FROM call AS c ORDER BY c.n;

-- ---- Junk ----------------------------------------------------------------

-- The argument that is right, or one of a random length that contains "Jnk", or
-- one that is nearly right.
CREATE FUNCTION pg_temp.junk(type text, good text, share float) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	size int := (ARRAY[0, 1, 2, 7, 8, 16, 52, 53, 54, 55, 56, 64, 120, 121, 126, 255, 256, 512, 1023, 1024, 1025, 2048, 2049, 70000])[1 + floor(random() * 24)];
	junk text := left(repeat('Jnk' || (random() * 1e9)::int, size / 4 + 1), size);
	bytes bytea;
	at int;
BEGIN
	IF random() < share THEN
		RETURN good;
	ELSIF type = 'integer' THEN
		RETURN ((ARRAY[-2147483648, -1, 0, 1, 2, 8, 15, 16, 17, 24, 128, 136, 65535, 65536, 2147483647])[1 + floor(random() * 15)])::text;
	ELSIF type = 'boolean' THEN
		RETURN random() < 0.5;
	ELSIF type = 'interval' THEN
		RETURN quote_literal((ARRAY['0', '-1 s', '1 s', '178000000 years', '-1 mon 40 days', '1 day'])[1 + floor(random() * 6)]);
	ELSIF type = 'text' THEN
		RETURN quote_literal((ARRAY[junk, lower(junk), 'junk.' || lower(junk), chr(1 + floor(random() * 30)::int) || junk,
			'junk', 'junk.', '.junk', 'junk..ann', 'junk.ann.ann', E'Jnk\u00e9\u20ac\U0001f600'])[1 + floor(random() * 10)]);
	END IF;

	-- one byte of a value changed, cut off or added, or a value of another form
	bytes := (SELECT value FROM good);
	at := floor(random() * octet_length(bytes));
	RETURN quote_literal((ARRAY[convert_to(junk, 'UTF8'), set_byte(bytes, at, floor(random() * 256)::int), substr(bytes, 1, at),
		substr(bytes, at), bytes || '\x00', bytes || convert_to(junk, 'UTF8'), '\x6b6601' || convert_to(junk, 'UTF8')])[1 + floor(random() * 7)]);
END $$;

CREATE TEMP TABLE result (function text, code text, echoed boolean);
DO $$
DECLARE
	f record;
	made text[];
	said record;
BEGIN
	PERFORM setseed(0.17);
	FOR n IN 1 .. 250 LOOP
		FOR f IN SELECT c.function, c.arguments, p.proargtypes::regtype[]::text[] AS types
			FROM call AS c JOIN pg_proc AS p ON p.proname = c.function ORDER BY c.n
		LOOP
			made := ARRAY(SELECT pg_temp.junk(f.types[i - 1], f.arguments[i], 1 - 1.0 / cardinality(f.arguments)) FROM generate_subscripts(f.arguments, 1) AS i);
			BEGIN
				SELECT * INTO said FROM pg_temp.failure(format('SELECT %s(%s)', f.function, array_to_string(made, ', ')));
				RAISE EXCEPTION USING ERRCODE = 'UNDO0';
			EXCEPTION WHEN SQLSTATE 'UNDO0' THEN
				INSERT INTO result VALUES (f.function, said.code, concat(said.message, said.detail, said.hint) ~* 'jnk');
			END;
		END LOOP;
	END LOOP;
END $$;
-- which of the documented errors there are depends on chance, so the others are
-- looked for
SELECT r.function, string_agg(DISTINCT code, ' ') FILTER (WHERE code <> 'ok' AND code <> ALL (documented)) AS others,
	bool_or(code = 'ok') AS succeeded, bool_or(code <> 'ok') AS failed, bool_or(echoed) AS echoed, count(*)
FROM result AS r
CROSS JOIN LATERAL (SELECT string_to_array(CASE
	WHEN r.function ~ '^kms_(encrypt|blind)' THEN '22023 KM002 KM006'
	WHEN r.function ~ '^kms_decrypt_' THEN '22021 22023 KM001 KM002 KM006'
	WHEN r.function ~ '^kms_try_' THEN '22023 KM006'
	WHEN r.function ~ '^kms_refresh_' THEN '22023 KM001 KM002 KM006'
	WHEN r.function ~ '^kms_destroy_' THEN '22023 55000 KM002'
	WHEN r.function ~ '_field_key$|_is_current$|^kms_field_key$' THEN '22023 KM002'
	ELSE '22023' END, ' ')) AS d (documented)
GROUP BY r.function ORDER BY r.function;
SELECT kms_flush_events();
SELECT count(*) FROM kms.event AS e WHERE e::text ~* 'jnk' AND operation <> 'create_field_key';
SELECT count(*) FROM kms.event_quarantine;
-- nothing has become of the keys
SELECT kms_decrypt_field(value, 'c'), kms_field_is_current(value) FROM good;

DROP TABLE good, call;
SET kms.field_destroy_after = 0;
SELECT kms_disable_field_key('junk');
SELECT kms_destroy_field_key('junk', NULL, 'junk/all');
DELETE FROM kms.key_secret USING kms.key AS k WHERE key_secret.key_id = k.key_id AND k.device_id = 'field junk';
DELETE FROM kms.key WHERE device_id = 'field junk';
