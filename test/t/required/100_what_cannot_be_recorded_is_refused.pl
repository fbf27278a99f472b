# While the trail cannot be written, whatever keeps it from that, no call hands
# out a result that needs an event there (kms.audit = required), or every call
# does so without waiting (best_effort); changes are made in both.  Once it can
# be written again it holds every call.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../../perl";
use KmsAudit;
use KmsClient;
use KmsTest;
use PostgreSQL::Test::Utils;
use Test::More;

my $audit = KmsAudit->new('refused', conf => 'kms.reserved_writers = 0');
my $node = $audit->{node};
my $results = $audit->results;
my $failures = $audit->failures;
my $malformed = $audit->malformed;
my $short = 200;    # ms

# ---- In health -----------------------------------------------------------

$audit->mode('required', KmsAudit::LONG_TIMEOUT);
foreach my $name (sort keys %$results)
{
	$audit->call("SET application_name = 'healthy $name'");
	my $outcome = $audit->call($results->{$name});
	is($outcome->{state}, '00000', "in health: $name works");
	is($audit->in_trail("healthy $name"), '1',
		'in health: the event is in the trail when a call returns');
}
my ($state, $sql) = @{ $failures->{'decrypt of damaged bytes'} };
$audit->call("SET application_name = 'healthy failure'");
is($audit->call($sql)->{state}, $state, 'in health: a failing call fails');
is($audit->in_trail('healthy failure'), '1', 'in health: a failure is in the trail when it is raised');
ok(KmsTest::poll(sub { !$audit->running('kms writer') }),
	'a writer without work leaves');
is($audit->call($results->{decrypt})->{rows}, 'secret', 'a call has it started');

# ---- While the trail cannot be written -----------------------------------

my ($admin, $stopped);

sub lock_table
{
	my ($table) = @_;
	return sub {
		$admin->query("BEGIN; LOCK TABLE $table IN ACCESS EXCLUSIVE MODE");
	};
}
sub unlock { $admin->query('ROLLBACK'); }

sub halt
{
	my ($pid) = @_;
	kill 'STOP', $stopped = $pid;
}
sub resume { kill 'CONT', $stopped if $stopped; undef $stopped; }
END { resume() }

$admin = KmsClient->session($node, 'postgres');
foreach my $fault (
	[ 'the writer is stopped', sub { halt($audit->writer) }, \&resume ],
	[ 'the trail is locked', lock_table('kms.event'), \&unlock ],
	[ 'the metrics are locked', lock_table('kms.metric'), \&unlock ],
	[ 'there is no writer, and the launcher is stopped',
		sub {
			$audit->sql('SELECT pg_terminate_backend(' . $audit->writer . ', 180000)');
			halt($audit->running('kms launcher'));
			$audit->sql("SELECT pg_terminate_backend(pid, 180000) FROM pg_stat_activity
				WHERE backend_type = 'kms writer'");
		},
		\&resume ])
{
	my ($what, $arrange, $mend) = @$fault;
	my $calls = 0;

	# A writer that has just been there, and all that it has still to do.
	$audit->sql('SELECT kms_flush_events()');
	$audit->mode('required', $short);
	$arrange->();

	$audit->call("SET application_name = '$what, required'");
	foreach my $name (sort keys %$results)
	{
		refused("$what: $name", $results->{$name});
		$calls++;
	}
	foreach my $name (sort keys %$failures)
	{
		refused("$what: $name", $failures->{$name}[1]);
		$calls++;
	}
	foreach my $name (sort keys %$malformed)
	{
		my ($state, $sql) = @{ $malformed->{$name} };
		like($audit->call($sql)->{state}, qr/^(?:$state|KM008)$/, "$what: $name is refused");
		$calls++;
	}
	is_deeply([ $audit->failing_changes ], [], "$what: changes are made");

	$audit->mode('best_effort', KmsAudit::LONG_TIMEOUT);
	$audit->call("SET application_name = '$what, best effort'");
	my $start = time;
	is_deeply(
		[ grep { $audit->call($results->{$_})->{state} ne '00000' } sort keys %$results ],
		[], "$what: in best_effort each call works");
	is_deeply([ $audit->failing_changes ], [], 'in best_effort each change works');
	cmp_ok(time - $start, '<=', KmsAudit::LONG_TIMEOUT / 4000, "$what: in best_effort no call waits");
	like($audit->findings,
		qr/^warning: events have been waiting to be written for more than a second/m,
		"$what: kms_check() tells");

	$mend->();
	$audit->sql('SELECT kms_flush_events()');
	my $changes = () = KmsAudit::changes();
	cmp_ok($audit->in_trail("$what, required"), '>=', $calls + $changes,
		"$what: what was tried is in the trail afterwards");
	is($audit->in_trail("$what, best effort"), keys(%$results) + $changes,
		'all that was done is in the trail afterwards');
	unlike($audit->findings, qr/events have been waiting|event writer/,
		"$what: kms_check() has no complaint left");
	is($audit->intact, 'intact', 'the trail is intact');

	$audit->mode('required', KmsAudit::LONG_TIMEOUT);
	is($audit->call($results->{decrypt})->{rows}, 'secret', "$what: and it works again");
}

# ---- By the caller itself -------------------------------------------------

# The deadlock detector does not see that the caller waits for a process that
# waits for the caller.
$audit->mode('required', $short);
$audit->call('BEGIN; LOCK TABLE kms.event IN SHARE MODE');
refused('the caller has locked the trail', $results->{decrypt});
$audit->call('ROLLBACK');
is($audit->call($results->{decrypt})->{rows}, 'secret',
	'the caller has locked the trail: calls work when it has ended');

# An exception block that takes the error gets no plaintext by it.
$audit->call('BEGIN; LOCK TABLE kms.event IN SHARE MODE');
is( $audit->call("CREATE FUNCTION pg_temp.caught() RETURNS text LANGUAGE plpgsql AS \$\$
	DECLARE got text := 'nothing';
	BEGIN
		BEGIN got := kms_decrypt($audit->{good}); EXCEPTION WHEN SQLSTATE 'KM008' THEN NULL; END;
		RETURN got;
	END \$\$; SELECT pg_temp.caught()")->{rows},
	'nothing', 'an exception block gets no plaintext');
$audit->call('ROLLBACK');

# ---- One who does not want to wait ---------------------------------------

$audit->mode('required', KmsAudit::LONG_TIMEOUT);
lock_table('kms.event')->();
$audit->call("SET statement_timeout = '200ms'; SET application_name = 'impatient'");
my $outcome = $audit->call($results->{decrypt});
is($outcome->{state}, '57014', 'statement_timeout ends a wait');
is($outcome->{rows}, '', 'a call that statement_timeout ends returns nothing');
$audit->call('SET statement_timeout = 0');
my $other = KmsClient->session($node, 'postgres');
$other->query("SET application_name = 'cancelled'");
$other->send($results->{decrypt});
ok($audit->wait_until_waiting($other), 'a call waits');
$audit->sql("SELECT pg_cancel_backend($other->{pid})");
is($other->receive, '', 'a cancel ends it with nothing');
is($other->{state}, '57014', 'the error says that the call was cancelled');
unlock();
$other->quit;
$audit->sql('SELECT kms_flush_events()');
is($audit->in_trail('impatient'), '1', 'the trail has the call that timed out');
is($audit->in_trail('cancelled'), '1', 'the trail has the cancelled call');

# ---- A full ring ---------------------------------------------------------

# Nothing is dropped: who finds no room waits for it, or is refused.
$audit->mode('best_effort', $short);
lock_table('kms.event')->();
my $slots = $audit->status('ring size');
$audit->call("SELECT count(kms_decrypt($audit->{good})) FROM generate_series(1, 2 * $slots)");
my $dropped = $audit->status('events dropped');
cmp_ok($dropped, '>', 0, 'in best_effort a full ring drops what the writer makes no room for, and counts that');
$audit->mode('required', $short);
refused('the ring is full', $results->{decrypt});
refused('the ring is full: a failure', $failures->{'decrypt of damaged bytes'}[1]);
is($audit->call($malformed->{'no base64'}[1])->{state}, '22023',
	'the ring is full: junk is refused as ever');
is_deeply([ $audit->failing_changes ], [], 'the ring is full: changes are made');
$audit->mode('required', KmsAudit::LONG_TIMEOUT);
$other = KmsClient->session($node, 'postgres');
$other->query("SET application_name = 'waited for room'");
$other->send($results->{decrypt});
ok($audit->wait_until_waiting($other), 'a session that finds no room waits');
unlock();
is($other->receive, 'secret', 'a session that waits gets its result when there is room');
is($audit->in_trail('waited for room'), '1', 'the event of the session that waited is in the trail');
$other->quit;

is(slurp_file($node->logfile) =~ /PANIC|terminated by signal/ ? 1 : 0, 0,
	'no process crashed');
$admin->quit;
$audit->{session}->quit;
$node->stop;
done_testing();

# A call that fails with KM008 within the timeout and gives nothing.
sub refused
{
	my ($name, $sql) = @_;
	my $outcome = $audit->call($sql);
	my $soon = $outcome->{seconds} < $audit->{timeout} / 1000 + KmsTest::AT_ONCE;

	ok($outcome->{state} eq 'KM008' && $outcome->{rows} eq '' && $soon,
		"$name is refused")
	  or diag("$outcome->{state}, \"$outcome->{rows}\", $outcome->{seconds} s");
}
