# Every call that a client saw acknowledged is recorded once, even if any
# process is killed: sessions, the writer, the launcher, other processes, the
# whole server.
#
# Clients are loops around psql.  A row or an error that psql prints is an
# acknowledged call.  Each run has an application_name of its own, and one call
# in progress when it is killed.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../../perl";
use IPC::Run;
use KmsClient;
use KmsTest;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(usleep);

my $node = KmsTest->node('crash', conf => <<'CONF');
restart_after_crash = on
kms.keygen_limit = 1000000
kms.event_ring_size = 64MB
CONF
my $dir = PostgreSQL::Test::Utils::tempdir();

$node->safe_psql('postgres', 'CREATE EXTENSION kms');
my ($key, $pem) = KmsClient::issue($node, 'postgres', 'phone');
my (undef, $other_pem) = KmsClient::issue($node, 'postgres', 'other phone');
my $good = KmsTest::encrypt_with_openssl($pem, 'secret');
my $bad = KmsTest::encrypt_with_openssl($other_pem, 'secret');

my $success = "SELECT 'ok' FROM kms_decrypt('$key', '$good') AS p WHERE p = 'secret';\n";
my $failure = "SELECT kms_decrypt('$key', '$bad');\n";
my $quiet_failure = "SELECT 'ok' FROM kms_try_decrypt('$key', '$bad') AS p WHERE p IS NULL;\n";
append_to_file("$dir/calls.sql",
	($success x 6 . "BEGIN;\n${success}ROLLBACK;\n$failure$quiet_failure") x 50);
append_to_file("$dir/changes.sql",
	("SELECT key_id FROM kms_issue_key('device ' || gen_random_uuid());\n" .
	"SELECT key_id FROM kms_rotate_key('turning ' || floor(random() * 3)::int);\n") x 5);

my @clients = map {
	IPC::Run::start(
		[
			'bash', '-c', <<'SH', 'bash', $_, $node->connstr('postgres'), $dir
n=0
while [ ! -e "$3/stop" ]; do
	n=$((n + 1))
	PGAPPNAME=$1.$n psql -XAtq -d "$2" -f "$3/${1%%-*}.sql" \
		>"$3/$1.$n.out" 2>"$3/$1.$n.err" || sleep 0.05
done
SH
		])
} qw(calls-1 calls-2 calls-3 changes-1);

# ---- Kills ---------------------------------------------------------------

my $session = "backend_type = 'client backend' AND application_name ~ '^calls'";
my $changer = "application_name ~ '^changes'";
my $writer = "backend_type = 'kms writer'";

foreach my $victim (
	$session, $writer, 'server', $changer,
	$writer, 'immediate', $session, "backend_type = 'kms launcher'",
	$writer, 'server', "backend_type = 'checkpointer'", $writer,
	$changer, "backend_type = 'walwriter'")
{
	usleep(200_000 + rand 800_000);    # at any moment of the load
	if ($victim eq 'server')
	{
		my @children = children_of_server();
		$node->kill9;
		KmsTest::poll(sub { !grep { -e "/proc/$_" } @children })
		  or die 'processes of a killed server do not end';
		$node->start;
	}
	elsif ($victim eq 'immediate')
	{
		$node->stop('immediate');
		$node->start;
	}
	else
	{
		# A session may have ended before it is killed, so repeat until one is
		# killed.
		my $log = -s $node->logfile;
		KmsTest::poll(
			sub {
				my $pid = $node->safe_psql('postgres',
					"SELECT pid FROM pg_stat_activity WHERE $victim LIMIT 1");
				kill 'KILL', $pid if $pid ne '';
				usleep(50_000);    # for the postmaster, to see it before another is killed
				slurp_file($node->logfile, $log) =~ /was terminated by signal 9/;
			}) or die "there is no process with $victim";
		KmsTest::poll(
			sub {
				slurp_file($node->logfile, $log) =~
				  /database system is ready to accept connections/;
			}) or die 'no crash restart';
		KmsClient::wait_until_up($node);
	}
}
my $last = $node->sql('SELECT max(ticket) FROM kms.event');
KmsTest::poll(sub { $node->sql('SELECT max(ticket) FROM kms.event') > $last }) or die 'the clients do not go on';
append_to_file("$dir/stop", '');
$_->finish foreach @clients;

# Stop the clients even if a test fails, because they would run for ever.
END { append_to_file("$dir/stop", '') if $dir }

# ---- Counting ------------------------------------------------------------

my (%acknowledged, @keys);
foreach my $path (glob "$dir/*.out")
{
	my ($name) = $path =~ m{([^/]+)\.out$};
	my $output = slurp_file($path);
	my $errors = slurp_file("$dir/$name.err");

	if ($name =~ /^calls/)
	{
		$acknowledged{$name} = () = $output =~ /^ok$/mg;
		$acknowledged{$name} += () = $errors =~ /ERROR:  failed to decrypt data$/mg;
	}
	push @keys, $output =~ /^(key_\w+)$/mg;
}

$node->safe_psql('postgres', 'SELECT kms_flush_events()');
my %recorded = map { split /\|/ } split /\n/,
  $node->safe_psql('postgres',
	q{SELECT application_name, count(*) FROM kms.event
	WHERE operation = 'decrypt' AND application_name ~ '^calls' GROUP BY 1});

my ($acknowledged, $lost, $twice) = (0, 0, 0);
foreach my $name (sort keys %acknowledged)
{
	my $rows = $recorded{$name} || 0;
	$acknowledged += $acknowledged{$name};
	$lost += $acknowledged{$name} - $rows if $rows < $acknowledged{$name};
	$twice += $rows - $acknowledged{$name} - 1
	  if $rows > $acknowledged{$name} + 1;
}
cmp_ok($acknowledged, '>', 1000, "there was a load: $acknowledged calls");
is($lost, 0, 'no acknowledged call is lost');
is($twice, 0, 'no call is recorded twice');
is(scalar(grep { !exists $acknowledged{$_} } keys %recorded),
	0, 'no event is recorded without a call');

$node->is_sql('SELECT count(*) - (max(ticket) - min(ticket) + 1) FROM kms.event',
	0, 'tickets have no gaps');
$node->is_sql('SELECT count(*) - count(DISTINCT ticket) FROM kms.event',
	0, 'tickets count up over all epochs');
$node->is_sql('SELECT (SELECT sum(count) FROM kms.metric) - (SELECT count(*) FROM kms.event)',
	0, 'metrics count exactly the events');
$node->is_sql('SELECT count(*) FROM kms.event_quarantine', 0, 'no event was quarantined');
$node->is_sql(q{SELECT count(*) FROM kms.event WHERE operation = 'gap'},
	0, 'no gap is reported');

# ---- Changes -------------------------------------------------------------

cmp_ok(scalar(@keys), '>', 0, 'there were changes: ' . @keys);
$node->is_sql(
	"SELECT count(*) FROM unnest('{" . join(',', @keys) . "}'::text[]) AS k
	WHERE k NOT IN (SELECT key_id FROM kms.key)",
	0, 'each issued key exists');
$node->is_sql(
	q{SELECT count(*) FROM kms.key AS k FULL JOIN
	(SELECT key_id, count(*) FROM kms.event WHERE status = 'success'
		AND operation IN ('generate', 'rotate') GROUP BY key_id) AS e
	USING (key_id) WHERE k.key_id IS NULL OR e.count IS DISTINCT FROM 1},
	0, 'each key has one event of its making, and there are no others');
$node->is_sql(
	q{SELECT count(*) FROM
	(SELECT * FROM kms.key WHERE state = 'deprecated') AS k FULL JOIN
	(SELECT key_id, count(*) FROM kms.event WHERE status = 'success'
		AND operation = 'deprecate' GROUP BY key_id) AS e
	USING (key_id) WHERE k.key_id IS NULL OR e.count IS DISTINCT FROM 1},
	0, 'each deprecated key has one event of that, and there are no others');
$node->is_sql('SELECT count(*) FROM kms.event_outbox', 0, 'the outbox is empty');
$node->is_sql(
	'SELECT count(*) FROM kms.key FULL JOIN kms.key_secret AS s USING (key_id)
	WHERE s.key_id IS NULL OR state IS NULL',
	0, 'no key lacks one of its rows');
is($node->safe_psql('postgres', "SELECT kms_decrypt('$key', '$good')"),
	'secret', 'keys still work');

$node->stop;
done_testing();

# ---- Tools ---------------------------------------------------------------

sub children_of_server
{
	my ($server) = slurp_file($node->data_dir . '/postmaster.pid') =~ /^(\d+)$/m;
	my @children;

	foreach my $path (glob '/proc/[0-9]*/stat')
	{
		open my $stat, '<', $path or next;
		my $line = <$stat>;
		push @children, $1
		  if defined $line && $line =~ /^(\d+) \(.*\) \S+ (\d+)/s && $2 == $server;
	}
	return @children;
}
