# Calls that wait for their events (kms.audit = required) get their results
# although the writer is cancelled, ended or busy elsewhere, or one event among
# theirs cannot be written; and many share a commit.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../../perl";
use KmsAudit;
use KmsClient;
use KmsTest;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(usleep);

my $audit = KmsAudit->new('writer');
my $node = $audit->{node};
my $decrypt = $audit->results->{decrypt};
my $many = "SELECT count(kms_decrypt($audit->{good})) FROM generate_series(1, 200)";
$audit->mode('required', KmsAudit::LONG_TIMEOUT);
my @callers = map { KmsClient->session($node, 'postgres') } 1 .. 8;
my $admin = KmsClient->session($node, 'postgres');

# ---- Signals -------------------------------------------------------------

# Each time the writer is looked up again, because it may be another process.
sub under_fire
{
	my ($name, $function) = @_;
	my $shots = 0;

	$_->query("SET application_name = '$name'") foreach @callers;
	$_->send($many) foreach @callers[ 0 .. 2 ];
	foreach (1 .. 20)
	{
		$shots++ if $admin->query("SELECT $function FROM pg_stat_activity
			WHERE backend_type = 'kms writer'") eq 't';
		usleep(20_000);    # for some calls in between
	}
	is(join(' ', map { $_->receive } @callers[ 0 .. 2 ]), '200 200 200',
		"$name $shots times: no call fails");
	is($audit->in_trail($name), '600', "$name: each has its event, once");
	is($audit->intact, 'intact', "$name: the trail is intact");
}

$audit->call($decrypt);
my $writer = $audit->writer;
under_fire('cancelled', 'pg_cancel_backend(pid)');
is($audit->writer, $writer, 'cancelled: it is still the same writer');
under_fire('terminated', 'pg_terminate_backend(pid)');
under_fire('reloaded', 'pg_reload_conf()');

# A cancel costs no pause: that would be 200 ms and more.
sub median_call
{
	my ($function) = @_;
	my @seconds;

	foreach (1 .. 15)
	{
		$audit->sql("SELECT $function FROM pg_stat_activity WHERE backend_type = 'kms writer'");
		push @seconds, $audit->call($decrypt)->{seconds};
	}
	return (sort { $a <=> $b } @seconds)[7];
}
my $usual = median_call('pid');
cmp_ok(median_call('pg_cancel_backend(pid)'), '<', $usual + 0.1, 'cancelled: a call after that waits no longer');

# ---- Many at once --------------------------------------------------------

sub all_wait
{
	my ($name) = @_;
	$admin->query('BEGIN; LOCK TABLE kms.event IN SHARE MODE');
	foreach my $caller (@callers)
	{
		$caller->query("SET application_name = '$name'");
		$caller->send($decrypt);
	}
	$audit->wait_until_waiting($_) or die 'no call waits' foreach @callers;
}

all_wait('together');
$admin->query('ROLLBACK');
is(join(' ', map { $_->receive } @callers), join(' ', ('secret') x 8),
	'calls that waited together get their results');
# The writer may have taken some events before it waited for the lock.
cmp_ok(
	$audit->sql("SELECT count(DISTINCT xmin::text) FROM kms.event WHERE application_name = 'together'"),
	'<=', 2, 'calls that waited together are written by one commit or two');

all_wait('terminated later');
$audit->sql("SELECT pg_terminate_backend(pid, 180000) FROM pg_stat_activity WHERE backend_type = 'kms writer'");
$admin->query('ROLLBACK');
is(join(' ', map { $_->receive } @callers), join(' ', ('secret') x 8),
	'calls also get their results if the writer was terminated while they waited');
is($audit->in_trail('terminated later'), '8', 'each of these calls has its event');

# ---- An event that cannot be written -------------------------------------

$audit->sql("ALTER TABLE kms.event ADD CONSTRAINT poison CHECK (application_name <> 'poison')");
foreach my $round (1 .. 3)
{
	$admin->query('BEGIN; LOCK TABLE kms.event IN SHARE MODE');
	foreach my $n (0 .. 7)
	{
		$callers[$n]->query('SET application_name = ' . ($n == 3 ? "'poison'" : "'among poison'"));
		$callers[$n]->send($decrypt);
		$audit->wait_until_waiting($callers[$n]) or die 'no call waits';
	}
	$admin->query('ROLLBACK');
	is( join(' ', map { $callers[$_]->receive } grep { $_ != 3 } 0 .. 7),
		join(' ', ('secret') x 7),
		"round $round: an event that cannot be written harms no other");
	is($callers[3]->receive, 'secret', "round $round: an event that cannot be written does not harm its own call");
	is($audit->sql('SELECT count(*) FROM kms.event_quarantine'), $round,
		"round $round: that event is in the quarantine");
}
is($audit->in_trail('among poison'), '21', 'the other events are in the trail');
is( $audit->sql("SELECT bool_and(error ~ 'violates check constraint') FROM kms.event_quarantine"),
	't', 'quarantined events have the reason');
like($audit->findings, qr/^warning: .*quarantined/m, 'kms_check() reports quarantined events');
$audit->sql('ALTER TABLE kms.event DROP CONSTRAINT poison');
is($audit->intact, 'intact', 'the trail is intact');

# ---- A writer for each ---------------------------------------------------

# Let the writers of three databases share one slot.
$node->append_conf('postgresql.conf', 'kms.max_workers = 1');
$node->reload;
my @others;
foreach my $db (qw(one two))
{
	$node->safe_psql('postgres', "CREATE DATABASE $db");
	$node->safe_psql($db, "CREATE EXTENSION kms");
	my ($key) = KmsClient::issue($node, $db, 'phone');
	my $session = KmsClient->session($node, $db);
	push @others, [ $session, "SELECT count(kms_encrypt('$key', 'x')) FROM generate_series(1, 20)" ];
}
push @others, [ $audit->{session}, $many =~ s/200\)$/20)/r ];
$_->[0]->send($_->[1]) foreach @others;
is(join(' ', map { $_->[0]->receive } @others), '20 20 20', 'each of three databases is served in turn');
$_->[0]->quit foreach @others;
$_->quit foreach $admin, @callers;
unlike(slurp_file($node->logfile), qr/PANIC|terminated by signal/, 'no process crashed');
$node->stop;
done_testing();
