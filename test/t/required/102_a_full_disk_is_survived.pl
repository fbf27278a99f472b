# On a full disk no result is returned without being recorded (kms.audit =
# required), or calls go on (best_effort).  When there is room again all
# acknowledged calls are in the trail, without further action.  A server on a full
# disk stops soon.
#
# The disk is a small file system on /mnt, which only this test sees: the test runs
# itself in a name space of its own, if the system lets users make one, or in the
# one that root has made for it (test/root-files).
use strict;
use warnings;

my $disk;

BEGIN
{
	my $mount = 'mount -t tmpfs -o size=24m,mode=0700 none /mnt';
	my $files = $ENV{KMS_TEST_ROOT_FILES};

	if ($ENV{KMS_TEST_SMALL_DISK})
	{
		$disk = '/mnt';
	}
	elsif (system("unshare --user --map-root-user --mount $mount 2>/dev/null") == 0)
	{
		my ($uid, $gid) = ($>, $) + 0);
		$ENV{KMS_TEST_SMALL_DISK} = 1;
		exec 'unshare', '--user', '--map-root-user', '--mount', 'sh', '-c',
		  "$mount && exec unshare --user --map-user=$uid --map-group=$gid \"\$@\"",
		  'sh', $^X, (map { "-I$_" } @INC), $0;
	}
	elsif (defined $files && -d "$files/disk")
	{
		$disk = "$files/disk";
	}
}

use FindBin;
use lib "$FindBin::Bin/../../perl";
use IPC::Run;
use KmsAudit;
use KmsClient;
use KmsTest;
use PostgreSQL::Test::Utils;
use Test::More;

plan skip_all => 'neither root nor a name space gives it a small file system'
  unless defined $disk;

sub fill
{
	open my $file, '>', "$disk/filler" or die "$disk/filler: $!";
	foreach my $size (65536, 512)
	{
		1 while syswrite $file, "\0" x $size;
	}
	close $file;
}

sub free
{
	unlink "$disk/filler" or die "$disk/filler: $!";
}

# ---- The disk of the trail -----------------------------------------------

my $audit = KmsAudit->new('full');
my $results = $audit->results;
mkdir "$disk/table";
$audit->sql("CREATE TABLESPACE small LOCATION '$disk/table'");
$audit->sql('ALTER TABLE kms.event SET TABLESPACE small');
fill();

$audit->call("SET application_name = 'best effort'");
my $calls = 0;
ok( KmsTest::poll(
		sub {
			$calls += $audit->call("SELECT count(kms_decrypt($audit->{good}))
				FROM generate_series(1, 50)")->{rows};
			$audit->findings =~ /^error: the event writer failed last .* No space left on device/m;
		}),
	'the disk is full: kms_check() says so');
$calls += $audit->call("SELECT count(kms_decrypt($audit->{good})) FROM generate_series(1, 10)")
  ->{rows};
is_deeply([ $audit->failing_changes ], [], 'best_effort: changes are made');
like($audit->status('writer last error'), qr/No space left on device/,
	'kms.status has the error');
my $dropped = $audit->status('events dropped');

$audit->mode('required', 200);
foreach my $name (sort keys %$results)
{
	my $outcome = $audit->call($results->{$name});
	ok($outcome->{state} eq 'KM008' && $outcome->{rows} eq '' && $outcome->{seconds} < $audit->{timeout} / 1000 + KmsTest::AT_ONCE,
		"required: $name is refused")
	  or diag("$outcome->{state}, \"$outcome->{rows}\", $outcome->{seconds} s");
}
is_deeply([ $audit->failing_changes ], [], 'required: changes are made');

$audit->mode('required', KmsAudit::LONG_TIMEOUT);
my $waiting = KmsClient->session($audit->{node}, 'postgres');
$waiting->query("SET application_name = 'waiting'");
$waiting->send($results->{decrypt});
ok($audit->wait_until_waiting($waiting), 'a session waits for room');
free();
is($waiting->receive, 'secret', 'a session that waits gets its result when there is room');
is($audit->in_trail('waiting'), '1', 'the event of the session that waited is in the trail');
$waiting->quit;
$audit->sql('SELECT kms_flush_events()');
is( $audit->sql("SELECT count(*) FROM kms.event
		WHERE application_name = 'best effort' AND operation = 'decrypt'") + $dropped >= $calls,
	1, 'earlier calls are in the trail, or counted as dropped');
is($audit->intact, 'intact', 'the trail is intact');
unlike($audit->findings, qr/event writer|waiting to be written/,
	'kms_check() has no complaint left');
is($audit->sql('SELECT count(*) FROM kms.event_quarantine'), '0',
	'no event was quarantined because of the full disk');

# ---- A stop while it is full ------------------------------------------------

sub full_gaps
{
	return $audit->sql("SELECT coalesce(sum(calls), 0) FROM kms.event
		WHERE operation = 'gap' AND context = 'the event ring was full'");
}

$audit->mode('best_effort');
$audit->call("SET application_name = 'stopped'");
my $before = full_gaps();
$calls = 0;
fill();
KmsTest::poll(
	sub {
		$calls += $audit->call("SELECT count(kms_decrypt($audit->{good}))
			FROM generate_series(1, 50)")->{rows};
		$audit->findings =~ /^error: the event writer failed last .* No space left on device/m;
	}) or die 'the disk does not get full';
$audit->{session}->quit;
my $log = -s $audit->{node}->logfile;
my $start = time;
$audit->{node}->stop;
cmp_ok(time - $start, '<=', KmsTest::AT_ONCE, 'on a full disk the server stops soon');
like(slurp_file($audit->{node}->logfile, $log),
	qr/LOG:  kms: the server stops with \d+ events of database \d+ in the event ring/,
	'its log says how many events are left');
free();
$audit->{node}->start;
$audit->connect;
$audit->sql('SELECT kms_flush_events()');
is($audit->in_trail('stopped') + full_gaps() - $before, $calls,
	'with room again each is written by the next start, or counted in a gap');
is($audit->intact, 'intact', 'with room again the trail is intact');
$audit->{session}->quit;
$audit->{node}->stop;
unlink glob "$disk/table/*/*/*";

# ---- The disk of the write-ahead log -------------------------------------

foreach my $mode (qw(required best_effort))
{
	my $audit = KmsAudit->new("wal_$mode",
		init => [ extra =>
			  [ '--encoding=UTF8', '--no-locale', '--wal-segsize=1', "--waldir=$disk/$mode" ] ],
		conf => "max_wal_size = 4MB\nmin_wal_size = 2MB\nrestart_after_crash = on");
	my $node = $audit->{node};

	$audit->mode($mode);
	$audit->{session}->quit;
	$audit->sql('CREATE TABLE bulk (x text)');
	my $script = PostgreSQL::Test::Utils::tempdir() . '/load.sql';
	open my $file, '>', $script or die "$script: $!";
	print $file "SELECT kms_decrypt($audit->{good});\n" x 50_000;
	close $file;
	my ($out, $errors) = ('', '');
	my $client = IPC::Run::start(
		[ 'psql', '-XAtq', '-f', $script, '-d',
			$node->connstr('postgres') . " application_name='load'" ],
		'>', \$out, '2>', \$errors,
		IPC::Run::timer($PostgreSQL::Test::Utils::timeout_default));
	$client->pump until $out =~ /secret/;
	fill();
	$log = -s $node->logfile;
	$node->psql('postgres', "INSERT INTO bulk SELECT repeat('x', 1000) FROM generate_series(1, 50000)");
	like(slurp_file($node->logfile, $log), qr/PANIC:  .*No space left on device/,
		"$mode: the server breaks down");
	$client->finish;
	free();
	my $acknowledged = () = $out =~ /^secret$/mg;

	# A server that found no room for its restart has stopped.
	KmsTest::poll(
		sub {
			!-e $node->data_dir . '/postmaster.pid'
			  || ($node->psql('postgres', 'SELECT 1'))[0] == 0;
		});
	if (!-e $node->data_dir . '/postmaster.pid')
	{
		$node->_update_pid(0);
		$node->start;
	}
	is($audit->sql("SELECT kms_decrypt($audit->{good})"), 'secret',
		"$mode: with room again it serves");
	my $recorded = KmsTest::events($node, 'postgres', "application_name = 'load'");
	cmp_ok($acknowledged, '>', 0, "$mode: there was a load, of $acknowledged calls");
	cmp_ok($recorded, '>=', $acknowledged, "$mode: none of it is lost");
	cmp_ok($recorded, '<=', $acknowledged + 1, "$mode: none of it is recorded twice");
	is($audit->intact, 'intact', "$mode: the trail is intact");
	$node->stop;
}
done_testing();
