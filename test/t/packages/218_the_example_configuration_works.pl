# A server starts with packaging/kms.conf in an included directory, and each
# setting that it comments on exists and has the value that is shown.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../../perl";
use KmsClient;
use KmsTest;
use PostgreSQL::Test::Utils;
use Test::More;

my $conf = slurp_file("$FindBin::Bin/../../../packaging/kms.conf");
my $node = KmsTest->node('example', master_key => undef, start => 0);
my $included = $node->data_dir . '/conf.d';
my $file = KmsTest::master_key_path($node);
KmsTest::write_master_key($file);
mkdir $included or die "$included: $!";
(my $used = $conf) =~ s{'/etc/kms/master\.key'$}{'$file'}m or die 'no master key file';
append_to_file("$included/kms.conf", $used);
$node->append_conf('postgresql.conf', "fsync = on\ninclude_dir = 'conf.d'");
$node->start;

is($node->safe_psql('postgres', 'SHOW shared_preload_libraries'), 'kms', 'kms is preloaded');
$node->safe_psql('postgres', 'CREATE EXTENSION kms');
my ($key, $pem) = KmsClient::issue($node, 'postgres', 'phone');
my $ciphertext = KmsTest::encrypt_with_openssl($pem, 'secret');
is($node->safe_psql('postgres', "SELECT kms_decrypt('$key', '$ciphertext')"), 'secret', 'the server decrypts');
unlike(KmsClient::findings($node, 'postgres'), qr/^(?:error|warning)/m, 'kms_check() finds nothing');

my %shown = $conf =~ /^#(kms\.\w+) = '?([^'\s]*)'?/mg;
cmp_ok(scalar keys %shown, '>', 15, 'settings are shown');
foreach my $name (sort keys %shown)
{
	is($node->safe_psql('postgres', "SELECT current_setting('$name')"), $shown{$name}, "default of $name");
}

# The lines as they are when somebody removes their marks.
$node->stop;
(my $all = $used) =~ s/^#(?=kms\.)//mg;
unlink "$included/kms.conf" or die $!;
append_to_file("$included/kms.conf", $all);
my $before = -s $node->logfile;
$node->start;
is($node->safe_psql('postgres', "SELECT kms_decrypt('$key', '$ciphertext')"), 'secret',
	'with each of them set the server works');
unlike(slurp_file($node->logfile, $before), qr/unrecognized|invalid/, 'the log has no complaint about them');
unlike(KmsClient::findings($node, 'postgres'), qr/^(?:error|warning)/m, 'neither has kms_check()');

$node->stop;
done_testing();
