# With kms.audit = required, no user can keep the event writer away: a slot is
# kept for it when parallel workers have all others, and more databases than
# there are places for writers take turns.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../../perl";
use KmsClient;
use KmsTest;
use PostgreSQL::Test::Utils;
use Test::More;

my $timeout = 1000 * $PostgreSQL::Test::Utils::timeout_default;
my $node = KmsTest->node('slots', conf => <<CONF);
kms.audit = required
kms.audit_timeout = ${timeout}ms
kms.key_pool_size = 0
kms.maintenance = off
max_worker_processes = 8
max_parallel_workers = 8
restart_after_crash = on
CONF
my @databases = qw(one two three four five six);
my (%session, %decrypt);

sub connect_to
{
	my ($db) = @_;
	$session{$db} = KmsClient->session($node, $db);
}

sub make_database
{
	my ($db) = @_;
	$node->sql("CREATE DATABASE $db");
	$node->safe_psql($db, 'CREATE EXTENSION kms');
	my ($key, $pem) = KmsClient::issue($node, $db, 'phone');
	my $ciphertext = KmsTest::encrypt_with_openssl($pem, "secret of $db");
	$decrypt{$db} = "SELECT kms_decrypt('$key', '$ciphertext')";
	connect_to($db);
}

sub log_lines
{
	my ($pattern) = @_;
	return scalar grep { $_ =~ $pattern } split /\n/, slurp_file($node->logfile);
}

make_database($_) foreach qw(one two);
$node->sql('CREATE ROLE nobody LOGIN');

# ---- All slots are taken -------------------------------------------------

# PostgreSQL's own launcher, ours and the reserved writer have three.
my $free = 5;
my @takers = KmsClient::take_slots($node, $free);
pass('parallel workers have all slots that are not reserved');

foreach my $round (1 .. 3)
{
	foreach my $db (qw(one two))
	{
		is($session{$db}->query($decrypt{$db}), "secret of $db",
			"round $round: $db gets its writer");
	}
}
cmp_ok(KmsClient::slots_taken($node), '>=', $free, 'the slots were taken all the time');
unlike(KmsClient::findings($node, 'one'), qr/^(?:error|warning): .*(?:writer|KM008)/m,
	'kms_check() has no complaint about the writer');
like(KmsClient::findings($node, 'one'),
	qr/^notice: event writers of several databases take turns; databases that wait now: \d+; the last one waited \d+ ms \(Raise kms.max_workers/m,
	'kms_check() says that writers take turns, and how long the last one waited');
is(log_lines(qr/"kms writer" .*exited with exit code/), 0,
	'the end of a turn is no line in the log');

my $ended = $node->sql("SELECT pg_terminate_backend(pid, 180000) FROM pg_stat_activity
	WHERE backend_type = 'kms writer'");
is($ended, 't', 'the writer is terminated');
foreach my $db (qw(one two))
{
	is($session{$db}->query($decrypt{$db}), "secret of $db", "$db gets another one");
}

# ---- A crash -------------------------------------------------------------

my $writer = $node->sql("SELECT pid FROM pg_stat_activity WHERE backend_type = 'kms writer'");
kill 'KILL', $writer;
KmsClient::wait_until_up($node);
$_->{run}->kill_kill foreach @takers, values %session;
connect_to($_) foreach qw(one two);
foreach my $db (qw(one two))
{
	is($session{$db}->query($decrypt{$db}), "secret of $db", "$db gets a writer after a crash");
}

# ---- More databases than places ------------------------------------------

make_database($_) foreach qw(three four five six);
$node->append_conf('postgresql.conf', 'kms.max_workers = 2');
$node->reload;
foreach my $round (1 .. 5)
{
	$session{$_}->send($decrypt{$_}) foreach @databases;
	is_deeply(
		[ map { $session{$_}->receive } @databases ],
		[ map { "secret of $_" } @databases ],
		"round $round: each of six databases gets its turn");
}
like(KmsClient::findings($node, 'six'), qr/^notice: event writers of several databases take turns/m,
	'kms_check() says that they take turns');
is( $node->safe_psql('six', q{SELECT intact FROM kms_audit_verify()}), 't',
	'the trail is intact');

# A blocked database delays no other.
$node->safe_psql('postgres', 'SELECT 1');
my $holder = KmsClient->session($node, 'one');
$holder->query('BEGIN; LOCK TABLE kms.event');
$session{one}->send($decrypt{one});
foreach my $db (qw(two three four five six))
{
	is($session{$db}->query($decrypt{$db}), "secret of $db", "$db goes on beside a blocked one");
}
$holder->query('ROLLBACK');
is($session{one}->receive, 'secret of one', 'the blocked database goes on when the lock is gone');
$holder->quit;
$_->quit foreach values %session;

# ---- More are to be kept than there are places ---------------------------

$node->append_conf('postgresql.conf', 'kms.reserved_writers = 3');
$node->restart;
like(slurp_file($node->logfile), qr/kms keeps 2 background worker slots for writers, not the 3 of kms.reserved_writers/,
	'the log says how many are kept');
like(KmsClient::findings($node, 'six'), qr/^notice: kms.reserved_writers is above kms.max_workers/m,
	'kms_check() says how many slots are kept');
$node->stop;
done_testing();
