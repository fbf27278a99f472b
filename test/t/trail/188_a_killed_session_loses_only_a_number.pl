# A session that is killed in the middle of a statement loses the number of the
# values since its last event, and not the fact.  A session that is ended, or
# whose statement is cancelled, loses nothing.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../../perl";
use KmsClient;
use KmsFields;
use KmsTest;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = KmsTest->node('killed', conf => "restart_after_crash = on\njit = off");
KmsFields::create($node, 1000);
my $of = 'decrypt_field tax/1:';

# A statement that opens its values and then sleeps.
$node->sql(<<'SQL');
CREATE FUNCTION pause(n int) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
	IF n = 1000 THEN
		PERFORM pg_sleep(3600);
	END IF;
	RETURN '';
END $$;
SQL
my $sleep = "SELECT count($KmsFields::decrypt || pause(id)) FROM person";

# Return a session in which the statement sleeps.
sub sleeper
{
	my ($name) = @_;
	my $session = KmsClient->session($node, 'postgres');

	$session->query("SET kms.audit_context = '$name'");
	$session->send($sleep);
	KmsTest::poll(
		sub {
			$node->sql("SELECT wait_event = 'PgSleep' FROM pg_stat_activity WHERE pid = $session->{pid}") eq 't';
		}) or die 'the session does not sleep';
	return $session;
}

sub calls
{
	my ($name) = @_;
	return (split /\|/, KmsFields::total($node, $name))[0];
}

# ---- Ends that are orderly -----------------------------------------------

my %end = (cancelled => 'pg_cancel_backend', ended => 'pg_terminate_backend');
foreach my $name (sort keys %end)
{
	my $session = sleeper($name);
	$node->sql("SELECT $end{$name}($session->{pid})");
	KmsTest::poll(sub { calls($name) >= 1000 });
	like(KmsFields::events($node, $name), qr/^$of 1 /, "$name: the first value is an event");
	is(calls($name), '1000', "$name: all values are counted");
	eval { $session->quit };
}

# ---- kill -9 -------------------------------------------------------------

my $session = sleeper('killed');
kill 'KILL', $session->{pid};
KmsClient::wait_until_up($node);
eval { $session->quit };
like(KmsFields::events($node, 'killed'), qr/^$of 1(?: |$)/, 'killed: the fact is there');
cmp_ok(calls('killed'), '<', 1000, 'killed: a number is missing');

# in the middle of its work
$session = KmsClient->session($node, 'postgres');
$session->query("SET kms.audit_context = 'working'");
$session->send("SELECT count($KmsFields::decrypt) FROM person, generate_series(1, 1000000)");
KmsTest::poll(sub { $node->sql("SELECT count(*) > 3 FROM kms.event WHERE audit_context = 'working'") eq 't' })
  or die 'no event comes';
kill 'KILL', $session->{pid};
KmsClient::wait_until_up($node);
eval { $session->quit };
my $working = KmsFields::events($node, 'working');
like($working, qr/^$of 1 [0-9 ]+$/, 'the fact is there, and numbers are');
unlike($working, qr/\b(?:1000[1-9]|100[1-9]\d|10[1-9]\d{2}|1[1-9]\d{3}|[2-9]\d{4}|\d{6,})\b/, 'each is at most 10,000');

is(calls('ended'), '1000', 'nothing that was recorded before is lost');
is($node->sql("SELECT count($KmsFields::decrypt) FROM person"), '1000', 'values are decrypted again');
is($node->sql('SELECT intact FROM kms_audit_verify()'), 't', 'the trail is intact');
$node->stop;
done_testing();
