-- Roles and grants for kms: seven jobs, seven roles.
--
-- The extension makes no roles; these names are only a proposal.  Create the
-- roles once per server, run this file in each database that has the extension,
-- and grant the roles to your services and people:
--
--     CREATE ROLE kms_issuer NOLOGIN;
--     CREATE ROLE kms_decrypter NOLOGIN;
--     CREATE ROLE kms_operator NOLOGIN;
--     CREATE ROLE kms_auditor NOLOGIN;
--     CREATE ROLE kms_custodian NOLOGIN;
--     CREATE ROLE kms_break_glass NOLOGIN;
--     CREATE ROLE kms_monitor NOLOGIN;
--     GRANT kms_issuer TO web_backend;
--
-- The functions are in schema keys (CREATE EXTENSION kms SCHEMA keys), which
-- is in the search_path of the database.  No other role may create objects
-- there.

-- Issuer: talks to devices.  Issues public keys, decrypts nothing.
GRANT USAGE ON SCHEMA keys TO kms_issuer;
GRANT EXECUTE ON FUNCTION kms_issue_key, kms_public_key, kms_jwk, kms_jwks,
    kms_encrypt, kms_encrypt_bytea, kms_encrypt_jwe, kms_key_state,
    kms_key_valid,
    kms_rate_limit_status, kms_jwe_header
    TO kms_issuer;

-- Decrypter: owns the triggers and functions that decrypt.
GRANT USAGE ON SCHEMA keys TO kms_decrypter;
GRANT EXECUTE ON FUNCTION kms_decrypt, kms_decrypt_bytea, kms_try_decrypt,
    kms_try_decrypt_bytea, kms_decrypt_jwe, kms_decrypt_jwe_bytea,
    kms_decrypt_batch, kms_decrypt_batch_bytea, kms_hash_secret, kms_verify_secret,
    kms_decrypt_to_field, kms_decrypt_to_index,
    kms_key_state, kms_key_valid, kms_jwe_header
    TO kms_decrypter;

-- Operator: rotates, disables and revokes keys and keeps the service healthy.
-- Decrypts nothing, and cannot destroy a key at once: only the owner may call
-- kms_destroy_key.  Reads kms.status, which hints of kms_check() name.
GRANT USAGE ON SCHEMA keys, kms TO kms_operator;
GRANT SELECT ON kms.status, kms.progress TO kms_operator;
GRANT EXECUTE ON FUNCTION kms_rotate_key, kms_deprecate_key, kms_disable_key,
    kms_enable_key, kms_revoke_key, kms_schedule_key_deletion,
    kms_cancel_key_deletion, kms_public_key, kms_key_state,
    kms_key_valid, kms_rate_limit_status, kms_metrics_summary,
    kms_problematic_keys, kms_maintain, kms_flush_events,
    kms_master_key_status, kms_rewrap_keys, kms_check, kms_self_test,
    kms_diagnose, kms.read_status, kms.read_progress
    TO kms_operator;

-- Auditor: reads the trail and the views, changes nothing.  Views call
-- functions with the reader's rights, so grant those functions as well.
GRANT USAGE ON SCHEMA keys TO kms_auditor;
GRANT USAGE ON SCHEMA kms TO kms_auditor;
GRANT SELECT ON kms.event, kms.event_quarantine, kms.metric, kms.keys,
    kms.metrics, kms.failure_rates, kms.top_failures, kms.problematic_keys,
    kms.status, kms.progress, kms.field_keys, kms.devices
    TO kms_auditor;
GRANT EXECUTE ON FUNCTION kms_metrics_summary, kms_problematic_keys,
    kms_flush_events, kms_check, kms_audit_head, kms_audit_verify,
    kms_audit_checkpoints,
    kms.read_metrics, kms.read_status, kms.read_progress, kms.renew_at
    TO kms_auditor;

-- Custodian: makes, rotates, disables and destroys field keys.  Encrypts and
-- decrypts nothing.  Granting rights on fields is up to their owner: see
-- docs/howto/roles.md.
GRANT USAGE ON SCHEMA keys, kms TO kms_custodian;
GRANT SELECT ON kms.field_keys TO kms_custodian;
GRANT EXECUTE ON FUNCTION kms_create_field_key, kms_rotate_field_key,
    kms_disable_field_key, kms_enable_field_key, kms_destroy_field_key
    TO kms_custodian;

-- Break-glass: decrypts with refused keys; the reason is recorded.  For a
-- person during an incident, not for a service.
GRANT USAGE ON SCHEMA keys TO kms_break_glass;
GRANT EXECUTE ON FUNCTION kms_decrypt_recover, kms_decrypt_recover_bytea
    TO kms_break_glass;

-- Monitor: reads numbers and the progress of long work, for graphs and alerts.
-- No key, no device, no role.  To give them to all monitoring roles: GRANT
-- kms_monitor TO pg_monitor.
GRANT USAGE ON SCHEMA kms TO kms_monitor;
GRANT SELECT ON kms.counters, kms.gauges, kms.progress TO kms_monitor;
GRANT EXECUTE ON FUNCTION kms.read_counters, kms.read_gauges,
    kms.read_progress TO kms_monitor;
