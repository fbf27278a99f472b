# Neither /proc/PID/mem, opened by another process of the server's user after a
# session began, nor a core file reveals the master key or a private key.  The
# same holds for the launcher and the workers.  Cancelling, terminating and the
# adjustment of the out-of-memory killer still work.  The search itself is tested
# with processes that are not protected.
use strict;
use warnings;

use Errno qw(EACCES);
use FindBin;
use lib "$FindBin::Bin/../../perl";
use KmsClient;
use KmsMemory;
use KmsTest;
use PostgreSQL::Test::Utils;
use Test::More;

my $key = KmsTest::random_master_key();
my @key = KmsMemory::forms($key);
my $pem = `openssl genrsa 2048 2>/dev/null`;
my @numbers = KmsMemory::numbers($pem);

# Allow core files, and set the adjustment of the out-of-memory killer as Debian
# does.
my $adjust = slurp_file('/proc/self/oom_score_adj');
chomp $adjust;
sub set_adjust
{
	open my $file, '>', '/proc/self/oom_score_adj' or die $!;
	print $file $_[0];
	close $file or die $!;
}
my $has_prlimit = system("prlimit --pid $$ --core=unlimited:unlimited 2>/dev/null") == 0;
set_adjust($adjust + 50);
$ENV{PG_OOM_ADJUST_FILE} = '/proc/self/oom_score_adj';
$ENV{PG_OOM_ADJUST_VALUE} = $adjust + 20;

my $node = KmsTest->node('memory',
	master_key => [$key],
	conf => "shared_buffers = 2MB\nkms.event_ring_size = 64kB\nkms.maintenance_interval = 1s\nrestart_after_crash = on");
$node->safe_psql('postgres', 'CREATE EXTENSION kms');
my $file = $node->basedir . '/imported.pem';
open my $out, '>', $file or die $!;
print $out $pem;
close $out or die $!;
$node->safe_psql('postgres',
	"SELECT kms_import_key('phone', pg_read_file('$file'), 'imported')");
my $public = $node->safe_psql('postgres', "SELECT kms_public_key('imported')");
my $ciphertext = KmsTest::encrypt_with_openssl("$public\n", 'secret');

# A session that has opened the key.
sub session
{
	my $session = KmsClient->session($node, 'postgres');
	is($session->query("SELECT kms_decrypt('imported', '$ciphertext')"),
		'secret', 'a session opens the key');
	return $session;
}

sub pids
{
	my ($type) = @_;
	return split /\n/, $node->safe_psql('postgres',
		"SELECT pid FROM pg_stat_activity WHERE backend_type = '$type'");
}

sub protect
{
	my ($value) = @_;
	$node->append_conf('postgresql.conf', "kms.protect_memory = $value");
	$node->restart;
}

sub closed
{
	my ($pid) = @_;
	return !defined KmsMemory::of($pid) && $! == EACCES;
}

# Return the core files of processes of the server.  Their names depend on the
# system.
sub cores
{
	return glob $node->data_dir . '/core*';
}

# ---- What the kernel gives -----------------------------------------------

my $level = $node->safe_psql('postgres',
	"SELECT value FROM kms.status WHERE item = 'master key memory'");
like($level, qr/^(?:memfd_secret|locked|not locked)$/, "the master key's memory: $level");
is( $node->safe_psql('postgres',
		"SELECT count(*) FROM kms_check() WHERE severity = 'notice' AND finding ~ '^the master keys are in'"),
	$level eq 'memfd_secret' ? '0' : '1', 'kms_check() has a notice if it is not the best');

# ---- Another process looks -----------------------------------------------

my $session = session();
ok(closed($session->{pid}), 'the memory of a session cannot be opened');
ok(closed((pids('kms launcher'))[0]), 'the memory of the launcher cannot be opened');
foreach my $worker ('kms writer', 'kms key generation')
{
	my $closed = KmsTest::poll(sub {
		$node->safe_psql('postgres', "SELECT key_id FROM kms_issue_key('phone ' || random())");
		return grep { closed($_) } pids($worker);
	});
	ok($closed, "the memory of a $worker cannot be opened");
}

# Maintenance is soon done, unless it has to wait.
$session->query('BEGIN; LOCK TABLE kms.key, kms.pool_key IN ACCESS EXCLUSIVE MODE');
ok(KmsTest::poll(sub { grep { closed($_) } pids('kms maintenance') }),
	'the memory of a kms maintenance cannot be opened');
$session->query('ROLLBACK');
my $postmaster = slurp_file($node->data_dir . '/postmaster.pid') =~ s/\n.*//sr;
my ($checkpointer) = pids('checkpointer');
SKIP:
{
	my $memory = KmsMemory::of($postmaster);
	skip 'this system lets nobody read the memory of a process', 4 unless defined $memory;
	cmp_ok(index($memory, $node->data_dir), '>=', 0, 'the memory of the postmaster can be read');
	skip 'this kernel has no memfd_secret', 3 unless $level eq 'memfd_secret';
	is(KmsMemory::count($memory, @key), 0, 'the memory of the postmaster does not have the master key');
	$memory = KmsMemory::of($checkpointer);
	cmp_ok(length $memory, '>', 1_000_000, 'the memory of the checkpointer can be read');
	is(KmsMemory::count($memory, @key), 0, 'the memory of the checkpointer has no master key');
}

# ---- What must work ------------------------------------------------------

is($node->safe_psql('postgres', "SELECT pg_log_backend_memory_contexts($session->{pid})"),
	't', 'memory contexts of a session can be logged');
$session->send('SELECT pg_sleep(1000)');
ok( KmsTest::poll(
		sub { $node->safe_psql('postgres',
				"SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE pid = $session->{pid} AND query ~ 'sleep'") eq 't' }),
	'a session can be cancelled');
$session->receive;
is($session->{state}, '57014', 'the cancelled session goes on');
is($node->safe_psql('postgres', "SELECT pg_terminate_backend($session->{pid}, 180000)"),
	't', 'a session can be terminated');
ok(!-e "/proc/$session->{pid}", 'the terminated session ends');
$session = session();
is(slurp_file("/proc/$postmaster/oom_score_adj"), $adjust + 50 . "\n",
	'the postmaster is as safe from the out-of-memory killer as it was');
is(slurp_file("/proc/$_/oom_score_adj"), $adjust + 20 . "\n", 'its children are adjusted')
  foreach $session->{pid}, pids('kms launcher'), pids('checkpointer');

# ---- Cores ---------------------------------------------------------------

# Kill a process so that it leaves a core, and wait for the server.
sub crash
{
	my ($pid) = @_;
	unlink cores();
	kill 'ABRT', $pid;
	KmsTest::poll(sub { !-e "/proc/$pid" }) or die 'it is not dead';
	KmsClient::wait_until_up($node);
	return map { slurp_file($_) } cores();
}

is(scalar(crash($session->{pid})), 0, 'a session leaves no core');
is(scalar(crash((pids('kms launcher'))[0])), 0, 'the launcher leaves no core');
my @core = crash((pids('checkpointer'))[0]);
my $has_cores = @core == 1;
SKIP:
{
	skip 'this system leaves no cores, or leaves them elsewhere', 2 unless $has_cores;
	cmp_ok(index($core[0], $node->data_dir), '>=', 0, 'the checkpointer leaves a core');
	is(KmsMemory::count($core[0], @key), 0, 'the core of the checkpointer does not have the master key');
}

# ---- Where nothing is protected ------------------------------------------

protect('off');
$session = session();
SKIP:
{
	my $memory = KmsMemory::of($session->{pid});
	skip 'this system lets nobody read the memory of a process', 4 unless defined $memory;
	cmp_ok(KmsMemory::count($memory, @numbers), '>', 0,
		'unprotected, the memory of a session has the private key');
	is(KmsMemory::count(KmsMemory::of($session->{pid}, wiped => 1), @key), 0,
		'unprotected, the memory of a session has no copy of the master key');
	is(KmsMemory::count(KmsMemory::of((pids('kms launcher'))[0], wiped => 1), @key), 0,
		'unprotected, the launcher has no copy of the master key from a file');

	$node->append_conf('postgresql.conf',
		"kms.master_key_file = ''\nkms.master_key_command = 'cat ${\ KmsTest::master_key_path($node)} | tee /dev/stderr'");
	$node->restart;
	is($node->safe_psql('postgres', "SELECT kms_decrypt('imported', '$ciphertext')"),
		'secret', 'the key comes from a command');
	is(KmsMemory::count(KmsMemory::of((pids('kms launcher'))[0], wiped => 1), @key), 0,
		'unprotected, the launcher has no copy of the master key from a command');
	$session = session();
}
SKIP:
{
	skip 'this system leaves no cores, or leaves them elsewhere', 1 unless $has_cores;
	@core = crash($session->{pid});
	cmp_ok(KmsMemory::count($core[0], @numbers), '>', 0, 'its core has the private key');
}

# Without memory that may be locked, the page of the master key is like any other,
# except in core files.
SKIP:
{
	skip 'there is no prlimit', 6 unless $has_prlimit;
	$node->stop;
	system("prlimit --pid $$ --memlock=0") == 0 or die 'prlimit';
	$node->start;
	is( $node->safe_psql('postgres', "SELECT value FROM kms.status WHERE item = 'master key memory'"),
		'not locked', 'where nothing may be locked, kms.status says so');
	like(KmsClient::findings($node, 'postgres'),
		qr/^notice: the master keys are in memory that may be swapped out or dumped \(.*LimitMEMLOCK/m,
		'where no memory may be locked, kms_check() says so');
	is($node->safe_psql('postgres', "SELECT kms_decrypt('imported', '$ciphertext')"),
		'secret', 'keys open');
	$postmaster = slurp_file($node->data_dir . '/postmaster.pid') =~ s/\n.*//sr;
	my $memory = KmsMemory::of($postmaster);
	skip 'this system lets nobody read the memory of a process', 3 unless defined $memory;
	cmp_ok(KmsMemory::count($memory, @key), '>', 0, 'the postmaster gives up the master key');
	skip 'this system leaves no cores, or leaves them elsewhere', 2 unless $has_cores;
	@core = crash((pids('checkpointer'))[0]);
	cmp_ok(index($core[0], $node->data_dir), '>=', 0, 'without locked memory the checkpointer leaves a core');
	is(KmsMemory::count($core[0], @key), 0, 'that core does not have the master key');
}

set_adjust($adjust);
$node->stop;
done_testing();
