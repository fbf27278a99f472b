"""Encrypt secrets for keys of kms, a key management service in PostgreSQL."""
from ._client import DeviceClient
from ._encrypt import EncryptedMessage
from ._errors import InvalidKey, KeyRefused, SecretTooLong, UnsupportedForm
from ._key import Wanted
from ._sql import issue_with

__all__ = ['DeviceClient', 'EncryptedMessage', 'InvalidKey', 'KeyRefused', 'SecretTooLong',
           'UnsupportedForm', 'Wanted', 'issue_with']
