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

-- the content of a JWE may be binary, and kms_decrypt_recover_bytea takes its bytes
SELECT kms_import_key('recover-3', '-----BEGIN PRIVATE KEY-----
MC4CAQAwBQYDK2VuBCIEIBhtRBBh2zdZUuLses5XK+Tbe/24bG1c+l2wLsFpWZZX
-----END PRIVATE KEY-----', 'recover_jwe');
SELECT 'eyJhbGciOiJFQ0RILUVTIiwiZW5jIjoiQTI1NkdDTSIsImVwayI6eyJrdHkiOiJPS1AiLCJjcnYiOiJYMjU1MTkiLCJ4IjoiaFZGTFA4ZkFvZkMxNmtZTjQxbmdMQ3ZxOEJvSnFaY1hrR295NkVwbjhHOCJ9fQ' AS head,
	'vauJGKA8W1Axb9Do' AS iv, 'h3KRqw' AS content, 'peLKs_p91x_Zh6WbQsHnXA' AS tag \gset
SELECT concat_ws('.', :'head', '', :'iv', :'content', :'tag') AS jwe,
	format('{"protected":"%s", "iv":"%s", "ciphertext":"%s", "tag":"%s"}', :'head', :'iv', :'content', :'tag') AS json \gset
SELECT kms_disable_key('recover_jwe');
SELECT pg_temp.outcome(format('SELECT kms_decrypt_recover(''recover_jwe'', %L, ''ticket 21'')', :'jwe'), 'hint');
SELECT kms_decrypt_recover_bytea('recover_jwe', convert_to(:'jwe', 'UTF8'), 'ticket 21', 'recover-3') AS compact,
	kms_decrypt_recover_bytea('recover_jwe', convert_to(E' \n' || :'json', 'UTF8'), 'ticket 21') AS json;
SELECT name, pg_temp.outcome(format('SELECT kms_decrypt_recover_bytea(''recover_jwe'', %L, ''ticket 22''%s)', bytes, more))
FROM (VALUES (1, 'one part too long', convert_to(:'jwe' || 'A', 'UTF8'), ''),
	(2, 'other content', convert_to(replace(:'jwe', :'content', 'h3KRqg'), 'UTF8'), ''),
	(3, 'a digest', convert_to(:'jwe', 'UTF8'), ', oaep_hash => ''sha1'''),
	(4, 'another device', convert_to(:'jwe', 'UTF8'), ', ''recover-1'''),
	(5, 'a byte above 127 makes it a block', convert_to(:'jwe', 'UTF8') || '\x80', '')) AS v (n, name, bytes, more) ORDER BY n;
-- each form has its limit
SELECT length(kms_decrypt_recover_bytea(:'valid_id', convert_to(kms_encrypt_jwe(:'valid_id', repeat('x', 20000)), 'UTF8'), 'ticket 23'));
SELECT pg_temp.outcome(format('SELECT kms_decrypt_recover_bytea(''recover_jwe'', repeat(%L, %s)::bytea, ''ticket 24'')', c, n), 'detail')
FROM (VALUES (1, 'x', 20000), (2, '.', 70000), (3, 'x', 70000)) AS v (i, c, n) ORDER BY i;

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
