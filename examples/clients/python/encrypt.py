"""Encrypt a secret for the key that the database handed out.

python3 encrypt.py sha1 sha1 public.pem < secret
"""
import base64
import sys

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding

DIGESTS = {'sha1': hashes.SHA1(), 'sha256': hashes.SHA256()}


def encrypt(public_key, plaintext, digest, mgf1_digest):
    """public_key: SPKI PEM, as bytes.  plaintext: bytes; of a str its UTF-8,
    that is secret.encode()."""
    key = serialization.load_pem_public_key(public_key)
    oaep_hash = DIGESTS[digest]
    # Check here, because the library's own error does not name the cause.
    limit = key.key_size // 8 - 2 * oaep_hash.digest_size - 2
    if len(plaintext) > limit:
        raise ValueError(f'the secret is too long: {len(plaintext)} bytes,'
                         f' the key takes {limit}')
    # Never use PKCS1v15, which kms refuses.
    oaep = padding.OAEP(mgf=padding.MGF1(DIGESTS[mgf1_digest]),
                        algorithm=oaep_hash, label=None)
    return base64.b64encode(key.encrypt(plaintext, oaep)).decode()


if __name__ == '__main__':
    _, digest, mgf1_digest, key_file = sys.argv
    with open(key_file, 'rb') as file:
        public_key = file.read()
    try:
        print(encrypt(public_key, sys.stdin.buffer.read(), digest, mgf1_digest))
    except ValueError as error:
        sys.exit(str(error))
