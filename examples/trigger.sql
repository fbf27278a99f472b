-- Decrypt on insert: the application sends ciphertexts, a trigger decrypts
-- them, and the table stores only the part that you need.
--
-- Run this as the owner of the application's tables, who is a member of
-- kms_decrypter (see grants.sql).  The application is role web, which has no
-- right to decrypt.

CREATE TABLE card (
    card_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    device_id text NOT NULL,
    key_id text NOT NULL,
    number text NOT NULL        -- comes as a ciphertext, stays as ****1111
);

-- SECURITY DEFINER, because it decrypts with its owner's right.  Keep the
-- number out of messages and constraints, because PostgreSQL prints a row that
-- violates a constraint.
CREATE FUNCTION card_open() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = keys, public, pg_temp
AS $$
DECLARE
    plain text;
BEGIN
    plain := kms_decrypt(NEW.key_id, NEW.number, device_id => NEW.device_id);
    IF plain !~ '^[0-9]{12,19}$' THEN
        RAISE EXCEPTION 'not a card number' USING ERRCODE = 'check_violation';
    END IF;
    NEW.number := repeat('*', 4) || right(plain, 4);
    RETURN NEW;
END $$;

REVOKE ALL ON FUNCTION card_open FROM PUBLIC;

CREATE TRIGGER card_open BEFORE INSERT OR UPDATE OF device_id, key_id, number
ON card FOR EACH ROW EXECUTE FUNCTION card_open();

GRANT SELECT, INSERT (device_id, key_id, number) ON card TO web;

-- The application then runs
--   INSERT INTO card (device_id, key_id, number) VALUES ($1, $2, $3)
-- and gets the error of kms_decrypt (KM001 …) if the ciphertext cannot be
-- decrypted.  The failure is recorded even though the INSERT is rolled back.
