# Make test/data/ring-VERSION.gz and ring-VERSION.json: an event ring as a
# released version of kms leaves it, and its events as kms_ring of that version
# prints them.  Test 221 lets the newest library write these events.
#
# Run this once for each release whose ring has another format, with that release
# installed:
#
#     make check-tap PROVE_TESTS=test/data/make_ring.pl RING_VERSION=1.0
#
# No worker runs in this server, so the ring begins at position 0 and nothing of
# it is in a table.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../perl";
use IO::Compress::Gzip qw(gzip $GzipError);
use KmsClient;
use KmsTest;
use PostgreSQL::Test::Utils;
use Test::More;

my $version = $ENV{RING_VERSION} or plan skip_all => 'RING_VERSION names no version';
my $node = KmsTest->node('ring', conf => <<'CONF');
kms.event_ring_size = 64kB
kms.maintenance = off
kms.key_pool_size = 0
kms.keygen_workers = 0
kms.reserved_writers = 0
max_worker_processes = 1
max_parallel_workers = 0
max_logical_replication_workers = 0
CONF
$node->sql("CREATE EXTENSION kms VERSION '$version'; CREATE ROLE app SUPERUSER LOGIN");
my ($key) = split /\|/, $node->sql("SELECT * FROM kms_issue_key('phone', '2.1')");
my $ciphertext = $node->sql("SELECT kms_encrypt('$key', 'secret', 'sha256', 'sha1')");
my $jwe = $node->sql("SELECT kms_encrypt_jwe('$key', 'secret')");
my $longest = 'd' x 255;
my $import = 'i' x 128;
my $pem = PostgreSQL::Test::Utils::tempdir() . '/imported.pem';
run_log([ qw(openssl genrsa -out), $pem, '2048' ]) or die 'openssl makes no key';
$node->sql("SELECT kms_import_key('$longest', '" . slurp_file($pem) . "', '$import', '" . 'v' x 64 . "')");
$node->sql("SELECT kms_create_field_key('tax')");

# an event of each form
$node->psql('postgres', $_, on_error_stop => 0) foreach (
	"SELECT * FROM kms_issue_key('phone', '2.2')",
	"SET kms.audit_context = 'case \"7\"\\ \x{c3}\x{a4}'; SET application_name = 'ring'; SELECT kms_decrypt('$key', '$ciphertext', NULL, 'sha256', 'sha1')",
	"SET ROLE app; SELECT kms_decrypt_jwe('$jwe', NULL)",
	"SELECT kms_decrypt('$key', '" . 'A' x 342 . "==')",
	"SELECT kms_decrypt('$key', 'no base64!')",
	"SELECT kms_decrypt('key_1700000000000_000000000000000000000000', '$ciphertext')",
	"SELECT kms_decrypt_recover('$key', '$ciphertext', 'a reason', NULL, 'sha256', 'sha1')",
	"SELECT kms_verify_secret('$key', '$ciphertext', 'no hash', 'account 12')",
	"SELECT count(kms_encrypt_field('tax', n::text, 'c')) FROM generate_series(1, 100) AS n",
	"BEGIN; SELECT kms_disable_key('$key'); ROLLBACK",
	"SELECT kms_diagnose('$key', 'QUJD')",
	"SELECT kms_encrypt('$import', 'secret', 'sha256', 'sha512')");

# more refused calls than the ring has room for are counted instead
$node->sql("SELECT count(kms_try_decrypt('$key', 'no base64!')) FROM generate_series(1, 40)");
is($node->sql('SELECT count(*) FROM kms.event'), '0', 'no event is in the trail');
$node->stop('fast');

my ($file) = glob $node->data_dir . '/pg_stat_tmp/kms.*';
my $ring = slurp_file($file);
my ($events, $summary);
IPC::Run::run([ $node->config_data('--bindir') . '/kms_ring', $file ], '>', \$events, '2>', \$summary)
  or die $summary;
like($summary, qr/, positions 0 to \d+: \d+ events, 0 never finished or damaged; counts of others/, 'the ring is whole');
note($summary);
my $name = "$FindBin::Bin/ring-$version";
open my $json, '>', "$name.json" or die "$name.json: $!";
print $json $events;
close $json or die "$name.json: $!";
gzip(\$ring => "$name.gz", -Level => 9, Minimal => 1) or die $GzipError;
note(-s "$name.gz", ' bytes');
done_testing();
