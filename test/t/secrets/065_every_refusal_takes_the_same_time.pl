# A wrong secret, a ciphertext that does not open and malformed input take the same
# time, so that nobody can tell them apart.  Hashes made by other programs verify.
#
# Times are those of the trail.  The kinds take turns, and the shortest time of
# each is compared, because other processes only make calls longer.  On a busy
# machine that takes more rounds.  If a step were left out, the call would be a
# hundred times faster however many rounds there are, so a factor of two is
# bound enough.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../../perl";
use KmsClient;
use KmsTest;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = KmsTest->node('time');
$node->safe_psql('postgres', 'CREATE EXTENSION kms; CREATE EXTENSION pgcrypto');
my ($key, $pem) = KmsClient::issue($node, 'postgres', 'phone');
my (undef, $other_pem) = KmsClient::issue($node, 'postgres', 'other phone');
my $right = KmsTest::encrypt_with_openssl($pem, '4711');
my $wrong = KmsTest::encrypt_with_openssl($pem, '4712');
my $others = KmsTest::encrypt_with_openssl($other_pem, '4711');
my $hash = $node->safe_psql('postgres', "SELECT kms_hash_secret('$key', '$right')");
my $foreign = crypt('4711', '$2y$10$CCCCCCCCCCCCCCCCCCCCC.');

# ---- Time ----------------------------------------------------------------

my %no = (
	'a wrong secret' => "'$wrong', '$hash'",
	'one of another key' => "'$others', '$hash'",
	'no ciphertext' => "NULL, '$hash'",
	'what is not base64' => "'***', '$hash'",
	'a ciphertext of another length' => "'c3BhbQ==', '$hash'",
	'a large ciphertext' => "repeat('A', 10000), '$hash'",
	'no hash' => "'$right', NULL",
	'a malformed hash' => "'$right', 'malformed'",
	'a hash that is too dear' =>
	  "'$right', '\$2b\$15\$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW'",
	'nothing at all' => 'NULL, NULL',
	'a wrong secret, foreign' => "'$wrong', '$foreign'",
	'one of another key, foreign' => "'$others', '$foreign'",
	'no ciphertext, foreign' => "NULL, '$foreign'",
	'a NUL in the secret, foreign' =>
	  "encode(kms_encrypt_bytea('$key', '4711\\000'), 'base64'), '$foreign'");
my @kinds = sort keys %no;
my $script = join ";\n",
  map { "SELECT kms_verify_secret('$key', $no{$_}, '$_')" } @kinds;
$script = "SELECT kms_verify_secret('$key', '$right', '$hash', 'yes');\n$script";
my @answers = ('t', map { 'f' } @kinds);
my $least = shortest($script, \@answers, ['yes', @kinds], sub {
	my ($time, $of) = @_;
	return $time > $of->{yes} / 2 && $time < $of->{yes} * 2;
});
cmp_ok($least->{yes}, '>', 5, "a verification takes its time: $least->{yes} ms");

# If the hash is cheaper than the block of a large key, the time would show whether
# the block is opened.
my $large = $node->safe_psql('postgres',
	"SELECT key_id FROM kms_issue_key('large', algorithm => 'RSA-4096')");
my $cheap = crypt('4711', '$2b$04$CCCCCCCCCCCCCCCCCCCCC.');
my %block = (
	'opened' => "kms_encrypt('$large', '4712')",
	'does not open' => "encode(set_byte(decode(kms_encrypt('$large', '4712'), 'base64'), 511, 0), 'base64')",
	'not there' => 'NULL',
	'malformed' => "'***'");
my @blocks = sort keys %block;
$script = join ";\n",
  map { "SELECT kms_verify_secret('$large', $block{$_}, '$cheap', 'block $_')" } @blocks;
@answers = map { 'f' } @blocks;
shortest($script, \@answers, [ map { "block $_" } @blocks ], sub {
	my ($time, $of) = @_;
	return $time > $of->{'block opened'} * 0.7;
});

# kms_diagnose() takes as long whether the encrypted key of a JWE opens or not.  With
# a large key, a call that does not use it would be several times faster.
my $jwe = $node->safe_psql('postgres', "SELECT kms_encrypt_jwe('$large', 'x')");
my %jwe = ('another tag' => 5, 'another content' => 4, 'another IV' => 3, 'another encrypted key' => 2);
$node->safe_psql('postgres', 'CREATE TABLE jwe (kind text, jwe text)');
foreach my $kind (sort keys %jwe)
{
	my @parts = split /\./, $jwe;
	$parts[ $jwe{$kind} - 1 ] =~ s/^(.)/$1 eq 'A' ? 'B' : 'A'/e;
	$node->safe_psql('postgres', "INSERT INTO jwe VALUES ('$kind', '" . join('.', @parts) . "')");
}
# the first call of a session opens the key and finds the algorithms, and is not
# compared
$script = join "\n",
  map { "SET application_name = '$_'; SELECT finding FROM jwe, kms_diagnose('$large', jwe) WHERE kind = '$_';" } sort keys %jwe;
my $findings = join "\n",
  map { 'the encrypted key of the JWE ' . (/key/ ? 'does not open' : 'opens') } 'another tag', sort keys %jwe;
is($node->safe_psql('postgres', "SELECT finding FROM kms_diagnose('$large', '$jwe') LIMIT 1;\n$script"),
	$findings, 'only another encrypted key does not open')
  foreach 1 .. 15;
$node->safe_psql('postgres', 'SELECT kms_flush_events()');
my %diagnosed = map { split /\|/ } split /\n/,
  $node->safe_psql('postgres',
	q{SELECT application_name, min(duration_ms) FROM kms.event WHERE operation = 'diagnose' GROUP BY 1 HAVING count(*) = 15});
foreach my $kind (sort keys %jwe)
{
	my $other = $diagnosed{'another tag'};
	ok($diagnosed{$kind} > $other / 2 && $diagnosed{$kind} < $other * 2, "a JWE with $kind: $diagnosed{$kind} ms");
}

# ---- Hashes of others ----------------------------------------------------

my %of_others = (
	'pgcrypto' => $node->safe_psql('postgres', "SELECT crypt('4711', gen_salt('bf', 6))"),
	'perl, 2y' => crypt('4711', '$2y$04$CCCCCCCCCCCCCCCCCCCCC.'),
	'perl, 2b' => crypt('4711', '$2b$04$CCCCCCCCCCCCCCCCCCCCC.'),
	'perl, yescrypt' => crypt('4711', '$y$j9T$CCCCCCCC'));
foreach my $who (sort keys %of_others)
{
	is( $node->safe_psql('postgres',
			"SELECT kms_verify_secret('$key', '$right', '$of_others{$who}'),
			kms_verify_secret('$key', '$wrong', '$of_others{$who}')"),
		't|f', "a hash of $who: $of_others{$who}");
}
is( $node->safe_psql('postgres',
		"SELECT kms_verify_secret('$key', '$right', '" . crypt('4711', '$6$CCCCCCCC') . "')"),
	'f', 'a hash of another method does not verify');
is( $node->safe_psql('postgres',
		"SELECT crypt('4711', replace('$foreign', '2y', '2a')) = replace('$foreign', '2y', '2a')"),
	't', 'pgcrypto and crypt() make the same bcrypt');

$node->stop;
done_testing();

# Run the script until the shortest time of each kind is as it should be, which
# on_time(TIME, TIMES) says, but at most 90 times.  Return the times.
sub shortest
{
	my ($script, $answers, $kinds, $on_time) = @_;
	my ($rounds, $wrong, %of) = (0, 0);
	do
	{
		foreach (1 .. 9)
		{
			$rounds++;
			$wrong++ if $node->safe_psql('postgres', $script) ne join "\n", @$answers;
		}
		$node->safe_psql('postgres', 'SELECT kms_flush_events()');
		%of = map { split /\|/ } split /\n/, $node->safe_psql('postgres',
			"SELECT context, min(duration_ms) FROM kms.event WHERE operation = 'verify'
			GROUP BY 1 HAVING count(*) = $rounds");
	} while ($rounds < 90 && grep { defined $of{$_} && !$on_time->($of{$_}, \%of) } @$kinds);
	is($wrong, 0, "each of $rounds rounds gives the right answers");
	foreach my $kind (@$kinds)
	{
		ok(defined $of{$kind} && $on_time->($of{$kind}, \%of),
			"$kind: " . ($of{$kind} // 'not recorded') . ' ms');
	}
	return \%of;
}
