# pg_stat_activity says what workers and sessions of kms wait for, on
# PostgreSQL 17 and later by a name.  The manual lists these names.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../../perl";
use KmsAudit;
use KmsClient;
use KmsTest;
use PostgreSQL::Test::Utils;
use Test::More;

my $root = "$FindBin::Bin/../../..";
my @names = slurp_file("$root/src/pg/wait_event.c") =~ /= "(Kms\w+)"/g;
my @listed = slurp_file("$root/docs/operate/monitoring.md") =~ /^\| `(Kms\w+)`/mg;
is(join(' ', sort @listed), join(' ', sort @names), 'the manual lists the waits');
cmp_ok(scalar @names, '>', 10, 'there are some');

my $audit = KmsAudit->new('waits', conf => 'kms.maintenance = off');
my $node = $audit->{node};
my $named = $node->sql('SHOW server_version_num') >= 170000;

# Wait until a process waits for this.
sub waits
{
	my ($where, $name, $test_name) = @_;
	$name = 'Extension' unless $named;
	return ok(
		KmsTest::poll(
			sub {
				$node->sql("SELECT count(*) > 0 FROM pg_stat_activity WHERE $where
					AND wait_event_type = 'Extension' AND wait_event = '$name'") eq 't';
			}),
		"$test_name: $name");
}

waits("backend_type = 'kms launcher'", 'KmsLauncherIdle', 'an idle launcher');
waits("backend_type = 'kms writer' AND datname = 'postgres'", 'KmsWriterIdle', 'an idle writer');

my $writer = $audit->writer;
my $call = $audit->results->{decrypt};
$audit->mode('required', KmsAudit::LONG_TIMEOUT);
KmsTest::freeze($writer);
my $caller = KmsClient->session($node, 'postgres');
$caller->send($call);
waits("pid = $caller->{pid}", 'KmsDurable', 'a call whose event is not written');
my $flusher = KmsClient->session($node, 'postgres');
$flusher->send('SELECT kms_flush_events()');
waits("pid = $flusher->{pid}", 'KmsFlush', 'kms_flush_events()');
kill 'CONT', $writer;
is($caller->receive, 'secret', 'both go on with the writer');
$flusher->receive;

my $flood = $call =~ s/^SELECT (.*)/SELECT count($1) FROM generate_series(1, 300)/sr;
$audit->mode('best_effort', KmsAudit::LONG_TIMEOUT);
KmsTest::freeze($writer);
$caller->send($flood);
waits("pid = $caller->{pid}", 'KmsRingRoom', 'a call when the ring is full');
kill 'CONT', $writer;
is($caller->receive, '300', 'the flood goes on with the writer');

$node->sql('ALTER TABLE kms.event RENAME TO elsewhere');
$node->sql($call);
waits("backend_type = 'kms writer' AND datname = 'postgres'", 'KmsWriterPause', 'a writer that has failed');
$node->sql('ALTER TABLE kms.elsewhere RENAME TO event');

SKIP:
{
	skip 'PostgreSQL before 17 does not list wait events', 1 unless $named;
	is( $node->sql("SELECT count(*) FROM pg_wait_events WHERE type = 'Extension' AND name LIKE 'Kms%'"),
		scalar @names, 'pg_wait_events has all of them, from the start');
}
$caller->quit;
$flusher->quit;
$audit->{session}->quit;
$node->stop;
done_testing();
