# Maintenance deletes nothing before its time: neither a revoked key whose
# deletion is scheduled, nor events, even if the clock was behind when they were
# signed.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../../perl";
use KmsClock;
use KmsTest;
use Test::More;

KmsClock->available or plan skip_all => 'libfaketime is not installed';

my $clock = KmsClock->new('due');
my $node = KmsTest->node('due', start => 0, conf => <<'CONF');
kms.maintenance = off
kms.audit_checkpoint_interval = 1s
CONF

# The clock of maintenance as well.
sub set
{
	$clock->set($node, $_[0]);
	$node->sql('SELECT FROM kms_maintain(confirm_clock => true)');
	return;
}

# Events that are signed, by the clock as it is; the last ticket.
sub signed
{
	$node->sql("SELECT count(kms_try_decrypt('none', 'AAAA')) FROM generate_series(1, 3); SELECT kms_flush_events()");
	my $last = $node->sql('SELECT max(last_ticket) FROM kms.event_epoch');
	KmsTest::poll(
		sub {
			$node->sql("SELECT kms_flush_events(); SELECT count(*) FROM kms.event_checkpoint WHERE ticket >= $last") =~ /[1-9]$/;
		}) or die "ticket $last is not signed";
	return $node->sql('SELECT max(ticket) FROM kms.event_checkpoint');
}

# ---- Events --------------------------------------------------------------

$clock->write('-200d');
$clock->start($node);
$node->sql('CREATE EXTENSION kms');
my $old = signed();
set('+0d');
my $first = $old + 1;
my $young = signed();
set('-200d');
my $signed = signed();
set('+0d');
$node->sql('SELECT FROM kms_maintain()') foreach 1 .. 3;
cmp_ok($signed, '>', $young, 'young events were signed again while the clock was behind');
is($node->sql('SELECT max(ticket) FROM kms.event_checkpoint WHERE kind = \'start\''),
	$old, 'retention takes what is old, up to its signature');
is($node->sql("SELECT count(*) FROM kms.event WHERE ticket BETWEEN $first AND $young"),
	$young - $old, 'retention deletes no young event');
is($node->sql("SELECT count(*) FROM kms.event WHERE ticket BETWEEN $young + 1 AND $signed"),
	$signed - $young, 'retention deletes no event after those');
is($node->sql('SELECT intact FROM kms_audit_verify()'), 't', 'the trail is intact');

# ---- A key ---------------------------------------------------------------

# Scheduled eight days ago, for yesterday.
set('-8d');
my $key = $node->sql("SELECT key_id FROM kms_issue_key('phone')");
$node->sql("SELECT kms_schedule_key_deletion('$key', '7 days'); SELECT kms_revoke_key('$key', 'lost')");
my $due = $node->sql("SELECT extract(epoch FROM delete_at)::bigint FROM kms.keys WHERE key_id = '$key'");
is($node->sql("SELECT state FROM kms.keys WHERE key_id = '$key'"), 'revoked', 'a scheduled key is revoked');
my $there = "SELECT count(*) FROM kms.key WHERE key_id = '$key'";

# By so many seconds before or after that.
sub set_to
{
	my $offset = $due + $_[0] - time;
	$clock->write(sprintf '%+d', $offset);
	KmsTest::poll(sub { abs($node->sql('SELECT extract(epoch FROM clock_timestamp())::bigint') - time - $offset) < 2 })
	  or die 'the clock does not follow';
	$node->sql('SELECT FROM kms_maintain(confirm_clock => true)');
	return;
}

set_to(-60);
$node->sql('SELECT FROM kms_maintain()') foreach 1 .. 3;
is($node->sql($there), '1', 'a minute before its time the key is there');
set_to(2);
ok(KmsTest::poll(sub { $node->sql("SELECT FROM kms_maintain(); $there") =~ /^0$/m }), 'when its time has come the key is deleted');
is($node->sql("SELECT kms_flush_events(); SELECT count(*) FROM kms.event WHERE operation = 'purge' AND key_id = '$key'") =~ s/^\n//r,
	'1', 'the deletion is recorded');

$node->stop;
done_testing();
