# An orderly stop, fast or smart, hands over every database that has a reserved
# writer, even if its writer is not running at that moment.  A writer that is
# kept from its tables does not delay the stop, and the next start writes what
# was recorded.  A clock that was set back changes nothing in that.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../../perl";
use File::Copy qw(copy);
use IPC::Run;
use JSON::PP;
use KmsClient;
use KmsClock;
use KmsLoad;
use KmsTest;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time);


my @databases = qw(postgres two three);
my $node = KmsTest->node('stops', init => [ allows_streaming => 1 ], conf => <<'CONF');
kms.event_flush_interval = 1min
kms.event_ring_size = 256kB
kms.maintenance = off
kms.reserved_writers = 4
max_prepared_transactions = 2
max_worker_processes = 16
CONF
my %decrypt = KmsClient::databases($node, @databases);

sub decrypt
{
	my ($db, $name) = @_;
	return $node->safe_psql($db, "SET kms.audit_context = '$name'; $decrypt{$db}");
}

sub writer
{
	my ($db) = @_;
	return $node->safe_psql('postgres',
		"SELECT min(pid) FROM pg_stat_activity WHERE backend_type = 'kms writer' AND datname = '$db'");
}

# Stop the server, and run the code when it has begun to stop; returns seconds.
sub stop_and
{
	my ($mode, $code) = @_;
	my $log = -s $node->logfile;
	my $start = time;
	my $stop = IPC::Run::start([ 'pg_ctl', '-D', $node->data_dir, '-m', $mode, 'stop' ], '>', \my $out, '2>', \my $err);

	KmsTest::poll(sub { slurp_file($node->logfile, $log) =~ /received $mode shutdown request/ }) or die 'it does not stop';
	$code->() if $code;
	$stop->finish or die "$out$err";
	$node->_update_pid(0);
	return time - $start;
}

# Return how many events with this context the trail of a stopped server has,
# and whether the trail is marked as handed over, as "3|t".
sub trail
{
	my ($db, $name) = @_;
	my $sql = "SELECT count(*), (SELECT handed_over_at IS NOT NULL FROM kms.event_epoch"
	  . " ORDER BY last_ticket DESC, started_at DESC LIMIT 1) FROM kms.event WHERE audit_context = '$name'\n";

	IPC::Run::run([ 'postgres', '--single', '-D', $node->data_dir, '-c', 'shared_preload_libraries=', $db ],
		'<', \$sql, '>', \my $out, '2>', \my $err);
	return join '|', $out =~ /= "([^"]*)"/g;
}

# ---- Every database is handed over -------------------------------------------

foreach my $mode (qw(smart fast))
{
	decrypt($_, $mode) foreach @databases;
	my $session = KmsClient->session($node, 'two');
	$session->query("SET kms.audit_context = '$mode'");
	my $seconds = stop_and($mode,
		sub {
			return if $mode eq 'fast';
			is($session->query($decrypt{two}), 'secret', 'a smart stop waits for sessions');
			$session->quit;
		});
	cmp_ok($seconds, '<', KmsTest::AT_ONCE, "a $mode stop is fast");
	is(trail($_, $mode), ($mode eq 'smart' && $_ eq 'two' ? 2 : 1) . '|t', "a $mode stop hands $_ over") foreach @databases;
	$node->start;
}

# Two have lost their writers, and no launcher gives one to them.
KmsTest::poll(sub { writer($_) }) or die "$_ has no writer" foreach @databases;
foreach my $db (qw(two three))
{
	my $pid = writer($db);
	$node->safe_psql('postgres', "SELECT pg_terminate_backend($pid, 180000)");
}
KmsTest::poll(sub { writer('two') eq '' && writer('three') eq '' }) or die 'the writers are still there';
my $launcher = $node->safe_psql('postgres', "SELECT pid FROM pg_stat_activity WHERE backend_type = 'kms launcher'");
kill 'STOP', $launcher;
decrypt('two', 'free');
cmp_ok(stop_and('fast', sub { kill 'CONT', $launcher }), '<', KmsTest::AT_ONCE, 'without their writers the stop is fast');
is(trail('two', 'free'), '1|t', 'a free reserved writer writes what was recorded');
is(trail('three', 'free'), '0|t', 'another writer marks the database that had no events');
$node->start;

# ---- What keeps a writer ---------------------------------------------------

my $oid = $node->safe_psql('postgres', "SELECT oid FROM pg_database WHERE datname = 'postgres'");
my $ring = $node->data_dir . "/pg_stat_tmp/kms.$oid";

$node->stop;
copy($ring, "$ring.12345") or die $!;
chmod 0, "$ring.12345";
$node->start;
decrypt('postgres', 'unreadable');
my $log = -s $node->logfile;
cmp_ok(stop_and('fast'), '<', KmsTest::AT_ONCE, 'with an old ring that cannot be read the stop is fast');
like(slurp_file($node->logfile, $log), qr/LOG:  kms writer of database "postgres": the trail is not handed over: not all of its events could be written/,
	'the log says that not all is written');
is(trail('postgres', 'unreadable'), '1|f', 'the events that can be written are written');
unlink "$ring.12345";
$node->start;

decrypt('postgres', 'before');
$node->safe_psql('postgres', "SELECT kms_flush_events()");
$node->safe_psql('postgres', "BEGIN; LOCK TABLE kms.event IN SHARE MODE; PREPARE TRANSACTION 'forgotten'");
my $writer = writer('postgres');
kill 'STOP', $writer;
my $session = KmsClient->session($node, 'postgres');
$session->query("SET kms.audit_context = 'full'");
my $calls = 0;
KmsTest::poll(
	sub {
		$session->query($decrypt{postgres}) foreach 1 .. 20;
		$calls += 20;
		return $session->query("SELECT value::int > 10 FROM kms.status WHERE item = 'events dropped'") eq 't';
	}) or die 'the ring does not get full';
$session->quit;
$log = -s $node->logfile;
cmp_ok(stop_and('fast', sub { kill 'CONT', $writer }), '<', KmsTest::AT_ONCE, 'with a full ring and a table that is locked the stop is fast');
like(slurp_file($node->logfile, $log), qr/LOG:  kms: the server stops with \d+ events of database $oid in the event ring/, 'the log says how many are left');
is(trail('postgres', 'full'), '0|f', 'none of them is written');
$node->start;
$node->safe_psql('postgres', "ROLLBACK PREPARED 'forgotten'");
my $written = KmsTest::events($node, 'postgres', "audit_context = 'full'");
is($node->safe_psql('postgres', "SELECT $written + sum(calls) FROM kms.event WHERE operation = 'gap' AND context = 'the event ring was full'"),
	$calls, 'after a start each call is written or counted in a gap');

# ---- A synchronous standby that is away ---------------------------------------

my $standby = KmsTest->standby($node, 'standby');
$node->append_conf('postgresql.conf', "kms.audit = required\nkms.audit_timeout = 1min\nkms.audit_wait_for_standby = on\nsynchronous_standby_names = '*'");
$node->reload;
$node->poll_query_until('postgres', "SELECT count(*) = 1 FROM pg_stat_replication WHERE sync_state = 'sync'") or die 'no standby';
my $load = KmsLoad->start($node, 'away', $decrypt{postgres});
$standby->stop('immediate');
$node->poll_query_until('postgres', "SELECT count(*) = 8 FROM pg_stat_activity WHERE wait_event_type = 'Extension' AND query ~ 'kms_decrypt' AND backend_type = 'client backend'")
  or die 'no call waits';
cmp_ok(stop_and('fast'), '<', KmsTest::AT_ONCE, 'while calls wait for a standby that is away the stop is fast');
$load->finish;
my $all = () = $load->acknowledged;
cmp_ok($all, '>', KmsLoad::CLIENTS, 'calls were acknowledged before');
$standby->append_conf('postgresql.conf', "synchronous_standby_names = ''");
$standby->start;
is_deeply($load->match($standby), { lost => [], doubled => [] }, "each of $all is on the standby");
$standby->stop;
$node->append_conf('postgresql.conf', "synchronous_standby_names = ''\nkms.audit_wait_for_standby = off\nkms.audit = best_effort");
$node->start;
is_deeply($load->match($node), { lost => [], doubled => [] }, 'each call is in the trail of the server that was stopped');

# ---- Reading a ring that changes, and one that was cut off ---------------------

my $kms_ring = $node->config_data('--bindir') . '/kms_ring';
$load = KmsLoad->start($node, 'reading', $decrypt{postgres});
my $bad = 0;
foreach (1 .. 10)
{
	my $good = IPC::Run::run([ $kms_ring, $ring ], '>', \my $out, '2>', \my $err);
	$bad++ unless $good && $err =~ /\d+ events/;
	$bad += grep { !eval { decode_json($_)->{position} =~ /^\d+$/ } } split /\n/, $out;
}
is($bad, 0, 'kms_ring reads a ring that is being written to');
$node->stop('immediate');
$load->finish;
my %complaint = (0 => 'the file is empty', 100 => 'not an event ring', 4096 => 'not an event ring');
foreach my $size (0, 100, 4096, 100_000, (-s $ring) - 1)
{
	my $complaint = $complaint{$size} // "the file is cut off: $size of " . (-s $ring) . ' bytes';
	copy($ring, "$ring.copy") or die $!;
	truncate "$ring.copy", $size or die $!;
	my $good = IPC::Run::run([ $kms_ring, "$ring.copy" ], '>', \my $out, '2>', \my $err);
	ok(!$good && $? >> 8 == 1 && $err =~ /: $complaint$/m, "it says that one was cut off at $size");
}
unlink "$ring.copy";

# ---- A clock that was set back ------------------------------------------------

SKIP:
{
	KmsClock->available or skip 'libfaketime is not installed', 5;
	my @clocks = map { KmsClock->new($_) } qw(right wrong);
	my $leader = KmsTest->node('right', init => [ allows_streaming => 1 ], start => 0,
		conf => "wal_keep_size = 64MB\nkms.maintenance = off");
	$clocks[1]->write('-2d');
	$clocks[0]->start($leader);
	$leader->safe_psql('postgres', 'CREATE EXTENSION kms');
	my $other = KmsTest->standby($leader, 'wrong', start => 0);
	$clocks[1]->start($other);
	my ($key, $pem) = KmsClient::issue($leader, 'postgres', 'phone');
	my $decrypt = "SELECT kms_decrypt('$key', '" . KmsTest::encrypt_with_openssl($pem, 'secret') . "')";

	foreach my $i (1 .. 4)
	{
		$leader->safe_psql('postgres', $decrypt) foreach 1 .. 3;
		$leader->stop('fast');
		$other->promote;
		$leader->enable_streaming($other);
		$clocks[0]->start($leader);
		@clocks = reverse @clocks;
		($leader, $other) = ($other, $leader);
		$leader->safe_psql('postgres', "$decrypt; SELECT kms_flush_events()");
		is( $leader->safe_psql('postgres', "SELECT count(*) FILTER (WHERE operation = 'gap'), count(*) FILTER (WHERE operation = 'decrypt'),
				count(*) FILTER (WHERE epoch <> before),
				(SELECT count(*) FROM kms.event_epoch AS a JOIN kms.event_epoch AS b ON a.last_ticket < b.last_ticket AND a.started_at >= b.started_at)
			FROM (SELECT *, lag(epoch) OVER (ORDER BY ticket) AS before FROM kms.event) AS event"),
			'0|' . 4 * $i . "|$i|0", "change $i between clocks two days apart: no gap, and epochs in order");
	}
	is($leader->safe_psql('postgres', 'SELECT intact, finding FROM kms_audit_verify()'), 't|', 'the trail is intact');
	$other->stop;
	$leader->stop;
}
done_testing();
