import json
import threading
import unittest
from concurrent.futures import ThreadPoolExecutor

from kms_device_client import DeviceClient, KeyRefused
from support import DAY, START, StandingClock, issued, open_message, time_of


class Refusal(Exception):
    def __init__(self, sqlstate):
        super().__init__('refused')
        self.sqlstate = sqlstate


class OtherError(Exception):
    pass


class Setup:
    """A client whose backend issues key_1, key_2, …; "issue" may change or refuse them."""

    def __init__(self, issue=lambda n: {}, clock=None, **options):
        self.issue = issue
        self.fetches = 0
        self.clock = clock or StandingClock()
        self.errors = []
        self.keys = []
        options.setdefault('on_key', self.keys.append)
        self.client = DeviceClient(self.fetch, _clock=self.clock,
                                   on_renewal_error=lambda error: self.errors.append(str(error)),
                                   **options)

    def fetch(self, wanted):
        self.fetches += 1
        n = self.fetches
        now = START + self.clock.time - 1000
        row = {'key_id': f'key_{n}', 'renew_at': time_of(now + 27 * DAY),
               'expires_at': time_of(now + 30 * DAY), 'server_time': time_of(now)}
        row.update(self.issue(n))
        return issued(**row)

    def key_id(self, _=None):
        return self.client.encrypt('4711').key_id


def down(_=None):
    raise OtherError('backend is down')


def after(n, fail):
    return lambda i: fail() if i > n else {}


class Cache(unittest.TestCase):
    def test_key_is_used_until_renew_at(self):
        setup = Setup()
        self.assertEqual(setup.key_id(), 'key_1')
        setup.clock.time += 27 * DAY - 1
        self.assertEqual(setup.key_id(), 'key_1')
        setup.clock.time += 1
        self.assertEqual(setup.key_id(), 'key_2')

    def test_clock_may_be_wrong_if_the_server_says_its_time(self):
        for wrong in (-400 * DAY, 400 * DAY):
            setup = Setup(clock=StandingClock(START + wrong))
            setup.key_id()
            setup.clock.time += 27 * DAY - 1
            self.assertEqual(setup.key_id(), 'key_1')
            setup.clock.time += 1
            self.assertEqual(setup.key_id(), 'key_2')
            header, _ = open_message(setup.client.encrypt('4711', iat=True))
            self.assertEqual(header['iat'], START + 27 * DAY)

    def test_clock_that_is_set_back_and_sleep(self):
        setup = Setup()
        setup.key_id()
        setup.clock.offset -= 20 * DAY
        setup.clock.time += 27 * DAY
        self.assertEqual(setup.key_id(), 'key_2')

        asleep = Setup()
        asleep.key_id()
        asleep.clock.offset += 27 * DAY
        self.assertEqual(asleep.key_id(), 'key_2')

    def test_slow_fetch(self):
        def issue(n):
            if n > 1:
                down()
            setup.clock.time += 60
            return {}
        setup = Setup(issue)
        setup.key_id()
        setup.clock.time += 27 * DAY - 1
        header, _ = open_message(setup.client.encrypt('4711', iat=True))
        self.assertEqual((setup.fetches, header['iat']), (1, START + 27 * DAY - 1))
        setup.clock.time += 1
        setup.key_id()
        self.assertEqual(setup.fetches, 2)
        setup.clock.time += 3 * DAY - 60
        with self.assertRaisesRegex(OtherError, 'backend is down'):
            setup.key_id()

    def test_own_clock_without_the_servers_time(self):
        setup = Setup(lambda n: {'server_time': None})
        setup.key_id()
        setup.clock.time += 27 * DAY
        self.assertEqual(setup.key_id(), 'key_2')

    def test_clock_that_is_ahead(self):
        setup = Setup(lambda n: {'server_time': None}, StandingClock(START + 400 * DAY))
        for _ in range(5):
            setup.key_id()
        self.assertEqual(setup.fetches, 1)
        setup.clock.time += 60
        setup.key_id()
        self.assertEqual(setup.fetches, 2)

    def test_server_that_does_not_renew(self):
        setup = Setup(lambda n: {'key_id': 'key_1', 'renew_at': time_of(START)})
        for _ in range(5):
            setup.key_id()
        self.assertEqual(setup.fetches, 1)
        setup.clock.time += 60
        for _ in range(5):
            setup.key_id()
        self.assertEqual(setup.fetches, 2)

    def test_failed_renewal_keeps_the_old_key_until_it_expires(self):
        setup = Setup(after(1, down))
        setup.key_id()
        setup.clock.time += 27 * DAY
        self.assertEqual(setup.key_id(), 'key_1')
        self.assertEqual(setup.key_id(), 'key_1')
        self.assertEqual((setup.fetches, setup.errors), (2, ['backend is down']))
        setup.clock.time += 60
        self.assertEqual(setup.key_id(), 'key_1')
        self.assertEqual(setup.fetches, 3)

        setup.clock.time += 3 * DAY - 60 - 1
        self.assertEqual(setup.key_id(), 'key_1')
        setup.clock.time += 1
        for _ in range(2):
            with self.assertRaisesRegex(OtherError, 'backend is down'):
                setup.key_id()

    def test_renewal_that_brings_no_valid_key(self):
        setup = Setup(after(1, lambda: {'algorithm_used': 'X25519'}), algorithm='RSA-2048')
        setup.key_id()
        setup.clock.time += 27 * DAY
        self.assertEqual(setup.key_id(), 'key_1')
        self.assertEqual(len(setup.errors), 1)

    def test_error_of_the_first_fetch(self):
        setup = Setup(lambda n: down() if n == 1 else {})
        with self.assertRaisesRegex(OtherError, 'backend is down'):
            setup.key_id()
        self.assertEqual(setup.key_id(), 'key_2')

    def test_interrupt_of_a_fetch(self):
        def interrupt(n):
            if n == 1:
                raise KeyboardInterrupt
            return {}
        setup = Setup(interrupt)
        with self.assertRaises(KeyboardInterrupt):
            setup.key_id()
        self.assertEqual(setup.key_id(), 'key_2')

    def test_threads_share_a_fetch(self):
        all_here = threading.Barrier(20)
        setup = Setup()

        def call(_):
            all_here.wait()
            return setup.key_id()
        with ThreadPoolExecutor(20) as pool:
            for expected in range(1, 4):
                ids = set(pool.map(call, range(20)))
                self.assertEqual(setup.fetches, expected)
                self.assertIn(f'key_{expected}', ids)
                self.assertEqual(len(setup.keys), expected)
                setup.clock.time += 27 * DAY

    def test_waiting_threads_share_an_error(self):
        go = threading.Event()

        def issue(n):
            go.wait()
            return down()
        setup = Setup(issue)
        with ThreadPoolExecutor(5) as pool:
            results = [pool.submit(setup.key_id) for _ in range(5)]
            while setup.client._flight is None or len(setup.client._flight._condition._waiters) < 4:
                pass
            go.set()
            for result in results:
                self.assertIsInstance(result.exception(), OtherError)
        self.assertEqual(setup.fetches, 1)

    def test_others_go_on_with_the_old_key(self):
        asked, go = threading.Event(), threading.Event()

        def issue(n):
            if n > 1:
                asked.set()
                go.wait()
            return {}
        setup = Setup(issue)
        setup.key_id()
        setup.clock.time += 27 * DAY
        with ThreadPoolExecutor(1) as pool:
            renewal = pool.submit(setup.key_id)
            asked.wait()
            self.assertEqual(setup.key_id(), 'key_1')
            go.set()
            self.assertEqual(renewal.result(), 'key_2')

    def test_forget(self):
        setup = Setup()
        setup.key_id()
        setup.client.forget('key_0')
        self.assertEqual(setup.key_id(), 'key_1')
        setup.client.forget('key_1')
        self.assertEqual(setup.key_id(), 'key_2')
        setup.client.forget()
        self.assertEqual(setup.key_id(), 'key_3')

    def test_saved_key_serves_after_a_restart(self):
        first = Setup()
        first.key_id()
        saved = json.loads(json.dumps(first.keys[0]))
        self.assertNotIn('server_time', saved)

        second = Setup(down, saved_key=saved)
        self.assertEqual(second.key_id(), 'key_1')
        self.assertEqual(second.fetches, 0)
        second.clock.time += 27 * DAY
        self.assertEqual(second.key_id(), 'key_1')
        self.assertEqual(second.fetches, 1)

        for options in ({'saved_key': saved, 'clock': StandingClock(START + 30 * DAY)},
                        {'saved_key': {**saved, 'public_key': ''}}, {'saved_key': 'x'},
                        {'saved_key': saved, 'mgf1_hash': 'sha1',
                         'issue': lambda n: {'mgf1_hash_used': 'sha1'}}):
            third = Setup(**options)
            third.key_id()
            self.assertEqual(third.fetches, 1)

    def test_on_key_may_use_the_client(self):
        ids = []

        def on_key(_):
            # Or it would wait for itself.
            self.assertIsNone(setup.client._flight)
            ids.append(setup.key_id())
        setup = Setup(on_key=on_key)
        self.assertEqual(setup.key_id(), 'key_1')
        setup.clock.time += 27 * DAY
        self.assertEqual(setup.key_id(), 'key_2')
        self.assertEqual(setup.client.send('4711', Submit(1, Refusal('KM004'))), '4711')
        self.assertEqual((ids, setup.fetches), (['key_1', 'key_2', 'key_3'], 3))

    def test_error_of_on_key_passes_through_and_the_key_is_kept(self):
        def full(_):
            raise OtherError('disk is full')
        setup = Setup(on_key=full)
        for expected in ('key_1', 'key_2'):
            with self.assertRaisesRegex(OtherError, 'disk is full'):
                setup.key_id()
            self.assertEqual(setup.key_id(), expected)
            setup.clock.time += 27 * DAY
        self.assertEqual((setup.fetches, setup.errors), (2, []))


class Submit:
    """Refuses the first messages."""

    def __init__(self, times, error):
        self.times, self.error, self.sent = times, error, []

    def __call__(self, message):
        self.sent.append(message.key_id)
        if len(self.sent) <= self.times:
            raise self.error
        return open_message(message)[1]


def error_of_psycopg2(sqlstate):
    error = OtherError()
    error.pgcode = sqlstate
    return error


def error_of_sqlalchemy(sqlstate):
    error = OtherError()
    error.orig = error_of_psycopg2(sqlstate)
    return error


def error_with_a_cause(sqlstate):
    error = OtherError()
    error.__cause__ = Refusal(sqlstate)
    return error


class Send(unittest.TestCase):
    def refusals(self):
        yield Refusal('KM003'), {}
        yield Refusal('KM004'), {}
        yield KeyRefused('KM003'), {}
        yield error_of_psycopg2('KM004'), {}
        yield error_of_sqlalchemy('KM003'), {}
        yield error_with_a_cause('KM004'), {}
        yield OtherError('KM003'), {'sqlstate_of': lambda error: error.args[0]}

    def test_another_key_once(self):
        for error, options in self.refusals():
            with self.subTest(error):
                setup, submit = Setup(**options), Submit(1, error)
                self.assertEqual(setup.client.send('4711', submit), '4711')
                self.assertEqual((submit.sent, setup.fetches), (['key_1', 'key_2'], 2))
                self.assertEqual(setup.key_id(), 'key_2')

    def test_second_refusal_passes_through(self):
        for error, options in self.refusals():
            with self.subTest(error):
                setup, submit = Setup(**options), Submit(2, error)
                with self.assertRaises(type(error)):
                    setup.client.send('4711', submit)
                self.assertEqual(submit.sent, ['key_1', 'key_2'])
                self.assertEqual(setup.key_id(), 'key_3')

    def test_other_errors_pass_through(self):
        for sqlstate in ('KM001', 'KM002', 'KM005', 'KM007', 'KM008', 'KM009', '22023', '57P01', None):
            with self.subTest(sqlstate):
                error = Refusal(sqlstate)
                setup, submit = Setup(), Submit(9, error)
                with self.assertRaises(Refusal) as raised:
                    setup.client.send('4711', submit)
                self.assertIs(raised.exception, error)
                self.assertEqual((submit.sent, setup.fetches), (['key_1'], 1))
                # A key that is not found was destroyed.
                self.assertEqual(setup.key_id(), 'key_2' if sqlstate == 'KM002' else 'key_1')

    def test_same_key_is_not_sent_again(self):
        setup, submit = Setup(lambda n: {'key_id': 'key_1'}), Submit(9, Refusal('KM004'))
        with self.assertRaises(Refusal):
            setup.client.send('4711', submit)
        self.assertEqual((submit.sent, setup.fetches), (['key_1'], 2))

    def test_refused_key_does_not_serve_if_there_is_no_other(self):
        setup = Setup(after(1, down))
        with self.assertRaisesRegex(OtherError, 'backend is down'):
            setup.client.send('4711', Submit(1, Refusal('KM004')))
        with self.assertRaisesRegex(OtherError, 'backend is down'):
            setup.key_id()

    def test_many_refusals_share_a_fetch(self):
        setup = Setup()
        setup.key_id()
        all_here = threading.Barrier(20)
        sent = []

        def submit(message):
            sent.append(message.key_id)
            if message.key_id == 'key_1':
                all_here.wait()
                raise Refusal('KM004')
        with ThreadPoolExecutor(20) as pool:
            list(pool.map(lambda _: setup.client.send('4711', submit), range(20)))
        self.assertEqual((setup.fetches, len(sent)), (2, 40))

    def test_fetch_that_began_before_the_refusal(self):
        asked, go = threading.Event(), threading.Event()

        def issue(n):
            if n == 2:
                asked.set()
                go.wait()
                return {'key_id': 'key_1'}
            return {}
        setup = Setup(issue)
        setup.key_id()
        setup.clock.time += 27 * DAY

        def submit(message):
            if message.key_id == 'key_1':
                go.set()
                raise Refusal('KM004')
            return message.key_id
        with ThreadPoolExecutor(1) as pool:
            renewal = pool.submit(setup.key_id)
            asked.wait()
            self.assertEqual(setup.client.send('4711', submit), 'key_3')
            renewal.result()


if __name__ == '__main__':
    unittest.main()
