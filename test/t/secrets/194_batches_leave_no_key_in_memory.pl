# After batches, in lanes of crypto_mb where the processor has them and without,
# no number of a private key is in the memory of a session that has closed its
# keys, neither as OpenSSL keeps numbers nor as the lanes do.
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
my (@numbers, @in_lanes);
foreach my $bits (2048, 3072)
{
	my $pem = `openssl genrsa $bits 2>/dev/null`;
	my $file = $node->basedir . "/$bits.pem";
	open my $out, '>', $file or die $!;
	print $out $pem;
	close $out or die $!;
	push @numbers, KmsMemory::numbers($pem);
	push @in_lanes, in_lanes($pem);
	$node->safe_psql('postgres', "SELECT kms_import_key('phone $bits', pg_read_file('$file'), 'key$bits', deprecated => false)");
	$node->safe_psql('postgres',
		"INSERT INTO pair SELECT 'key$bits', kms_encrypt('key$bits', 'secret') FROM generate_series(1, 20)");
}
my $lanes = $node->safe_psql('postgres', "SELECT value FROM kms.status WHERE item = 'multi-buffer lanes'");
diag "multi-buffer lanes: $lanes";

# As many times as the number that follows.
my $batches = "SELECT count(*) FILTER (WHERE plaintext = 'secret') FROM
	(SELECT array_agg(key_id ORDER BY key_id) AS ids, array_agg(ciphertext ORDER BY key_id) AS texts FROM pair) AS p,
	generate_series(1, 100000) AS n, LATERAL kms_decrypt_batch(ids[:40 + n * 0], texts) WHERE n <= ";

foreach my $way ('blinded', 'unblinded', 'off')
{
	$node->append_conf('postgresql.conf', "kms.multi_buffer = $way");
	$node->reload;
	$node->poll_query_until('postgres', "SELECT current_setting('kms.multi_buffer') = '$way'") or die;
	my $session = KmsClient->session($node, 'postgres');
	is($session->query($batches . '1'), '40', "$way: a batch is decrypted");
  SKIP:
	{
		my $memory = KmsMemory::of($session->{pid});
		skip 'this system lets nobody read the memory of a process', 3 unless defined $memory;
		is(KmsMemory::count($memory, @in_lanes), 0, "$way: nothing is left in the form of the lanes");
		cmp_ok(KmsMemory::count($memory, @numbers), '>', 0, "$way: open keys are in memory");
		$session->query('DISCARD ALL');
		$memory = KmsMemory::of($session->{pid}, wiped => $way eq 'off');
		is(KmsMemory::count($memory, @numbers, @in_lanes), 0, "$way: closed keys are not");
	}
  SKIP:
	{
		skip 'the lanes are not in use', 2 if $lanes ne 'in use' || $way eq 'off';
		skip 'this system lets nobody read the memory of a process', 2 unless defined KmsMemory::of($session->{pid});
		$session->send($batches . '100000');
		ok( KmsTest::poll(
				sub {
					my $memory = KmsMemory::of($session->{pid}, private => 1);
					return KmsMemory::count($memory // '', @in_lanes);
				},
				0.01),
			"$way: while the lanes calculate, they are found in that form");
		$node->safe_psql('postgres', "SELECT pg_cancel_backend($session->{pid})");
		$session->receive;
		is(KmsMemory::count(KmsMemory::of($session->{pid}, wiped => 1), @in_lanes), 0,
			"$way: and not after a cancel");
	}
	$session->quit;
}
is($node->safe_psql('postgres', "SELECT value FROM kms.status WHERE item = 'multi-buffer wrong results'"),
	'0', 'no lane was wrong');
$node->stop;
done_testing();

# Parts of the primes, of the exponents and of the coefficient as the library
# has them while it calculates: digits of 52 or 64 bits, eight times if all lanes
# have the same key.
sub in_lanes
{
	my ($pem) = @_;
	my $text = `openssl pkey -noout -text <<'END'\n$pem\nEND`;
	my @forms;
	foreach my $name (qw(prime1 prime2 exponent1 exponent2 coefficient))
	{
		my ($hex) = $text =~ /^$name:\n((?: +[0-9a-f:]+\n)+)/m or die "no $name";
		my $bits = reverse unpack 'B*', pack 'H*', $hex =~ s/[^0-9a-f]//gr =~ s/^(?=(?:..)*.$)/0/r;
		foreach my $size (52, 64)
		{
			push @forms, map { pack('b64', substr $bits, $_ * $size, $size) x 8 } 5 .. 8;
		}
	}
	return @forms;
}
