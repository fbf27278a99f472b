-- Ciphertexts decrypt to their plaintext: digests, labels, lengths, text and bytes, forms of base64.
SELECT key_id FROM kms_issue_key('cipher-1') \gset
SELECT key_id AS other_id FROM kms_issue_key('cipher-2') \gset

-- each OAEP digest with each MGF1 digest
CREATE TEMP TABLE digest (name text, size int);
INSERT INTO digest VALUES ('sha1', 20), ('sha224', 28), ('sha256', 32),
	('sha384', 48), ('sha512', 64), ('sha512-224', 28), ('sha512-256', 32);
SELECT count(*) AS pairs,
	count(*) FILTER (WHERE kms_decrypt(:'key_id', kms_encrypt(:'key_id',
		o.name || m.name, o.name, m.name), NULL, o.name, m.name)
		= o.name || m.name) AS opened
FROM digest AS o, digest AS m;
-- the MGF1 digest follows the OAEP digest unless it is named
SELECT count(*) FILTER (WHERE kms_decrypt(:'key_id',
	kms_encrypt(:'key_id', 'x', name), 'cipher-1', name, name) = 'x') AS opened
FROM digest;
-- the OAEP digest is the key's own unless it is named
SELECT kms_decrypt(:'key_id', kms_encrypt(:'key_id', 'own'), NULL, 'sha1', 'sha1');
SELECT kms_decrypt(:'key_id', kms_encrypt(:'key_id', 'java', 'sha256', 'sha1'),
	mgf1_hash => 'sha1', oaep_hash => 'sha256');
-- another digest of the same length does not open it
SELECT count(*) FILTER (WHERE kms_try_decrypt(:'key_id',
	kms_encrypt(:'key_id', 'x', o.name, m.name), NULL, o2.name, m.name)
	IS NULL) AS closed, count(*) AS of
FROM digest AS o, digest AS m, digest AS o2 WHERE o.name <> o2.name;

-- how much fits: modulus - 2 * digest - 2 bytes
SELECT name, n - (256 - 2 * size - 2) AS beyond, CASE WHEN n <= 256 - 2 * size - 2 THEN
	kms_decrypt_bytea(:'key_id', kms_encrypt_bytea(:'key_id',
		convert_to(repeat('x', n), 'UTF8'), name), NULL, name)
	= convert_to(repeat('x', n), 'UTF8') END AS same
FROM digest, generate_series(254 - 2 * size - 1, 254 - 2 * size) AS n
ORDER BY size, name, n;
SELECT kms_encrypt(:'key_id', repeat('x', 215));
SELECT kms_encrypt(:'key_id', repeat('é', 108));
SELECT kms_encrypt_bytea(:'key_id', decode(repeat('00', 127), 'hex'), 'sha512');
SELECT kms_decrypt(:'key_id', kms_encrypt(:'key_id', '')) = '' AS empty_text,
	kms_decrypt_bytea(:'key_id', kms_encrypt_bytea(:'key_id', '')) = '' AS empty_bytes,
	kms_decrypt(:'key_id', kms_encrypt(:'key_id', '0')) AS one_byte;

-- texts and bytes
SELECT t, kms_decrypt(:'key_id', kms_encrypt(:'key_id', t)) = t AS same
FROM (VALUES ('1234'), ('pässwörd'), ('密码'), ('пароль'), ('🔑🗝'), ('a b'),
	(E'line\nfeed\ttab'), (E'\'"\\;--')) AS v (t);
SELECT count(*) AS bytes, bool_and(kms_decrypt_bytea(:'key_id',
	kms_encrypt_bytea(:'key_id', b)) = b) AS same
FROM (SELECT decode(lpad(to_hex(n), 2, '0'), 'hex') AS b
	FROM generate_series(0, 255) AS n) AS every;
SELECT kms_decrypt_bytea(:'key_id', kms_encrypt_bytea(:'key_id', '\x0001027f80feff00'));
-- text is encrypted as UTF-8, and can be decrypted as bytes
SELECT kms_decrypt_bytea(:'key_id',
	decode(kms_encrypt(:'key_id', 'é'), 'base64'));

-- two ciphertexts of the same text differ, and are as long as the key
SELECT kms_encrypt(:'key_id', 'x') <> kms_encrypt(:'key_id', 'x') AS randomized,
	length(kms_encrypt(:'key_id', 'x')) AS base64_length,
	length(kms_encrypt_bytea(:'key_id', 'x')) AS bytes;

-- labels
SELECT n, kms_decrypt(:'key_id', kms_encrypt(:'key_id', 'x', NULL, NULL, l),
	NULL, NULL, NULL, l) AS opened,
	kms_try_decrypt(:'key_id', kms_encrypt(:'key_id', 'x', NULL, NULL, l))
	AS without_label,
	kms_try_decrypt(:'key_id', kms_encrypt(:'key_id', 'x', NULL, NULL, l),
		label => l || '\x00'::bytea) AS longer_label
FROM (VALUES (0), (1), (20), (64), (4095)) AS s (n),
	LATERAL (SELECT decode(repeat('00', n), 'hex')) AS b (l);
SELECT kms_encrypt(:'key_id', 'x', label => decode(repeat('00', 4097), 'hex'));

-- forms of base64: either alphabet, padding or none, white space
SELECT kms_encrypt(:'key_id', 'forms') AS c \gset
SELECT form, kms_decrypt(:'key_id', c) AS opened
FROM (VALUES ('standard', :'c'),
	('URL-safe', translate(:'c', '+/', '-_')),
	('no padding', rtrim(:'c', '=')),
	('URL-safe, no padding', rtrim(translate(:'c', '+/', '-_'), '=')),
	('lines of 64', regexp_replace(:'c', '(.{64})', E'\\1\n', 'g')),
	('lines of 76, CR LF', regexp_replace(:'c', '(.{76})', E'\\1\r\n', 'g')),
	('spaces everywhere', regexp_replace(:'c', '(.)', E' \\1\t', 'g')),
	('white space around', E'\n  ' || :'c' || E'\n'),
	('as encode() makes it', encode(decode(:'c', 'base64'), 'base64'))
	) AS f (form, c);
SELECT form, kms_try_decrypt(:'key_id', c) IS NULL AS refused
FROM (VALUES ('empty', ''), ('white space', E' \n'), ('padding alone', '=='),
	('a digit short', left(:'c', 341)),
	('padding within', left(:'c', 340) || '==' || right(:'c', 4)),
	('too much padding', :'c' || '='),
	('not a digit', overlay(:'c' PLACING '*' FROM 100)),
	('both alphabets', overlay(overlay(:'c' PLACING '+' FROM 7) PLACING '_' FROM 9)),
	('bits left over', rtrim(overlay(:'c' PLACING 'B' FROM 342), '=')),
	('hex', encode(decode(:'c', 'base64'), 'hex')),
	('bytea output', decode(:'c', 'base64')::text)) AS f (form, c);

-- inputs as tables hold them: short header, compressed, out of line
CREATE TEMP TABLE stored (how text, key_id text, device_id text, c text, b bytea);
INSERT INTO stored VALUES
	('short', :'key_id', 'cipher-1', rtrim(:'c', '='), decode(:'c', 'base64')),
	('compressed', :'key_id', 'cipher-1', :'c' || repeat(' ', 1704),
		decode(:'c', 'base64') || decode(repeat('00', 4000), 'hex'));
ALTER TABLE stored ALTER c SET STORAGE EXTERNAL, ALTER b SET STORAGE EXTERNAL;
INSERT INTO stored SELECT 'out of line', key_id, device_id, c || '', b || ''
FROM stored WHERE how = 'compressed';
SELECT how, length(c) AS length, pg_column_compression(c) AS c, pg_column_compression(b) AS b,
	kms_decrypt(key_id, c, device_id) AS opened,
	kms_decrypt_bytea(key_id, substr(b, 1, 256), device_id) AS bytes,
	kms_try_decrypt_bytea(key_id, b) AS too_large
FROM stored ORDER BY length(b), how;
-- arguments with short headers
SELECT count(*) AS opened FROM stored
WHERE kms_decrypt_bytea(key_id, kms_encrypt_bytea(key_id, substr(b, 1, 3), 'sha256',
	label => substr(b, 1, 5)), device_id, 'sha256', label => substr(b, 1, 5))
	= substr(b, 1, 3);

-- NULL: no data, no event; but a key id is needed
SELECT kms_decrypt(:'key_id', NULL), kms_decrypt_bytea(:'key_id', NULL),
	kms_try_decrypt(:'key_id', NULL), kms_try_decrypt_bytea(:'key_id', NULL),
	kms_encrypt(:'key_id', NULL), kms_encrypt_bytea(:'key_id', NULL),
	kms_decrypt_recover(:'key_id', NULL, 'why'),
	kms_decrypt_recover_bytea(:'key_id', NULL, 'why');
SELECT kms_decrypt(NULL, :'c');
SELECT kms_encrypt(NULL, 'x');
SELECT kms_decrypt('', :'c');

-- a key opens its own ciphertexts only, and for its own device only
SELECT kms_try_decrypt(:'other_id', :'c') IS NULL AS other_key,
	kms_try_decrypt(:'key_id', :'c', 'cipher-2') IS NULL AS other_device,
	kms_decrypt(:'key_id', :'c', 'cipher-1') AS opened;

-- 3072 and 4096 bits
SELECT bits, kms_decrypt(k.key_id, kms_encrypt(k.key_id, repeat('x', bits / 8 - 42)))
	= repeat('x', bits / 8 - 42) AS opened,
	length(kms_encrypt_bytea(k.key_id, 'x')) AS bytes
FROM (VALUES (3072), (4096)) AS s (bits),
	kms_issue_key('cipher-' || bits, NULL, 'RSA-' || bits) AS k;
