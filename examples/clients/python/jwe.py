"""Encrypt a secret as a JWE for a key from kms_jwk().

python3 jwe.py key.jwk [ALG [ENC]] < secret
"""
import sys

from jwcrypto.common import JWException
from jwcrypto.jwe import JWE
from jwcrypto.jwk import JWK


def encrypt(jwk, plaintext, alg=None, enc='A256GCM'):
    """jwk: JSON, as a str.  plaintext: bytes; of a str its UTF-8, that is
    secret.encode()."""
    key = JWK.from_json(jwk)
    header = {'alg': alg or key.get('alg') or 'RSA-OAEP-256', 'enc': enc,
              'kid': key['kid']}
    return JWE(plaintext, protected=header, recipient=key).serialize(compact=True)


if __name__ == '__main__':
    with open(sys.argv[1], encoding='utf-8') as file:
        jwk = file.read()
    try:
        print(encrypt(jwk, sys.stdin.buffer.read(), *sys.argv[2:]))
    except JWException as error:
        sys.exit(str(error))
