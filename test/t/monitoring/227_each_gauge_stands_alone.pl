# A gauge that cannot be read is left out, at once, and the others are there:
# while its table is locked or gone.  kms.gauges says that the master key is
# missing, that a purge waits, and that a worker fails.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../../perl";
use KmsClient;
use KmsTest;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = KmsTest->node('gauges', conf => <<'CONF');
kms.maintenance = off
kms.key_algorithm = EC-P256
kms.keygen_limit = 1000000
CONF
$node->sql('CREATE EXTENSION kms');

# A gauge, or "none".
sub gauge
{
	my $name = shift;
	return $node->sql("SELECT coalesce(max(value)::text, 'none') FROM kms.gauges WHERE name = '$name'");
}

sub names
{
	return $node->sql('SELECT string_agg(name, \' \' ORDER BY name COLLATE "C") FROM kms.gauges');
}

$node->sql("SELECT key_id FROM kms_issue_key('phone'); SELECT kms_flush_events()");
$node->sql('SELECT * FROM kms_maintain()');
ok(KmsTest::poll(sub { gauge('unsigned_events') eq '0' }), 'the trail is signed');
my $all = names();
like($all, qr/checkpoint_age_seconds/, 'a signed trail has an age');
is(gauge('pool_keys_wanted'), '0', 'keys of elliptic curves need no pool');

# ---- Tables ---------------------------------------------------------------

my %needed_by = (
	pool_key => 'pool_keys',
	event_checkpoint => 'checkpoint_age_seconds unsigned_events',
	event => 'unsigned_events',
	event_outbox => 'outbox_changes',
	event_quarantine => 'events_quarantined',
	maintenance => 'purge_waiting');
foreach my $table (sort keys %needed_by)
{
	my $locker = KmsClient->session($node, 'postgres');
	$locker->query("BEGIN; LOCK TABLE kms.$table");
	my %left_out = map { $_ => 1 } split / /, $needed_by{$table};
	is(names(), join(' ', grep { !$left_out{$_} } split / /, $all),
		"while kms.$table is locked, the gauges that need it are left out");
	$locker->query('ROLLBACK');
	$locker->quit;
}
is(names(), $all, 'afterwards all are there again');
$node->sql('ALTER TABLE kms.event_quarantine RENAME TO elsewhere');
is(gauge('events_quarantined'), 'none', 'without its table a gauge is left out');
is(names(), $all =~ s/events_quarantined //r, 'and only that one');
$node->sql('ALTER TABLE kms.elsewhere RENAME TO event_quarantine');

my $quiet = KmsClient->session($node, 'postgres');
$quiet->query("SET statement_timeout = 1; SELECT pg_sleep(0)");
$quiet->query('SET statement_timeout = 0');
is($quiet->query('SELECT count(*) > 10 FROM kms.gauges'), 't', 'a session with other settings reads them');
is($quiet->query('SHOW lock_timeout'), '0', 'and keeps its own lock_timeout');
$quiet->quit;

# ---- What is wrong --------------------------------------------------------

my $file = KmsTest::master_key_path($node);
is(gauge('master_key_ready'), '1', 'the master key is there');
$node->append_conf('postgresql.conf', "kms.master_key_file = ''");
$node->reload;
ok(KmsTest::poll(sub { gauge('master_key_ready') eq '0' && gauge('master_keys') eq '0' }),
	'a missing master key is seen');
$node->append_conf('postgresql.conf', "kms.master_key_file = '$file'");
$node->reload;
ok(KmsTest::poll(sub { gauge('master_key_ready') eq '1' }), 'so is its return');

is(gauge('writer_failing'), '0', 'the writer works');
$node->sql('ALTER TABLE kms.event RENAME TO elsewhere');
$node->sql("SELECT kms_try_decrypt('key_0000000000000_000000000000000000000000', 'AAAA')");
ok(KmsTest::poll(sub { gauge('writer_failing') eq '1' }), 'a writer without its table fails');
cmp_ok(gauge('oldest_unwritten_event_seconds'), '>', 0, 'and its events grow old');
$node->sql('ALTER TABLE kms.elsewhere RENAME TO event');
$node->sql('SELECT kms_flush_events()');
is(gauge('writer_failing'), '0', 'the writer works again');

is(gauge('purge_waiting'), '0', 'no purge waits');
$node->sql('UPDATE kms.maintenance SET purge_blocked_at = now(), purge_waiting = 1');
is(gauge('purge_waiting'), '1', 'a purge that waits is seen');
my $age = gauge('maintenance_age_seconds');
$node->append_conf('postgresql.conf', "kms.maintenance = on\nkms.maintenance_interval = 1s");
$node->reload;
ok( KmsTest::poll(
		sub {
			my $now = gauge('maintenance_age_seconds');
			return $now ne 'none' && ($age eq 'none' || $now < $age);
		}),
	'a round of maintenance begins its age again');
$node->stop;
done_testing();
