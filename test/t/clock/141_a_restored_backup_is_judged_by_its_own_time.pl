# A backup that is restored under a wrong clock loses nothing: the clock of
# maintenance starts from the youngest restored row that authenticates, and rows
# that are made later by the wrong clock do not change that.  The same holds for a
# backup that is restored long after, and for a server that was off for three
# months: keys and events that became due in the meantime are expired and deleted
# when the clock has caught up, or is confirmed.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../../perl";
use KmsClient;
use KmsClock;
use KmsTest;
use PostgreSQL::Test::Utils;
use Test::More;

KmsClock->available or plan skip_all => 'libfaketime is not installed';

my $dump = PostgreSQL::Test::Utils::tempdir() . "/dump";
my $clock = KmsClock->new('restored');
my $node = KmsTest->node('restored', start => 0, conf => <<'CONF');
kms.maintenance = off
kms.audit_checkpoint_interval = 1s
CONF
$clock->start($node);
$node->safe_psql('postgres', <<'SQL');
CREATE EXTENSION kms;
SELECT count(kms_issue_key('phone-' || n)) FROM generate_series(1, 5) AS n;
SELECT kms_deprecate_key(key_id) FROM kms.key WHERE device_id IN ('phone-1', 'phone-2');
SELECT kms_revoke_key(key_id, 'lost') FROM kms.key WHERE device_id = 'phone-3';
SQL
KmsTest::poll(
	sub {
		$node->safe_psql('postgres', 'SELECT kms_flush_events()');
		$node->safe_psql('postgres', 'SELECT signed_ticket = last_ticket FROM kms_audit_verify()') eq 't';
	}) or die 'not signed';

sub maintain
{
	my ($db, $argument) = @_;
	my $call = 'SELECT FROM kms_maintain(' . ($argument || '') . ')';
	$node->safe_psql($db, join ";\n", ($call) x 3);
	return;
}

sub keys_of
{
	my $db = shift;
	return $node->safe_psql($db, "SELECT string_agg(state, ' ' ORDER BY device_id) FROM kms.key
		WHERE device_id LIKE 'phone-%'");
}

sub restore
{
	my $db = shift;
	$node->safe_psql('postgres', "CREATE DATABASE $db");
	$node->command_ok([ 'pg_restore', '-d', $node->connstr($db), $dump ], "$db is restored");
	return;
}

my $all = 'deprecated deprecated revoked active active';
my $behind = qr/^warning: the clock of maintenance is behind the server's clock/m;
$node->command_ok([ 'pg_dump', '-Fc', '-f', $dump, $node->connstr('postgres') ], 'dumped');
my $first_ticket = $node->safe_psql('postgres', 'SELECT max(ticket) FROM kms.event');

# ---- Under a wrong clock --------------------------------------------------

foreach my $offset ('+200d', '+3650d')
{
	my $db = 'at' . ($offset =~ /(\d+)/)[0];

	$clock->set($node, $offset);
	restore($db);

	# The restored database is in use before maintenance begins: keys are made,
	# events are signed.
	$node->safe_psql($db, "SELECT FROM kms_issue_key('new'); SELECT kms_try_decrypt('none', 'AAAA')");
	ok( KmsTest::poll(
			sub {
				$node->safe_psql($db, "SELECT kms_try_decrypt('none', 'AAAA'); SELECT kms_flush_events(); SELECT count(*) > 0 FROM kms.event_checkpoint
					WHERE signed_at > now() - interval '1 day'") =~ /t$/;
			}),
		"$db: its events are signed under the wrong clock");
	maintain($db);
	like(KmsClient::findings($node, $db), $behind, "$db: kms_check() tells of it");
	is(keys_of($db), $all, "$db: all keys are there");
	is($node->safe_psql($db, "SELECT count(*) FROM kms.event WHERE ticket <= $first_ticket"),
		$first_ticket, "$db: all events are there");
	$clock->set($node, '+0d');
	maintain($db);
	is(keys_of($db), $all, "$db: and when the clock is right");
	like($node->safe_psql($db, 'SELECT kms_flush_events(); SELECT intact FROM kms_audit_verify()'),
		qr/t$/, "$db: the trail is intact");
	my $findings = KmsClient::findings($node, $db);
	unlike($findings, $behind, "$db: the clock is no finding");
	like($findings, qr/^warning: keys were made in the future, 1: key_\d+/m,
		"$db: the key that was made under the wrong clock is one");
	like($findings, qr/^warning: events are from the future, \d+: the latest is of \d{4}-/m,
		"$db: and the events");
}

# ---- Long after -----------------------------------------------------------

# The server's clock is right, and the backup is three months old.
$clock->set($node, '+92d');
restore('old');
maintain('old');
like(KmsClient::findings($node, 'old'), $behind, 'kms_check() tells of an old backup');
is(keys_of('old'), $all, 'nothing of the restored database is deleted at once');
maintain('old', 'confirm_purge => true');
is(keys_of('old'), $all, 'with a purge confirmed nothing is deleted either');
maintain('old', 'confirm_clock => true');
is(keys_of('old'), 'deprecated deprecated revoked deprecated deprecated',
	'keys of the restored database expire once the clock is confirmed');

# ---- Nothing that authenticates -------------------------------------------

$clock->set($node, '+0d');
restore('lost');
my $path = KmsTest::master_key_path($node);
my ($line) = split /\n/, slurp_file($path);
KmsTest::write_master_key($path);
$node->reload;
KmsTest::poll(sub { $node->safe_psql('lost', "SELECT count(*) FROM kms_master_key_status() WHERE status = 'missing'") })
  or die 'the master key is the same';
$clock->set($node, '+200d');
maintain('lost');
is(keys_of('lost'), $all, 'without a row that authenticates there is no clock, and nothing is deleted');
like(KmsClient::findings($node, 'lost'),
	qr/^warning: maintenance has no clock, because nothing that tells the time authenticates.*confirm_clock => true/m,
	'kms_check() says so');
$clock->set($node, '+0d');
KmsTest::write_master_key($path, $line);
$node->reload;
KmsTest::poll(sub { $node->safe_psql('lost', "SELECT count(*) = 0 FROM kms_master_key_status() WHERE status = 'missing' AND keys > 0") eq 't' })
  or die 'the master key does not come back';
maintain('lost');
is(keys_of('lost'), $all, 'nothing is deleted when the time is known again');
unlike(KmsClient::findings($node, 'lost'), qr/clock of maintenance|has no clock/, 'maintenance has a clock when the time is known again');

# ---- Off for three months -------------------------------------------------

maintain('postgres');
$clock->restart($node, '+92d');
maintain('postgres');
like(KmsClient::findings($node, 'postgres'), $behind, 'kms_check() tells of a server that was off');
is(keys_of('postgres'), $all, 'nothing of the server that was off is deleted at once');
is(KmsClient::sqlstate($node, 'postgres',
		"SELECT kms_encrypt(key_id, 'x') FROM kms.key WHERE device_id = 'phone-5'"),
	'KM003', 'keys of the restored database have expired');
my $confirmed = $node->safe_psql('postgres', "SELECT string_agg(task, ', ') FROM kms_maintain(confirm_clock => true) WHERE done > 0");
like($confirmed, qr/^expire keys, /, 'maintenance that is due by a confirmed clock is done at once');
is(keys_of('postgres'), 'deprecated deprecated revoked deprecated deprecated', 'all keys are kept for their time');
unlike(KmsClient::findings($node, 'postgres'), $behind, 'the finding ends when the clock is confirmed');
$clock->set($node, '+122d');
maintain('postgres', 'confirm_clock => true');
is(keys_of('postgres'), '', 'keys that are due by the confirmed clock are deleted');

$node->stop;
done_testing();
