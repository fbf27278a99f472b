# ALLOW_CONNECTIONS, CONNECTION LIMIT and REVOKE CONNECT keep users away, not
# the workers of a database that was served before.  A database that was never
# served is left alone, and so is one whose DROP was interrupted.  Locked databases
# do not keep others from being found.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../../perl";
use KmsClient;
use KmsTest;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = KmsTest->node('closed', conf => <<'CONF');
kms.maintenance_interval = 1s
max_prepared_transactions = 10
CONF
my $calls = 0;

# Return whether a worker of this kind begins in the database after this call.
sub comes
{
	my ($db, $type) = @_;
	my $now = $node->sql('SELECT clock_timestamp()');
	return KmsTest::poll(
		sub {
			$node->sql("SELECT count(*) > 0 FROM pg_stat_activity WHERE datname = '$db'
				AND backend_type = 'kms $type' AND backend_start > '$now'") eq 't';
		});
}

$node->sql('CREATE DATABASE one');
$node->safe_psql('one', 'CREATE EXTENSION kms');
my ($key, $pem) = KmsClient::issue($node, 'one', 'phone');
my $good = "'$key', '" . KmsTest::encrypt_with_openssl($pem, 'secret') . "'";
my $session = KmsClient->session($node, 'one');

foreach my $closing (
	'ALTER DATABASE one ALLOW_CONNECTIONS false',
	'ALTER DATABASE one CONNECTION LIMIT 0',
	'REVOKE CONNECT ON DATABASE one FROM PUBLIC')
{
	$node->sql($closing);
	$node->sql("SELECT pg_terminate_backend(pid, 180000) FROM pg_stat_activity
		WHERE datname = 'one' AND backend_type = 'kms writer'");
	$calls++;
	$session->query("SET application_name = 'call $calls'");
	is($session->query("SELECT kms_decrypt($good)"), 'secret', "$closing: calls go on");
	$session->query("SET statement_timeout = '180s'; SELECT kms_flush_events(); RESET statement_timeout");
	is($session->query("SELECT count(*) FROM kms.event WHERE application_name = 'call $calls'"),
		'1', "$closing: they are recorded");
	ok(comes('one', 'maintenance'), "$closing: maintenance comes");
}
$session->quit;

# Nobody is in it after a restart, and it is served all the same.
$node->sql('CREATE DATABASE never TEMPLATE template0 ALLOW_CONNECTIONS false');
$node->sql('CREATE DATABASE interrupted');
$node->safe_psql('interrupted', 'CREATE EXTENSION kms');
KmsClient::issue($node, 'interrupted', 'phone');
$node->safe_psql('interrupted', 'SELECT kms_flush_events()');
$node->sql("UPDATE pg_database SET datconnlimit = -2 WHERE datname = 'interrupted'");
$node->restart;
ok(comes('one', 'maintenance'), 'maintenance comes after a restart');
my $log = slurp_file($node->logfile);
unlike($log, qr/FATAL: .*(?:is not currently accepting connections|cannot connect to invalid database)/,
	'no worker was refused');
is( $node->sql("SELECT count(*) FROM pg_stat_activity WHERE datname IN ('never', 'interrupted')"),
	'0', 'no worker runs in the databases that cannot be served');

# ---- Databases that are locked -------------------------------------------

# More than are looked at at a time.
foreach my $number (1 .. 5)
{
	$node->sql("CREATE DATABASE locked_$number TEMPLATE template0");
	$node->sql("BEGIN; ALTER DATABASE locked_$number RENAME TO renamed_$number; PREPARE TRANSACTION 'locked_$number'");
}
$node->restart;
$node->sql('CREATE DATABASE copy TEMPLATE one');
ok(comes('copy', 'maintenance'), 'a database behind them is found and served');
$node->sql("ROLLBACK PREPARED 'locked_$_'") foreach 1 .. 5;
$node->stop;
done_testing();
