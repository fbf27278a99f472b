# On a standby kms.counters counts calls, which are not recorded there, and
# kms.gauges shows what a standby has.  A promotion begins no new count.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../../perl";
use KmsClient;
use KmsTest;
use PostgreSQL::Test::Utils;
use Test::More;

my $primary = KmsTest->node('primary', init => [ allows_streaming => 1 ]);
$primary->sql('CREATE EXTENSION kms');
my ($key, $pem) = KmsClient::issue($primary, 'postgres', 'phone');
my $good = KmsTest::encrypt_with_openssl($pem, 'secret');
my $standby = KmsTest->standby($primary, 'standby');
$primary->wait_for_catchup('standby', 'replay', $primary->lsn('insert'));
$standby->sql("SELECT kms_decrypt('$key', '$good')");

sub number
{
	my ($name, $status) = @_;
	return $standby->sql("SELECT coalesce(sum(value), 0) FROM kms.counters WHERE name = '$name'"
		  . ($status ? " AND status = '$status' AND operation = 'decrypt'" : ''));
}

my $since = $standby->sql('SELECT DISTINCT since FROM kms.counters');
my $before = number('calls', 'success');
my $successes = number('standby_successes');
$standby->sql("SELECT kms_decrypt('$key', '$good')");
$standby->psql('postgres', "SELECT kms_decrypt('$key', 'AAAA')");
is(number('calls', 'success'), $before + 1, 'a call on a standby is counted');
is(number('calls', 'failure'), '1', 'so is one that fails');
is(number('standby_successes'), $successes + 1, 'as a call on a standby, too');
is(number('standby_failures'), '1', 'both of them');
is(number('events_recorded'), '0', 'no event is recorded');
is( $standby->sql("SELECT string_agg(name || ' ' || value, ', ' ORDER BY name COLLATE \"C\") FROM kms.gauges
		WHERE name IN ('launcher_running', 'master_key_ready', 'ring_used', 'events_left_in_rings', 'outbox_changes')"),
	'events_left_in_rings 0, launcher_running 1, master_key_ready 1, outbox_changes 0',
	'a standby has the gauges that do not need a ring');
is($standby->sql("BEGIN; SELECT count(*) FROM kms.gauges WHERE name = 'pool_keys'; COMMIT"), '1',
	'gauges of tables are read there, too');

my $calls = number('calls');
$standby->promote;
is($standby->sql('SELECT DISTINCT since FROM kms.counters'), $since, 'a promotion begins no new count');
is(number('calls'), $calls, 'and loses none');
$standby->sql("SELECT kms_decrypt('$key', '$good')");
is(number('calls', 'success'), $before + 2, 'the count goes on');
is(number('standby_successes'), $successes + 1, 'but not that of the standby');
is(number('events_recorded'), '1', 'now the event is recorded');

# ---- A new extension is seen on a standby as well -------------------------

my $second = KmsTest->standby($standby, 'second');
$standby->wait_for_catchup('second', 'replay', $standby->lsn('insert'));
$second->sql("SELECT kms_decrypt('$key', '$good')");
$since = $second->sql('SELECT DISTINCT since FROM kms.counters');
$standby->sql('DROP EXTENSION kms CASCADE; CREATE EXTENSION kms');
$standby->wait_for_catchup('second', 'replay', $standby->lsn('insert'));
is( $second->sql("SELECT coalesce(sum(value) FILTER (WHERE name = 'calls'), 0) || ' ' || bool_and(since > '$since')
		FROM kms.counters"),
	'0 true', 'a new extension begins a new count there');
$_->stop foreach $second, $standby, $primary;
done_testing();
