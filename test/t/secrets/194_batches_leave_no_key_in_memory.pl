# After batches, in lanes of crypto_mb where the processor has them and without,
# no number of a private key is in the memory of a session that has closed its
# keys.  The lanes leave none below the stack either; OpenSSL may.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../../perl";
use KmsClient;
use KmsMemory;
use KmsTest;
use Test::More;

my $node = KmsTest->node('batches', conf => "kms.protect_memory = off\nkms.deprecate_problematic_keys = off\njit = off");
$node->safe_psql('postgres', 'CREATE EXTENSION kms; CREATE TABLE pair (key_id text, ciphertext text)');
my @numbers;
foreach my $bits (2048, 3072)
{
	my $pem = `openssl genrsa $bits 2>/dev/null`;
	my $file = $node->basedir . "/$bits.pem";
	open my $out, '>', $file or die $!;
	print $out $pem;
	close $out or die $!;
	push @numbers, KmsMemory::numbers($pem);
	$node->safe_psql('postgres', "SELECT kms_import_key('phone $bits', pg_read_file('$file'), 'key$bits', deprecated => false)");
	$node->safe_psql('postgres',
		"INSERT INTO pair SELECT 'key$bits', kms_encrypt('key$bits', 'secret') FROM generate_series(1, 20)");
}
my $lanes = $node->safe_psql('postgres', "SELECT value FROM kms.status WHERE item = 'multi-buffer lanes'");
diag "multi-buffer lanes: $lanes";

foreach my $way ('blinded', 'unblinded', 'off')
{
	$node->append_conf('postgresql.conf', "kms.multi_buffer = $way");
	$node->reload;
	$node->poll_query_until('postgres', "SELECT current_setting('kms.multi_buffer') = '$way'") or die;
	my $session = KmsClient->session($node, 'postgres');
	is($session->query("SELECT count(*) FILTER (WHERE plaintext = 'secret') FROM
			(SELECT array_agg(key_id ORDER BY key_id) AS ids, array_agg(ciphertext ORDER BY key_id) AS texts FROM pair) AS p,
			LATERAL kms_decrypt_batch(ids, texts)"),
		'40', "$way: a batch is decrypted");
  SKIP:
	{
		my $memory = KmsMemory::of($session->{pid});
		skip 'this system lets nobody read the memory of a process', 2 unless defined $memory;
		cmp_ok(KmsMemory::count($memory, @numbers), '>', 0, "$way: open keys are in memory");
		$session->query('DISCARD ALL');
		$memory = KmsMemory::of($session->{pid}, wiped => $way eq 'off');
		is(KmsMemory::count($memory, @numbers), 0, "$way: closed keys are not");
	}
	$session->quit;
}
is($node->safe_psql('postgres', "SELECT value FROM kms.status WHERE item = 'multi-buffer wrong results'"),
	'0', 'no lane was wrong');
$node->stop;
done_testing();
