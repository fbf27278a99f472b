# However many sessions try at once, a subject fails kms.verify_failure_limit
# times within the window and no more; not a ROLLBACK, not a crash, not a
# read-only transaction, not a standby gives another try.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../../perl";
use KmsClient;
use KmsTest;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(usleep);

my $primary = KmsTest->node('primary', init => [ allows_streaming => 1 ],
	conf => <<'CONF');
restart_after_crash = on
kms.verify_failure_limit = 5
kms.verify_failure_window = 1h
CONF
$primary->safe_psql('postgres', 'CREATE EXTENSION kms');
my ($key, $pem) = KmsClient::issue($primary, 'postgres', 'phone');
my $right = KmsTest::encrypt_with_openssl($pem, '471112');
my $wrong = KmsTest::encrypt_with_openssl($pem, '471113');
my $hash = $primary->safe_psql('postgres', "SELECT kms_hash_secret('$key', '$right')");
my $dear = '$2b$14$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW';

# Return a call as SQL.
sub call
{
	my ($ciphertext, $subject, $stored) = @_;
	$stored = $hash unless defined $stored;
	return "SELECT kms_verify_secret('$key', '$ciphertext', '$stored', '$subject')";
}

sub answer
{
	my ($node, $sql) = @_;
	my (undef, $out, $errors) = $node->psql('postgres', $sql,
		extra_params => [ '-v', 'VERBOSITY=verbose' ]);
	return $1 if $errors =~ /ERROR:  (\w{5}):/;
	$out =~ s/\s+/ /g;
	return $out;
}

# ---- Sessions at once ----------------------------------------------------

my @sessions = map { KmsClient->session($primary, 'postgres') } 1 .. 8;
my %answers;
foreach my $round (1 .. 3)
{
	$_->send(call($wrong, 'crowd')) foreach @sessions;
	foreach my $session (@sessions)
	{
		my $row = $session->receive;
		$answers{ $session->{state} eq '00000' ? $row : $session->{state} }++;
	}
}
is_deeply(\%answers, { f => 5, KM009 => 19 },
	'8 sessions that try 3 times each get 5 answers');
is(answer($primary, call($right, 'crowd')), 'KM009',
	'the right secret is not looked at');
is(answer($primary, call($right, 'another')), 't', 'another subject is free');
is( KmsTest::events($primary, 'postgres',
		"context = 'crowd' AND operation = 'verify' AND reason = 'Secret does not match'"),
	'5', 'five failures were recorded');
is( KmsTest::events($primary, 'postgres',
		"context = 'crowd' AND operation = 'verify' AND reason = 'Too many failed attempts'"),
	'20', 'each refusal was recorded');
is( $primary->safe_psql('postgres',
		"SELECT count(*) FROM pg_locks WHERE locktype = 'tuple'"),
	'0', 'no lock is left');

# Processes that share a query share its locks.
$primary->safe_psql('postgres', <<"SQL");
CREATE FUNCTION mislabelled(pin text) RETURNS boolean LANGUAGE plpgsql PARALLEL SAFE
AS \$body\$ BEGIN RETURN kms_verify_secret('$key', pin, '$hash', 'parallel'); END \$body\$;
CREATE TABLE guess AS SELECT '$wrong'::text AS pin, repeat('x', 5000) AS filler
FROM generate_series(1, 200);
ANALYZE guess;
SQL
like(KmsClient::error($primary, 'postgres', <<'SQL'),
SET parallel_leader_participation = off;
SET max_parallel_workers_per_gather = 4;
SET parallel_setup_cost = 0;
SET parallel_tuple_cost = 0;
SET min_parallel_table_scan_size = 0;
SELECT count(mislabelled(pin)) FROM guess;
SQL
	qr/25000: kms_verify_secret\(\) cannot run in a parallel worker/,
	'a function with a wrong label does not get it into parallel workers');
is( KmsTest::events($primary, 'postgres',
		"context = 'parallel' AND reason = 'Secret does not match'"),
	'0', 'nothing was tried');

# ---- What counts and what does not ---------------------------------------

is(answer($primary, "BEGIN; " . call($wrong, 'undone') . "; ROLLBACK"), 'f',
	'an attempt that is rolled back')
  foreach 1 .. 2;
my $session = $sessions[0];
$session->query('BEGIN');
foreach my $n (1 .. 2)
{
	$session->query('SAVEPOINT s');
	is($session->query(call($wrong, 'undone')), 'f', 'an attempt in a savepoint that is rolled back');
	$session->query('ROLLBACK TO s');
}
$session->query('COMMIT');
is(answer($primary, 'BEGIN READ ONLY; ' . call($wrong, 'undone') . '; COMMIT'),
	'f', 'an attempt in a read-only transaction');
is(answer($primary, call($right, 'undone')), 'KM009', 'all five attempts have counted');

foreach my $unusable ("NULL, '$hash'", "'$right', NULL", "'*', '$hash'", "'$right', 'x'",
	"'c3BhbQ==', '$hash'")
{
	is(answer($primary, "SELECT kms_verify_secret('$key', $unusable, 'unusable')"),
		'f', 'unusable input');
}
is(answer($primary, call($right, 'unusable')), 'KM009', 'attempts with unusable input count as well');

my $jwe = $primary->safe_psql('postgres', "SELECT kms_encrypt_jwe('$key', '471112')");
is( answer($primary, "SELECT kms_verify_secret('$key', '$jwe', '$hash', 'form', oaep_hash => 'sha1')"),
	'f', 'a JWE where digests are given')
  foreach 1 .. 5;
is(answer($primary, call($jwe, 'form')), 'KM009', 'these attempts count as well');
is(answer($primary, call($jwe, 'good')), 't', 'a success with the JWE');

is(answer($primary, call($right, 'good')), 't', 'a success') foreach 1 .. 6;
is(answer($primary, "SELECT kms_verify_secret('key_0', '$right', '$hash', 'good')"),
	'KM002', 'a call that raises')
  foreach 1 .. 6;
is(answer($primary, "SELECT kms_verify_secret('$key', '$wrong', '$hash')"), 'f',
	'an attempt without a subject')
  foreach 1 .. 6;
is(answer($primary, call($wrong, 'good')), 'f', 'after calls that do not count, five attempts are left') foreach 1 .. 5;
is(answer($primary, call($right, 'good')), 'KM009', 'the five failures have counted');

# A refusal does not extend the lock.
my ($first) = KmsClient::error($primary, 'postgres', call($right, 'good')) =~ /Try again after (.*)\./;
usleep(1_500_000);    # by which the lock would be extended
my ($second) = KmsClient::error($primary, 'postgres', call($right, 'good')) =~ /Try again after (.*)\./;
is( $primary->safe_psql('postgres',
		"SELECT abs(extract(epoch FROM '$second'::timestamptz - '$first')) < 0.5,
		'$first'::timestamptz - clock_timestamp() BETWEEN '50 min' AND '1 h'"),
	't|t', 'a refusal says when the lock ends, and does not extend it');

# The detail says it to programs, whatever the session displays.
my $refusal = KmsClient::error($primary, 'postgres',
	"SET DateStyle = 'SQL, DMY'; SET TimeZone = 'Asia/Kathmandu'; " . call($right, 'good'));
my ($retry_at) = $refusal =~ /^DETAIL:  Retry after (\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ)\.$/m;
ok(defined $retry_at, 'the detail of a refusal has the time in UTC') or diag($refusal);
my $past_end = $primary->safe_psql('postgres',
	"SELECT extract(epoch FROM '$retry_at'::timestamptz - '$first'::timestamptz)");
ok($past_end > -0.5 && $past_end < 1.5, 'the time in the detail is that of the hint, rounded up') or diag($past_end);

# ---- Waiting -------------------------------------------------------------

my ($slow, $other) = @sessions[ 1, 2 ];
$slow->send(call($wrong, 'slow', $dear));
ok( KmsTest::poll(
		sub {
			$primary->safe_psql('postgres',
				"SELECT count(*) FROM pg_locks WHERE locktype = 'tuple' AND granted") eq '1';
		}),
	'a long attempt is under way');
$other->query("SET statement_timeout = '50ms'");
$other->query(call($wrong, 'slow'));
is($other->{state}, '57014', 'an attempt for the same subject waits, and can be cancelled');
$other->query('RESET statement_timeout');
is($slow->receive, 'f', 'the long attempt ends');
is(answer($primary, call($wrong, 'slow')), 'f', 'after a cancelled attempt, four are left') foreach 1 .. 4;
is(answer($primary, call($right, 'slow')), 'KM009', 'the cancelled attempt has not counted');

# ---- A crash -------------------------------------------------------------

$_->quit foreach @sessions;
is(answer($primary, call($wrong, 'crash')), 'f', 'before a crash') foreach 1 .. 4;
my $log = -s $primary->logfile;
my $victim = KmsClient->session($primary, 'postgres');
kill 'KILL', $victim->{pid};
ok( KmsTest::poll(
		sub { slurp_file($primary->logfile, $log) =~ /all server processes terminated/ }),
	'a session is killed, the server restarts');
KmsClient::wait_until_up($primary);
is(answer($primary, call($right, 'crowd')), 'KM009', 'after a crash a subject that was locked out still is');
is(answer($primary, call($wrong, 'crash')), 'f', 'after a crash a subject that failed four times has one attempt left');
is(answer($primary, call($right, 'crash')), 'KM009', 'after that attempt the subject is locked out');

# ---- A standby -----------------------------------------------------------

my $standby = KmsTest->standby($primary, 'standby', conf => 'hot_standby = on');
is(answer($standby, call($right, 'crowd')), 't', 'a standby counts by itself');
is(answer($standby, call($wrong, 'standby')), 'f', 'an attempt on the standby') foreach 1 .. 5;
is(answer($standby, call($right, 'standby')), 'KM009', 'an attempt on the standby is limited there');
is($standby->safe_psql('postgres', "SELECT kms_hash_secret('$key', '$right') ~ 'kms1'"),
	't', 'hashing works there, too');
$standby->stop;

# ---- The settings --------------------------------------------------------

configure('kms.verify_failure_limit = 6');
is(answer($primary, call($wrong, 'crowd')), 'f', 'a higher limit allows one more attempt');
is(answer($primary, call($wrong, 'crowd')), 'KM009', 'the higher limit allows only one more');
configure('kms.verify_failure_window = 1s');
ok(KmsTest::poll(sub { answer($primary, call($right, 'crowd')) eq 't' }),
	'failures that have left the window do not count');
configure('kms.verify_failure_window = 1h');
configure('kms.verify_failure_limit = 0');
is(answer($primary, call($wrong, 'crowd')), 'f', 'limit 0 means no limit') foreach 1 .. 3;
is(answer($primary, call($right, 'crowd')), 't', 'without a limit no failure locks out');

$primary->stop;
done_testing();

# Change a setting and wait until new sessions have it.
sub configure
{
	my ($line) = @_;
	my ($name, $value) = $line =~ /^(\S+) = (\S+)$/;
	$primary->append_conf('postgresql.conf', $line);
	$primary->reload;
	KmsTest::poll(
		sub { $primary->safe_psql('postgres', "SHOW $name") eq $value })
	  or die "no $line";
}
