# A base backup holds neither the master key nor an event ring; recovered to a
# name, a transaction or a time it has the keys, states, limits and events of
# then, and goes on with tickets above them and keys of its own, beside the
# original, whatever ring file lies there.
use strict;
use warnings;

use File::Copy;
use File::Find;
use FindBin;
use lib "$FindBin::Bin/../../perl";
use KmsClient;
use KmsPool;
use KmsTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $original = KmsTest->node('original',
	init => [ has_archiving => 1, allows_streaming => 1 ], conf => <<'CONF');
kms.maintenance = off
kms.keygen_limit = 2
kms.key_pool_size = 1
kms.event_ring_size = 256kB
CONF
my ($master_key) = slurp_file(KmsTest::master_key_path($original)) =~ /([0-9a-f]{64})/;

sub original
{
	return $original->safe_psql('postgres', $_[0]);
}

# ---- The backup ----------------------------------------------------------

original('CREATE EXTENSION kms');
original('SELECT * FROM kms_maintain()');
my ($key, $pem) = KmsClient::issue($original, 'postgres', 'phone');
my $ciphertext = KmsTest::encrypt_with_openssl($pem, 'secret');
my $decrypt = "SELECT kms_decrypt('$key', '$ciphertext')";
original($decrypt);
original('SELECT kms_flush_events()');
my ($ring) = glob $original->data_dir . '/pg_stat_tmp/kms.*';
copy($ring, $original->basedir . '/ring of the backup') or die "$ring: $!";

ok(KmsPool::filled($original, 'postgres', 1), 'there is a pool');
my $pool_of_backup = KmsPool::keys($original, 'postgres');

# An event is in the ring while the backup is taken.
my $session = KmsClient->session($original, 'postgres');
$session->query('BEGIN');
$session->query('LOCK TABLE kms.event IN SHARE MODE');
original("SET application_name = 'in the ring'; $decrypt");
$original->backup('base');
$session->query('COMMIT');
$session->quit;

my $backup = $original->backup_dir . '/base';
is(join(' ', glob "$backup/pg_stat_tmp/*"), '', 'the backup has no ring');
my @found;
find(
	sub {
		return unless -f;
		my $content = slurp_file($_);
		push @found, $_
		  if index($content, $master_key) >= 0 ||
		  index($content, pack('H*', $master_key)) >= 0;
	},
	$backup);
is("@found", '', 'the backup does not have the master key');

# ---- Before the point and after it ---------------------------------------

my ($newer) = split /\|/, original("SELECT * FROM kms_rotate_key('phone')");
my ($stolen) = KmsClient::issue($original, 'postgres', 'stolen phone');
my $hash = original("SELECT kms_hash_secret('$key', '$ciphertext')");
original('SELECT kms_flush_events()');
my $events = original('SELECT max(ticket) FROM kms.event');
my $content = q{SELECT md5(string_agg(k::text || s::text, ',' ORDER BY key_id))
	FROM kms.key AS k JOIN kms.key_secret AS s USING (key_id)};
my $keys = original($content);
ok(KmsPool::filled($original, 'postgres', 1), 'the pool is full after the changes');
my $pool = KmsPool::keys($original, 'postgres');
my %target = (name => 'the point', time => original('SELECT clock_timestamp()'));
$target{xid} = original('SELECT pg_current_xact_id()');
original("SELECT pg_create_restore_point('the point')");

my ($after) = KmsClient::issue($original, 'postgres', 'phone of after');
original("SELECT kms_revoke_key('$stolen', 'stolen')");
original("SELECT kms_destroy_key('$newer', '$newer')");
original("$decrypt FROM generate_series(1, 50)");
original('SELECT kms_flush_events()');
my $wal = original('SELECT pg_walfile_name(pg_current_wal_lsn())');
original('SELECT pg_switch_wal()');
$original->poll_query_until('postgres',
	"SELECT last_archived_wal >= '$wal' FROM pg_stat_archiver")
  or die 'WAL is not archived';
ok(KmsPool::filled($original, 'postgres', 1), 'the original goes on');
$pool = { %$pool, %{ KmsPool::keys($original, 'postgres') } };

# ---- Each way back -------------------------------------------------------

# A copy of files may bring along a ring: an older one, or, where files of the
# backup are put over those of the server, a newer one.
my %ring_there = (
	name => undef,
	time => $original->basedir . '/ring of the backup',
	xid => $ring);
my %own;
foreach my $how ('name', 'time', 'xid')
{
	my $copy = PostgreSQL::Test::Cluster->new("copy_$how");
	$copy->init_from_backup($original, 'base', has_restoring => 1, standby => 0);
	$copy->append_conf('postgresql.conf', <<"CONF");
archive_mode = off
recovery_target_$how = '$target{$how}'
recovery_target_action = 'promote'
CONF
	if (defined $ring_there{$how})
	{
		my ($name) = $ring =~ m{([^/]+)$};
		my $there = $copy->data_dir . "/pg_stat_tmp/$name";
		copy($ring_there{$how}, $there) or die "$there: $!";
		chmod 0600, $there;
	}
	$copy->start;
	$copy->poll_query_until('postgres', 'SELECT NOT pg_is_in_recovery()')
	  or die 'recovery does not end';

	is($copy->safe_psql('postgres', $content), $keys, "$how: the keys are those of then");
	is($copy->safe_psql('postgres', $decrypt), 'secret', "$how: they open");
	is( $copy->safe_psql('postgres',
			"SELECT kms_key_state('$stolen'), kms_key_state('$newer')"),
		'active|active', "$how: what was revoked or destroyed since is back");
	is(KmsClient::sqlstate($copy, 'postgres', "SELECT kms_key_state('$after')"),
		'KM002', "$how: what was made since is not there");
	is( $copy->safe_psql('postgres',
			"SELECT kms_verify_secret('$key', '$ciphertext', '$hash')"),
		't', "$how: hashes verify");
	is( $copy->safe_psql('postgres', "SELECT key_id, reused FROM kms_issue_key('phone')"),
		"$newer|t", "$how: a device has its key");
	is(KmsClient::sqlstate($copy, 'postgres', "SELECT kms_rotate_key('phone')"),
		'KM005', "$how: and its limit");

	my $device = "phone of $how";
	is($copy->safe_psql('postgres', "SELECT reused FROM kms_issue_key('$device')"),
		'f', "$how: keys are made");
	is(KmsPool::origin($copy, 'postgres', $device, $pool),
		'none', "$how: none of the original's pool");
	ok(KmsPool::filled($copy, 'postgres', 1), "$how: it fills a pool of its own");
	my $own = KmsPool::keys($copy, 'postgres');
	is(scalar(grep { $pool->{$_} || $own{$_} } keys %$own),
		0, "$how: of keys that no other server has");
	%own = (%own, %$own);

	is( KmsTest::events($copy, 'postgres',
			"ticket > $events AND operation <> 'gap'"),
		'5', "$how: events are recorded above those of then");
	is( $copy->safe_psql('postgres',
			"SELECT count(*) = max(ticket) - min(ticket) + 1 AND count(*) = count(DISTINCT ticket),
			count(*) FILTER (WHERE operation = 'gap'),
			min(ticket) FILTER (WHERE operation = 'gap') - $events
			FROM kms.event"),
		't|1|1', "$how: each has its own ticket, after a gap");
	is( $copy->safe_psql('postgres',
			"SELECT count(*) FROM kms.event WHERE application_name = 'in the ring'"),
		'1', "$how: what was in the ring during the backup is written once");
	unlike(KmsClient::findings($copy, 'postgres'),
		qr/^(?:error|warning): (?!fsync)/m, "$how: kms_check() has no complaint");
	$copy->stop;
}

# A backup that is just started is on the timeline of the original.  Its pool is
# that of the original until it is emptied.
my $started = PostgreSQL::Test::Cluster->new('just_started');
$started->init_from_backup($original, 'base');
$started->append_conf('postgresql.conf', "archive_mode = off\nkms.keygen_workers = 0");
$started->start;
is(join(' ', sort keys %{ KmsPool::keys($started, 'postgres') }),
	join(' ', sort keys %$pool_of_backup), 'just started: its pool is that of the backup');
$started->safe_psql('postgres', 'DELETE FROM kms.pool_key');
$started->safe_psql('postgres', "SELECT kms_issue_key('phone of started')");
is(KmsPool::origin($started, 'postgres', 'phone of started', $pool_of_backup),
	'none', 'just started: emptied, it issues none of that');
is($started->safe_psql('postgres', $decrypt), 'secret', 'just started: keys open');
$started->stop;

# ---- The original --------------------------------------------------------

original("SELECT kms_issue_key('new phone')");
isnt(KmsPool::origin($original, 'postgres', 'new phone', $pool),
	'none', 'the original issues keys of its pool');
is( original('SELECT count(*) FROM kms.event WHERE operation = \'gap\''),
	'0', 'the trail of the original has no gap');
$original->stop;
done_testing();
