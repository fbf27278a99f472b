'use strict';

const PROPERTIES = ['algorithm', 'oaepHash', 'mgf1Hash'];

// Times as text in UTC, whatever types the driver makes of timestamptz, so that
// the row can go to a device as JSON.
function statement(schema) {
  const name = schema === undefined ? '' : `"${schema.replaceAll('"', '""')}".`;
  const utc = (time) => `to_char(${time} AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"')`;
  return `SELECT key_id, public_key, ${utc('expires_at')} AS expires_at, ${utc('renew_at')} AS renew_at,
    algorithm_used, oaep_hash_used, mgf1_hash_used, ${utc('clock_timestamp()')} AS server_time
    FROM ${name}kms_issue_key($1, $2, $3, $4, $5)`;
}

// For a backend: return a function that issues the key of a device through a
// pool of node-postgres.  Its argument may name the properties that the key must
// have, as "fetchKey" of a DeviceClient does.
function issueWithPg(pool, deviceId, { appVersion, schema } = {}) {
  // A client may be in a transaction, now or later, and does not say so.  A
  // rollback would take away a key that the device has already.
  if (typeof pool?.totalCount !== 'number') throw new TypeError('"pool" is not a pool of node-postgres');
  if (typeof deviceId !== 'string') throw new TypeError('a device id is a string');
  const sql = statement(schema);
  return async (wanted = {}) => {
    const { rows: [key] } = await pool.query(sql,
      [deviceId, appVersion ?? null, ...PROPERTIES.map((name) => wanted[name] ?? null)]);
    return key;
  };
}

module.exports = { issueWithPg };
