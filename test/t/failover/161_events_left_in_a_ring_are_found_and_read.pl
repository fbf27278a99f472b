# A primary dies with events in its ring, and another server goes on without
# them: when the first one is back as a standby, kms_check() and kms.status say
# so, and kms_ring reads them, also where no server runs.  An orderly stop
# leaves nothing, unless somebody keeps the writer from its tables: then the
# server's log says what is left, and the stop is fast.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../../perl";
use JSON::PP;
use KmsClient;
use KmsTest;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time);

my $first = KmsTest->node('first', init => [ allows_streaming => 1 ],
	conf => <<'CONF');
kms.event_flush_interval = 1min
max_prepared_transactions = 2
wal_keep_size = 64MB
CONF
$first->safe_psql('postgres', 'CREATE EXTENSION kms');
my ($key, $pem) = KmsClient::issue($first, 'postgres', 'phone');
my $good = KmsTest::encrypt_with_openssl($pem, 'secret');
my $second = KmsTest->standby($first, 'second');
my $program = $first->config_data('--bindir') . '/kms_ring';

sub decrypt
{
	my ($node, $name) = @_;
	return $node->safe_psql('postgres',
		"SET kms.audit_context = '$name \"\\ \x{c3}\x{a4}'; SELECT kms_decrypt('$key', '$good')");
}

# Run the program for a file and return its success, its last line and the
# events.
sub ring
{
	my (@arguments) = @_;
	my $good = IPC::Run::run([ $program, @arguments ], '>', \my $out, '2>', \my $err);
	my @events = map { JSON::PP->new->utf8->decode($_) } split /\n/, $out;
	return ($good, $err, @events);
}

# ---- A stop that cannot hand over ------------------------------------------

$first->safe_psql('postgres', 'SELECT kms_flush_events()');
$first->safe_psql('postgres', "BEGIN; LOCK TABLE kms.event IN SHARE MODE; PREPARE TRANSACTION 'forgotten'");
decrypt($first, 'locked') foreach 1 .. 3;
my $log = -s $first->logfile;
my $start = time;
$first->stop('fast');
cmp_ok(time - $start, '<', KmsTest::AT_ONCE, 'a prepared transaction that has locked kms.event keeps no server from stopping');
like(slurp_file($first->logfile, $log),
	qr/LOG:  kms: the server stops with 3 events of database \d+ in the event ring "\/.*\/pg_stat_tmp\/kms\.\d+"\n.*HINT:  The events are written when this server starts as a primary again/,
	'its log says what is left, and where');
my ($file) = glob $first->data_dir . '/pg_stat_tmp/kms.*';
my ($ok, $summary, @events) = ring($file);
ok($ok, 'kms_ring reads the ring of a server that is stopped');
is(scalar @events, 3, 'kms_ring reads all events of that ring');
is($events[2]{audit_context}, "locked \"\\ \x{e4}", 'text is as it was');
is("$events[0]{operation} $events[0]{status} $events[0]{key_id} $events[0]{device_id} $events[0]{calls}",
	"decrypt success $key phone 1", 'the other fields are unchanged');
like($events[0]{occurred_at}, qr/^20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z$/, 'the time is in UTC');
like($summary, qr/ epoch \d+, positions \d+ to \d+: 3 events, 0 never finished or damaged$/, 'a summary tells from where to where');
($ok, $summary, my @later) = ring('--from', $events[1]{position}, $file);
is(scalar @later, 2, 'kms_ring can start at a later position');
my $cut = PostgreSQL::Test::Utils::tempdir() . '/cut';
my $bytes = -s $file;
append_to_file($cut, substr slurp_file($file), 0, $bytes - 8192);
($ok, $summary, @later) = ring($cut);
ok(!$ok, 'a file that is cut off is an error');
like($summary, qr/: the file is cut off: ${\ ($bytes - 8192) } of $bytes bytes$/m, 'the error names the two sizes');
is(scalar @later, 3, 'the events of a file that is cut off are read');
ok(!(ring($first->data_dir))[0], 'a directory is an error');
ok(!(ring("$file.none"))[0], 'a file that is not there is an error');
ok(!(ring($first->data_dir . '/PG_VERSION'))[0], 'a file of another kind is an error');

$first->start;
$first->safe_psql('postgres', "ROLLBACK PREPARED 'forgotten'");
is(KmsTest::events($first, 'postgres', "audit_context ^@ 'locked'"), '3', 'the events are written when the server starts again');

# ---- A primary that dies -----------------------------------------------------

$first->wait_for_catchup('second', 'replay', $first->lsn('insert'));
decrypt($first, 'lost') foreach 1 .. 2;
$first->stop('immediate');
$second->promote;
is(decrypt($second, 'kept'), 'secret', 'another server goes on');
is(KmsTest::events($second, 'postgres', "audit_context ^@ 'lost'"), '0', 'the other server does not have the last events');
is($second->safe_psql('postgres', "SELECT count(*) FROM kms.event WHERE operation = 'gap'"), '1', 'its trail has a gap');
is($second->status('events left in rings'), '0', 'a primary has nothing left');

$first->enable_streaming($second);
$first->set_standby_mode;
$first->start;
$second->wait_for_catchup('first', 'replay', $second->lsn('insert'));
is($first->status('events left in rings'), '2', 'the old primary, which is a standby now, says how many events it has left');
like(KmsClient::findings($first, 'postgres'),
	qr/^error: events that this server recorded as a primary are in no trail: 2 in pg_stat_tmp\/kms\.\d+ \(Save that file before pg_rewind/m,
	'kms_check() says where, and what to do');
($ok, $summary, @events) = ring($file);
is(join(', ', map { $_->{audit_context} } @events), "lost \"\\ \x{e4}, lost \"\\ \x{e4}", 'kms_ring reads the events in that file');
($ok, $summary) = ring('--from', 1, $file);
like($summary, qr/: positions 1 to \d+ are not in it: that server has dealt with them, see its own kms\.event$/m,
	'kms_ring says which events the server has written itself');
unlike(KmsClient::findings($second, 'postgres'), qr/in no trail/, 'the primary has no such finding');

# ---- It is a primary again ---------------------------------------------------

$second->stop('fast');
$first->promote;
is(KmsTest::events($first, 'postgres', "audit_context ^@ 'lost'"), '2', 'a standby that becomes the primary again writes them');
is(KmsTest::events($first, 'postgres', "operation = 'gap'"), '1', 'there is no other gap');
is($first->safe_psql('postgres', 'SELECT intact, finding FROM kms_audit_verify()'), 't|', 'the trail is intact');
$first->stop;
done_testing();
