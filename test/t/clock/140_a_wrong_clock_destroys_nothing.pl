# Under a clock that is wrong, by 200 days or ten years, ahead or back, while
# the server runs or when it starts, maintenance expires, deletes and rolls up
# nothing, however few or many keys there are.  When the clock is right again
# all keys and events are there, and the trail is intact.
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

my $clock = KmsClock->new('wrong');
my $node = KmsTest->node('wrong', start => 0, conf => <<'CONF');
kms.maintenance = off
kms.maintenance_interval = 1s
kms.keygen_limit = 100
kms.audit_checkpoint_interval = 1s
CONF
$clock->start($node);

# ---- 20 keys, and 20,000 --------------------------------------------------

# Make keys in every state in which maintenance changes or deletes keys.
foreach my $db ('few', 'many')
{
	$node->safe_psql('postgres', "CREATE DATABASE $db");
	$node->safe_psql($db, <<'SQL');
CREATE EXTENSION kms;
SELECT count(kms_issue_key('phone-' || n)) FROM generate_series(1, 20) AS n;
SELECT kms_deprecate_key(key_id) FROM kms.key WHERE device_id IN ('phone-1', 'phone-2', 'phone-3');
SELECT kms_revoke_key(key_id, 'lost') FROM kms.key WHERE device_id IN ('phone-4', 'phone-5');
SELECT kms_disable_key(key_id) FROM kms.key WHERE device_id = 'phone-6';
SELECT kms_schedule_key_deletion(key_id, '7 days') FROM kms.key WHERE device_id = 'phone-7';
SELECT kms_try_decrypt(key_id, kms_encrypt(key_id, 'secret')) FROM kms.key WHERE device_id = 'phone-20';
INSERT INTO kms.metric SELECT date_trunc('hour', now()) - n * interval '1 hour', 60, 'decrypt', 'success', '',
	1, 1, 1, 1, '{1}' FROM generate_series(1, 20) AS n;
SQL
}

# Making so many keys would take an hour, so these are copies.  The purge accepts
# them if they are due, because the server does not have the master key that they
# name and cannot tell that they are not authentic.
$node->safe_psql('many', <<'SQL');
INSERT INTO kms.key SELECT (jsonb_populate_record(k, jsonb_build_object(
	'key_id', 'copy' || n, 'device_id', 'copy' || n))).*
FROM kms.key AS k, generate_series(1, 20000) AS n WHERE device_id = 'phone-1';
INSERT INTO kms.key_secret (key_id, public_key, wrapped_key)
SELECT 'copy' || n, public_key, overlay(wrapped_key PLACING '\x0102030405060708' FROM 2)
FROM kms.key_secret JOIN kms.key USING (key_id), generate_series(1, 20000) AS n
WHERE device_id = 'phone-1';
SQL

my $key = $node->safe_psql('few', "SELECT key_id FROM kms.key WHERE device_id = 'phone-20'");
my $ciphertext = $node->safe_psql('few', "SELECT kms_encrypt('$key', 'secret')");

# A batch of all, so often that all of it would be gone.
sub maintain
{
	my ($db, $argument) = @_;
	my $call = 'SELECT FROM kms_maintain(' . ($argument || '') . ')';
	$node->safe_psql($db, join ";\n", ($call) x 5);
	return;
}

# Return everything that maintenance may have deleted or changed.
sub contents
{
	my $db = shift;
	return $node->safe_psql($db, <<'SQL');
SELECT count(*), count(*) FILTER (WHERE state = 'active'), sum(row_version), sum(hashtext(key_id || state))
FROM kms.key;
SELECT min(ticket), count(*) FROM kms.event WHERE ticket <= 30;
SELECT count(*) FROM kms.event_checkpoint WHERE kind = 'start';
SELECT sum(count) FROM kms.metric WHERE bucket < date_trunc('hour', now() - interval '1 minute') AND width = 60
	AND bucket BETWEEN now() - interval '2 days' AND now();
SQL
}

# The trail is signed, so that retention could delete it.
foreach my $db ('few', 'many')
{
	ok( KmsTest::poll(
			sub {
				$node->safe_psql($db, 'SELECT kms_flush_events(); SELECT FROM kms_maintain()');
				$node->safe_psql($db,
					'SELECT signed_ticket = last_ticket FROM kms_audit_verify()') eq 't';
			}),
		"$db: the trail is signed");
}
my %before = map { $_ => contents($_) } 'few', 'many';
like($before{few}, qr/^20\|13\|/, 'few keys');
like($before{many}, qr/^20020\|13\|/, 'many keys');

sub is_as_before
{
	my $what = shift;

	foreach my $db ('few', 'many')
	{
		maintain($db);
		is(contents($db), $before{$db}, "$db: all is there after $what");
		is( $node->safe_psql($db, 'SELECT kms_flush_events(); SELECT intact FROM kms_audit_verify()'),
			"\nt",
			"$db: the trail is intact after $what");
		unlike(KmsClient::findings($node, $db), qr/clock of maintenance/,
			"$db: kms_check() has no complaint of clocks after $what");
	}
	is($node->safe_psql('few', "SELECT kms_decrypt('$key', '$ciphertext')"),
		'secret', "a key works after $what");
	return;
}

# ---- While the server runs ------------------------------------------------

my $behind = qr/^warning: the clock of maintenance is behind the server's clock: from \d{4}-.* to \d{4}-.*confirm_clock => true/m;
foreach my $offset ('+200d', '+3650d')
{
	$clock->set($node, $offset);
	foreach my $db ('few', 'many')
	{
		maintain($db);
		like(KmsClient::findings($node, $db), $behind, "$db: kms_check() tells of $offset");
		maintain($db, 'confirm_purge => true');
		like(KmsClient::findings($node, $db), $behind, "$db: to confirm a purge is not to confirm the clock");
		is($node->safe_psql($db, 'SELECT count(*) FROM kms.key WHERE state_changed_at > now() - interval \'1 day\''),
			'0', "$db: nothing is expired");
	}
	is(KmsClient::sqlstate($node, 'few', "SELECT kms_decrypt('$key', '$ciphertext')"),
		'KM003', 'the use of keys goes by the server\'s clock');
	$clock->set($node, '+0d');
	is_as_before("$offset while it ran");
}
like(slurp_file($node->logfile),
	qr/LOG: .*the clock of kms maintenance is behind the server's clock: from \d{4}-.* to \d{4}-/,
	'the log says from when to when');

$clock->set($node, '-1d');
foreach my $db ('few', 'many')
{
	maintain($db);
	like(KmsClient::findings($node, $db),
		qr/^warning: the server's clock is behind the clock of maintenance: from /m,
		"$db: kms_check() tells of a clock that went back");
}
$clock->set($node, '+0d');
is_as_before('a day back');

# ---- The worker -----------------------------------------------------------

# The worker's rounds: another one begins and ends.
sub await_round
{
	my $db = shift;
	my $last = "SELECT value FROM kms.status WHERE item = 'maintenance last round'";
	my $seen = $node->safe_psql($db, $last);
	KmsTest::poll(sub { $node->safe_psql($db, $last) ne $seen }) or die 'no round';
	return;
}

$node->append_conf('postgresql.conf', 'kms.maintenance = on');
$node->reload;
await_round('few');
$clock->set($node, '+200d');
await_round($_) foreach 'few', 'few', 'many', 'many';
$clock->set($node, '+0d');
await_round($_) foreach 'few', 'many';
$node->append_conf('postgresql.conf', 'kms.maintenance = off');
$node->reload;
is_as_before('rounds of the worker');

# ---- When the server starts -----------------------------------------------

foreach my $offset ('+3650d', '-1d', '+200d')
{
	$clock->restart($node, $offset);
	maintain($_) foreach 'few', 'many';
	$clock->restart($node, '+0d');
	is_as_before("a start under $offset");
}

# ---- The clock in the table -----------------------------------------------

# A clock that was changed does not authenticate, and one that was deleted starts
# from the youngest row.  An older clock that is restored is only behind.
$node->safe_psql('few', 'CREATE TABLE kept AS SELECT * FROM kms.maintenance');
maintain('few');
foreach my $change (
	"UPDATE kms.maintenance SET clock = clock + interval '200 days'",
	"UPDATE kms.maintenance SET clock_run_time = 0",
	"UPDATE kms.maintenance SET clock_boot = 'other'",
	"UPDATE kms.maintenance SET clock_boot = NULL, clock_run_time = NULL",
	"UPDATE kms.maintenance SET clock_boot = repeat('x', 100)",
	"UPDATE kms.maintenance SET clock_seal = '\\x00'",
	"UPDATE kms.maintenance SET clock = 'infinity'",
	"UPDATE kms.maintenance SET clock = NULL",
	'DELETE FROM kms.maintenance',
	'UPDATE kms.maintenance SET clock = kept.clock, clock_run_time = kept.clock_run_time,
		clock_boot = kept.clock_boot, clock_seal = kept.clock_seal FROM kept')
{
	$node->safe_psql('few', $change);
	$clock->set($node, '+200d');

	# A row that is signed now is the youngest row, and must not be believed.
	ok( KmsTest::poll(
			sub {
				$node->safe_psql('few', "SELECT kms_try_decrypt('none', 'AAAA'); SELECT kms_flush_events();
					SELECT count(*) > 0 FROM kms.event_checkpoint WHERE signed_at > now() - interval '1 day'") =~ /t$/;
			}),
		"signed under the wrong clock: $change");
	maintain('few');
	my $ahead = $node->safe_psql('few', "SELECT clock - (now() - interval '200 days') FROM kms.maintenance
		WHERE clock > now() - interval '198 days'");
	is($ahead, '', "not ahead: $change");
	$clock->set($node, '+0d');
	maintain('few');
	is(contents('few'), $before{few}, $change);
}
is_as_before('changes of the clock in the table');

# The clock of another database does not authenticate in this one.
my $other = $node->safe_psql('many',
	"SELECT format('clock = %L, clock_run_time = %L, clock_boot = %L, clock_seal = %L',
		clock, clock_run_time, clock_boot, clock_seal) FROM kms.maintenance");
$node->safe_psql('few', "UPDATE kms.maintenance SET $other");
maintain('few');
isnt($node->safe_psql('few', 'SELECT clock_seal FROM kms.maintenance'),
	$node->safe_psql('many', 'SELECT clock_seal FROM kms.maintenance'),
	'a clock of another database is not taken over');

# ---- Without a master key -------------------------------------------------

# Metrics need none to be deleted; but there is no clock to say that they are
# old.
my $path = KmsTest::master_key_path($node);
rename $path, "$path.away" or die "$path: $!";
$clock->restart($node, '+3650d');
maintain('few');
is(KmsClient::sqlstate($node, 'few', 'SELECT FROM kms_maintain(confirm_clock => true)'),
	'KM007', 'without a master key the clock cannot be confirmed');
rename "$path.away", $path or die "$path: $!";
$clock->restart($node, '+0d');
is_as_before('ten years without a master key');

# ---- Confirmed ------------------------------------------------------------

$clock->set($node, '+31d');
maintain('few', 'confirm_clock => true');
unlike(KmsClient::findings($node, 'few'), qr/clock of maintenance/, 'a clock that was confirmed is no finding');
is($node->safe_psql('few', "SELECT count(*) FILTER (WHERE state = 'active'), count(*),
	count(*) FILTER (WHERE state_reason = 'Expired') FROM kms.key"),
	'0|19|13', 'keys that are due by a confirmed clock are expired and deleted');
like(slurp_file($node->logfile), qr/LOG: .*the clock of kms maintenance is set to the server's clock, /,
	'the log says that the clock is set');
like(KmsClient::findings($node, 'many'), $behind, 'the confirmation does not change the clock of another database');

# The confirmation of a wrong clock is undone in the same way.
$clock->set($node, '+0d');
like(KmsClient::findings($node, 'few'), qr/^warning: the server's clock is behind the clock of maintenance/m,
	'when the clock is back that is a finding');
maintain('few', 'confirm_clock => true');
unlike(KmsClient::findings($node, 'few'), qr/clock of maintenance/, 'the finding ends when the clock is confirmed');
is($node->safe_psql('few', 'SELECT clock <= now() FROM kms.maintenance'), 't', 'the confirmation sets the clock of maintenance to the correct time');

$node->stop;
done_testing();
