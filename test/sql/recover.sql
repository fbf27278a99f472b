-- Break-glass: kms_decrypt_recover opens keys that others refuse, with a reason, and records it.
\set SHOW_CONTEXT never

\i test/include/outcome.sql

SET kms.key_lifetime = '1s';
SELECT key_id FROM kms_issue_key('recover-1') \gset
RESET kms.key_lifetime;
SELECT kms_encrypt(:'key_id', 'old') AS c, kms_encrypt(:'key_id', 'old', 'sha256') AS c256,
	kms_encrypt(:'key_id', 'old', label => 'l') AS labelled \gset
SELECT key_id AS valid_id FROM kms_issue_key('recover-2') \gset
SELECT kms_encrypt(:'valid_id', 'new') AS valid_c \gset
SELECT pg_sleep(1.1); -- until a key has expired

SELECT kms_key_state(:'key_id');
SELECT pg_temp.outcome(format('SELECT kms_decrypt(%L, %L)', :'key_id', :'c'));
SELECT kms_decrypt_recover(:'key_id', :'c', 'ticket 17');
SELECT convert_from(kms_decrypt_recover_bytea(:'key_id', decode(:'c', 'base64'),
	'ticket 17', 'recover-1'), 'UTF8');
SELECT kms_decrypt_recover(:'key_id', :'c256', 'ticket 17', NULL, 'sha256'),
	kms_decrypt_recover(:'key_id', :'labelled', 'ticket 17', label => 'l');
-- kms_decrypt_recover opens valid keys as well
SELECT kms_decrypt_recover(:'valid_id', :'valid_c', 'ticket 18');
-- it opens no key of another device, and no ciphertext of another key
SELECT pg_temp.outcome(format('SELECT kms_decrypt_recover(%L, %L, ''ticket 19'', ''recover-2'')',
	:'key_id', :'c'));
SELECT pg_temp.outcome(format('SELECT kms_decrypt_recover(%L, %L, ''ticket 20'')',
	:'key_id', :'valid_c'));

-- the reason is mandatory: 1 to 255 bytes, one line
SELECT pg_temp.outcome(format('SELECT kms_decrypt_recover(%L, %L, %L)', :'key_id', :'c', r))
FROM (VALUES (NULL), (''), (E'two\nlines'), (repeat('r', 256))) AS v (r);
SELECT kms_decrypt_recover(:'key_id', :'c', repeat('ü', 127) || 'r');

-- each call is recorded as "recover", with its reason
SELECT kms_flush_events();
SELECT operation, status, left(reason, 25) AS reason, device_id,
	left(context, 9) AS context, octet_length(context), count(*)
FROM kms.event WHERE key_id IN (:'key_id', :'valid_id') AND operation = 'recover'
GROUP BY 1, 2, 3, 4, 5, 6 ORDER BY 2 DESC, 5;
