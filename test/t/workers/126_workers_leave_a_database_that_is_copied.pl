# A database can be copied, renamed, moved and dropped while its workers run,
# at the first try, and goes on afterwards.  A copy is served without a call.  A
# role without the right to do so cannot send the workers away, and the owner
# cannot keep them away from sessions that make calls.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../../perl";
use KmsClient;
use KmsTest;
use Test::More;

# Generation of keys goes on for as long as this test takes.
my $node = KmsTest->node('copied', conf => <<'CONF');
kms.key_pool_size = 10000
kms.keygen_workers = 2
kms.audit = required
max_prepared_transactions = 5
CONF
my $tablespace = $node->basedir . '/elsewhere';
mkdir $tablespace or die "$tablespace: $!";

sub pids
{
	my ($db, $type) = @_;
	return $node->sql("SELECT pid FROM pg_stat_activity
		WHERE datname = '$db' AND backend_type LIKE 'kms $type'");
}

# Calls in this database are recorded.
my $calls = 0;
sub works
{
	my ($db, $what) = @_;
	$calls++;
	is($node->safe_psql($db, "SET application_name = 'call $calls'; SELECT kms_decrypt($main::good)"),
		'secret', "$what: calls work");
	is(KmsTest::events($node, $db, "application_name = 'call $calls'"), '1',
		"$what: they are recorded");
}

# The statement succeeds while a key is being generated in the database.
sub succeeds
{
	my ($db, $sql, $what) = @_;
	ok(KmsTest::poll(sub { pids($db, 'key generation') }), "$what: a key is being generated");
	is(KmsClient::sqlstate($node, 'postgres', $sql), '00000', "$what works");
}

$node->sql("CREATE TABLESPACE elsewhere LOCATION '$tablespace'");
$node->sql('CREATE DATABASE one');
$node->safe_psql('one', 'CREATE EXTENSION kms');
my ($key, $pem) = KmsClient::issue($node, 'one', 'phone');
our $good = "'$key', '" . KmsTest::encrypt_with_openssl($pem, 'secret') . "'";
works('one', 'before');

# ---- Who may not ---------------------------------------------------------

$node->sql('CREATE ROLE nobody LOGIN CREATEDB');
my $writer = pids('one', 'writer');
foreach my $statement (
	'CREATE DATABASE mine TEMPLATE one',
	'ALTER DATABASE one RENAME TO mine',
	'ALTER DATABASE one SET TABLESPACE pg_default',
	'DROP DATABASE one')
{
	is( KmsClient::sqlstate(
			$node, 'postgres', "SET SESSION AUTHORIZATION nobody; $statement"),
		'42501', "refused to others: $statement");
}
is(pids('one', 'writer'), $writer, 'the writer stays after a refused statement');

# A session that locks the database does not send the workers away either.
my $holder = KmsClient->session($node, 'postgres');
$holder->query("BEGIN; COMMENT ON DATABASE one IS 'locked'");
is( KmsClient::sqlstate($node, 'postgres',
		"SET statement_timeout = '180s'; SET SESSION AUTHORIZATION nobody; ALTER DATABASE one RENAME TO mine"),
	'42501', 'refused to others before it waits for a lock');
$holder->quit;

# A database that everybody may copy is not closed to its sessions.
$node->sql('ALTER DATABASE one IS_TEMPLATE true');
my $session = KmsClient->session($node, 'one');
my $copier = KmsClient->session($node, 'postgres');
$copier->query('SET SESSION AUTHORIZATION nobody');
$copier->send('CREATE DATABASE mine TEMPLATE one');
is($session->query("SELECT kms_decrypt($good)"), 'secret', 'calls go on');
$session->query('SELECT kms_flush_events()');
is($session->{state}, '00000', 'these calls are recorded');
$copier->receive;
is($copier->{state}, '55006', 'a copy fails while a session uses the database');
is(pids('one', 'writer'), $writer, 'the writer stays while the database cannot be copied');
$session->quit;
$copier->quit;
$node->sql('ALTER DATABASE one IS_TEMPLATE false');

# ---- The owner, against those who make calls -----------------------------

# Calls of this session go on and are recorded for as long as others run
# statements that fail.
sub goes_on
{
	my ($session, $what, @others) = @_;
	my $good = 0;
	my $calls = 0;
	my $done = 0;
	while ($done < @others)
	{
		$session->query("SELECT kms_decrypt($main::good)");
		$calls++;
		$good++ if $session->{state} eq '00000';
		$done = 0;
		foreach my $other (@others)
		{
			$other->{run}->pump_nb;
			$done++ if $other->{out} =~ /^done/m;
		}
	}
	cmp_ok($calls, '>', 0, "$what: calls are made");
	is($good, $calls, "$what: all of them are recorded");
	$_->receive foreach @others;
}

$node->sql('CREATE ROLE owner LOGIN CREATEDB');
$node->sql('ALTER DATABASE one OWNER TO owner');
$node->sql('GRANT CREATE ON TABLESPACE elsewhere TO owner');
my @owners = map { KmsClient->session($node, 'postgres') } 1 .. 2;
$_->query('SET SESSION AUTHORIZATION owner') foreach @owners;
$session = KmsClient->session($node, 'one');
foreach my $statement (
	'DROP DATABASE one',
	'ALTER DATABASE one RENAME TO mine',
	'ALTER DATABASE one SET TABLESPACE elsewhere',
	'CREATE DATABASE mine TEMPLATE one')
{
	$_->send($statement) foreach @owners;
	goes_on($session, "$statement by two sessions", @owners);
	is($_->{state}, '55006', "$statement fails") foreach @owners;
}
$session->quit;

# A session that is ended in the middle leaves the database open; a prepared
# transaction holds the statement up there.
$node->safe_psql('one', "BEGIN; CREATE TABLE t (); PREPARE TRANSACTION 'here'");
foreach my $statement ('DROP DATABASE one', 'ALTER DATABASE one RENAME TO mine',
	'ALTER DATABASE one SET TABLESPACE elsewhere', 'CREATE DATABASE mine TEMPLATE one')
{
	my $ended = KmsClient->session($node, 'postgres');
	$ended->query('SET SESSION AUTHORIZATION owner');
	$ended->send($statement);
	ok( KmsTest::poll(
			sub {
				$node->sql("SELECT count(*) FROM pg_locks JOIN pg_stat_activity USING (pid) WHERE pid = $ended->{pid}
					AND query LIKE '$statement%' AND classid = 'pg_database'::regclass
					AND mode IN ('AccessExclusiveLock', 'ShareLock') AND granted") > 0
				  && pids('one', '%') eq '';
			}),
		"$statement has closed the database");
	$node->sql("SELECT pg_terminate_backend($ended->{pid}, 180000)");
	$ended->{run}->kill_kill;
	is( KmsClient::sqlstate($node, 'one', "SELECT kms_decrypt($good)"),
		'00000', "$statement: its session has ended, and calls are recorded at once");
}
$node->safe_psql('one', "ROLLBACK PREPARED 'here'");

# Nobody else is in it, and statements that succeed follow each other.
$_->send(join ";\n", ("CREATE DATABASE copy_$_->{pid} TEMPLATE one; DROP DATABASE copy_$_->{pid}") x 6)
  foreach @owners;
works('one', "while it is copied all the time, call $_") foreach 1 .. 3;
$_->receive foreach @owners;
$_->quit foreach @owners;
$node->sql('ALTER DATABASE one OWNER TO postgres');

# ---- Who may -------------------------------------------------------------

is(KmsClient::sqlstate($node, 'postgres', 'ALTER DATABASE one RENAME TO template1'),
	'42P04', 'a statement that fails');
works('one', 'after it');

foreach my $strategy (qw(wal_log file_copy))
{
	succeeds('one', "CREATE DATABASE by_$strategy TEMPLATE one STRATEGY $strategy",
		"a copy by $strategy");
	ok(KmsTest::poll(sub { pids("by_$strategy", '%') }),
		"a copy by $strategy is served before any call in it");
	works("by_$strategy", "a copy by $strategy");
	is(KmsClient::sqlstate($node, 'postgres', "DROP DATABASE by_$strategy"),
		'00000', "a copy by $strategy is dropped");
}
works('one', 'after copies');

# A copy waits for a name; others do not wait for it.
$node->sql('CREATE DATABASE plain TEMPLATE template0');
my ($namer, $waiter) = map { KmsClient->session($node, 'postgres') } 1 .. 2;
$namer->query('BEGIN; ALTER DATABASE plain RENAME TO wanted');
$waiter->send('CREATE DATABASE wanted TEMPLATE one');
ok(KmsTest::poll(sub { $node->sql("SELECT count(*) FROM pg_locks WHERE NOT granted AND pid = $waiter->{pid}") }),
	'a copy waits for its name');
is(KmsClient::sqlstate($node, 'postgres', "SET statement_timeout = '180s'; CREATE DATABASE another TEMPLATE one"),
	'00000', 'another copy of the database does not wait for that');
$namer->query('COMMIT');
$waiter->receive;
is($waiter->{state}, '23505', 'the name was taken');
$_->quit foreach $namer, $waiter;
$node->sql('DROP DATABASE another');
is(KmsClient::sqlstate($node, 'one', 'ALTER DATABASE one RENAME TO two'), '0A000',
	'the current database is refused at once');

succeeds('one', 'ALTER DATABASE one RENAME TO other', 'renaming');
works('other', 'renamed');
succeeds('other', 'ALTER DATABASE other SET TABLESPACE elsewhere', 'moving');
works('other', 'moved');
succeeds('other', 'DROP DATABASE other', 'dropping');
$node->stop;
done_testing();
