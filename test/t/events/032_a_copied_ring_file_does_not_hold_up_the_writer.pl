# A copy of a ring file under the name of a replaced one is kept, a file that
# never was a ring is deleted, and neither delays the writer.
use strict;
use warnings;

use File::Copy;
use FindBin;
use lib "$FindBin::Bin/../../perl";
use KmsClient;
use KmsTest;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = KmsTest->node('copy', conf => "kms.event_ring_size = 256kB\nkms.reserved_writers = 0");
$node->safe_psql('postgres', 'CREATE EXTENSION kms');
my ($key, $pem) = KmsClient::issue($node, 'postgres', 'phone');
my $ciphertext = KmsTest::encrypt_with_openssl($pem, 'secret');
my $decrypt = "kms_decrypt('$key', '$ciphertext')";

sub recorded
{
	my ($name) = @_;
	return $node->safe_psql('postgres',
		"SELECT count(*) FROM kms.event WHERE application_name = '$name'");
}

$node->calls('before', $decrypt, 10);
is(KmsTest::events($node, 'postgres', "application_name = 'before'"),
	'10', 'events are recorded');
my ($ring) = glob $node->data_dir . '/pg_stat_tmp/kms.*';

$node->stop;
copy($ring, "$ring.1") or die "$ring: $!";
chmod 0600, "$ring.1";
$node->start;
$node->calls('after', $decrypt, 10);
is( KmsClient::sqlstate($node, 'postgres',
		"SET statement_timeout = '180s'; SELECT kms_flush_events()"),
	'00000', 'the writer writes');
is(recorded('after'), '10', 'the writer writes the recorded events');
is(recorded('before'), '10', 'no event is written twice');
ok(-e "$ring.1", 'the copy is kept');
my $complaints = () = slurp_file($node->logfile) =~
  /event ring ".*\.1" cannot be used: its epoch is not that in its name/g;
is($complaints, 1, 'the log reports the copy once');
ok( KmsTest::poll(
		sub {
			$node->safe_psql('postgres',
				"SELECT count(*) = 0 FROM pg_stat_activity WHERE backend_type = 'kms writer'"
			) eq 't';
		}),
	'the writer leaves when it is idle');

$node->stop;
unlink "$ring.1";
append_to_file("$ring.1", 'garbage');
$node->start;
$node->calls('with garbage', $decrypt, 10);
is(KmsTest::events($node, 'postgres', "application_name = 'with garbage'"),
	'10', 'garbage does not delay the writer');
ok(!-e "$ring.1", 'garbage is deleted');
$node->stop;
done_testing();
