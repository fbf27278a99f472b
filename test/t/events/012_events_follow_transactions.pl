# A success of a change is recorded if and only if the change is committed,
# with savepoints, exceptions, errors at commit and two-phase commit.  A change
# that was rolled back is recorded once, as such.  All other events are
# recorded regardless of the transaction.  Key generation can be
# cancelled.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../../perl";
use KmsClient;
use KmsTest;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time);

my $node = KmsTest->node('transactions', conf => <<'CONF');
max_prepared_transactions = 10
kms.keygen_limit = 1000
kms.keygen_concurrency = 1
CONF

$node->safe_psql('postgres', 'CREATE EXTENSION kms');
my ($key, $pem) = KmsClient::issue($node, 'postgres', 'phone');
my ($other, $other_pem) = KmsClient::issue($node, 'postgres', 'other phone');
my $good = KmsTest::encrypt_with_openssl($pem, 'secret');
my $bad = KmsTest::encrypt_with_openssl($other_pem, 'secret');

# The device's events, as "operation status reason" in order.
sub trail
{
	my ($device) = @_;
	$node->safe_psql('postgres', 'SELECT kms_flush_events()');
	return $node->safe_psql('postgres',
		"SELECT string_agg(concat_ws(' ', operation, status, reason), ', ' ORDER BY ticket)
		FROM kms.event WHERE device_id = '$device'");
}

sub keys_of
{
	my ($device) = @_;
	return $node->safe_psql('postgres',
		"SELECT count(*) FROM kms.key JOIN kms.key_secret USING (key_id)
		WHERE device_id = '$device'");
}

# Count the calls of a session with this application name that ended this way.
sub recorded
{
	my ($name) = @_;
	$node->safe_psql('postgres', 'SELECT kms_flush_events()');
	return $node->safe_psql('postgres',
		"SELECT string_agg(concat_ws(' ', operation, status, reason), ', ' ORDER BY ticket)
		FROM kms.event WHERE application_name = '$name'");
}

sub run
{
	my ($sql, $name) = @_;
	return $node->psql('postgres',
		($name ? "SET application_name = '$name';\n" : '') . $sql,
		on_error_stop => 0);
}

my $rolled_back = 'generate failure Rolled back';
my $decrypted = 'decrypt success';
my $rejected = 'decrypt failure Failed to decrypt data';

# ---- ROLLBACK ------------------------------------------------------------

run("BEGIN; SELECT kms_issue_key('rollback'); ROLLBACK");
is(trail('rollback'), $rolled_back, 'ROLLBACK: recorded as rolled back, once');
is(keys_of('rollback'), '0', 'ROLLBACK: there is no key');

run("BEGIN; SELECT kms_decrypt('$key', '$good'); ROLLBACK", 'decrypt rollback');
is(recorded('decrypt rollback'), $decrypted, 'ROLLBACK: a decrypt stays recorded');

run("BEGIN; SELECT kms_issue_key('error'); SELECT 1/0; COMMIT");
is(trail('error'), $rolled_back, 'an error later in the transaction');

$node->safe_psql('postgres',
	'CREATE TABLE once (n int, UNIQUE (n) DEFERRABLE INITIALLY DEFERRED)');
run("BEGIN; SELECT kms_issue_key('commit'); INSERT INTO once VALUES (1), (1); COMMIT");
is(trail('commit'), $rolled_back, 'an error at COMMIT');
is(keys_of('commit'), '0', 'an error at COMMIT: there is no key');

run("BEGIN; SELECT kms_issue_key('closed')");
is(trail('closed'), $rolled_back, 'a session that ends inside its transaction');

my $session = KmsClient->session($node, 'postgres');
$session->query("BEGIN; SELECT kms_issue_key('terminated')");
$node->safe_psql('postgres', "SELECT pg_terminate_backend($session->{pid}, 180000)");
is(trail('terminated'), $rolled_back, 'a session that is terminated inside its transaction');

run("SELECT kms_issue_key('rotated');
	BEGIN; SELECT kms_rotate_key('rotated'); ROLLBACK");
is(join(', ', sort split /, /, trail('rotated')),
	'deprecate failure Rolled back, generate success, rotate failure Rolled back',
	'a rotation that is rolled back: each of its changes is recorded once');
is( $node->safe_psql('postgres',
		"SELECT string_agg(state, ',') FROM kms.key WHERE device_id = 'rotated'"),
	'active', 'after the rollback the old key is active');

# ---- Savepoints ----------------------------------------------------------

run(<<'SQL');
BEGIN;
SAVEPOINT a;
SELECT kms_issue_key('sub undone');
ROLLBACK TO a;
SELECT kms_issue_key('sub top');
SAVEPOINT b;
SELECT kms_issue_key('sub released');
RELEASE b;
SAVEPOINT c;
SAVEPOINT d;
SELECT kms_issue_key('sub inner');
RELEASE d;
ROLLBACK TO c;
COMMIT;
SQL
is(trail('sub undone'), $rolled_back, 'ROLLBACK TO: rolled back');
is(trail('sub top'), 'generate success', 'after ROLLBACK TO: committed');
is(trail('sub released'), 'generate success', 'in a released savepoint: committed');
is(trail('sub inner'), $rolled_back, 'released into a savepoint that is rolled back: rolled back');
is(keys_of('sub inner') . keys_of('sub undone') . keys_of('sub released'),
	'001', 'the keys of committed savepoints exist');

run("BEGIN; SAVEPOINT a; SELECT kms_issue_key('sub all'); RELEASE a; ROLLBACK");
is(trail('sub all'), $rolled_back, 'released, then all is rolled back: recorded once');

run("BEGIN; SAVEPOINT a; SELECT kms_decrypt('$key', '$bad'); ROLLBACK TO a;
	SELECT kms_decrypt('$key', '$good'); ROLLBACK", 'sub decrypt');
is(recorded('sub decrypt'), "$rejected, $decrypted", 'decrypts in savepoints');

# ---- Exceptions ----------------------------------------------------------

run(<<"SQL", 'exception');
DO \$\$
BEGIN
	BEGIN
		PERFORM kms_decrypt('$key', '$bad');
	EXCEPTION WHEN SQLSTATE 'KM001' THEN
		NULL;
	END;
	PERFORM kms_decrypt('$key', '$good');
	BEGIN
		PERFORM kms_issue_key('caught');
		PERFORM 1/0;
	EXCEPTION WHEN division_by_zero THEN
		PERFORM kms_issue_key('caught and made');
	END;
END
\$\$;
SQL
is( recorded('exception'),
	"$rejected, $decrypted, $rolled_back, generate success",
	'exception blocks');
is(keys_of('caught') . keys_of('caught and made'), '01', 'the keys of committed blocks exist');

run("SELECT 1 / (length(kms_decrypt('$key', '$good')) - length('secret'))",
	'later error');
is(recorded('later error'), $decrypted, 'an error later in the statement');

# ---- Two-phase commit ----------------------------------------------------

foreach my $device ('2pc commit', '2pc rollback', '2pc lost')
{
	run("BEGIN; SELECT kms_issue_key('$device'); PREPARE TRANSACTION '$device'");
}
run("BEGIN; SELECT kms_decrypt('$key', '$good'); PREPARE TRANSACTION 'decrypt'",
	'2pc decrypt');
is(recorded('2pc decrypt'), $decrypted, 'a decrypt is recorded at once');
is(trail('2pc commit'), '', 'PREPARE TRANSACTION: not recorded yet');
is( KmsClient::sqlstate($node, 'postgres',
		"SET lock_timeout = '10ms'; SELECT kms_issue_key('2pc commit')"),
	'55P03', 'the device waits for the prepared transaction');

$node->safe_psql('postgres', "ROLLBACK PREPARED '2pc rollback'");
$node->stop('immediate');
$node->start;
$node->safe_psql('postgres', "COMMIT PREPARED '2pc commit'");
$node->safe_psql('postgres', "ROLLBACK PREPARED '2pc lost'");
$node->safe_psql('postgres', "COMMIT PREPARED 'decrypt'");

is( trail('2pc commit'),
	'issue failure Interrupted, generate success',
	'COMMIT PREPARED after a crash: recorded once');
is( $node->safe_psql('postgres',
		"SELECT reused FROM kms_issue_key('2pc commit')"),
	't', 'COMMIT PREPARED after a crash: the device has the key');
is(trail('2pc rollback'), '', 'ROLLBACK PREPARED leaves no event');
is(trail('2pc lost'), '', 'ROLLBACK PREPARED after a crash leaves no event');
is(keys_of('2pc rollback') . keys_of('2pc lost'), '00', 'ROLLBACK PREPARED leaves no keys');
is(recorded('2pc decrypt'), $decrypted, 'the decrypt is recorded once');

# ---- Cancelling ----------------------------------------------------------

# A key of 4096 bits takes seconds, but a session may find one at once, so
# count.
my $interrupted = 0;
my $start = time;
$session = KmsClient->session($node, 'postgres');
foreach my $n (1 .. 10)
{
	$session->query('SET statement_timeout = 50');
	$session->query("SELECT kms_issue_key('slow', NULL, 'RSA-4096')");
	$interrupted++ if $session->{state} eq '57014';
	$session->query('SET statement_timeout = 0');
}
my $took = time - $start;
cmp_ok($interrupted, '>=', 8, 'statement_timeout ends key generation');
cmp_ok($took, '<', 10, "10 cancelled generations took $took s");
is($session->query("SELECT count(kms_decrypt('$key', '$good'))"), '1',
	'the session can be used again');
is($session->query("SELECT reused FROM kms_issue_key('after')"), 'f',
	'the session can make a key, with kms.keygen_concurrency at 1');
is(trail('slow') =~ tr/,//, 9, 'each try is recorded once');
is( () = trail('slow') =~ /generate failure Interrupted/g,
	$interrupted, 'each try is recorded as interrupted');
is(keys_of('slow'), $interrupted < 10 ? '1' : '0', 'no key is left behind');
is( $node->safe_psql('postgres',
		'SELECT count(*) FROM kms.key FULL JOIN kms.key_secret AS s USING (key_id)
		WHERE s.key_id IS NULL OR state IS NULL'),
	'0', 'no secret is left behind');

my $cancelled;
foreach my $n (1 .. 5)
{
	$session->send("SELECT kms_issue_key('cancel $n', NULL, 'RSA-4096')");
	KmsTest::poll(
		sub {
			$node->safe_psql('postgres',
				"SELECT pg_cancel_backend(pid) FROM pg_stat_activity
				WHERE pid = $session->{pid} AND state = 'active'
				AND query ~ 'cancel $n'") eq 't';
		});
	$session->receive;
	$cancelled = $n;
	last if $session->{state} eq '57014';
}
is($session->{state}, '57014', 'pg_cancel_backend ends key generation');
is(trail("cancel $cancelled"), 'generate failure Interrupted', 'the cancelled generation is recorded once');

# Cancel a session that waits for its turn to generate.
my $waiter = KmsClient->session($node, 'postgres');
$session->send("SELECT kms_issue_key('holder', NULL, 'RSA-3072')");
$waiter->query("SET statement_timeout = '20ms'");
$waiter->query("SELECT kms_issue_key('waiter', NULL, 'RSA-4096')");
is($waiter->{state}, '57014', 'waiting for a turn to generate can be cancelled');
$session->receive;
is($session->{state}, '00000', 'the cancelled wait disturbs no other session');
$_->quit foreach $session, $waiter;

is( $node->safe_psql('postgres',
		'SELECT count(*) = max(ticket) - min(ticket) + 1 FROM kms.event'),
	't', 'tickets have no gaps');

$node->stop;
done_testing();
