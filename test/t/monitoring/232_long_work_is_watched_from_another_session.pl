# kms.progress shows work that takes long: which process, in which database, in
# which phase, and how far it is.  After a cancel, an error, a terminate or a
# kill the row is gone.  A session that waits gets notices.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../../perl";
use IPC::Run;
use KmsClient;
use KmsRotation;
use KmsTest;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = KmsTest->node('progress', conf => <<CONF);
kms.maintenance = off
kms.maintenance_interval = 1s
kms.audit_checkpoint_interval = 1s
kms.progress_interval = 0
kms.field_destroy_after = 0
restart_after_crash = on
CONF
$node->sql('CREATE DATABASE other');
$node->safe_psql($_, 'CREATE EXTENSION kms') foreach 'postgres', 'other';

# Return the rows of a process as another database sees them, once there is one
# that meets the condition.
sub row_of
{
	my ($pid, $condition) = @_;
	return KmsTest::poll(
		sub {
			$node->safe_psql('other',
				"SELECT database, operation, phase, done, coalesce(total::text, 'unknown')
				FROM kms.progress WHERE pid = $pid AND $condition");
		});
}

sub rows
{
	return $node->safe_psql('other', 'SELECT count(*) FROM kms.progress');
}

# Return whether the process waits for a lock.
sub waits
{
	my $pid = shift;
	return KmsTest::poll(
		sub {
			$node->sql("SELECT wait_event_type = 'Lock' FROM pg_stat_activity WHERE pid = $pid") eq 't';
		});
}

# Begin a transaction that holds this lock.
my $holder = KmsClient->session($node, 'postgres');

sub hold
{
	my $sql = shift;
	$holder->query("BEGIN; $sql");
	is($holder->{state}, '00000', "a session holds: $sql");
}

# ---- Verifying, which waits for the key of the first signature -----------------

is(rows(), 0, 'nothing is in progress');
$node->sql("SELECT count(kms_try_decrypt('none', 'AAAA')) FROM generate_series(1, 20);
	SELECT kms_flush_events()");
KmsTest::poll(
	sub {
		$node->sql('SELECT FROM kms_maintain()');
		$node->sql('SELECT count(*) > 0 FROM kms.event_checkpoint') eq 't';
	}) or die 'not signed';
hold('LOCK TABLE kms.audit_key');
$node->sql("SELECT count(kms_try_decrypt('none', 'AAAA')) FROM generate_series(1, 20);
	SELECT kms_flush_events()");
my $signed = $node->sql('SELECT min(ticket) FROM kms.event_checkpoint');
my $last = $node->sql('SELECT max(ticket) FROM kms.event');
cmp_ok($last, '>', $signed, "$signed of $last events are signed");

my $session = KmsClient->session($node, 'postgres');
my $verifying = "postgres|kms_audit_verify|verifying events|$signed|$last";
$session->send('SELECT intact FROM kms_audit_verify()');
is(row_of($session->{pid}, "done = $signed"), $verifying, 'verifying is shown in another database');
is( $node->safe_psql('other',
		"SELECT started_at BETWEEN xact_start - interval '1 minute' AND now() FROM kms.progress AS p, pg_stat_activity AS a
		WHERE p.pid = a.pid"), 't', 'with its start');

$node->sql("SELECT pg_cancel_backend($session->{pid})");
$session->receive;
is($session->{state}, '57014', 'a verification is cancelled');
is(rows(), 0, 'its row is gone after the cancel');

$session->query(q{SET lock_timeout = '10ms'; BEGIN; SAVEPOINT s; SELECT kms_audit_verify()});
is($session->{state}, '55P03', 'a verification fails');
is(rows(), 0, 'its row is gone after the error, before the transaction ends');
is( $session->query(q{ROLLBACK TO s; DO $$ BEGIN PERFORM kms_audit_verify();
		EXCEPTION WHEN lock_not_available THEN NULL; END $$;
		SELECT count(*) FROM kms.progress}), '0', 'so it is after an error that was caught');
is($session->{state}, '00000', 'and the transaction goes on');
$session->query(q{COMMIT; RESET lock_timeout});

$session->send('SELECT intact FROM kms_audit_verify()');
is(row_of($session->{pid}, "done = $signed"), $verifying, 'a verification runs');
$node->sql("SELECT pg_terminate_backend($session->{pid}, 180000)");
is(rows(), 0, 'its row is gone with its process');

# ---- More of them than there are slots ---------------------------------------------

my $script = PostgreSQL::Test::Utils::tempdir() . '/verify.sql';
append_to_file($script, "SELECT intact FROM kms_audit_verify();\n");
my ($output, $errors) = ('', '');
my $many = IPC::Run::start(
	[ qw(pgbench -n -c 65 -t 1 -f), $script, $node->connstr('postgres') ],
	'<', '/dev/null', '>', \$output, '2>', \$errors);
ok( KmsTest::poll(
		sub {
			$node->sql(q{SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'
				AND query ~ 'kms_audit_verify'}) eq '65';
		}),
	'65 sessions verify');
is(rows(), 64, '64 of them are shown');
$holder->query('COMMIT');
ok($many->finish, 'all of them end') or diag($errors);
is(rows(), 0, 'no row is left');

# ---- Forgetting a device, with notices ----------------------------------------------

# Forget a device for which another session is making a key; returns the notices.
sub forget
{
	my $settings = shift;

	$node->sql("SELECT FROM kms_issue_key('phone'); SELECT kms_flush_events()");
	hold(q{SELECT FROM kms_rotate_key('phone')});
	$session->query($settings);
	$session->{err} = '';
	$session->send(q{SELECT keys FROM kms_forget_device('phone')});
	is( row_of($session->{pid}, "phase = 'waiting for the device'"),
		'postgres|kms_forget_device|waiting for the device|0|unknown', 'forgetting waits');
	ok(waits($session->{pid}), 'for another session');
	$holder->query('COMMIT');
	is($session->receive, '2', 'the device is forgotten');
	return $session->{err};
}

$session = KmsClient->session($node, 'postgres');
my $notices = forget(q{SET kms.progress_interval = '1ms'});
like($notices, qr/^NOTICE:.*kms_forget_device: destroying keys: 0 of 2 done after \d+ s$/m,
	'the next phase is told');
unlike($notices, qr/phone|key_/, 'without an id');
is(forget($_), '', "no notice after $_")
  foreach q{SET kms.progress_interval = 0},
  q{SET kms.progress_interval = '1ms'; SET client_min_messages = warning};

# ---- Destroying a field with a key for each person ------------------------------------

$node->sql(q{SELECT kms_create_field_key('tax'), kms_create_field_key('tax.a'), kms_create_field_key('tax.b');
	SELECT kms_disable_field_key('tax')});
hold(q{SELECT FROM kms.field_key WHERE field_key = 'tax.b' FOR UPDATE});
$session->send(q{SELECT kms_destroy_field_key('tax', NULL, 'tax/all')});
like(row_of($session->{pid}, 'done > 0'),
	qr/^postgres\|kms_destroy_field_key\|destroying versions\|[1-9]\|\d+$/, 'destroying waits for one of the keys');
$holder->query('COMMIT');
is($session->receive, 'destroyed', 'all are destroyed');
is(rows(), 0, 'no row is left');

# ---- Another master key -----------------------------------------------------------------

$node->sql(q{SELECT FROM kms_issue_key('one'); SELECT FROM kms_issue_key('two')});
KmsRotation::put_first($node, 'new');
hold(q{SELECT FROM kms.key WHERE device_id = 'one' FOR UPDATE});
cmp_ok($node->sql('SELECT kms_rewrap_keys()'), '>=', 1, 'the other keys are moved');
$session->send(q{SELECT kms_rewrap_keys()});
is( row_of($session->{pid}, "phase = 'waiting for another session'"),
	'postgres|kms_rewrap_keys|waiting for another session|0|unknown', 'rewrapping waits for the last key');
$holder->query('COMMIT');
cmp_ok($session->receive, '>=', 1, 'the last key is moved');

# ---- Maintenance, by hand and by the worker ------------------------------------------------

hold('LOCK TABLE kms.maintenance');
$session->send('SELECT count(*) FROM kms_maintain()');
is(row_of($session->{pid}, 'true'), 'postgres|kms_maintain|starting|0|unknown', 'maintenance by hand is shown');
$node->set('kms.maintenance' => 'on');
ok( KmsTest::poll(
		sub {
			$node->safe_psql('other', q{SELECT count(*) FROM kms.progress AS p, pg_stat_activity AS a
				WHERE p.pid = a.pid AND backend_type = 'kms maintenance'
				AND operation = 'maintenance' AND database = 'postgres'}) > 0;
		}),
	'so is that of the worker');
$holder->query('COMMIT');
is($session->receive, '11', 'maintenance goes on');
$node->set('kms.maintenance' => 'off');
ok(KmsTest::poll(sub { rows() eq '0' }), 'no row is left');

# ---- A crash -----------------------------------------------------------------------------

hold('LOCK TABLE kms.audit_key');
$session->send('SELECT intact FROM kms_audit_verify()');
row_of($session->{pid}, 'done > 0');
kill 'KILL', $session->{pid};
ok(KmsTest::poll(sub { slurp_file($node->logfile) =~ /all server processes terminated; reinitializing/ }),
	'the server restarts');
KmsClient::wait_until_up($node);
is(rows(), 0, 'no row survives a crash');

$node->stop;
done_testing();
