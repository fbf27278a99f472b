# Two servers change places twenty times under load, because the leader dies.
# With a synchronous standby (kms.audit_wait_for_standby) each acknowledged call
# is in the trail of the new leader, once.  With asynchronous replication and
# kms.audit = best_effort some calls may be missing.  The row "gap" of this change
# of leader then says where they begin, and the old server has exactly those
# calls, in its trail behind that ticket or in its ring from that position on.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../../perl";
use File::Copy qw(copy);
use JSON::PP;
use KmsClient;
use KmsLoad;
use KmsTest;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(usleep);

use constant ROUNDS => $ENV{KMS_TEST_ROUNDS} // 10;

# The ring must not get half full, so that the event of an acknowledged best-effort
# call is in the ring for some time, then in the tables, then on the standby.
my $leader = KmsTest->node('one', init => [ allows_streaming => 1 ], conf => <<'CONF');
kms.event_flush_interval = 100ms
wal_log_hints = on
wal_keep_size = 64MB
wal_receiver_status_interval = 1s
CONF
$leader->safe_psql('postgres', 'CREATE EXTENSION kms');
my ($key, $pem) = KmsClient::issue($leader, 'postgres', 'phone');
my $decrypt = "SELECT kms_decrypt('$key', '" . KmsTest::encrypt_with_openssl($pem, 'secret') . "')";
my $other = KmsTest->standby($leader, 'two');
my $kms_ring = $leader->config_data('--bindir') . '/kms_ring';
my $database = $leader->safe_psql('postgres', "SELECT oid FROM pg_database WHERE datname = 'postgres'");
my $files = PostgreSQL::Test::Utils::tempdir();

sub await_standby
{
	my ($sql) = @_;
	KmsTest::poll(sub { $leader->sql("SELECT count(*) FROM pg_stat_replication WHERE $sql") }) or die 'the standby does not come back';
}

# ---- How a server dies -------------------------------------------------------

my @deaths = (
	[ 'an immediate stop', sub { $leader->stop('immediate') } ],
	[ 'a postmaster that is killed',
		sub {
			my $postmaster = slurp_file($leader->data_dir . '/postmaster.pid') =~ /^(\d+)/ ? $1 : die;
			my @processes = ($postmaster, split ' ', slurp_file("/proc/$postmaster/task/$postmaster/children"));
			$leader->kill9;
			KmsTest::poll(sub { !grep { -e "/proc/$_" } @processes }) or die 'its processes do not end';
		} ],
	[ 'a server that is killed when its standby lags',
		sub {
			my $walsender = $leader->sql('SELECT pid FROM pg_stat_replication');
			KmsTest::freeze($walsender);
			lag();
			kill 'KILL', $walsender;
			KmsTest::poll(sub { !-e $leader->data_dir . '/postmaster.pid' }) or die 'it does not die';
			$leader->_update_pid(0);
		} ]);

# Wait until the trail of the leader has calls that its standby does not have,
# or, if calls wait for the standby, until all of them do.
sub lag
{
	my $written = $leader->sql('SELECT max(ticket) FROM kms.event');
	my $enough = $leader->sql('SHOW kms.audit') eq 'required'
	  ? "SELECT count(*) = 0 FROM pg_stat_activity WHERE application_name = 'pgbench' AND wait_event_type IS DISTINCT FROM 'Extension'"
	  : "SELECT max(ticket) > $written FROM kms.event";

	KmsTest::poll(sub { $leader->sql($enough) eq 't' }) or die 'the load stands still';
}

# Start the dead server by itself, and return which calls are in its trail behind
# the ticket.  Start it without kms, which would write the events in the ring.
sub old_trail
{
	my ($load, $ticket) = @_;

	copy($leader->data_dir . '/postgresql.conf', "$files/conf") or die $!;
	$leader->append_conf('postgresql.conf', "shared_preload_libraries = ''\nsynchronous_standby_names = ''");
	$leader->start;
	my @calls = $load->recorded($leader, "ticket > $ticket");
	$leader->stop;
	return @calls;
}

sub old_ring
{
	my ($load, $position) = @_;
	my ($events) = run_command([ $kms_ring, '--from', $position, "$files/ring" ]);
	return $load->known(map { decode_json($_)->{audit_context} // '' } split /\n/, $events);
}

# Make the dead server a standby of the new leader, and exchange the two.
sub change_places
{
	$other->safe_psql('postgres', 'CHECKPOINT');
	command_ok([ 'pg_rewind', '--no-sync', '--target-pgdata', $leader->data_dir, '--source-server', $other->connstr('postgres') ],
		'pg_rewind finds where the two part');
	copy("$files/conf", $leader->data_dir . '/postgresql.conf') or die $!;
	$leader->enable_streaming($other);
	$leader->start;
	($leader, $other) = ($other, $leader);
}

# ---- The rounds --------------------------------------------------------------

my %conf = (
	required => "kms.audit = required\nkms.audit_wait_for_standby = on\nsynchronous_standby_names = '*'",
	best_effort => "kms.audit = best_effort\nkms.audit_wait_for_standby = off\nsynchronous_standby_names = ''");
my $round = 0;
my @loads;
my %lost;

foreach my $mode (qw(required best_effort))
{
	foreach my $node ($leader, $other)
	{
		$node->append_conf('postgresql.conf', $conf{$mode});
		$node->reload;
	}
	foreach my $i (1 .. ROUNDS)
	{
		my ($how, $die) = @{ $deaths[ $i % @deaths ] };
		my $name = sprintf '%s, round %d, %s', $mode, ++$round, $how;

		await_standby($mode eq 'required' ? "sync_state = 'sync'" : "state = 'streaming'");
		my $load = KmsLoad->start($leader, "round$round", $decrypt);
		usleep(100_000 + rand 300_000);    # at any moment of the load
		$die->();
		$load->finish;
		$other->promote;

		my $all = () = $load->acknowledged;
		cmp_ok($all, '>', KmsLoad::CLIENTS, "$name: calls were acknowledged");
		my $match = $load->match($other);
		my @lost = @{ $match->{lost} };
		is_deeply($match->{doubled}, [], "$name: none is recorded twice");
		KmsTest::poll(sub { $other->safe_psql('postgres', "SELECT count(*) FROM kms.event WHERE operation = 'gap'") >= $round })
		  or die 'there is no gap';
		my $gap = $other->safe_psql('postgres', "SELECT context FROM kms.event WHERE operation = 'gap' ORDER BY ticket OFFSET $round - 1");
		my ($ticket, $position) = $gap =~ /events after ticket (\d+) \(position (\d+)\) up to this row may be missing/;
		ok(defined $position, "$name: one gap is recorded, with a ticket and a position") or die $gap;

		my @behind = old_trail($load, $ticket);
		copy($leader->data_dir . "/pg_stat_tmp/kms.$database", "$files/ring") or die $!;
		my %old = map { $_ => 1 } @behind, old_ring($load, $position);
		my %new = map { $_ => 1 } $load->recorded($other);
		is_deeply([ grep { !$old{$_} } @lost ], [], "$name: what is lost of $all, " . @lost . ', the old server has behind that gap');
		is_deeply([ grep { $new{$_} } keys %old ], [], "$name: and of what it has there nothing is in the new trail");
		is_deeply(\@lost, [], "$name: each of $all is in the new trail") if $mode eq 'required';
		$lost{$mode} += @lost;
		$lost{behind} += grep { my $call = $_; grep { $_ eq $call } @lost } @behind;
		push @loads, $load;
		change_places();
	}
}
diag("with best_effort $lost{best_effort} calls were lost, $lost{behind} of them from the tables");
cmp_ok($lost{best_effort}, '>', 0, 'with best_effort some calls were lost');
cmp_ok($lost{behind}, '>', 0, 'some calls were lost from the tables') if ROUNDS >= @deaths;

$leader->sql('SELECT kms_flush_events()');
is($leader->sql("SELECT count(*) FROM kms.event WHERE operation = 'gap'"), $round, 'there is one gap for each change of leader');
my @doubled = map { @{ $_->match($leader)->{doubled} } } @loads;
is_deeply(\@doubled, [], 'no call is recorded twice in the end');
my @missing = map { @{ $_->match($leader)->{lost} } } @loads[ 0 .. ROUNDS - 1 ];
is_deeply(\@missing, [], 'nothing of the synchronous rounds is missing');
is($leader->sql('SELECT intact, finding FROM kms_audit_verify()'), 't|', 'the trail is intact');
$other->stop;
$leader->stop;
done_testing();
