# If it is known that nothing can write the trail, a call under kms.audit =
# required does not wait for kms.audit_timeout.  When the cause is gone, calls
# work.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../../perl";
use KmsAudit;
use KmsClient;
use KmsTest;
use PostgreSQL::Test::Utils;
use Test::More;

my $audit = KmsAudit->new('certain', init => [ allows_streaming => 1 ],
	conf => 'kms.reserved_writers = 0');
my $node = $audit->{node};
my $results = $audit->results;
$audit->mode('required', KmsAudit::LONG_TIMEOUT);

# Test that all calls are refused at once, and that the error says why.
sub refused
{
	my ($what, $why, $session) = @_;
	my @wrong;

	$session ||= $audit->{session};
	foreach my $name (sort keys %$results)
	{
		my $outcome = $audit->call($results->{$name}, $session);
		push @wrong, "$name: $outcome->{state}, \"$outcome->{rows}\", $outcome->{seconds} s"
		  if $outcome->{state} ne 'KM008' || $outcome->{rows} ne '' ||
		  $outcome->{seconds} > KmsTest::AT_ONCE;
	}
	is_deeply(\@wrong, [], "$what: calls are refused at once");
	$session->{err} = '';
	$audit->call($results->{decrypt}, $session);
	like($session->{err}, qr/KM008: operation could not be audited\s+DETAIL:  $why/,
		"$what: the error says why");
}

sub works
{
	my ($what) = @_;
	ok( KmsTest::poll(sub { $audit->call($results->{decrypt})->{rows} eq 'secret' }),
		"$what: it works again");
}

# ---- A table is not there ------------------------------------------------

foreach my $table (qw(event event_epoch metric))
{
	my $what = "kms.$table is gone";

	$audit->sql("ALTER TABLE kms.$table RENAME TO hidden");
	refused($what, 'The event writer cannot work');
	like($audit->findings,
		qr/^error: the event writer failed last at .*"?kms.$table"? does not exist.*^error: tables or indexes of kms are missing: kms.$table \(/ms,
		"$what: kms_check() says so");
	like($audit->status('writer last error'), qr/"?kms.$table"? does not exist$/,
		"$what: so does kms.status");
	$audit->sql("ALTER TABLE kms.hidden RENAME TO $table");
	works($what);
	unlike($audit->findings, qr/event writer|missing|not checked/,
		"$what: kms_check() has no complaint left");
}

# Refused at once, calls record nothing for which a writer would be started.
ok(KmsTest::poll(sub { !$audit->running('kms writer') }), 'a writer without work leaves');
$audit->sql('ALTER TABLE kms.event_epoch RENAME TO hidden');
$audit->sql("SELECT kms_issue_key('new')");
ok( KmsTest::poll(sub { $audit->call($results->{decrypt})->{state} eq 'KM008' }),
	'a call fails while a writer has a change to write');
$audit->sql("SELECT pg_terminate_backend(pid, 180000) FROM pg_stat_activity
	WHERE backend_type = 'kms writer'");
$audit->sql('ALTER TABLE kms.hidden RENAME TO event_epoch');
works('after the end of such a writer');
is($audit->intact, 'intact', 'the trail is intact');

# ---- The extension is not there, or about to go --------------------------

my $admin = KmsClient->session($node, 'postgres');
my $dropper = KmsClient->session($node, 'postgres');
my @callers = map { KmsClient->session($node, 'postgres') } 1 .. 3;

$admin->query('BEGIN; LOCK TABLE kms.event IN SHARE MODE');
$_->send($results->{decrypt}) foreach @callers;
ok($audit->wait_until_waiting($_), 'a call waits') foreach @callers;
my $start = time;
$dropper->send('DROP EXTENSION kms');
is($_->receive, '', 'DROP EXTENSION ends that with nothing') foreach @callers;
is("@{[ map { $_->{state} } @callers ]}", 'KM008 KM008 KM008', 'a call during DROP EXTENSION fails with KM008');
cmp_ok(time - $start, '<=', KmsTest::AT_ONCE, 'a call during DROP EXTENSION fails at once');
$admin->query('ROLLBACK');
$dropper->receive;
is($dropper->{state}, '00000', 'the extension is dropped then');
$audit->call($results->{decrypt});
is($audit->{session}{state}, '42883', 'its functions are gone');

$audit->call('BEGIN');
$audit->call('CREATE EXTENSION kms');
$start = time;
$audit->call(q{SELECT kms_encrypt((kms_issue_key('early')).key_id, 'x')});
is($audit->{session}{state}, 'KM008', 'nobody records for an extension that is not committed');
cmp_ok(time - $start, '<=', KmsTest::AT_ONCE, 'the call without a committed extension fails at once');
$audit->call('ROLLBACK');
$audit->sql('CREATE EXTENSION kms');
$audit->make_keys;
$results = $audit->results;
is($audit->call($results->{decrypt})->{rows}, 'secret', 'the new extension works');
is($audit->sql('SELECT min(ticket), count(DISTINCT epoch) FROM kms.event'), '1|1',
	'its trail has its own calls only');
$_->quit foreach $admin, $dropper, @callers;

# ---- No process that could write -----------------------------------------

sub restart
{
	my ($processes) = @_;
	$audit->{session}->quit;
	$node->append_conf('postgresql.conf', "max_worker_processes = $processes");
	$node->restart;
	$audit->connect;
}

# One slot is for PostgreSQL's own worker, one for the launcher.
restart(2);
refused('no slot for a writer', 'The event writer cannot work');
is_deeply([ grep { !/^issue of a new key/ } $audit->failing_changes ], [],
	'no slot for a writer: changes are made');
like($audit->findings, qr/^error: the event writer .*max_worker_processes/m,
	'no slot for a writer: kms_check() says what to raise');

# The only slot may be taken by another worker for a while.
$node->append_conf('postgresql.conf', 'kms.key_pool_size = 0');
restart(3);
my $holder = KmsClient->session($node, 'postgres');
$holder->query("SELECT set_config(name, 'on', false) FROM pg_settings
	WHERE name IN ('force_parallel_mode', 'debug_parallel_query')");
ok( KmsTest::poll(
		sub {
			$holder->send('SELECT pg_sleep(3600)');
			$node->poll_query_until('postgres', "SELECT count(*) = 1 FROM pg_stat_activity
				WHERE wait_event = 'PgSleep' AND $holder->{pid} IN (pid, leader_pid)")
			  or die 'nobody sleeps';
			return 1 if $audit->running('parallel worker');
			$audit->sql("SELECT pg_cancel_backend($holder->{pid})");
			$holder->receive;
			return 0;
		}),
	'another worker has the last slot');
refused('another worker has the last slot', 'The event writer cannot work');
$audit->sql("SELECT pg_cancel_backend($holder->{pid})");
works('the slot is free');
$holder->receive;
$holder->quit;

restart(1);
$start = time;
my $outcome = $audit->call($results->{decrypt});
like($outcome->{state}, qr/^KM00[78]$/, 'no launcher: nothing is decrypted');
cmp_ok($outcome->{seconds}, '<=', KmsTest::AT_ONCE, 'no launcher: the call fails at once');
is_deeply(
	[ grep { $_ !~ /^KM00[78]$/ } map { $audit->call($results->{$_})->{state} } keys %$results ],
	[], 'no launcher: all calls are refused');
like($audit->findings, qr/^error: the launcher of kms does not run/m,
	'no launcher: kms_check() says so');
is($audit->call("SELECT kms_disable_key('$audit->{key}')")->{rows}, 'disabled',
	'no launcher: a key can be disabled');
restart(8);
$audit->call("SELECT kms_enable_key('$audit->{key}')");
works('workers can start');
$audit->sql('SELECT kms_flush_events()');
is($audit->intact, 'intact', 'the trail is intact');

# ---- A standby -----------------------------------------------------------

my $standby = KmsTest->standby($node, 'standby');
$node->wait_for_catchup('standby', 'replay', $node->lsn('insert'));
my $reader = KmsClient->session($standby, 'postgres');
refused('standby', 'A standby records nothing', $reader);
is($reader->query("SELECT kms_key_state('$audit->{key}')"), 'active',
	'standby: what needs no event works');
is($standby->safe_psql('postgres', "SELECT value FROM kms.status WHERE item = 'standby successes'"),
	'0', 'standby: nothing was handed out');

# Its administrator may decide otherwise.
$standby->append_conf('postgresql.conf', 'kms.audit = best_effort');
$standby->reload;
ok(KmsTest::poll(sub { $reader->query($results->{decrypt}) eq 'secret' }),
	'standby: best_effort serves');
$standby->append_conf('postgresql.conf', 'kms.audit = required');
$standby->reload;
KmsTest::poll(sub { $reader->query($results->{decrypt}) eq '' });

my $ticket = $audit->sql('SELECT kms_flush_events(); SELECT max(ticket) FROM kms.event') =~ s/\s//gr;
$node->wait_for_catchup('standby', 'replay', $node->lsn('insert'));
$audit->{session}->quit;
$node->stop;
$standby->promote;
ok(KmsTest::poll(sub { $reader->query($results->{decrypt}) eq 'secret' }),
	'promotion: a session of before is served');
cmp_ok(
	$standby->safe_psql('postgres',
		"SELECT min(ticket) FROM kms.event WHERE ticket > $ticket AND operation = 'decrypt'"),
	'>', $ticket, 'promotion: its call is in the trail, and tickets go on');
is( $standby->safe_psql('postgres',
		'SELECT count(*) = max(ticket) - min(ticket) + 1 FROM kms.event'),
	't', 'after the promotion the trail has no gap');
$reader->quit;
$standby->stop;
done_testing();
