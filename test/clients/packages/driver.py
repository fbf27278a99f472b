"""Does with the package what packages.pl says, line by line in JSON."""
import json
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

from kms_device_client import DeviceClient, KeyRefused

state = {'fetches': 0, 'submits': 0}


def psql(sql, **variables):
    ran = subprocess.run(
        ['psql', '-XAtq', '-v', 'ON_ERROR_STOP=1', '-v', 'VERBOSITY=verbose', '-d', sys.argv[1]]
        + [part for name, value in variables.items() for part in ('-v', f'{name}={value or ""}')],
        input=sql, capture_output=True, encoding='utf-8')
    if ran.returncode == 0:
        return ran.stdout.rstrip('\n')
    raise KeyRefused(re.search(r'ERROR:  (\w{5}):', ran.stderr).group(1))


def fetch_key(wanted):
    state['fetches'] += 1
    return json.loads(psql(state['fetch'], algorithm=wanted.algorithm, oaep_hash=wanted.oaep_hash,
                           mgf1_hash=wanted.mgf1_hash))


def submit(message):
    state['submits'] += 1
    return psql(state['submit'], key_id=message.key_id, ciphertext=message.ciphertext)


def options_of(command):
    options = dict(command.get('options', {}))
    if 'label' in options:
        options['label'] = bytes.fromhex(options['label'])
    return options


def make_client(command):
    state['fetches'] = 0
    state['client'] = DeviceClient(fetch_key, **options_of(command))


def encrypt(command):
    secret = command['secret']
    secret = bytes.fromhex(secret['hex']) if 'hex' in secret else secret['text']

    def one(_):
        message = state['client'].encrypt(secret, **options_of(command))
        return [message.key_id, message.form, message.ciphertext]
    times = command.get('times', 1)
    with ThreadPoolExecutor(times) as pool:
        return list(pool.map(one, range(times)))


def send(command):
    state['submits'] = 0
    return state['client'].send(command['secret']['text'], submit, **options_of(command))


actions = {'client': make_client, 'encrypt': encrypt, 'send': send}
for line in sys.stdin:
    command = json.loads(line)
    state.update(command.get('sql', {}))
    answer = {}
    try:
        answer['result'] = actions[command['do']](command)
    except Exception as error:
        answer['error'] = {'name': type(error).__name__, 'message': str(error),
                           'sqlstate': getattr(error, 'sqlstate', None)}
    print(json.dumps({**answer, 'fetches': state['fetches'], 'submits': state['submits']}), flush=True)
