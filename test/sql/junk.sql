-- Junk for the key id of a device neither costs the device its key for nothing nor locks it out.
SELECT key_id AS other_id FROM kms_issue_key('junk-other') \gset
SELECT kms_encrypt(:'other_id', 'junk') AS junk \gset

-- malformed input of every kind is no failed decryption
SELECT key_id AS id FROM kms_issue_key('junk-form') \gset
SELECT count(*) AS refused FROM generate_series(1, 50),
	unnest(ARRAY['', '****', 'AAAA', 'c3BhbQ==', repeat('A', 343), repeat('A', 4000)]) AS c
WHERE kms_try_decrypt(:'id', c) IS NULL;
SELECT count(*) AS refused FROM generate_series(1, 50)
WHERE kms_try_decrypt_bytea(:'id', '\x00') IS NULL;
SELECT count(*) AS refused FROM generate_series(1, 50)
WHERE kms_try_decrypt(:'id', :'junk', device_id => 'junk-other') IS NULL;
SELECT kms_flush_events();
SELECT count(*) FROM kms_problematic_keys(0, 1) WHERE device_id = 'junk-form';

-- a device that has used up its limit, and then is sent junk of the right form
SELECT key_id AS id FROM kms_issue_key('junk-form') \gset
DO $$ BEGIN FOR i IN 1 .. 4 LOOP PERFORM kms_rotate_key('junk-form'); END LOOP; END $$;
SELECT used, allowed FROM kms_rate_limit_status('junk-form');
SELECT key_id AS id FROM kms_issue_key('junk-form') \gset
SELECT kms_encrypt(:'id', 'in flight') AS c \gset
SELECT count(*) AS refused FROM generate_series(1, 20) WHERE kms_try_decrypt(:'id', :'junk') IS NULL;
SELECT kms_flush_events();
SELECT count(*) > 0 AS maintained FROM kms_maintain();
SELECT kms_key_state(:'id'), kms_decrypt(:'id', :'c');
-- gets another key, once, which the limit does not count
SELECT key_id AS new_id, reused FROM kms_issue_key('junk-form') \gset
SELECT :'new_id' <> :'id' AS another, :'reused' AS reused;
SELECT used FROM kms_rate_limit_status('junk-form');
SELECT count(*) AS refused FROM generate_series(1, 20) WHERE kms_try_decrypt(:'new_id', :'junk') IS NULL;
SELECT kms_flush_events();
SELECT count(*) > 0 AS maintained FROM kms_maintain();
-- the device keeps that key for a day, even if more junk is sent
SELECT key_id = :'new_id' AS same, reused FROM kms_issue_key('junk-form');
SELECT kms_decrypt(:'new_id', kms_encrypt(:'new_id', 'still open'));
