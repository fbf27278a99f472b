# Disabling, revoking and scheduling work at once while the master key is
# missing, also in a dump and on a standby.  Maintenance seals the rows when
# the master key is available again.  In the meantime, a role that writes to
# the tables can deny keys, but cannot re-enable one unnoticed.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../../perl";
use KmsClient;
use KmsTest;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time);

my $node = KmsTest->node('deny', init => [ allows_streaming => 1 ],
	conf => "kms.maintenance_interval = '1s'\nmax_prepared_transactions = 5");
my $file = KmsTest::master_key_path($node);
chomp(my $master_key = slurp_file($file));
my @states = qw(disabled revoked pending_deletion);
my %change = (
	disabled => 'SELECT kms_disable_key(%s)',
	revoked => "SELECT kms_revoke_key(%s, 'stolen')",
	pending_deletion => 'SELECT kms_schedule_key_deletion(%s)');
my (%key, %ciphertext);

sub sql { return $node->safe_psql('postgres', $_[0]) }
sub sqlstate { return KmsClient::sqlstate($node, 'postgres', $_[0]) }

sub decrypt
{
	return "SELECT kms_decrypt('$key{$_[0]}', '$ciphertext{$_[0]}')";
}

sql('CREATE EXTENSION kms');
foreach my $device (@states, 'untouched')
{
	my $pem;
	($key{$device}, $pem) = KmsClient::issue($node, 'postgres', $device);
	$ciphertext{$device} = KmsTest::encrypt_with_openssl($pem, $device);
}

# ---- Without the master key ----------------------------------------------

$node->stop;
unlink $file or die "$file: $!";
$node->start;
is(sqlstate(decrypt('untouched')), 'KM007', 'there is no master key');
foreach my $state (@states)
{
	my $begin = time;
	is(sqlstate(sprintf $change{$state}, "'$key{$state}'"),
		'00000', "$state: works");
	# A call that waits for the master key takes more than four seconds.
	cmp_ok(time - $begin, '<', 3, "$state: refused at once");
	is(sql("SELECT kms_key_state('$key{$state}')"), $state, "$state: told");
	is(sqlstate(decrypt($state)), 'KM004', "$state: refused before the master key is needed");
}
is( sql('SELECT key_id, state FROM kms.keys ORDER BY 1'),
	join("\n", sort map { "$key{$_}|" . ($_ eq 'untouched' ? 'active' : $_) } keys %key),
	'the view shows the state');
is( sql("SELECT count(*) FROM kms.key WHERE state = 'active'"),
	4, 'the sealed rows are unchanged');
is(sqlstate("SELECT kms_enable_key('$key{disabled}')"),
	'KM007', 're-enabling needs the master key');
is(sqlstate("SELECT kms_deprecate_key('$key{untouched}')"),
	'KM007', 'changes that do not deny need the master key');
is( KmsTest::events($node, 'postgres',
		"operation IN ('disable', 'revoke', 'schedule_deletion') AND status = 'success'"),
	3, 'each denial is recorded');
is( KmsTest::events($node, 'postgres', "operation = 'revoke' AND context = 'stolen'"),
	1, 'the recorded denials have their reasons');

# two-phase commit: in force when it is committed
sql("BEGIN; SELECT kms_disable_key('$key{untouched}'); PREPARE TRANSACTION 'deny'");
is(sql("SELECT kms_key_state('$key{untouched}')"), 'active', 'prepared: not in force yet');
sql("COMMIT PREPARED 'deny'");
is(sql("SELECT kms_key_state('$key{untouched}')"), 'disabled', 'committed: in force');

# ---- Elsewhere -----------------------------------------------------------

my $dump = $node->basedir . '/dump';
$node->command_ok([ 'pg_dump', '-Fc', '-f', $dump, '-d', $node->connstr('postgres') ],
	'pg_dump');
$node->safe_psql('postgres', 'CREATE DATABASE restored');
$node->command_ok(
	[ 'pg_restore', '--single-transaction', '-d', $node->connstr('restored'), $dump ],
	'pg_restore');
is( $node->safe_psql('restored', "SELECT kms_key_state('$key{revoked}')"),
	'revoked', 'a dump includes the denials');
my $standby = KmsTest->standby($node, 'standby');
is( $standby->safe_psql('postgres', "SELECT kms_key_state('$key{revoked}')"),
	'revoked', 'a standby has the denials');
is( KmsClient::sqlstate($standby, 'postgres', sprintf $change{revoked}, "'$key{disabled}'"),
	'25006', 'a standby cannot deny');
$standby->stop;

# ---- With it again -------------------------------------------------------

KmsTest::write_master_key($file, $master_key);
$node->reload;
ok(KmsTest::poll(sub { sql('SELECT count(*) FROM kms.denial') eq '0' }),
	'maintenance applies the denials to the rows');
is( sql('SELECT key_id, stored_state, row_version FROM kms.keys ORDER BY 1'),
	join("\n",
		sort map { "$key{$_}|" . ($_ eq 'untouched' ? 'disabled' : $_) . '|2' } keys %key),
	'sealed');
foreach my $state (@states)
{
	is(sqlstate(decrypt($state)), 'KM004', "$state: still denied");
	is( sql("SELECT kms_decrypt_recover('$key{$state}', '$ciphertext{$state}', 'test')"),
		$state, "$state: break-glass decrypts");
}
is(sql("SELECT kms_enable_key('$key{disabled}')"), 'active', 'the key is enabled again');
is(sql(decrypt('disabled')), 'disabled', 'the enabled key decrypts');
is(sql("SELECT count(*) FROM kms_check() WHERE finding ~ 'older than the trail'"),
	0, 'rows and trail agree');

# ---- Edits of a denial that is not applied yet ---------------------------

my $id = $key{disabled};
sql("ALTER SYSTEM SET kms.maintenance = off");
$node->reload;
sql("BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT kms_revoke_key('$id', 'stolen'); COMMIT");
is(sql('SELECT count(*) FROM kms.denial'), 1, 'a denial is in kms.denial, not in the row');
KmsTest::events($node, 'postgres');
sql('DELETE FROM kms.denial');
like( sql('SELECT finding FROM kms_check()'),
	qr/older than the trail says they should be: \Q$id\E/,
	'the trail shows that a denial was deleted');
sql("INSERT INTO kms.denial (key_id, state, denied_at) VALUES ('$id', 'disabled', now())");
is(sql("SELECT kms_key_state('$id')"), 'disabled', 'inserting a denial denies the key');
sql("UPDATE kms.key SET expires_at = expires_at + '1 year'::interval WHERE key_id = '$id'");
is( sql("SELECT done, skipped FROM kms_maintain() WHERE task = 'seal denials'"),
	'0|1', 'a row that was edited in the meantime is not sealed');
is(sqlstate("SELECT kms_enable_key('$id')"), 'XX001', 'a row that was edited in the meantime is not enabled');

$node->stop;
done_testing();
