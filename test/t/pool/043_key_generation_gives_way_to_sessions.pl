# Workers that generate keys run at the lowest priority and end at once when they
# are told to, in any way.  Other workers then make the keys that were begun.
# Sessions that generate can be cancelled.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../../perl";
use KmsClient;
use KmsPool;
use KmsTest;
use PostgreSQL::Test::Utils;
use POSIX qw(setsid);
use Test::More;

# Processor time of a process, in ticks.
sub ticks
{
	my $pid = shift;
	open my $file, '<', "/proc/$pid/stat" or return undef;
	my (undef, $rest) = split /\) /, scalar(<$file>), 2;
	my @fields = split ' ', $rest;
	return $fields[11] + $fields[12];
}

# Long generations, so that there is something to end.
my $node = KmsTest->node('slow', conf => "kms.key_pool_size = 1000
	kms.key_algorithm = 'RSA-4096'
	kms.keygen_workers = 2
	restart_after_crash = on");

# Wait for a worker of the database that has a thread that generates, and return
# its process id.
sub generating
{
	my ($db) = @_;
	return KmsTest::poll(
		sub {
			my ($pid) = split /\n/, $node->sql("SELECT pid FROM pg_stat_activity
				WHERE backend_type = 'kms key generation' AND datname = '$db'
				AND wait_event_type = 'Extension'");
			return $pid && threads($pid) == 2 ? $pid : 0;
		});
}

sub threads
{
	my ($pid) = @_;
	my @tasks = glob "/proc/$pid/task/*";
	return -d '/proc/self/task' ? scalar @tasks : 2;
}

# Make the pool small, and test that workers fill it to exactly its size.
sub fills
{
	my ($name) = @_;
	$node->sql("ALTER DATABASE postgres SET kms.key_algorithm = 'RSA-2048'");
	my $size = 2;
	$node->append_conf('postgresql.conf', "kms.key_pool_size = $size\nkms.key_algorithm = 'RSA-2048'");
	$node->reload;
	ok(KmsPool::filled($node, 'postgres', $size), "$name: the pool gets its size");
	$node->append_conf('postgresql.conf', "kms.key_pool_size = 1000\nkms.key_algorithm = 'RSA-4096'");
	$node->sql("ALTER DATABASE postgres RESET kms.key_algorithm");
	$node->reload;
}

$node->sql('CREATE EXTENSION kms');
my $worker = generating('postgres');
ok($worker, 'a worker generates');

# ---- Priority ------------------------------------------------------------

SKIP:
{
	skip 'no ps that knows classes of threads', 1
	  if $^O ne 'linux' || system('ps -L -o cls= -p $$ >/dev/null 2>&1') != 0;
	ok( KmsTest::poll(
			sub {
				my $pid = generating('postgres');
				my %class = `ps -L -o lwp=,cls= -p $pid` =~ /(\d+)\s+(\S+)/g;
				my $own = delete $class{$pid};
				return defined $own && "$own @{[values %class]}" eq 'TS IDL';
			}),
		'the thread that generates runs in idle time only, the process itself is like any other');
}

# A class alone says little: the kernel may count it within a session only.  So
# have the worker and a process of another session compete for one core.
SKIP:
{
	skip 'no taskset', 2
	  if $^O ne 'linux' || system('taskset -p $$ >/dev/null 2>&1') != 0;
	my ($core) = `taskset -c -p $$` =~ /: (\d+)/;
	my ($its, $other);
	for (1 .. 5)
	{
		my $pid = generating('postgres');
		my $hog = fork;
		if ($hog == 0)
		{
			setsid();
			exec 'taskset', '-c', $core, $^X, '-e', '1 while 1';
		}
		system("taskset -a -c -p $core $pid >/dev/null 2>&1");
		my $before = ticks($pid);
		KmsTest::poll(sub { (ticks($hog) || 0) > 200 });
		my $hogs = ticks($hog);
		kill 'KILL', $hog;
		waitpid $hog, 0;
		my $after = ticks($pid);
		next unless defined $before && defined $after;
		($its, $other) = ($after - $before, $hogs);
		last;
	}
	ok(defined $its, 'a worker lives as long as the other process')
	  or last;
	cmp_ok($its, '<', $other / 4, "a busy process of another session has the core (of $other ticks)");
}

# ---- Signals -------------------------------------------------------------

$worker = generating('postgres');
$node->sql("SELECT pg_cancel_backend($worker)");
is($node->sql("SELECT count(*) FROM pg_stat_activity WHERE pid = $worker"), '1',
	'a worker that is cancelled stays');
ok(generating('postgres'), 'a worker that is cancelled begins again');
fills('cancelled');

$worker = generating('postgres');
is($node->sql("SELECT pg_terminate_backend($worker, 180000)"), 't',
	'a worker can be terminated');
ok(generating('postgres'), 'a worker that was terminated is replaced');
fills('terminated');
unlike(KmsClient::findings($node, 'postgres'), qr/key generation/,
	'kms_check() does not complain about a terminated worker');

# ---- DROP DATABASE -------------------------------------------------------

$node->sql('CREATE DATABASE dropped');
$node->safe_psql('dropped', 'CREATE EXTENSION kms');
ok(generating('dropped'), 'a worker generates in another database');
is(KmsClient::sqlstate($node, 'postgres', 'DROP DATABASE dropped'), '00000',
	'that database can be dropped');

# ---- DROP EXTENSION ------------------------------------------------------

my $from = -s $node->logfile;
ok(generating('postgres'), 'a worker generates');
is(KmsClient::sqlstate($node, 'postgres', 'DROP EXTENSION kms'), '00000',
	'the extension can be dropped while a worker generates');
$node->sql('CREATE EXTENSION kms');
fills('a new extension');
unlike(KmsClient::findings($node, 'postgres'), qr/key generation/, 'kms_check() does not complain about a new extension');

# ---- A session -----------------------------------------------------------

my $session = KmsClient->session($node, 'postgres');
$session->query("SET statement_timeout = '100ms'");
foreach my $n (1 .. 3)
{
	$session->query("SELECT kms_issue_key('cancelled $n $_', algorithm => 'RSA-4096') FROM generate_series(1, 100) AS _");
	is($session->{state}, '57014', 'a session that generates can be cancelled');
}
$session->query('RESET statement_timeout');
is( $session->query("SELECT count(*) FROM kms.key"), '0', 'a session that was cancelled has made no key');
$session->quit;

# ---- Shutdown, kill -9 ---------------------------------------------------

ok(slurp_file($node->logfile) !~ /PANIC|terminated by signal/, 'no process crashed');
ok(generating('postgres'), 'a worker generates');
$node->stop('fast');
ok(1, 'the server can be stopped');
$node->start;
fills('started');
$worker = generating('postgres');
ok($worker, 'a worker generates');
kill 9, $worker;
ok( KmsTest::poll(
		sub { slurp_file($node->logfile) =~ /background worker "kms key generation" \(PID $worker\) was terminated by signal 9/ }),
	'a worker that is killed takes the server down');
KmsClient::wait_until_up($node);
fills('restarted');
generating('postgres');
$node->stop('immediate');
$node->start;
fills('after an immediate shutdown');
is(() = slurp_file($node->logfile) =~ /terminated by signal/g, 1, 'nothing else crashed');
$node->stop;
done_testing();
