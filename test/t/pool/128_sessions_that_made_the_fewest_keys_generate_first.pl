# While others ask for key after key, a session that has made none is the next
# to generate one, even if the others open a new connection for each key.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../../perl";
use IPC::Run;
use KmsClient;
use KmsTest;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = KmsTest->node('flood', conf => <<'CONF');
kms.key_pool_size = 0
kms.keygen_concurrency = 1
max_connections = 50
CONF
my $dir = PostgreSQL::Test::Utils::tempdir();
my $flooders = 8;
my $device = 0;

$node->safe_psql('postgres', <<'SQL');
CREATE EXTENSION kms;
CREATE ROLE flooder LOGIN;
CREATE ROLE app LOGIN;
GRANT EXECUTE ON FUNCTION kms_issue_key TO flooder, app;
SQL

sub generated
{
	my ($where) = @_;
	return KmsTest::events($node, 'postgres', "operation = 'generate' AND $where");
}

# Let a new session of "app" ask for a key, and return how many keys were made for
# others before it got its key.
sub others_before_a_new_one
{
	my ($name) = @_;
	my $session = KmsClient->session($node, 'postgres');
	$session->query('SET SESSION AUTHORIZATION app');
	my $start = $session->query('SELECT clock_timestamp()');
	$session->query("SELECT key_id FROM kms_issue_key('$name')");
	is($session->{state}, '00000', "$name gets its key");
	$session->quit;
	return generated("occurred_at BETWEEN '$start' AND
		(SELECT occurred_at FROM kms.event WHERE device_id = '$name')
		AND device_id <> '$name'");
}

# Calls that wait for a lock or a turn.
sub waiting
{
	return $node->safe_psql('postgres',
		"SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'SELECT kms_issue_key%'
		AND state = 'active' AND wait_event IS NOT NULL");
}

# ---- Sessions that stay --------------------------------------------------

my @sessions = map { KmsClient->session($node, 'postgres') } 1 .. $flooders;
foreach my $session (@sessions)
{
	$session->query('SET SESSION AUTHORIZATION flooder');
	$session->send(join ";\n", map { $device++; "SELECT kms_issue_key('flood-$device')" } 1 .. 200);
}
ok( KmsTest::poll(
		sub { generated("device_id LIKE 'flood-%'") >= 2 * $flooders && waiting() >= $flooders - 1 }),
	'others ask for key after key');
cmp_ok(others_before_a_new_one('new device'), '<=', 2,
	'a session that has made none is next');

# A session that waits can be cancelled, and delays no other.
my $cancelled = KmsClient->session($node, 'postgres');
$cancelled->query("SET statement_timeout = '1ms'");
$cancelled->query("SELECT kms_issue_key('cancelled')");
is($cancelled->{state}, '57014', 'a wait can be cancelled');
cmp_ok(others_before_a_new_one('after a cancel'), '<=', 2, 'a cancelled session delays no other');
my $ended = KmsClient->session($node, 'postgres');
$ended->send("SELECT kms_issue_key('ended')");
$node->safe_psql('postgres', "SELECT pg_terminate_backend($ended->{pid}, 180000)");
cmp_ok(others_before_a_new_one('after an end'), '<=', 2,
	'a terminated session delays no other');
$node->safe_psql('postgres', "SELECT pg_terminate_backend($_->{pid}, 180000)") foreach @sessions;
$_->{run}->kill_kill foreach @sessions, $ended;
$cancelled->quit;

# ---- A new session for each key ------------------------------------------

END
{
	if ($dir)
	{
		open my $stop, '>', "$dir/stop" or die $!;
		close $stop;
	}
}
my $before = generated("device_id LIKE 'flood-%'");
my @load = map {
	IPC::Run::start(
		[
			'bash', '-c',
			'i=0; while [ ! -e "$2/stop" ]; do i=$((i + 1))
				psql -XAtq -U flooder -d "$1" -c "SELECT kms_issue_key(\'flood-$3-$i\')"
			done', 'bash', $node->connstr('postgres'), $dir, $_
		],
		'>', \my $output)
} 1 .. $flooders;
ok( KmsTest::poll(
		sub { generated("device_id LIKE 'flood-%'") >= 2 * $flooders && waiting() >= $flooders - 2 }),
	'others open a new connection for each key');
cmp_ok(others_before_a_new_one('another device'), '<=', 2,
	'a session of a role that has made fewer is next');
open my $stop, '>', "$dir/stop" or die $!;
close $stop;
$_->finish foreach @load;
$node->stop;
done_testing();
