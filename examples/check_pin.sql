-- Check a PIN: the application sends ciphertexts, gets true or false, and
-- never sees a PIN or a hash.
--
-- Run as the owner of the application's tables, who has kms_decrypter (see
-- grants.sql).  The application is role web, which has no right to decrypt.
-- Count failed attempts: kms.verify_failure_limit = 5 in postgresql.conf.

CREATE TABLE login (
    account text PRIMARY KEY,
    device_id text NOT NULL,
    pin_hash text NOT NULL
);

-- Sets the PIN of an account, of that device's key alone.  Who may set one is
-- for the application to decide.
CREATE FUNCTION login_set_pin(account text, device_id text, key_id text,
    pin text) RETURNS void
LANGUAGE sql SECURITY DEFINER SET search_path = keys, public, pg_temp
AS $$
    INSERT INTO login AS l (account, device_id, pin_hash)
    VALUES ($1, $2, kms_hash_secret($3, $4, device_id => $2))
    ON CONFLICT (account) DO UPDATE
    SET device_id = EXCLUDED.device_id, pin_hash = EXCLUDED.pin_hash
$$;

-- Never NULL.  An account that is not there has no hash: that is false, too,
-- takes as long, and counts.  (As long as a hash of login_set_pin: while there
-- are hashes of another cost from elsewhere, the time tells.)  After too many failures of an account it raises
-- KM009 until the window is over, for the right PIN also.  (It does not insist
-- on the account's own device: KM002 would tell that there is the account.)
CREATE FUNCTION login_check_pin(account text, key_id text, pin text)
RETURNS boolean
LANGUAGE sql SECURITY DEFINER SET search_path = keys, public, pg_temp
AS $$
    SELECT kms_verify_secret($2, $3,
        (SELECT l.pin_hash FROM login AS l WHERE l.account = $1),
        subject => $1)
$$;

REVOKE ALL ON FUNCTION login_set_pin, login_check_pin FROM PUBLIC;
GRANT EXECUTE ON FUNCTION login_set_pin, login_check_pin TO web;
