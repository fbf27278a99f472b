-- Hashing and verifying secrets.
\set SHOW_CONTEXT never

\i test/include/outcome.sql

SELECT kms_flush_events();
SELECT coalesce(max(ticket), 0) AS before FROM kms.event \gset
SELECT key_id FROM kms_issue_key('secret-1') \gset
SELECT key_id AS other_id FROM kms_issue_key('secret-2') \gset
SELECT kms_encrypt(:'key_id', '4711') AS c, kms_encrypt(:'key_id', '4711') AS again,
	kms_encrypt(:'key_id', '4712') AS wrong, kms_encrypt(:'other_id', '4711') AS others,
	kms_encrypt(:'key_id', '4711', 'sha256', 'sha1', '\x6c') AS java \gset

-- a hash: its form, its salt, its pepper
SELECT kms_hash_secret(:'key_id', :'c') AS h, kms_hash_secret(:'key_id', :'again') AS h2 \gset
SELECT :'h' ~ '^\$kms1\$pep_[0-9a-f]{24}\$\$2b\$10\$[./A-Za-z0-9]{53}$' AS form, :'h' <> :'h2' AS salted,
	split_part(:'h', '$', 3) = split_part(:'h2', '$', 3) AS one_pepper;
SELECT count(*), min(octet_length(wrapped)) AS wrapped, min(pepper_id) = split_part(:'h', '$', 3) AS named
FROM kms.pepper;
SELECT kms_hash_secret(:'key_id', NULL) IS NULL AS of_nothing;

-- the secret verifies, from any client, and no other does
SELECT kms_verify_secret(:'key_id', :'c', :'h') AS itself, kms_verify_secret(:'key_id', :'again', :'h') AS again,
	kms_verify_secret(:'other_id', :'others', :'h2') AS other_device,
	kms_verify_secret(:'key_id', :'java', :'h', NULL, 'secret-1', 'sha256', 'sha1', '\x6c') AS java;
SELECT kms_verify_secret(:'key_id', :'wrong', :'h') AS wrong,
	kms_verify_secret(:'key_id', :'others', :'h') AS of_another_key,
	kms_verify_secret(:'key_id', :'java', :'h') AS other_digest;
SELECT kms_verify_secret(hash => kms_hash_secret(:'key_id', :'java', 'secret-1', 'sha256', 'sha1', '\x6c'),
	ciphertext => :'c', key_id => :'key_id', device_id => 'secret-1') AS named;

-- any bytes can be a secret, even none, and all of them count
SELECT kms_verify_secret(:'key_id', encode(kms_encrypt_bytea(:'key_id', b), 'base64'),
	kms_hash_secret(:'key_id', encode(kms_encrypt_bytea(:'key_id', a), 'base64'))) AS same
FROM (VALUES ('\x'::bytea, '\x'::bytea), ('\x00', '\x'), ('\x610062', '\x610062'), ('\x610062', '\x610063'),
	('\xff', '\xff'), (repeat('x', 100)::bytea, (repeat('x', 99) || 'y')::bytea)) AS v (a, b);

-- hashes made by other programs: "U*U" and "abc"
SELECT kms_encrypt(:'key_id', 'U*U') AS uu, kms_encrypt(:'key_id', 'abc') AS abc,
	kms_encrypt(:'key_id', '') AS nothing, encode(kms_encrypt_bytea(:'key_id', 'U*U\000'), 'base64') AS with_nul \gset
SELECT kms_verify_secret(:'key_id', c, h), h FROM (VALUES
	(:'uu', '$2a$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW'),
	(:'uu', '$2b$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW'),
	(:'uu', '$2y$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW'),
	(:'abc', '$2y$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW'),
	(:'nothing', '$2a$05$CCCCCCCCCCCCCCCCCCCCC.7uG0VCzI2bS7j6ymqJi9CdcdxiRTWNy'),
	(:'with_nul', '$2a$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW'),
	(:'abc', '$y$j75$.......$stbr2M6i8w/SU36N/.i6VVEHCMYG2OkDpj/I1wKYZC4'),
	(:'uu', '$y$j75$.......$stbr2M6i8w/SU36N/.i6VVEHCMYG2OkDpj/I1wKYZC4')) AS v (c, h);

-- unusable input gives false and never NULL, and the trail says why
SELECT kms_verify_secret(:'key_id', c, h, 'unusable') AS v, left(h, 6) AS hash FROM (VALUES
	(NULL, :'h'), (:'c', NULL), (NULL, NULL), ('', :'h'), ('***', :'h'), ('c3BhbQ==', :'h'),
	(repeat('A', 3000), :'h'), (:'others', :'h'), (:'wrong', :'h'),
	(:'c', ''), (:'c', '4711'), (:'c', 'abJnggxhB/yWI'), (:'c', '*0'),
	(:'c', '$1$saltsalt$qjXMvbEw8oaL.CzflDtaK/'),
	(:'c', '$6$saltstring$svn8UoSVapNtMuq1ukKS4tPQd8iKwSMHWjlO/O817G3uBnIFNjnQJuesI68OTLiBFdcbYEdFCoEOfaS35inz1'),
	(:'c', '$2b$15$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW'),
	(:'c', '$y$jCT$.......$stbr2M6i8w/SU36N/.i6VVEHCMYG2OkDpj/I1wKYZC4'),
	(:'c', :'h' || 'x'), (:'c', repeat('x', 1000000))) AS v (c, h);
SELECT kms_flush_events();
SELECT operation, status, reason, device_id, count(*) FROM kms.event
WHERE ticket > :before AND context = 'unusable' GROUP BY 1, 2, 3, 4 ORDER BY 5, 3;
SELECT operation, status, reason, count(*) > 0 AS some FROM kms.event
WHERE ticket > :before AND device_id = 'secret-1' AND context IS NULL AND operation <> 'encrypt'
GROUP BY 1, 2, 3 ORDER BY 1, 2, 3;

-- arguments
SELECT a, pg_temp.outcome(format('SELECT kms_verify_secret(%s)', a), 'detail') AS verify FROM (VALUES
	('NULL, ''x'', ''x'''), ('''a b'', ''x'', ''x'''), ('''key_1'', ''x'', ''x'', '''''),
	('''key_1'', ''x'', ''x'', repeat(''s'', 256)'), ('''key_1'', ''x'', ''x'', E''s\n'''),
	('''key_1'', ''x'', ''x'', NULL, '''''), ('''key_1'', ''x'', ''x'', NULL, NULL, ''md5'''),
	('''key_1'', ''x'', ''x'', NULL, NULL, NULL, ''md5'''), ('''key_1'', ''x'', ''x''')) AS v (a);
SELECT pg_temp.outcome(format('SELECT kms_verify_secret(%L, %L, %L, NULL, ''secret-2'')', :'key_id', :'c', :'h'));
SELECT kms_verify_secret(:'key_id', :'c', :'h', repeat('s', 255));
SELECT a, pg_temp.outcome(format('SELECT kms_hash_secret(%s)', a), 'detail') AS hash FROM (VALUES
	('NULL, ''x'''), ('''a b'', ''x'''), ('''key_1'', ''x'''), ('''key_1'', ''*''')) AS v (a);
SELECT pg_temp.outcome(format('SELECT kms_hash_secret(%L, %L)', :'key_id', a), 'detail') FROM (VALUES
	('***'), ('c3BhbQ=='), (:'others'), (repeat('A', 3000))) AS v (a);
SELECT pg_temp.outcome(format('SELECT kms_hash_secret(%L, %L, ''secret-2'')', :'key_id', :'c'));

-- an expired key and an altered key, with any ciphertext and hash
SET kms.key_lifetime = '1s';
SELECT key_id AS expired_id FROM kms_issue_key('secret-3') \gset
RESET kms.key_lifetime;
SELECT pg_sleep(1.1); -- until a key has expired
SELECT pg_temp.outcome(format('SELECT kms_verify_secret(%L, %L, %L)', :'expired_id', c, h)) FROM
	(VALUES (:'c', :'h'), (NULL, :'h'), ('*', NULL), (:'c', 'x')) AS v (c, h);
SELECT pg_temp.outcome(format('SELECT kms_hash_secret(%L, %L)', :'expired_id', :'c'));
BEGIN;
UPDATE kms.key SET oaep_hash = 'sha256' WHERE key_id = :'key_id';
SELECT pg_temp.outcome(format('SELECT kms_verify_secret(%L, %L, %L)', :'key_id', c, :'h')) FROM
	(VALUES (:'c'), (NULL)) AS v (c);
ROLLBACK;

-- a lost pepper is not a wrong PIN
BEGIN;
DELETE FROM kms.pepper;
SELECT pg_temp.outcome(format('SELECT kms_verify_secret(%L, %L, %L)', :'key_id', c, :'h')) FROM
	(VALUES (:'c'), (:'wrong'), (NULL)) AS v (c);
ROLLBACK;
-- a changed pepper is not a wrong PIN
BEGIN;
UPDATE kms.pepper SET wrapped = set_byte(wrapped, 100, get_byte(wrapped, 100) # 1);
SELECT pg_temp.outcome(format('SELECT kms_verify_secret(%L, %L, %L)', :'key_id', :'c', :'h'));
SELECT pg_temp.outcome(format('SELECT kms_hash_secret(%L, %L)', :'key_id', :'c'));
ROLLBACK;
BEGIN;
UPDATE kms.pepper SET created_at = created_at + '1 us'::interval;
SELECT pg_temp.outcome(format('SELECT kms_verify_secret(%L, %L, %L)', :'key_id', :'c', :'h'));
ROLLBACK;
BEGIN;
UPDATE kms.pepper SET wrapped = substr(wrapped, 1, 100);
SELECT pg_temp.outcome(format('SELECT kms_verify_secret(%L, %L, %L)', :'key_id', :'c', :'h'));
ROLLBACK;
-- a pepper under a missing master key is not a wrong PIN, and the operator is told
BEGIN;
UPDATE kms.pepper SET wrapped = overlay(wrapped PLACING '\x0102030405060708' FROM 2);
SELECT pg_temp.outcome(format('SELECT kms_verify_secret(%L, %L, %L)', :'key_id', :'c', :'h'));
SELECT master_key_id, status, keys, peppers FROM kms_master_key_status() WHERE status = 'missing';
SELECT severity, finding FROM kms_check() WHERE finding LIKE '%wrapped under%';
ROLLBACK;
SELECT kms_verify_secret(:'key_id', :'c', :'h') AS unharmed;
-- each hash verifies with its own pepper, and new hashes use the newest
BEGIN;
CREATE TEMP TABLE kept AS SELECT * FROM kms.pepper;
DELETE FROM kms.pepper;
SELECT task, done FROM kms_maintain() WHERE task = 'make the pepper';
SELECT task, done FROM kms_maintain() WHERE task = 'make the pepper';
INSERT INTO kms.pepper SELECT * FROM kept;
SELECT kms_hash_secret(:'key_id', :'c') AS newer \gset
SELECT split_part(:'newer', '$', 3) <> split_part(:'h', '$', 3) AS other_pepper;
SELECT kms_verify_secret(:'key_id', :'c', :'newer') AS newer, kms_verify_secret(:'key_id', :'c', :'h') AS older;
SELECT kms_verify_secret(:'key_id', :'c', replace(:'newer', split_part(:'newer', '$', 3), split_part(:'h', '$', 3)))
	AS mixed;
ROLLBACK;

-- verifying only reads, and runs in the leader
BEGIN READ ONLY;
SELECT kms_verify_secret(:'key_id', :'c', :'h', 'reader') AS verified,
	kms_hash_secret(:'key_id', :'c') LIKE '$kms1$pep\_%' AS hashed;
COMMIT;
