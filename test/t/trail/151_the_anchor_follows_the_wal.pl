# The trail is compared with where it was last written and signed, as long as
# the server's WAL goes on from there: over kills, a lost ring file, base
# backups and a promotion.  Where it does not, after a restore to an earlier
# point, a gap in the trail says from where to where, and it goes on.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../../perl";
use KmsAnchor;
use KmsClient;
use KmsTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $trail = KmsAnchor->new('original',
	init => [ has_archiving => 1, allows_streaming => 1 ],
	conf => "kms.event_ring_size = 256kB\nrestart_after_crash = on");
my $node = $trail->{node};
my $database = $trail->sql("SELECT oid FROM pg_database WHERE datname = 'postgres'");
my $file = $node->data_dir . "/pg_stat/kms.$database";
my $gaps = "SELECT count(*) FROM kms.event WHERE operation = 'gap'";

sub is_whole
{
	my ($copy, $name) = @_;
	my $last = $copy->signed_events(3);
	is($copy->verify, 't||t', "$name: intact, and anchored");
	is($copy->sql("SELECT signed_ticket >= $last FROM kms_audit_verify()"),
		't', "$name: and signed");
}

is_whole($trail, 'a new server');
is((stat $file)[2] & 07777, 0600, 'the file is the server\'s alone');

# ---- Kills ---------------------------------------------------------------

foreach my $n (1 .. 3)
{
	my $session = KmsClient->session($node, 'postgres');
	$session->send("SELECT count(kms_try_decrypt('none', 'AAAA')) FROM generate_series(1, 20000)");
	my $pid = KmsTest::poll(
		sub { $trail->sql("SELECT pid FROM pg_stat_activity WHERE backend_type = 'kms writer'") });
	kill 'KILL', $pid;
	KmsClient::wait_until_up($node);
	is_whole($trail, "kill $n of the writer");
}
$trail->events(100);
$node->stop('immediate');
$node->start;
is_whole($trail, 'an immediate shutdown');
$node->restart;
is_whole($trail, 'a restart');
$node->append_conf('postgresql.conf', 'kms.event_ring_size = 512kB');
$node->restart;
is_whole($trail, 'a ring of another size');
is($trail->sql($gaps), 0, 'there is no gap');

# ---- Without the ring ------------------------------------------------------

# An earlier change is found by the file alone.
my $first = $trail->signed_events(3);
$trail->signed_events(3);
$trail->attack("UPDATE kms.event SET key_id = NULL WHERE ticket = $first + 1;
	DELETE FROM kms.event_checkpoint WHERE ticket > $first; CALL rechain($first + 1)");
$node->stop('immediate');
unlink glob $node->data_dir . '/pg_stat_tmp/kms.*' or die 'no ring';
$node->start;
$trail->is_broken('a lost ring');
$node->restart;
$trail->is_broken('a lost ring, after another restart');
$trail->ends_by_acceptance('a lost ring');

# A damaged file is none, and is made again.
$node->stop;
unlink glob $node->data_dir . '/pg_stat_tmp/kms.*' or die 'no ring';
open my $out, '>', $file or die "$file: $!";
print $out 'x' x 512;
close $out;
$node->start;
is_whole($trail, 'a lost ring and a damaged file');
isnt(slurp_file($file), 'x' x 512, 'the file is made again');

# ---- Backups -------------------------------------------------------------

$trail->signed_events(5);
$node->backup('base');
ok(-e $node->backup_dir . "/base/pg_stat/kms.$database", 'a backup has the anchor');
my $before = $trail->signed_events(5);
$trail->sql("SELECT pg_create_restore_point('the point')");
my $after = $trail->signed_events(5);
$gaps = $trail->sql($gaps);
my $later = slurp_file($file);
my $wal = $trail->sql('SELECT pg_walfile_name(pg_current_wal_lsn())');
$trail->sql('SELECT pg_switch_wal()');
$node->poll_query_until('postgres', "SELECT last_archived_wal >= '$wal' FROM pg_stat_archiver")
  or die 'WAL is not archived';

foreach my $case ('older', 'newer')
{
	my $copy = PostgreSQL::Test::Cluster->new("restored_$case");
	$copy->init_from_backup($node, 'base', has_restoring => 1, standby => 0);
	$copy->append_conf('postgresql.conf', <<CONF);
archive_mode = off
recovery_target_name = 'the point'
recovery_target_action = 'promote'
CONF
	if ($case eq 'newer')
	{
		# as where its file was copied last, or a directory was restored over it
		my $path = $copy->data_dir . "/pg_stat/kms.$database";
		open my $put, '>:raw', $path or die "$path: $!";
		print $put $later;
		close $put;
	}
	$copy->start;
	$copy->poll_query_until('postgres', 'SELECT NOT pg_is_in_recovery()')
	  or die 'recovery does not end';
	my $restored = KmsAnchor->of($copy);
	is_whole($restored, "restored, with an $case anchor");
	my $found = $restored->sql("SELECT context FROM kms.event
		WHERE operation = 'gap' AND ticket > $before ORDER BY ticket");
	if ($case eq 'newer')
	{
		like($found, qr/^the server was restored: the trail had been written to ticket $after \(WAL [0-9A-F]+\/[0-9A-F]+, timeline 1\), and goes on from ticket $before \(WAL [0-9A-F]+\/[0-9A-F]+, timeline 2\)$/,
			'one gap says from where to where');
	}
	else
	{
		like($found, qr/^epoch \d+ did not hand the trail over: events after ticket \d+ \(position \d+\) up to this row may be missing$/, 'there is one gap');
	}
	$first = $restored->signed_events(3);
	$restored->signed_events(3);
	$restored->attack("DELETE FROM kms.event_checkpoint WHERE ticket > $first");
	$restored->is_broken("restored, with an $case anchor, and changed");
	$copy->stop;
}

my $started = PostgreSQL::Test::Cluster->new('just_started');
$started->init_from_backup($node, 'base');
$started->append_conf('postgresql.conf', 'archive_mode = off');
$started->start;
is_whole(KmsAnchor->of($started), 'a backup that is just started');
$started->stop;

# ---- A promotion ---------------------------------------------------------

my $standby = KmsTest->standby($node, 'standby');
$trail->signed_events(5);
$node->wait_for_catchup('standby', 'replay', $node->lsn('insert'));
is(KmsAnchor->of($standby)->verify, 't||f', 'a standby has no anchor');
$node->stop;
$standby->promote;
is_whole(KmsAnchor->of($standby), 'a promoted standby');
$standby->stop;

# The old primary starts again and continues its own trail.
$node->start;
is_whole($trail, 'the original');

# ---- Databases and extensions ---------------------------------------------

$trail->sql('CREATE DATABASE copied TEMPLATE template0');
$node->safe_psql('copied', "CREATE EXTENSION kms");
my $copied = $trail->sql("SELECT oid FROM pg_database WHERE datname = 'copied'");
ok( KmsTest::poll(
		sub {
			$node->safe_psql('copied', "SELECT kms_try_decrypt('none', 'AAAA'); SELECT kms_flush_events()");
			-e $node->data_dir . "/pg_stat/kms.$copied";
		}),
	'each database has a file');
$trail->sql('DROP DATABASE copied');
ok(KmsTest::poll(sub { !-e $node->data_dir . "/pg_stat/kms.$copied" }),
	'the anchor of a dropped database is deleted');
$trail->sql('DROP EXTENSION kms CASCADE; CREATE EXTENSION kms');
is($trail->verify, 't||f', 'an extension that is made again has no anchor');
is_whole($trail, 'an extension that is made again');

$node->stop;
done_testing();
