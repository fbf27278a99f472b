-- Many ciphertexts in one call: one row each, even if some are wrong.
SELECT key_id AS a FROM kms_issue_key('batch-a') \gset
SELECT key_id AS b FROM kms_issue_key('batch-b') \gset
SELECT kms_encrypt(:'a', 'one') AS one, kms_encrypt(:'b', 'two') AS two,
	encode(kms_encrypt_bytea(:'a', '\xff'), 'base64') AS binary \gset
SELECT kms_flush_events();
SELECT coalesce(max(ticket), 0) AS before FROM kms.event \gset

SELECT * FROM kms_decrypt_batch(
	ARRAY[:'a', :'b', :'a', NULL, 'no key', 'key_0000000000000_000000000000000000000000', :'a', :'a', :'a', :'b'],
	ARRAY[:'one', :'two', :'two', :'one', :'one', :'one', NULL, 'AAAA', :'binary', :'two']);
-- each is a call of its own in the trail, except a NULL ciphertext
SELECT kms_flush_events();
SELECT operation, status, reason, key_id IS NOT NULL AS key, device_id, count(*)
FROM kms.event WHERE ticket > :before GROUP BY 1, 2, 3, 4, 5
ORDER BY 1, 2, 3, 4, 5;

-- a column, joined again by the position
CREATE TEMP TABLE inbox (id int PRIMARY KEY, key_id text, body text);
INSERT INTO inbox VALUES (7, :'a', :'one'), (9, :'b', :'two'), (12, :'b', 'junk');
WITH batch AS (
	SELECT array_agg(id ORDER BY id) AS ids, array_agg(key_id ORDER BY id) AS key_ids,
		array_agg(body ORDER BY id) AS bodies FROM inbox)
SELECT ids[d.position] AS id, d.plaintext, d.sqlstate
FROM batch, kms_decrypt_batch(key_ids, bodies) AS d ORDER BY 1;

-- arguments: the arrays
SELECT * FROM kms_decrypt_batch('{}', '{}');
SELECT * FROM kms_decrypt_batch(NULL, '{}');
SELECT * FROM kms_decrypt_batch('{a}', '{a,b}');
SELECT * FROM kms_decrypt_batch('{{a}}', '{{b}}');
SELECT * FROM kms_decrypt_batch(array_fill('a'::text, '{100001}'), array_fill('b'::text, '{100001}'));
-- subscripts need not begin with 1
SELECT "position", plaintext FROM kms_decrypt_batch(('[5:5]={' || :'a' || '}')::text[], ARRAY[:'one']);
-- a result larger than work_mem stays in memory, because plaintext must not get into temporary files
SELECT kms_encrypt(:'a', repeat('x', 190)) AS long \gset
SELECT temp_files AS files FROM pg_stat_database WHERE datname = current_database() \gset
SET work_mem = '64kB';
SELECT count(plaintext), sum(length(plaintext)) FROM kms_decrypt_batch(
	array_fill(:'a'::text, '{600}'), array_fill(:'long'::text, '{600}'));
RESET work_mem;
SELECT pg_stat_force_next_flush();
SELECT pg_stat_clear_snapshot();
SELECT temp_files - :files AS files FROM pg_stat_database WHERE datname = current_database();
