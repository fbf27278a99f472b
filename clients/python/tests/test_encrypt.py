import traceback
import unittest
from datetime import datetime, timezone

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

from kms_device_client import (DeviceClient, InvalidKey, SecretTooLong, UnsupportedForm, Wanted,
                               issue_with)
from support import issued, jwk, open_message, pem, private_key

JWK_ONLY = {'public_key': None, 'algorithm_used': None, 'oaep_hash_used': None, 'mgf1_hash_used': None}


def client_of(changes=None, **options):
    return DeviceClient(lambda wanted: issued(**(changes or {})), **options)


class Encrypt(unittest.TestCase):
    def test_jwe_for_each_algorithm(self):
        for algorithm in ('RSA-2048', 'RSA-3072', 'RSA-4096', 'EC-P256', 'X25519'):
            client = client_of({'algorithm_used': algorithm})
            for secret in ('', 'Größe 密码 🔑', 'x' * 20000):
                with self.subTest(algorithm, size=len(secret)):
                    message = client.encrypt(secret)
                    header, text = open_message(message, algorithm)
                    self.assertEqual(text, secret)
                    self.assertEqual(message.key_id, 'key_1')
                    header.pop('epk', None)
                    self.assertEqual(header, {
                        'alg': 'RSA-OAEP-256' if algorithm.startswith('RSA') else 'ECDH-ES',
                        'enc': 'A256GCM', 'kid': 'key_1'})

    def test_alg_is_that_of_the_digests(self):
        for oaep, mgf1, alg, digest in (('sha1', 'sha1', 'RSA-OAEP', 'sha1'),
                                        ('sha384', 'sha384', 'RSA-OAEP-384', 'sha384'),
                                        ('sha512', 'sha512', 'RSA-OAEP-512', 'sha512'),
                                        ('sha256', 'sha1', 'RSA-OAEP-256', 'sha256'),
                                        ('sha224', 'sha224', 'RSA-OAEP-256', 'sha256')):
            client = client_of({'oaep_hash_used': oaep, 'mgf1_hash_used': mgf1})
            header, text = open_message(client.encrypt('4711'), digest=digest)
            self.assertEqual((header['alg'], text), (alg, '4711'))

    def test_block_has_the_digests_of_the_key(self):
        for oaep in ('sha1', 'sha224', 'sha256', 'sha384', 'sha512'):
            for mgf1 in ('sha1', 'sha256', 'sha512'):
                client = client_of({'oaep_hash_used': oaep, 'mgf1_hash_used': mgf1}, form='block')
                message = client.encrypt('4711')
                self.assertEqual(open_message(message, digest=oaep, mgf1=mgf1)[1], '4711')

    def test_block_has_the_label(self):
        message = client_of().encrypt('4711', form='block', label=b'pin')
        self.assertEqual(open_message(message, label=b'pin')[1], '4711')
        with self.assertRaises(ValueError):
            open_message(message)

    def test_longest_block_and_a_byte_more(self):
        for digest, limit in (('sha1', 214), ('sha256', 190), ('sha512', 126)):
            client = client_of({'oaep_hash_used': digest, 'mgf1_hash_used': digest}, form='block')
            self.assertEqual(open_message(client.encrypt('a' * limit), digest=digest)[1], 'a' * limit)
            with self.assertRaisesRegex(SecretTooLong, 'the form "jwe"') as raised:
                client.encrypt('a' * (limit + 1))
            error = raised.exception
            self.assertEqual((error.size, error.limit), (limit + 1, limit))
            self.assertNotIn('aaa', str(error))

    def test_keys_without_a_block(self):
        for changes in ({'algorithm_used': 'EC-P256'},
                        {'oaep_hash_used': 'sha512-224', 'mgf1_hash_used': 'sha512-224'},
                        {**JWK_ONLY, 'jwk': jwk('RSA-2048')}):
            client = client_of(changes, form='block')
            with self.subTest(changes):
                # Newer versions of the package cryptography may have SHA-512/224.
                try:
                    message = client.encrypt('4711')
                except UnsupportedForm as error:
                    self.assertIn('the form "jwe"', str(error))
                else:
                    self.assertEqual(changes['oaep_hash_used'], 'sha512-224', message)

    def test_header_has_a_purpose_and_a_time(self):
        header, _ = open_message(client_of().encrypt('4711', header={'purpose': 'login'}, iat=True))
        self.assertEqual(header['purpose'], 'login')
        self.assertIsInstance(header['iat'], int)

    def test_arguments_that_do_harm(self):
        client = client_of()
        reserved = [{'header': {name: 'x'}} for name in ('alg', 'enc', 'kid', 'epk', 'apu', 'apv', 'crit',
                                                         'zip', 'jwk', 'jku', 'x5u', 'x5c')]
        for options in [{'purpose': 'login'}, {'form': 'JWE'}, {'label': b'x'},
                        {'form': 'block', 'header': {}}, {'form': 'block', 'iat': True},
                        {'form': 'block', 'label': 'pin'}, {'header': []}, {'header': {1: 'x'}},
                        {'iat': True, 'header': {'iat': 1}}, {'header': {'x': float('nan')}}] + reserved:
            with self.subTest(options), self.assertRaises((TypeError, ValueError)):
                client.encrypt('4711', **options)
        for arguments in ([], [1]):
            with self.assertRaises(TypeError):
                DeviceClient(*arguments)
        for options in ({'form': 'oaep'}, {'retry_seconds': -1}):
            with self.assertRaises(ValueError):
                client_of(**options)

    def test_secret_that_is_no_text_is_not_shown(self):
        fetches = []
        client = DeviceClient(lambda wanted: fetches.append(1) or issued())
        for secret in (4711, None, ['4711'], {'pin': '4711'}, '4711\ud83d'):
            with self.assertRaises((TypeError, ValueError)) as raised:
                client.encrypt(secret)
            # Not even by the errors behind it, as UnicodeEncodeError would.
            error = raised.exception
            self.assertIsNone(error.__context__)
            self.assertNotIn('4711', repr(error))
            self.assertNotIn('4711', ''.join(traceback.format_exception_only(type(error), error)))
        self.assertEqual(fetches, [])
        for secret in (b'4711', bytearray(b'4711'), memoryview(b'4711')):
            self.assertEqual(open_message(client.encrypt(secret))[1], '4711')

    def test_jwk_stands_for_the_pem(self):
        for algorithm, alg, digest in (('RSA-2048', 'RSA-OAEP', 'sha1'), ('RSA-3072', 'RSA-OAEP-384', 'sha384'),
                                       ('RSA-2048', None, 'sha256'), ('EC-P256', 'ECDH-ES', None),
                                       ('X25519', 'ECDH-ES', None)):
            key = {**jwk(algorithm), 'kid': 'key_1', 'use': 'enc', **({'alg': alg} if alg else {})}
            client = client_of({**JWK_ONLY, 'jwk': key}, algorithm=algorithm)
            header, text = open_message(client.encrypt('4711'), algorithm, digest)
            self.assertEqual((header['alg'], text), (alg or 'RSA-OAEP-256', '4711'))

    def test_what_is_not_taken_for_a_key(self):
        rsa_2048 = private_key('RSA-2048')
        other = rsa.generate_private_key(65537, 2048).public_key()
        pkcs8 = rsa_2048.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8,
                                       serialization.NoEncryption()).decode()
        pkcs1 = rsa_2048.public_key().public_bytes(serialization.Encoding.PEM,
                                                   serialization.PublicFormat.PKCS1).decode()
        n = other.public_numbers().n
        other_jwk = {**jwk('RSA-2048'), 'n': jwk('RSA-3072')['n']}
        for what, changes, options in [
                ('no key id', {'key_id': None}, {}),
                ('a key id with a blank', {'key_id': 'key 1'}, {}),
                ('a key id with a line feed', {'key_id': 'key_1\n'}, {}),
                ('a key id that is too long', {'key_id': 'k' * 129}, {}),
                ('no key', {'public_key': None}, {}),
                ('no PEM', {'public_key': 'key'}, {}),
                ('bytes', {'public_key': issued()['public_key'].encode()}, {}),
                ('a private key', {'public_key': pkcs8}, {}),
                ('PKCS#1', {'public_key': pkcs1}, {}),
                ('two keys', {'public_key': pem(rsa_2048.public_key()) * 2}, {}),
                ('something else', {'public_key': '-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n'}, {}),
                ('RSA of 1024 bits', {'public_key': pem(rsa.generate_private_key(65537, 1024).public_key())}, {}),
                ('RSASSA-PSS', {'public_key': RSASSA_PSS}, {}),
                ('another curve', {'public_key': pem(ec.generate_private_key(ec.SECP384R1()).public_key())}, {}),
                ('an explicit curve', {'algorithm_used': 'EC-P256', 'public_key': EXPLICIT}, {}),
                ('Ed25519', {'public_key': pem(ed25519.Ed25519PrivateKey.generate().public_key())}, {}),
                ('another size than it says', {'algorithm_used': 'RSA-3072', 'public_key': issued()['public_key']}, {}),
                ('another type than it says', {'algorithm_used': 'X25519', 'public_key': issued()['public_key']}, {}),
                ('no algorithm', {'algorithm_used': None}, {}),
                ('no digests', {'oaep_hash_used': None, 'mgf1_hash_used': None}, {}),
                ('one digest', {'mgf1_hash_used': None}, {}),
                ('an unknown digest', {'oaep_hash_used': 'md5'}, {}),
                ('a digest for a curve', {'algorithm_used': 'X25519', 'oaep_hash_used': 'sha1'}, {}),
                ('no times', {'renew_at': None}, {}),
                ('a time that never comes', {'expires_at': 'infinity'}, {}),
                ('a time without its zone', {'expires_at': '2026-12-30 12:00:00'}, {}),
                ('a datetime without its zone', {'expires_at': datetime(2026, 12, 30)}, {}),
                ('a date that does not exist', {'expires_at': '2026-13-30 12:00:00Z'}, {}),
                ('a JWK of another key', {'jwk': {**jwk('RSA-2048'), 'n': base64url_of(n)}}, {}),
                ('a JWK that is private', {'jwk': {**jwk('RSA-2048'), 'd': 'AQAB'}}, {}),
                ('a JWK of another id', {'jwk': {**jwk('RSA-2048'), 'kid': 'key_2'}}, {}),
                ('a JWK for signatures', {'jwk': {**jwk('RSA-2048'), 'use': 'sig'}}, {}),
                ('a JWK with other digests', {'jwk': {**jwk('RSA-2048'), 'alg': 'RSA-OAEP'}}, {}),
                ('a JWK of another size', {'jwk': other_jwk}, {}),
                ('a JWK with PKCS#1 v1.5', {**JWK_ONLY, 'jwk': {**jwk('RSA-2048'), 'alg': 'RSA1_5'}}, {}),
                ('a JWK with the alg of a curve', {**JWK_ONLY, 'jwk': {**jwk('RSA-2048'), 'alg': 'ECDH-ES'}}, {}),
                ('a JWK that is a text', {**JWK_ONLY, 'jwk': '{}'}, {}),
                ('a JWK of an unknown type', {**JWK_ONLY, 'jwk': {'kty': 'AKP'}}, {}),
                ('a JWK with padding', {**JWK_ONLY, 'jwk': {**jwk('X25519'), 'x': jwk('X25519')['x'] + '='}}, {}),
                ('a JWK with no base64url', {**JWK_ONLY, 'jwk': {**jwk('X25519'), 'x': 'A'}}, {}),
                ('a short coordinate', {**JWK_ONLY, 'jwk': {**jwk('EC-P256'), 'x': 'AQAB'}}, {}),
                ('a point off the curve', {**JWK_ONLY, 'jwk': {**jwk('EC-P256'), 'y': jwk('EC-P256')['x']}}, {}),
                ('a point of small order', {**JWK_ONLY, 'jwk': {**jwk('X25519'), 'x': 'A' * 43}}, {}),
                ('another algorithm than asked for', {}, {'algorithm': 'RSA-3072'}),
                ('another digest than asked for', {}, {'oaep_hash': 'sha512'}),
                ('another MGF1 digest than asked for', {'mgf1_hash_used': 'sha1'}, {'mgf1_hash': 'sha256'})]:
            with self.subTest(what), self.assertRaises(InvalidKey):
                client_of(changes, **options).encrypt('4711')
        for row in (None, 'key', []):
            with self.assertRaises(InvalidKey):
                DeviceClient(lambda wanted, row=row: row).encrypt('4711')

    def test_times_as_postgresql_json_and_drivers_write_them(self):
        for time in ('2036-12-30 12:00:00+00', '2036-12-30 13:30:00.123456+01:30', '2036-12-30T12:00:00.5Z',
                     '2036-12-30 12:00:00-0330', datetime(2036, 12, 30, tzinfo=timezone.utc)):
            client_of({'expires_at': time}).encrypt('4711')


class Connection:
    """The part of a connection that issue_with uses."""

    class Info:
        transaction_status = 0

    def __init__(self, error=None):
        self.info = self.Info()
        self.log = []
        self.error = error
        self.description = [(name,) for name in issued()]

    def cursor(self):
        return self

    def connection(self):
        return self

    def __enter__(self):
        return self

    def __exit__(self, *args):
        return None

    def execute(self, sql, arguments):
        self.log.append(arguments)
        self.sql = sql
        if self.error:
            raise self.error

    def fetchone(self):
        return tuple(issued().values())

    def commit(self):
        self.log.append('commit')

    def rollback(self):
        self.log.append('rollback')


class IssueWith(unittest.TestCase):
    def test_asks_for_what_is_wanted_and_commits(self):
        conn = Connection()
        issue = issue_with(conn, 'phone-1', app_version='2.3', schema='my"keys%')
        DeviceClient(issue, oaep_hash='sha256').encrypt('4711')
        issue(Wanted(algorithm='RSA-2048'))
        self.assertEqual(conn.log, [['phone-1', '2.3', None, 'sha256', None], 'commit',
                                    ['phone-1', '2.3', 'RSA-2048', None, None], 'commit'])
        self.assertIn('FROM "my""keys%%".kms_issue_key(', conn.sql)

    def test_rolls_back_after_an_error(self):
        conn = Connection(RuntimeError('down'))
        with self.assertRaisesRegex(RuntimeError, 'down'):
            issue_with(conn, 'phone-1')()
        self.assertEqual(conn.log[1:], ['rollback'])

    def test_refuses_a_transaction(self):
        conn = Connection()
        conn.info.transaction_status = 2
        with self.assertRaisesRegex(RuntimeError, 'in a transaction'):
            issue_with(conn, 'phone-1')()
        self.assertEqual(conn.log, [])

    def test_a_device_id_is_a_str(self):
        with self.assertRaises(TypeError):
            issue_with(Connection(), 17)


def base64url_of(number):
    from support import base64url
    return base64url(number.to_bytes((number.bit_length() + 7) // 8, 'big'))


# Made by openssl: genpkey -algorithm RSA-PSS; ecparam -param_enc explicit.
RSASSA_PSS = """\
-----BEGIN PUBLIC KEY-----
MIIBIDALBgkqhkiG9w0BAQoDggEPADCCAQoCggEBAJ0RMMhTwiapkWigLISFuVt6
DfFPCh2c+3Qmzzzs1V+PbvuhQ8HFBeOGCCCjVmRTFWXq4IheS4cquKWjip5oZed/
Yz8Ogc/nERxer/Oa79F3NWuv9aVGk70wUSEozHyafGH34k7PCf+n6xSxCIRMPrgi
ZdRT4l3MPPIGlGaiqgwvPA6EFR0shFhS5SD+hqWJiPk623VP0BGHzb6LiV+bfpkI
CxM9Q7OgKDhuyGhwAI7iWiy2o4W9H/HTjgYcnU9jfGr+lHn/kDiOVH6Sdxyd1dEG
m5uEiWgFSXDXTIZkycXVUK+De+SAQuAPZbAI4wYSrfDf7z/+TdrnNmVHCWpx/YEC
AwEAAQ==
-----END PUBLIC KEY-----
"""
EXPLICIT = """\
-----BEGIN PUBLIC KEY-----
MIIBSzCCAQMGByqGSM49AgEwgfcCAQEwLAYHKoZIzj0BAQIhAP////8AAAABAAAA
AAAAAAAAAAAA////////////////MFsEIP////8AAAABAAAAAAAAAAAAAAAA////
///////////8BCBaxjXYqjqT57PrvVV2mIa8ZR0GsMxTsPY7zjw+J9JgSwMVAMSd
NgiG5wSTamZ44ROdJreBn36QBEEEaxfR8uEsQkf4vOblY6RA8ncDfYEt6zOg9KE5
RdiYwpZP40Li/hp/m47n60p8D54WK84zV2sxXs7LtkBoN79R9QIhAP////8AAAAA
//////////+85vqtpxeehPO5ysL8YyVRAgEBA0IABMVbJkSy/YvlSMfBtwirrEbr
F+vtya5i3ZGVCV2AiRhH93SxSO0M/hCvc961B37qziJiauNEUnhVsT7Xc73kX1w=
-----END PUBLIC KEY-----
"""


if __name__ == '__main__':
    unittest.main()
