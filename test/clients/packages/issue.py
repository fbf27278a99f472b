"""issue_with, with the connections of a driver: psycopg or psycopg2."""
import importlib
import os
import sys

from kms_device_client import DeviceClient, Wanted, issue_with

driver = importlib.import_module(sys.argv[1])
url = os.environ['DATABASE_URL']
device = 'phone-of-' + sys.argv[1]
conn = driver.connect(url)
other = driver.connect(url)


def value(conn, sql, arguments=()):
    with conn.cursor() as cursor:
        cursor.execute(sql, arguments)
        return cursor.fetchone()[0]


issue = issue_with(conn, device)
key = issue(Wanted(algorithm='EC-P256'))
if value(other, 'SELECT count(*) FROM kms.keys WHERE key_id = %s', [key['key_id']]) == 1:
    print('committed')
other.rollback()

value(conn, 'SELECT 1')
try:
    issue()
except RuntimeError:
    print('refused in a transaction')
conn.rollback()

# The error is the driver's own.
client = DeviceClient(issue, algorithm='EC-P256')
submits = []


def submit(message):
    submits.append(message)
    try:
        if len(submits) == 1:
            value(other, 'SELECT kms_revoke_key(%s, %s)', [message.key_id, 'lost'])
            other.commit()
        return value(other, 'SELECT kms_decrypt(%s, %s, %s)', [message.key_id, message.ciphertext, device])
    finally:
        other.rollback()


plaintext = client.send('4711', submit)
if len(submits) == 2:
    print('KM004 is seen')
print(plaintext)
