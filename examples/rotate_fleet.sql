-- Rotate the keys of a whole fleet: of all devices whose key is older than
-- some time, or is not of the algorithm that it should be.
--
-- Run as a role that has kms_operator and kms_auditor (see grants.sql):
--
--   psql -v older_than='180 days' -v algorithm=RSA-3072 -v batch=20 -f rotate_fleet.sql
--
-- It commits every "batch" devices, so it can be stopped, and run again: what
-- is done is found to be done.  Each key takes from 0.1 s (RSA-2048) to some
-- seconds of a core.  Devices ask for their new key when they like: the old
-- one is deprecated, and opens until it expires what was encrypted with it.
-- A device is left alone until its rate limit allows another key.

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
    left_out integer := 0;
BEGIN
    FOR device IN
        SELECT k.device_id, k.app_version, k.key_id FROM kms.keys AS k
        WHERE k.state = 'active'
        AND (k.created_at < clock_timestamp() - $1 OR k.algorithm <> $2)
        ORDER BY k.created_at
    LOOP
        BEGIN
            -- the device may have got another key meanwhile
            IF kms_key_state(device.key_id) = 'active' THEN
                PERFORM kms_rotate_key(device.device_id, device.app_version, $2);
                rotated := rotated + 1;
            END IF;
        EXCEPTION
            -- over the limit, gone, or a row that does not authenticate
            WHEN SQLSTATE 'KM005' OR SQLSTATE 'KM002' OR SQLSTATE 'XX001' THEN
                left_out := left_out + 1;
                RAISE NOTICE 'device % is left out: %', device.device_id, SQLERRM;
        END;
        IF rotated % batch = 0 THEN
            COMMIT;
        END IF;
    END LOOP;
    RAISE NOTICE '% rotated, % left out', rotated, left_out;
END $$;

CALL pg_temp.rotate_fleet(:'older_than', :'algorithm', :batch);
DROP PROCEDURE pg_temp.rotate_fleet;

-- What the fleet has now.
SELECT algorithm, count(*), min(created_at) AS oldest FROM kms.keys
WHERE state = 'active' GROUP BY algorithm ORDER BY algorithm;
