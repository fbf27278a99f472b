"""Issue keys through a connection to the database, for backends."""
from __future__ import annotations

from contextlib import nullcontext
from typing import Any, Callable, Optional

from ._key import Wanted

_IDLE = 0


def issue_with(connections: Any, device_id: str, *, app_version: Optional[str] = None,
               schema: Optional[str] = None) -> Callable[..., dict[str, Any]]:
    """Return a function that issues the key of a device; its argument may be a Wanted.

    connections: a connection of psycopg or psycopg2, or a pool of psycopg_pool.  The function
    commits, because a rollback after the device has its key would take the key away; so a
    connection must not be in a transaction.
    """
    if not isinstance(device_id, str):
        raise TypeError('a device id is a str')
    sql = _statement(schema)

    def issue(wanted: Wanted = Wanted()) -> dict[str, Any]:
        if hasattr(connections, 'cursor'):
            connection = nullcontext(connections)
        else:
            connection = connections.connection()
        with connection as conn:
            if conn.info.transaction_status != _IDLE:
                raise RuntimeError('the connection is in a transaction')
            try:
                with conn.cursor() as cursor:
                    cursor.execute(sql, [device_id, app_version, wanted.algorithm,
                                         wanted.oaep_hash, wanted.mgf1_hash])
                    names = [column[0] for column in cursor.description]
                    row = cursor.fetchone()
            except BaseException:
                conn.rollback()
                raise
            conn.commit()
        return dict(row) if isinstance(row, dict) else dict(zip(names, row))
    return issue


def _statement(schema: Optional[str]) -> str:
    """Times are text in UTC, so that the row can go to a device as JSON."""
    name = '' if schema is None else '"' + schema.replace('"', '""').replace('%', '%%') + '".'

    def utc(time: str) -> str:
        return f"""to_char({time} AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')"""
    return (f'SELECT key_id, public_key, {utc("expires_at")} AS expires_at,'
            f' {utc("renew_at")} AS renew_at, algorithm_used, oaep_hash_used, mgf1_hash_used,'
            f' {utc("clock_timestamp()")} AS server_time'
            f' FROM {name}kms_issue_key(%s, %s, %s, %s, %s)')
