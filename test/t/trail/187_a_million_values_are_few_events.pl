# A million values in one statement make few events and take no memory.  Of
# values under a thousand keys, the first one of each key is an event.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../../perl";
use KmsClient;
use KmsFields;
use KmsTest;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time);

my $node = KmsTest->node('million', conf => "jit = off\nkms.event_ring_size = 64MB\nmax_wal_size = 4GB");
KmsFields::create($node, 100);
my $session = KmsClient->session($node, 'postgres');

# Return the private memory of the session in kB, without buffers and the ring.
sub memory
{
	return slurp_file("/proc/$session->{pid}/status") =~ /^RssAnon:\s+(\d+) kB$/m ? $1 : 0;
}

# Run a statement and return its seconds.
sub timed
{
	my ($name, $sql) = @_;
	$session->query("SET kms.audit_context = '$name'");
	my $start = time;
	$session->query($sql);
	is($session->{state}, '00000', "$name: done");
	return time - $start;
}

# ---- One key -------------------------------------------------------------

my $million = "SELECT count($KmsFields::decrypt) FROM person, generate_series(1, 10000)";
my $failures = $million =~ s/kms_decrypt_field\(tax, /kms_try_decrypt_field(tax, 'x' || /r;
my %call = (decrypt => [ 1_000_000, $million ], failure => [ 100_000, $failures =~ s/10000/1000/r ]);
foreach my $name (sort keys %call)
{
	my ($count, $sql) = @{ $call{$name} };
	timed("warm $name", $sql =~ s/1000(?=0?\))/200/r);
	my $before = memory();
	my $seconds = timed($name, $sql);
	my $grown = memory() - $before;
	my ($calls, $events) = split /\|/, KmsFields::total($node, $name);

	is($calls, $count, "$name: all values are counted");
	cmp_ok($events, '<=', $count / 10_000 + 1 + $seconds, "$name: there are $events events");
	cmp_ok($grown, '<', 1024, "$name: the session has grown by $grown kB");
	note(sprintf '%s: %.1f s, %d events, %d kB', $name, $seconds, $events, $grown);
}

# ---- A thousand keys -----------------------------------------------------

$node->sql("SELECT kms_create_field_key('p'); SELECT count(kms_create_field_key('p.' || i)) FROM generate_series(1, 1000) AS i");
$node->sql("SET kms.audit_context = 'made'; CREATE TABLE many AS
	SELECT n, kms_encrypt_field('p.' || n / 100 + 1, n::text, '') AS value FROM generate_series(0, 99999) AS n");

# By turns, more keys follow each other than a session remembers, so each value
# is an event.
my $rows = 'SELECT count(kms_decrypt_field(value, \'\')) FROM';
my %order = (
	'one by one' => [ 100, "$rows many" ],
	'by turns' => [ 20, "$rows (SELECT value FROM many WHERE n % 100 < 20 ORDER BY n % 100, n OFFSET 0) AS m" ]);
foreach my $name (sort keys %order)
{
	my ($each, $sql) = @{ $order{$name} };
	my $seconds = timed($name, $sql);
	my ($calls, $events) = split /\|/, KmsFields::total($node, $name);

	is($calls, 1000 * $each, "$name: all values are counted");
	is( $node->sql("SELECT count(*), min(sum), max(sum) FROM (SELECT sum(calls) FROM kms.event
			WHERE audit_context = '$name' GROUP BY key_id) AS s"),
		"1000|$each|$each", "$name: for each key");
	is( $node->sql("SELECT count(*) FROM (SELECT DISTINCT ON (key_id) calls FROM kms.event
			WHERE audit_context = '$name' ORDER BY key_id, ticket) AS s WHERE calls = 1"),
		'1000', "$name: the first value of each key is an event");
	note(sprintf '%s: %.1f s, %d events', $name, $seconds, $events);
}
cmp_ok((split /\|/, KmsFields::total($node, 'one by one'))[1], '<', 4000, 'values that follow each other are added up');
is((split /\|/, KmsFields::total($node, 'made'))[0], 100_000, 'so are values when they are made');
is($node->sql("SELECT count(*) FROM kms.event WHERE operation = 'gap'"), '0', 'nothing is lost');

$session->quit;
is($node->sql('SELECT intact FROM kms_audit_verify()'), 't', 'the trail is intact');
$node->stop;
done_testing();
