# The event ring that the library of version 1.0 left (test/data/ring-1.0.gz,
# made by test/data/make_ring.pl) is written to the trail by this library, every
# field of every event once: as the ring in use, and as one that is replaced
# because its size is another one.  Only the owner in its header is changed to
# the database of this test, because no server has that system identifier again.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../../perl";
use IO::Uncompress::Gunzip qw(gunzip $GunzipError);
use JSON::PP;
use KmsClient;
use KmsTest;
use PostgreSQL::Test::Utils;
use Test::More;

plan skip_all => 'a ring is in the byte order of its machine, here little-endian'
  unless unpack('C', pack('S', 1)) == 1;

my $data = "$FindBin::Bin/../../data/ring-1.0";
my @events = map { JSON::PP->new->utf8->decode($_) } split /\n/, slurp_file("$data.json");
cmp_ok(scalar @events, '>', 10, 'there are events');
my $counted = 40;
gunzip("$data.gz" => \my $ring) or die $GunzipError;

# The header: magic 8, format 4, size of a slot 4, slots 8, then the owner
# (system identifier 8, database 4, extension 4), size of an event 4, CRC-32C 4.
sub crc32c
{
	my $crc = 0xffffffff;
	foreach my $byte (unpack 'C*', shift)
	{
		$crc ^= $byte;
		$crc = $crc & 1 ? ($crc >> 1) ^ 0x82f63b78 : $crc >> 1 foreach 1 .. 8;
	}
	return $crc ^ 0xffffffff;
}

sub ring_of
{
	my ($system, $database, $extension) = @_;
	my $changed = $ring;
	substr($changed, 24, 16) = pack 'Q< V V', $system, $database, $extension;
	substr($changed, 44, 4) = pack 'V', crc32c(substr $changed, 0, 44);
	return $changed;
}
is(unpack('V', substr $ring, 44, 4), crc32c(substr $ring, 0, 44), 'the header of the ring is understood');

my $node = KmsTest->node('drained', start => 0, conf => <<'CONF');
kms.event_ring_size = 64kB
kms.maintenance = off
kms.key_pool_size = 0
kms.audit_checkpoint_interval = 1s
CONF

# Make a database and give it the ring, with the owner changed or as it is.  The
# library is not preloaded in the meantime, so no other ring of it was ever
# served.  Returns the path of the file; the server is stopped.
sub placed
{
	my ($db, $owner_is_changed) = @_;

	$node->append_conf('postgresql.conf', "shared_preload_libraries = ''");
	$node->start;
	$node->sql("CREATE DATABASE $db");
	$node->safe_psql($db, "CREATE EXTENSION kms VERSION '1.0'");
	my ($system, $database, $extension) = split /\|/, $node->safe_psql($db,
		"SELECT s.system_identifier, d.oid, e.oid FROM pg_control_system() AS s, pg_database AS d, pg_extension AS e
		WHERE datname = '$db' AND extname = 'kms'");
	$node->stop;
	$node->append_conf('postgresql.conf', "shared_preload_libraries = 'kms'");

	my $path = $node->data_dir . "/pg_stat_tmp/kms.$database";
	umask 0077;
	open my $fh, '>:raw', $path or die "$path: $!";
	print $fh $owner_is_changed ? ring_of($system, $database, $extension) : $ring;
	close $fh or die "$path: $!";
	return $path;
}

# All fields as kms_ring prints them: text that a caller gave as a reason is
# "context" there.
sub trail
{
	my ($db) = @_;
	my $rows = $node->safe_psql($db, q{
		SELECT to_jsonb(e) || jsonb_build_object('occurred_at',
			to_char(occurred_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'))
		FROM kms.event AS e WHERE NOT operation IN ('gap') AND (key_id IS NOT NULL OR device_id IS NOT NULL) ORDER BY ticket});
	return map {
		my $row = JSON::PP->new->utf8->decode($_);
		delete @{$row}{ grep { !defined $row->{$_} } keys %$row };
		delete @{$row}{qw(epoch ticket salt hash)};
		$row->{context} = delete $row->{reason} if $row->{status} eq 'success' && exists $row->{reason};
		$row;
	} split /\n/, $rows;
}

sub is_drained
{
	my ($db) = @_;
	$node->safe_psql($db, 'SELECT kms_flush_events()');
	my @rows = trail($db);
	is(scalar @rows, scalar @events, "$db: each event is in the trail once");
	foreach my $i (0 .. $#events)
	{
		my %event = %{ $events[$i] };
		delete $event{position};
		$_->{duration_ms} = sprintf '%.3f', $_->{duration_ms} // -1 foreach \%event, $rows[$i];
		is_deeply($rows[$i], \%event, "$db: event $i ($event{operation}) has every field");
	}
	is($node->safe_psql($db, "SELECT sum(calls) FROM kms.event WHERE key_id IS NULL AND operation = 'decrypt'
			AND status = 'failure' AND reason = 'Invalid argument'"),
		$counted, "$db: calls that were only counted are");
	is($node->safe_psql($db, "SELECT count(*) FROM kms.event WHERE operation = 'gap'"), '0', "$db: there is no gap");
	is($node->safe_psql($db, 'SELECT sum(count) FROM kms.metric'),
		$node->safe_psql($db, 'SELECT sum(calls) FROM kms.event'), "$db: the metrics have all calls");
	is($node->safe_psql($db, 'SELECT intact, finding FROM kms_audit_verify()'), 't|', "$db: the trail is intact");
	return;
}

# ---- As the ring in use -----------------------------------------------------

my $path = placed('in_use', 1);
my $program = $node->config_data('--bindir') . '/kms_ring';
my ($printed, $summary);
IPC::Run::run([ $program, $path ], '>', \$printed, '2>', \$summary) or die $summary;
is($printed, slurp_file("$data.json"), 'kms_ring of this version prints the same events');
placed('strange', 0);
$node->start;
is_drained('in_use');
ok(-e $path, 'in_use: the ring stays in use');
is($node->safe_psql('in_use', "SELECT reused FROM kms_issue_key('new')"), 'f', 'in_use: calls are recorded');
is(KmsTest::events($node, 'in_use', "operation = 'generate' AND device_id = 'new'"), '1', 'in_use: and come to the trail');
is($node->safe_psql('in_use', 'SELECT count(DISTINCT epoch) FROM kms.event'), '1', 'in_use: in the epoch of the ring');

# The owner matters: the file as it was made is of another server.
$node->safe_psql('strange', 'SELECT kms_flush_events()');
is(scalar(trail('strange')), 0, 'strange: a ring of another server is not written');

# ---- After a change of its size, and an update --------------------------------

$node->stop;
$path = placed('replaced', 1);
$node->append_conf('postgresql.conf', 'kms.event_ring_size = 128kB');
$node->start;
$node->safe_psql('replaced', 'ALTER EXTENSION kms UPDATE');
is_drained('replaced');
cmp_ok(-s $path, '>', length $ring, 'replaced: the new ring has the new size');
is(join(' ', glob "$path.*"), '', 'replaced: the file that was replaced is deleted');
# The events are as old as the file, so kms_check() says that they should have
# been signed, until the next event has them signed.
KmsTest::poll(
	sub {
		$node->safe_psql('replaced', q{SELECT kms_try_decrypt('none', 'AAAA'); SELECT kms_flush_events()});
		return KmsClient::findings($node, 'replaced') !~ /are not signed/;
	});
KmsClient::is_healthy($node, 'replaced', 'replaced: kms_check() has no complaint');
$node->stop;
done_testing();
