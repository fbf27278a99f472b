-- Check a PIN: the application sends ciphertexts, gets true or false, and
-- never sees a PIN or a hash.
--
-- Run this as the owner of the application's tables, who is a member of
-- kms_decrypter (see grants.sql).  The application is role web, which has no
-- right to decrypt.  To limit failed attempts, set kms.verify_failure_limit = 5
-- in postgresql.conf.

CREATE TABLE login (
    account text PRIMARY KEY,
    device_id text NOT NULL,
    pin_hash text NOT NULL
);

-- Set the PIN of an account.  The ciphertext must be for a key of that device.
-- The application decides which users may set a PIN.
CREATE FUNCTION login_set_pin(account text, device_id text, key_id text,
    pin text) RETURNS void
LANGUAGE sql SECURITY DEFINER SET search_path = keys, public, pg_temp
AS $$
    INSERT INTO login AS l (account, device_id, pin_hash)
    VALUES ($1, $2, kms_hash_secret($3, $4, device_id => $2))
    ON CONFLICT (account) DO UPDATE
    SET device_id = EXCLUDED.device_id, pin_hash = EXCLUDED.pin_hash
$$;

-- Return whether the PIN is right; never NULL.
--
-- * An account that does not exist has no hash.  The result is false, takes the
--   same time, and counts as a failure.  (If the table has hashes of another
--   cost from another system, the time tells whether an account exists.)
-- * After too many failures of an account it raises KM009 until the window is
--   over, even for the right PIN.
-- * It accepts keys of other devices, because KM002 would tell that the account
--   exists.
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
