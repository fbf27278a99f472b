import dataclasses
import json
import re
import unittest
from pathlib import Path
from types import SimpleNamespace

from kms_device_client import DeviceClient, EncryptedMessage, KeyRefused
from support import issued, open_message


class Readme(unittest.TestCase):
    def test_device(self):
        text = (Path(__file__).parents[1] / 'README.md').read_text(encoding='utf-8')
        code = re.search(r'^<!-- device -->\n```python\n(.*?)^```$', text, re.M | re.S).group(1)
        asked, received = [], []

        def answer(status, body):
            return SimpleNamespace(status_code=status, json=lambda: body, raise_for_status=lambda: None)

        def post(path, body):
            sent = json.loads(json.dumps(body))
            if path == '/key':
                asked.append(sent)
                return answer(200, issued(algorithm_used=sent['algorithm'], key_id=f'key_{len(asked)}'))
            received.append(open_message(EncryptedMessage(**sent), 'X25519')[1])
            return answer(409, {'sqlstate': 'KM004'}) if len(received) == 1 else answer(200, {})

        exec(code, {'dataclasses': dataclasses, 'DeviceClient': DeviceClient, 'KeyRefused': KeyRefused,
                    'post': post})
        wanted = {'algorithm': 'X25519', 'oaep_hash': None, 'mgf1_hash': None}
        self.assertEqual((received, asked), (['4711', '4711'], [wanted, wanted]))


if __name__ == '__main__':
    unittest.main()
