# Right after a promotion clients of the old leader ask the new one for decrypts
# and for new keys all at once.  Both come within seconds, in both modes, with a
# pool of ready-made keys and without, in one database and in eight with one
# reserved writer, also while others have all slots for workers and a program
# gives the master key.  No call fails, and a session that was there before the
# promotion is served as well.  The time that a leader needs for the same when it
# has run for a while is added to the limit, and if that is more than a second
# the limit is as many times longer, because that depends on the machine.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../../perl";
use IPC::Run;
use KmsClient;
use KmsLoad;
use KmsTest;
use List::Util qw(max min);
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time);

use constant PROMOTIONS => $ENV{KMS_TEST_ROUNDS} // 2;    # of each kind
use constant CLIENTS => 9;
use constant MOST_SECONDS => 15;    # it is one or two if the machine has nothing else to do

my $timeout = 1000 * $PostgreSQL::Test::Utils::timeout_default;
my $leader = KmsTest->node('one', init => [ allows_streaming => 1 ], conf => <<CONF);
kms.audit_timeout = ${timeout}ms
kms.keygen_limit = 1000
kms.reserved_writers = 1
hot_standby_feedback = on
max_connections = 50
max_worker_processes = 8
wal_keep_size = 64MB
CONF
my @databases = ('postgres', map { "other$_" } 1 .. 7);
my %decrypt = KmsClient::databases($leader, @databases);
$leader->safe_psql('postgres', 'CREATE ROLE nobody LOGIN');
my $other = KmsTest->standby($leader, 'two');
my $files = PostgreSQL::Test::Utils::tempdir();
my $round = 0;

# Sessions of pgbench, each of which does one of three things all the time.
sub ask
{
	my ($db, $clients) = @_;
	my $base = "$files/$round.$db";
	my $device = "'device $round ' || :client_id || ' ' || :n";

	append_to_file("$base.sql", <<"SQL");
\\set n :n + 1
\\set kind mod(:client_id, 3)
\\if :kind = 0
$decrypt{$db};
\\elif :kind = 1
SELECT kms_issue_key($device);
\\else
SELECT kms_rotate_key($device);
\\endif
SQL
	my %asked = (base => $base);
	$asked{run} = IPC::Run::start(
		[
			'pgbench', '-n', '-h', $leader->host, '-p', $leader->port, '-c', $clients, '-T', 1, '-D', 'n=0',
			'-f', "$base.sql", '-l', '--log-prefix', $base, $db
		],
		'>', \$asked{out}, '2>', \$asked{err});
	return \%asked;
}

# Return after how many seconds the last database had its first answers: a
# decrypt, a key of a new device and a rotated key.
sub ask_all
{
	my (@used) = @_;
	my $start = time;
	my @asked = map { ask($_, max(3, CLIENTS / @used)) } @used;
	my @last = (0) x 3;

	foreach my $asked (@asked)
	{
		my @first = first_answers($asked);
		$last[$_] = max($last[$_], $first[$_] - $start) foreach 0 .. 2;
	}
	return @last;
}

# Return when the first call of each kind was answered.
sub first_answers
{
	my ($asked) = @_;
	my @first;

	$asked->{run}->finish;
	die $asked->{err} if $asked->{err} =~ /aborted|error/i;
	foreach (map { split /\n/, slurp_file($_) } glob "$asked->{base}.[0-9]*[0-9]")
	{
		my ($client, $seconds, $microseconds) = (split / /)[ 0, 4, 5 ];
		my $kind = $client % 3;
		my $time = $seconds + $microseconds / 1_000_000;
		$first[$kind] = $time if !$first[$kind] || $time < $first[$kind];
	}
	return @first;
}

# Stop the leader under load, promote the other, and return what ask_all()
# returns, from the end of the recovery on.
sub change_places
{
	my ($ugly, @used) = @_;
	my $load = KmsLoad->start($leader, 'load' . ++$round, $decrypt{postgres});
	my $session = KmsClient->session($other, 'postgres');
	my @takers = $ugly ? KmsClient::take_slots($other, 5) : ();

	$session->query($decrypt{postgres});
	$leader->stop('fast');
	$load->finish;
	system_or_bail('pg_ctl', '-D', $other->data_dir, '--no-wait', 'promote');
	KmsTest::poll(sub { $session->query('SELECT pg_is_in_recovery()') eq 'f' }, 0.002) or die 'the recovery does not end';
	($leader, $other) = ($other, $leader);
	$session->send($decrypt{postgres});
	my @seconds = ask_all(@used);
	is($session->receive, 'secret', 'a session that was there is served');
	$_->{run}->kill_kill foreach @takers;
	$session->quit;
	$other->enable_streaming($leader);
	$other->start;
	$leader->wait_for_catchup($other->name, 'replay', $leader->lsn('insert'));
	return \@seconds;
}

sub median
{
	my @sorted = sort { $a <=> $b } @_;
	return $sorted[ @sorted / 2 ];
}

foreach (
	[ 'best_effort, no pool', "kms.audit = best_effort\nkms.key_pool_size = 0", 'postgres' ],
	[ 'required, no pool', "kms.audit = required\nkms.key_pool_size = 0", 'postgres' ],
	[ 'required, a pool', "kms.audit = required\nkms.key_pool_size = 16", 'postgres' ],
	[ 'required, eight databases', "kms.audit = required\nkms.key_pool_size = 2", @databases ],
	[ 'required, eight databases, no slot, a program for the master key', sub {
			my $file = KmsTest::master_key_path($_[0]);
			return "kms.audit = required\nkms.master_key_file = ''\nkms.master_key_command = 'exec cat $file'";
		}, @databases ])
{
	my ($kind, $conf, @used) = @$_;
	my @seconds;

	foreach my $node ($leader, $other)
	{
		$node->append_conf('postgresql.conf', ref $conf ? $conf->($node) : $conf);
		$node->reload;
	}
	$round++;
	my @usual = ask_all(@used);
	push @seconds, change_places(ref $conf, @used) foreach 1 .. PROMOTIONS;
	foreach my $i (0 .. 2)
	{
		my $what = ('decrypt', 'key of a new device', 'rotated key')[$i];
		my @all = map { $_->[$i] } @seconds;
		diag(sprintf '%s: the first %s after %.3f s (%.3f to %.3f; usual %.3f)',
			$kind, $what, median(@all), min(@all), max(@all), $usual[$i]);
		cmp_ok(median(@all), '<', MOST_SECONDS * max(1, $usual[$i]) + $usual[$i], "$kind: the first $what comes soon");
	}
}
is($leader->safe_psql($_, 'SELECT intact FROM kms_audit_verify()'), 't', "the trail of $_ is intact") foreach @databases;
$other->stop;
$leader->stop;
done_testing();
