-- Fields: keys and their versions, values, rights, and each error once.
\i test/include/outcome.sql
\set SHOW_CONTEXT never
SET client_min_messages = warning;

SELECT kms_flush_events();
SELECT coalesce(max(ticket), 0) AS before FROM kms.event \gset

-- ---- keys -------------------------------------------------------------

SELECT kms_create_field_key('tax');
SELECT kms_create_field_key('tax.ann', '1 year');
SELECT kms_create_field_key('tax');
SELECT kms_create_field_key('nothing.ann');
SELECT kms_create_field_key('Tax');
SELECT kms_create_field_key(NULL);
SELECT kms_create_field_key(repeat('a', 56));
SELECT kms_create_field_key(repeat('a', 55) || '.' || repeat('b', 64));
SELECT kms_create_field_key('other', '-1 day');
SELECT field_key, version, state, newest, rotate_after, rotate_at - created_at AS due, octet_length(field_key_id)
FROM kms.field_keys WHERE field_key LIKE 'tax%' ORDER BY 1, 2;
SELECT p.proname, p.proacl IS NOT NULL AS closed, p.proowner = e.extowner AS owned, d.deptype,
	has_function_privilege('public', p.oid, 'EXECUTE')
FROM pg_proc AS p
CROSS JOIN pg_extension AS e
LEFT JOIN pg_depend AS d ON d.objid = p.oid AND d.classid = 'pg_proc'::regclass AND d.refobjid = e.oid
WHERE p.pronamespace = 'kms_field'::regnamespace AND p.proname LIKE 'tax%' AND e.extname = 'kms' ORDER BY 1;

-- ---- values -----------------------------------------------------------

CREATE TABLE person (id text, tax bytea);
INSERT INTO person VALUES
	('1', kms_encrypt_field('tax', 'DE123', 'person.tax:1')),
	('2', kms_encrypt_field('tax', '', 'person.tax:2')),
	('3', kms_encrypt_field('tax', NULL, 'person.tax:3')),
	('4', kms_encrypt_field('tax.ann', 'äöü €', 'person.tax:4'));
SELECT id, kms_decrypt_field(tax, 'person.tax:' || id), octet_length(tax), kms_field_key(tax), kms_field_version(tax),
	kms_field_is_current(tax)
FROM person ORDER BY id;
SELECT substr(tax, 1, 3), substr(tax, 12, 2) FROM person WHERE id = '1';
SELECT kms_decrypt_field_bytea(kms_encrypt_field_bytea('tax', '\x00ff', ''), '');
SELECT kms_decrypt_field(kms_encrypt_field_bytea('tax', '\x00ff', ''), '');
SELECT kms_decrypt_field(tax, 'person.tax:2') FROM person WHERE id = '1';
SELECT kms_decrypt_field(tax, NULL) FROM person WHERE id = '1';
SELECT kms_decrypt_field(tax, 'person.tax:1', 'tax.ann') FROM person WHERE id = '1';
SELECT kms_decrypt_field(tax, 'person.tax:1', 'tax') FROM person WHERE id = '1';
SELECT kms_decrypt_field('\x6b6601', 'x');
SELECT kms_decrypt_field(set_byte(tax, 5, get_byte(tax, 5) # 1), 'person.tax:1') FROM person WHERE id = '1';
SELECT kms_encrypt_field('nothing', 'x', 'y');
SELECT kms_encrypt_field('4711-1234', 'x', repeat('x', 1025));
SELECT kms_encrypt_field('tax', 'x', repeat('x', 1025));
SELECT kms_try_decrypt_field(tax, 'person.tax:2'), kms_try_decrypt_field('\x00', 'x'), kms_try_decrypt_field_bytea(tax, 'x')
FROM person WHERE id = '1';
SET kms.max_field_size = '1kB';
SELECT kms_encrypt_field('tax', repeat('x', 1025), '');
SELECT length(kms_decrypt_field(kms_encrypt_field('tax', repeat('x', 1024), ''), ''));
RESET kms.max_field_size;
SELECT kms_field_key(NULL), kms_field_version(NULL), kms_field_is_current(NULL);
SELECT kms_field_version('\x00');

-- ---- rotate and refresh ------------------------------------------------

SELECT kms_rotate_field_key('tax');
SELECT kms_rotate_field_key('nothing');
SELECT id, kms_field_is_current(tax) FROM person ORDER BY id;
UPDATE person SET tax = kms_refresh_field(tax, 'person.tax:' || id) WHERE NOT kms_field_is_current(tax);
SELECT id, kms_field_version(tax), kms_decrypt_field(tax, 'person.tax:' || id) FROM person ORDER BY id;
SELECT kms_refresh_field(tax, 'person.tax:1') = tax AS same,
	kms_decrypt_field(kms_refresh_field(tax, 'person.tax:1', 'new:1'), 'new:1'),
	kms_field_key(kms_refresh_field(tax, 'person.tax:1', NULL, 'tax.ann'))
FROM person WHERE id = '1';
SELECT kms_refresh_field(tax, 'wrong', 'new') FROM person WHERE id = '1';
SELECT kms_refresh_field(NULL, 'x');

-- ---- blind indexes -----------------------------------------------------

SELECT kms_blind_index('tax', 'DE 123', 'person.tax', 'alnum') = kms_blind_index('tax', 'de-123', 'person.tax', 'alnum') AS folded,
	kms_blind_index('tax', 'DE 123', 'person.tax') = kms_blind_index('tax', 'de-123', 'person.tax') AS unfolded,
	kms_blind_index('tax', 'a', 'person.tax') = kms_blind_index('tax.ann', 'a', 'person.tax') AS of_the_field,
	kms_blind_index('tax', 'a', 'person.tax') = kms_blind_index('tax', 'a', 'company.tax') AS in_scope,
	octet_length(kms_blind_index('tax', 'a', 's')), octet_length(kms_blind_index('tax', 'a', 's', 'none', 16)),
	kms_blind_index('tax', NULL, 's');
SELECT kms_blind_index('tax', 'a', 's', 'upper');
SELECT kms_blind_index('tax', 'a', 's', 'none', 20);
SELECT kms_blind_index('tax', 'a', '');
SELECT kms_blind_index('tax', 'a', NULL);

-- ---- from a device -----------------------------------------------------

CREATE TABLE sent AS SELECT key_id, kms_encrypt(key_id, 'DE 456') AS block, kms_encrypt_jwe(key_id, 'DE 456') AS jwe,
	encode(kms_encrypt_bytea(key_id, '\x00ff'), 'base64') AS bytes
FROM kms_issue_key('fields');
SELECT kms_decrypt_field(kms_decrypt_to_field(key_id, block, 'tax', 'c', 'fields'), 'c'),
	kms_decrypt_field(kms_decrypt_to_field(key_id, jwe, 'tax', 'c', NULL), 'c'),
	kms_decrypt_to_field(key_id, NULL, 'tax', 'c', 'fields'),
	kms_decrypt_to_index(key_id, block, 'tax', 's', 'fields') = kms_blind_index('tax', 'DE 456', 's') AS index,
	kms_decrypt_to_index(key_id, jwe, 'tax', 's', 'fields', 'digits') = kms_blind_index('tax', '456', 's', 'digits') AS folded
FROM sent;
SELECT kms_decrypt_to_field(key_id, bytes, 'tax', 'c', 'fields') FROM sent;
SELECT kms_decrypt_field_bytea(kms_decrypt_to_field(key_id, bytes, 'tax', 'c', 'fields', bytes => true), 'c') FROM sent;
SELECT pg_temp.outcome($$SELECT kms_decrypt_to_field(key_id, block, 'tax', 'c', 'other device') FROM sent$$);
SELECT kms_decrypt_to_field(key_id, block, 'nothing', 'c', 'fields') FROM sent;

-- ---- deny --------------------------------------------------------------

SELECT kms_disable_field_key('tax', 1), kms_disable_field_key('tax', 1);
SELECT kms_decrypt_field(kms_encrypt_field('tax', 'x', ''), '');
SELECT kms_disable_field_key('tax.ann');
SELECT kms_decrypt_field(tax, 'person.tax:4') FROM person WHERE id = '4';
SELECT kms_enable_field_key('tax.ann'), kms_enable_field_key('tax', 1);
SELECT kms_disable_field_key('tax');
SELECT kms_decrypt_field(tax, 'person.tax:4') FROM person WHERE id = '4';
SELECT kms_encrypt_field('tax', 'x', '');
SELECT kms_blind_index('tax.ann', 'x', 's');
SELECT kms_create_field_key('tax.eve');
SELECT field_key, version, state FROM kms.field_keys WHERE field_key LIKE 'tax%' ORDER BY 1, 2;
SELECT kms_enable_field_key('tax');
SELECT kms_disable_field_key('tax', 9);
SELECT kms_disable_field_key('tax', 0);
BEGIN;
SELECT kms_disable_field_key('tax');
SAVEPOINT s;
SELECT kms_encrypt_field('tax', 'x', '');
ROLLBACK;
SELECT kms_decrypt_field(tax, 'person.tax:1') FROM person WHERE id = '1';

-- ---- destroy -----------------------------------------------------------

SELECT kms_destroy_field_key('tax', 1, 'tax');
SELECT kms_destroy_field_key('tax', 1, 'tax/1');
SELECT kms_disable_field_key('tax', 1);
SELECT pg_temp.outcome($$SELECT kms_destroy_field_key('tax', 1, 'tax/1')$$, 'hint');
SET kms.field_destroy_after = 0;
SELECT kms_destroy_field_key('tax', 1, 'tax/1'), kms_destroy_field_key('tax', 1, 'tax/1');
SELECT kms_disable_field_key('tax', 2);
SELECT kms_destroy_field_key('tax', 2, 'tax/2');
SELECT kms_enable_field_key('tax', 2);
SELECT kms_enable_field_key('tax', 1);
SELECT kms_disable_field_key('tax');
SELECT kms_destroy_field_key('tax', NULL, 'tax/all');
SELECT kms_decrypt_field(tax, 'person.tax:4') FROM person WHERE id = '4';
SELECT kms_create_field_key('tax');
SELECT field_key, version, state, wrapped_key, seal IS NOT NULL AS sealed, octet_length(wrapped_under)
FROM kms.field_key WHERE field_key LIKE 'tax%' ORDER BY 1, 2;

-- ---- the trail ---------------------------------------------------------

SELECT kms_flush_events();
SELECT operation, status, reason, key_id, sum(calls) FROM kms.event
WHERE ticket > :before AND operation ~ 'field|index'
GROUP BY 1, 2, 3, 4 ORDER BY 1, 2, 3, 4;

DROP TABLE person, sent;
DELETE FROM kms.key_secret USING kms.key AS k WHERE key_secret.key_id = k.key_id AND k.device_id = 'fields';
DELETE FROM kms.key WHERE device_id = 'fields';
