-- Each SQLSTATE with message, detail and hint, which show no other data of the caller.
\set SHOW_CONTEXT never

\i test/include/outcome.sql

SELECT key_id FROM kms_issue_key('errors-1') \gset
SELECT key_id AS other_id FROM kms_issue_key('errors-2') \gset
SELECT kms_encrypt(:'key_id', 'secret') AS c \gset
SELECT kms_encrypt(:'other_id', 'secret') AS other_c \gset
SELECT 'key_' || repeat('0', 13) || '_' || repeat('f', 24) AS no_id \gset
\x on

-- KM001: the same text for every cause
SELECT * FROM pg_temp.failure(format('SELECT kms_decrypt(%L, %L)', :'key_id', :'other_c'));
SELECT count(*) AS all, count(DISTINCT o.*) AS kinds, min(o.code), min(o.message),
	min(o.detail), min(o.hint)
FROM (VALUES
	('other key', format('SELECT kms_decrypt(%L, %L)', :'key_id', :'other_c')),
	('digest', format('SELECT kms_decrypt(%L, %L, NULL, ''sha256'')', :'key_id', :'c')),
	('MGF1', format('SELECT kms_decrypt(%L, %L, mgf1_hash => ''sha256'')', :'key_id', :'c')),
	('label', format('SELECT kms_decrypt(%L, %L, label => ''x'')', :'key_id', :'c')),
	('zeros', format('SELECT kms_decrypt_bytea(%L, %L)', :'key_id', decode(repeat('00', 256), 'hex'))),
	('one', format('SELECT kms_decrypt_bytea(%L, %L)', :'key_id', decode(repeat('00', 255) || '01', 'hex'))),
	('above the modulus', format('SELECT kms_decrypt_bytea(%L, %L)', :'key_id', decode(repeat('ff', 256), 'hex'))),
	('damaged', format('SELECT kms_decrypt(%L, %L)', :'key_id', reverse(left(:'c', 340)) || right(:'c', 4))),
	('not text, either', format('SELECT kms_decrypt_recover(%L, %L, ''test'')', :'key_id', :'other_c'))
	) AS q (what, query), pg_temp.failure(query) AS o;

-- KM002: no such key, or a key of another device
SELECT * FROM pg_temp.failure(format('SELECT kms_decrypt(%L, %L)', :'no_id', :'c'));
SELECT count(*) AS all, count(DISTINCT o.*) AS kinds, min(o.message)
FROM (VALUES
	(format('SELECT kms_decrypt(%L, %L)', :'no_id', :'c')),
	(format('SELECT kms_decrypt(%L, %L, ''errors-2'')', :'key_id', :'c')),
	(format('SELECT kms_decrypt_bytea(%L, %L)', :'no_id', decode(:'c', 'base64'))),
	(format('SELECT kms_decrypt_recover(%L, %L, ''test'')', :'no_id', :'c')),
	(format('SELECT kms_encrypt(%L, ''x'')', :'no_id')),
	(format('SELECT kms_public_key(%L)', :'no_id')),
	(format('SELECT kms_key_state(%L)', :'no_id'))
	) AS q (query), pg_temp.failure(query) AS o;

-- KM003 is in "issue". KM004: a state that denies use needs no seal
SELECT key_id AS new_id FROM kms_rotate_key('errors-1') \gset
SELECT * FROM pg_temp.failure(format('SELECT kms_encrypt(%L, ''x'')', :'key_id'));
BEGIN;
UPDATE kms.key SET state = 'disabled', prior_state = 'active', seal = NULL WHERE key_id = :'other_id';
SELECT * FROM pg_temp.failure(format('SELECT kms_decrypt(%L, %L)', :'other_id', :'other_c'));
SELECT code, message FROM pg_temp.failure(format('SELECT kms_public_key(%L)', :'other_id'));
SELECT code, message FROM pg_temp.failure(format('SELECT kms_encrypt(%L, ''x'')', :'other_id'));
SELECT kms_key_valid(:'other_id'), kms_try_decrypt(:'other_id', :'other_c') IS NULL AS tried;
UPDATE kms.key SET state = 'revoked' WHERE key_id = :'other_id';
SELECT code, message FROM pg_temp.failure(format('SELECT kms_decrypt(%L, %L)', :'other_id', :'other_c'));
UPDATE kms.key SET state = 'pending_deletion' WHERE key_id = :'other_id';
SELECT code, message FROM pg_temp.failure(format('SELECT kms_decrypt(%L, %L)', :'other_id', :'other_c'));
-- a state that permits use needs a seal, which is missing
UPDATE kms.key SET state = 'active' WHERE key_id = :'other_id';
SELECT code, message FROM pg_temp.failure(format('SELECT kms_decrypt(%L, %L)', :'other_id', :'other_c'));
ROLLBACK;

-- KM005 is in "limits". KM006: before anything is decoded, looked up or fetched
SELECT * FROM pg_temp.failure(format('SELECT kms_decrypt(%L, repeat(''A'', 2049))', :'key_id'));
SELECT code, detail FROM pg_temp.failure(format('SELECT kms_decrypt(%L, repeat(''A'', 2048))', :'key_id'));
SELECT code, detail FROM pg_temp.failure(format('SELECT kms_decrypt(%L, repeat(''*'', 1000000))', :'no_id'));
SELECT code, detail FROM pg_temp.failure(format('SELECT kms_decrypt_bytea(%L, convert_to(repeat(''A'', 1000000), ''UTF8''))', :'key_id'));
SELECT code, detail FROM pg_temp.failure(format('SELECT kms_decrypt_recover(%L, repeat(''A'', 100000000), ''test'')', :'key_id'));

-- KM007: a row sealed under a master key that the server does not have
BEGIN;
UPDATE kms.key SET seal = overlay(seal PLACING '\x0123456789abcdef' FROM 2) WHERE key_id = :'other_id';
UPDATE kms.key_secret SET wrapped_key = overlay(wrapped_key PLACING '\x0123456789abcdef' FROM 2) WHERE key_id = :'other_id';
SELECT * FROM pg_temp.failure(format('SELECT kms_decrypt(%L, %L)', :'other_id', :'other_c'));
SELECT code FROM pg_temp.failure('SELECT kms_issue_key(''errors-2'')');
ROLLBACK;

-- XX001: a row changed by hand
BEGIN;
UPDATE kms.key SET expires_at = expires_at + '1 year' WHERE key_id = :'other_id';
SELECT * FROM pg_temp.failure(format('SELECT kms_decrypt(%L, %L)', :'other_id', :'other_c'));
SELECT code FROM pg_temp.failure('SELECT kms_issue_key(''errors-2'')');
SELECT code FROM pg_temp.failure(format('SELECT kms_public_key(%L)', :'other_id'));
SELECT code FROM pg_temp.failure(format('SELECT kms_key_state(%L)', :'other_id'));
SELECT kms_key_valid(:'other_id');
ROLLBACK;

-- 22021: bytes that are no text
SELECT kms_encrypt_bytea(:'new_id', '\xff00fe') AS binary_c \gset
SELECT * FROM pg_temp.failure(format('SELECT kms_decrypt(%L, %L)', :'new_id',
	encode(:'binary_c', 'base64')));
SELECT what, (pg_temp.failure(format('SELECT kms_decrypt(%L, %L)', :'new_id',
	encode(kms_encrypt_bytea(:'new_id', b), 'base64')))).code
FROM (VALUES ('NUL', '\x610062'::bytea), ('overlong', '\xc0af'), ('surrogate', '\xeda080'),
	('beyond U+10FFFF', '\xf4908080'), ('cut short', '\xe5af'), ('text', '\xe5af86')) AS b (what, b);

-- 22004
SELECT * FROM pg_temp.failure(format('SELECT kms_decrypt(NULL, %L)', :'c'));
SELECT * FROM pg_temp.failure('SELECT kms_issue_key(NULL)');
SELECT * FROM pg_temp.failure(format('SELECT kms_decrypt_recover(%L, %L, NULL)', :'key_id', :'c'));
SELECT query, (pg_temp.failure(query)).code FROM (VALUES
	('SELECT kms_rotate_key(NULL)'), ('SELECT kms_public_key(NULL)'),
	('SELECT kms_encrypt(NULL, ''x'')'), ('SELECT kms_encrypt_bytea(NULL, ''x'')'),
	('SELECT kms_decrypt_bytea(NULL, ''x'')'), ('SELECT kms_try_decrypt(NULL, ''x'')'),
	('SELECT kms_try_decrypt_bytea(NULL, ''x'')'),
	('SELECT kms_decrypt_recover(NULL, ''x'', ''y'')'),
	('SELECT kms_decrypt_recover_bytea(NULL, ''x'', ''y'')'),
	('SELECT kms_key_state(NULL)'), ('SELECT kms_key_valid(NULL)'),
	('SELECT kms_rate_limit_status(NULL)')) AS q (query);

-- 22023
SELECT * FROM pg_temp.failure(format('SELECT kms_decrypt(%L, ''no base64!'')', :'key_id'));
SELECT * FROM pg_temp.failure(format('SELECT kms_decrypt(%L, ''AAAA'')', :'key_id'));
SELECT * FROM pg_temp.failure(format('SELECT kms_decrypt_bytea(%L, decode(repeat(''00'', 257), ''hex''))', :'key_id'));
SELECT code, detail FROM pg_temp.failure(format('SELECT kms_decrypt_bytea(%L, decode(repeat(''ff'', 255), ''hex''))', :'key_id'));
SELECT code, detail FROM pg_temp.failure(format('SELECT kms_decrypt_bytea(%L, '''')', :'key_id'));
SELECT * FROM pg_temp.failure(format('SELECT kms_decrypt(%L, %L, NULL, ''md5'')', :'key_id', :'c'));
SELECT * FROM pg_temp.failure(format('SELECT kms_decrypt(%L, %L, mgf1_hash => ''SHA-1'')', :'key_id', :'c'));
SELECT code FROM pg_temp.failure(format('SELECT kms_encrypt(%L, ''x'', '''')', :'new_id'));
SELECT code FROM pg_temp.failure(format('SELECT kms_encrypt(%L, ''x'', repeat(''sha1'', 1000000))', :'new_id'));
SELECT * FROM pg_temp.failure(format('SELECT kms_encrypt(%L, repeat(''x'', 215))', :'new_id'));
SELECT code FROM pg_temp.failure(format('SELECT kms_encrypt(%L, repeat(''x'', 100000000))', :'new_id'));
SELECT * FROM pg_temp.failure(format('SELECT kms_encrypt(%L, ''x'', label => convert_to(repeat(''l'', 100000000), ''UTF8''))', :'new_id'));
SELECT code FROM pg_temp.failure(format('SELECT kms_decrypt(%L, %L, label => convert_to(repeat(''l'', 100000000), ''UTF8''))', :'key_id', :'c'));
SELECT * FROM pg_temp.failure(format('SELECT kms_decrypt_recover(%L, %L, '''')', :'key_id', :'c'));
SELECT code FROM pg_temp.failure(format('SELECT kms_decrypt_recover(%L, %L, repeat(''r'', 256))', :'key_id', :'c'));
SELECT * FROM pg_temp.failure('SELECT kms_metrics_summary(0)');
SELECT code FROM pg_temp.failure('SELECT kms_metrics_summary(8761)');
SELECT code FROM pg_temp.failure('SELECT * FROM kms_problematic_keys(101)');
SELECT code FROM pg_temp.failure('SELECT * FROM kms_problematic_keys(''NaN'')');

-- a key id of another shape is refused and not echoed: it may be a secret in
-- the wrong place
SELECT * FROM pg_temp.failure('SELECT kms_decrypt(''my PIN is PIN4711!'', ''x'')');
\x off
SELECT what, o.code, strpos(concat(o.message, o.detail, o.hint), 'PIN4711') = 0 AS not_echoed
FROM (VALUES ('blank', 'PIN4711 '), ('control', E'PIN4711\n'), ('escape', E'PIN4711\x1b[2J'),
	('quote', 'PIN4711"'), ('multi-byte', 'PIN4711ü'), ('129 characters', 'PIN4711' || repeat('x', 122)),
	('long', 'PIN4711' || repeat('x', 1000000)), ('ciphertext', 'PIN4711+/' || repeat('A', 335))) AS a (what, arg),
	(VALUES ('SELECT kms_decrypt(%L, ''x'')'), ('SELECT kms_decrypt_bytea(%L, ''x'')'),
		('SELECT kms_decrypt_recover(%L, ''x'', ''y'')'), ('SELECT kms_encrypt(%L, ''x'')'),
		('SELECT kms_try_decrypt(%L, ''x'')'), ('SELECT kms_public_key(%L)'),
		('SELECT kms_key_state(%L)'), ('SELECT kms_key_valid(%L)')) AS f (form),
	LATERAL pg_temp.failure(format(form, arg)) AS o
GROUP BY 1, 2, 3 ORDER BY 1;
-- a short text in base64 has that shape
SELECT code, strpos(concat(message, detail, hint), 'PIN4711') = 0 AS not_echoed
FROM pg_temp.failure(format('SELECT kms_decrypt(''PIN4711+/=='', %L)', :'c'));
SELECT kms_flush_events();
SELECT count(*) AS recorded FROM kms.event AS e WHERE e::text LIKE '%PIN4711%';
-- an id that an imported key could have is not recorded either, if
-- there is no such key
SELECT code FROM pg_temp.failure(format('SELECT kms_decrypt(''2580'', %L)', :'c'));
SELECT kms_flush_events();
SELECT count(*) AS recorded FROM kms.event AS e WHERE e.key_id = '2580';

-- device ids: up to 255 bytes, not characters; no control characters
SELECT what, o.code, o.message, o.detail
FROM (VALUES ('255 bytes', 'errors-' || repeat('d', 248)), ('256 bytes', repeat('d', 256)),
	('127 x 2 bytes', repeat('ü', 127)), ('128 x 2 bytes', repeat('ü', 128)),
	('newline', E'd\n'), ('DEL', E'd\x7f'), ('1 MB', repeat('d', 1000000))) AS d (what, id),
	LATERAL pg_temp.failure(format('SELECT kms_rate_limit_status(%L)', id)) AS o;
SELECT reused FROM kms_issue_key('errors-' || repeat('d', 248));
SELECT octet_length(device_id), device_id = 'errors-' || repeat('d', 248) AS whole
FROM kms.keys WHERE device_id LIKE 'errors-d%';
SELECT kms_decrypt(i.key_id, kms_encrypt(i.key_id, 'x'), repeat('ü', 127))
FROM kms_issue_key(repeat('ü', 127)) AS i;
SELECT kms_flush_events();
SELECT operation, octet_length(device_id), device_id = repeat('ü', 127) AS whole
FROM kms.event WHERE device_id LIKE 'üü%' ORDER BY operation;
