# Maintenance expires and purges keys without any configuration, by the worker,
# or by pg_cron if the worker is off.  Deprecated keys decrypt until they
# expire, revoked keys never.  The trail records each purge.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../../perl";
use KmsClient;
use KmsTest;
use PostgreSQL::Test::Utils;
use Test::More;

# Keys live one second and are kept for one more, so this test must wait.
my $policy = <<'CONF';
kms.key_lifetime = 1s
kms.key_retention = 1s
CONF

sub sees
{
	my ($node, $db, $how) = @_;

	my ($key) = KmsClient::issue($node, $db, 'phone');
	ok( KmsTest::poll(
			sub {
				$node->safe_psql($db,
					"SELECT count(*) FROM kms.key WHERE key_id = '$key'") eq '0';
			}),
		"$how: a key is purged");
	is(KmsClient::sqlstate($node, $db, "SELECT kms_key_state('$key')"),
		'KM002', "$how: the key is purged");
	is($node->safe_psql($db, 'SELECT count(*) FROM kms.key_secret'),
		'0', "$how: the secret is purged");
	$node->safe_psql($db, 'SELECT kms_flush_events()');
	is( $node->safe_psql($db,
			"SELECT string_agg(concat_ws(' ', operation, status), ', ' ORDER BY ticket)
			FROM kms.event WHERE key_id = '$key'"),
		'generate success, deprecate success, purge success',
		"$how: the trail records its life");
}

# ---- The worker ----------------------------------------------------------

my $node = KmsTest->node('worker', conf => <<"CONF");
${policy}kms.maintenance_interval = 1s
CONF
$node->safe_psql('postgres', 'CREATE EXTENSION kms');
sees($node, 'postgres', 'worker');
$node->restart;
sees($node, 'postgres', 'worker after a restart');
my ($key) = KmsClient::issue($node, 'postgres', 'phone');
$node->safe_psql('postgres',
	"UPDATE kms.key SET expires_at = expires_at - interval '1 day'");
my $round = $node->safe_psql('postgres',
	"SELECT value FROM kms.status WHERE item = 'maintenance last round'");
ok( KmsTest::poll(
		sub {
			$node->safe_psql('postgres',
				"SELECT value FROM kms.status WHERE item = 'maintenance last round'")
			  ne $round;
		}),
	'worker: it goes on');
is( $node->safe_psql('postgres',
		"SELECT count(*) FROM kms.key WHERE key_id = '$key'"),
	'1', 'worker: a key whose dates were changed by hand is kept for the operator');
$node->stop;

# ---- pg_cron -------------------------------------------------------------

SKIP:
{
	my $control = `pg_config --sharedir`;
	chomp $control;
	skip 'pg_cron is not installed', 9
	  unless -e "$control/extension/pg_cron.control";

	# pg_cron before 1.5 runs jobs once a minute at most.  A job that runs at
	# the start of the server, with a restart, takes the same path.
	$node = KmsTest->node('cron', conf => <<"CONF");
${policy}shared_preload_libraries = 'kms,pg_cron'
kms.maintenance = off
cron.database_name = 'app'
cron.use_background_workers = on
CONF
	$node->safe_psql('postgres', 'CREATE DATABASE app');
	$node->safe_psql('app', 'CREATE EXTENSION kms; CREATE EXTENSION pg_cron');
	$node->safe_psql('app',
		"SELECT cron.schedule('\@reboot', 'SELECT kms_maintain()')");
	my ($cron_key) = KmsClient::issue($node, 'app', 'phone');
	my $due = "SELECT expires_at + interval '1 s' < clock_timestamp() FROM kms.key";
	$node->poll_query_until('app', $due) or die 'no key';
	is($node->safe_psql('app', 'SELECT state FROM kms.key'), 'active',
		'pg_cron: no key expires with kms.maintenance = off');

	# The job may also have run when it was made.
	my $runs = $node->safe_psql('app', 'SELECT coalesce(max(runid), 0) FROM cron.job_run_details');
	$node->restart;
	ok( $node->poll_query_until('app',
			"SELECT EXISTS (SELECT FROM cron.job_run_details WHERE status = 'succeeded' AND runid > $runs)"),
		'pg_cron: the job runs and succeeds')
	  or diag($node->safe_psql('app', 'SELECT * FROM cron.job_run_details'));
	is($node->safe_psql('app', 'SELECT count(*) FROM kms.key'), '0',
		'pg_cron: the key is purged');
	is( KmsTest::events($node, 'app', "key_id = '$cron_key' AND status = 'success'
			AND operation IN ('generate', 'deprecate', 'purge')"),
		'3', 'pg_cron: the trail records its life');
	unlike(KmsClient::findings($node, 'app'), qr/^(?:error|warning): (?!fsync)/m,
		'pg_cron: kms_check() finds nothing');
	$node->stop;
}

done_testing();
