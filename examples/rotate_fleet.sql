-- Rotate the keys of a whole fleet: of all devices whose key is too old or has
-- another algorithm than the one you name.
--
-- Only devices with an RSA key are rotated.  Each of them gets one new key, with
-- the digests of the old one if you name an RSA algorithm.  A rotation
-- deprecates the device's keys of all kinds: an app that needs another kind
-- gets its next key when it asks for one.
--
-- Run this as a member of kms_operator and kms_auditor (see grants.sql):
--
--   psql -v older_than='180 days' -v algorithm=RSA-3072 -v batch=20 -f rotate_fleet.sql
--
-- The procedure commits after each "batch" of devices, so you can stop it and
-- run it again: it skips devices that are done.  Each key takes from 0.1 s
-- (RSA-2048) to some seconds of a core.  Devices may request their new key at
-- any time, because the old one is deprecated and decrypts until it expires.  A
-- device over its rate limit is skipped until the limit allows another key.

\if :{?older_than} \else \set older_than '180 days' \endif
\if :{?algorithm} \else \set algorithm 'RSA-2048' \endif
\if :{?batch} \else \set batch 20 \endif

CREATE PROCEDURE pg_temp.rotate_fleet(older_than interval, algorithm text,
    batch integer)
LANGUAGE plpgsql
AS $$
DECLARE
    device record;
    rotated integer := 0;
    skipped integer := 0;
BEGIN
    FOR device IN
        SELECT k.device_id, k.app_version, k.key_id, k.oaep_hash, k.mgf1_hash
        FROM kms.keys AS k
        WHERE k.state = 'active' AND k.algorithm LIKE 'RSA-%'
        AND (k.created_at < clock_timestamp() - $1 OR k.algorithm <> $2)
        ORDER BY k.created_at
    LOOP
        BEGIN
            -- skip the device if it has got another key in the meantime
            IF kms_key_state(device.key_id) = 'active' THEN
                PERFORM kms_rotate_key(device.device_id, device.app_version, $2,
                    CASE WHEN $2 LIKE 'RSA-%' THEN device.oaep_hash END,
                    CASE WHEN $2 LIKE 'RSA-%' THEN device.mgf1_hash END);
                rotated := rotated + 1;
            END IF;
        EXCEPTION
            -- over the limit, deleted, or a row that does not authenticate
            WHEN SQLSTATE 'KM005' OR SQLSTATE 'KM002' OR SQLSTATE 'XX001' THEN
                skipped := skipped + 1;
                RAISE NOTICE 'device % is skipped: %', device.device_id, SQLERRM;
        END;
        IF rotated % batch = 0 THEN
            COMMIT;
        END IF;
    END LOOP;
    RAISE NOTICE '% rotated, % skipped', rotated, skipped;
END $$;

CALL pg_temp.rotate_fleet(:'older_than', :'algorithm', :batch);
DROP PROCEDURE pg_temp.rotate_fleet;

-- Count the keys of the fleet by algorithm.
SELECT algorithm, count(*), min(created_at) AS oldest FROM kms.keys
WHERE state = 'active' GROUP BY algorithm ORDER BY algorithm;
