# Many calls in one statement do not make a session grow, for any outcome of
# the calls, and the writer does not grow either.
#
# A leak of one byte per call is found: palloc takes 16 for it and malloc 32.
# So 6,000 calls with a private key, which take half a millisecond each, lose
# at least 94 kB, and 200,000 calls without one 3 MB.  A session without a leak
# grows by less than 64 kB.  It may grow by more once, if in the meantime another
# process makes it read the catalogs again; so what has grown must grow again.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../../perl";
use KmsClient;
use KmsTest;
use PostgreSQL::Test::Utils;
use Test::More;

use constant ENOUGH => 64;    # kB

my $node = KmsTest->node('memory', conf => <<'CONF');
kms.key_cache_size = 3
kms.event_ring_size = 64MB
kms.verify_failure_limit = 5
jit = off
CONF
$node->safe_psql('postgres', 'CREATE EXTENSION kms');
my (@key, @ciphertext);
foreach my $n (0 .. 9)
{
	my ($key, $pem) = KmsClient::issue($node, 'postgres', "phone $n");
	push @key, $key;
	push @ciphertext, KmsTest::encrypt_with_openssl($pem, 'secret');
}
$node->safe_psql('postgres', 'CREATE TABLE card (n int, key_id text, ciphertext text)');
$node->safe_psql('postgres', "INSERT INTO card VALUES ($_, '$key[$_]', '$ciphertext[$_]')")
  foreach 0 .. 9;

$node->safe_psql('postgres', 'CREATE TABLE cards AS SELECT array_agg(key_id) AS ids, array_agg(ciphertext) AS texts FROM card');

my $good = "'$key[0]', '$ciphertext[0]'";
my $wrong = "'$key[0]', '$ciphertext[1]'";
my $cheap = crypt('secret', '$2b$04$CCCCCCCCCCCCCCCCCCCCC.');
my $good_bytes = "'$key[0]', decode('$ciphertext[0]', 'base64')";

# A JWE to a key of each kind, and each with another tag.
my (%jwe, %damaged);
foreach my $algorithm ('RSA-2048', 'EC-P256', 'X25519')
{
	$jwe{$algorithm} = $node->safe_psql('postgres',
		"SELECT kms_encrypt_jwe(key_id, 'secret') FROM kms_issue_key('curves', NULL, '$algorithm')");
	$damaged{$algorithm} = $jwe{$algorithm} =~ s/[^.]+$/'A' x 22/er;
}

# Fields: more keys than are kept open, and values of one of them.
$node->safe_psql('postgres', "SELECT kms_create_field_key('tax'); SELECT kms_create_field_key('tax.' || n) FROM generate_series(0, 9) AS n");
my $value = "CASE WHEN n > 0 THEN '"
  . $node->safe_psql('postgres', "SELECT kms_encrypt_field('tax', 'DE123', 'c')") . "'::bytea END";

# A name, the number of calls, and an expression in n.
my @cases = (
	[ 'decrypt', 10_000, "kms_decrypt($good)" ],
	[ 'wrong ciphertext', 10_000, "kms_try_decrypt($wrong)" ],
	[ 'more keys than are kept open', 6_000,
		'(SELECT kms_decrypt(key_id, ciphertext) FROM card AS c WHERE c.n = s.n % 10)' ],
	[ 'bytes', 6_000, "kms_decrypt_bytea($good_bytes)" ],
	[ 'batches of ten keys', 700,
		"(SELECT count(plaintext) FROM cards, LATERAL kms_decrypt_batch(ids[:10 + 0 * s.n], texts))" ],
	[ 'recover', 6_000, "kms_decrypt_recover($good, 'a test')" ],
	[ 'verify', 6_000, "kms_verify_secret($good, '$cheap', 'somebody')" ],
	[ 'verify a wrong one', 6_000, "kms_verify_secret($wrong, '$cheap', 'nobody ' || n)" ],
	[ 'label and digests', 6_000,
		"kms_try_decrypt($good, NULL, 'sha256', 'sha512', 'label')" ],
	[ 'unknown key', 200_000, "kms_try_decrypt('no_such_key', '$ciphertext[0]')" ],
	[ 'not base64', 200_000, "kms_try_decrypt('$key[0]', '?' || n)" ],
	[ 'wrong length', 200_000, "kms_try_decrypt('$key[0]', 'AAAA')" ],
	[ 'too large', 200_000, "kms_try_decrypt('$key[0]', repeat('A', 2049))" ],
	(map { (
		[ "JWE $_", 6_000, "kms_decrypt_jwe('$jwe{$_}', 'curves')" ],
		[ "damaged JWE $_", 6_000, "catch_jwe_error('$damaged{$_}')" ]) } sort keys %jwe),
	[ 'malformed JWE', 20_000, "catch_jwe_error('{\"protected\": {\"a\": [' || n)" ],
	[ 'header of a JWE', 50_000, "kms_jwe_header(CASE WHEN n > 0 THEN '$jwe{X25519}' END)" ],
	(map { [ "encrypt a JWE for $_", 6_000,
			"(SELECT kms_encrypt_jwe(key_id, 'secret' || n) FROM kms.key WHERE device_id = 'curves' AND algorithm = '$_')" ] } sort keys %jwe),
	[ 'encrypt', 50_000, "kms_encrypt('$key[0]', 'secret')" ],
	[ 'issue', 50_000, "(SELECT key_id FROM kms_issue_key('phone ' || n % 10))" ],
	[ 'public key', 50_000, "kms_public_key('$key[0]')" ],
	[ 'JWK', 20_000, "kms_jwk('$key[0]')" ],
	[ 'JWK set', 20_000, "kms_jwks('phone ' || n % 10)" ],
	[ 'diagnose', 250, "diagnose('$ciphertext[0]')" ],
	[ 'diagnose a malformed one', 20_000, "diagnose(repeat('%2B', n % 9))" ],
	[ 'state', 200_000, "kms_key_state('$key[0]')" ],
	[ 'encrypt a field', 100_000, "kms_encrypt_field('tax', 'x' || n, 'c')" ],
	[ 'decrypt a field', 100_000, "kms_decrypt_field($value, 'c')" ],
	[ 'more field keys than are kept open', 10_000, "kms_encrypt_field('tax.' || n % 10, 'x', 'c')" ],
	[ 'another context', 100_000, "kms_try_decrypt_field($value, 'c' || n)" ],
	[ 'another field key', 100_000, "kms_try_decrypt_field($value, 'c', 'tax.1')" ],
	[ 'a value of no field key', 100_000, "kms_try_decrypt_field(set_byte($value, 5, n % 256), 'c')" ],
	[ 'a malformed value', 100_000, "kms_try_decrypt_field(set_byte($value, 2, 2), 'c')" ],
	[ 'refresh a field', 50_000, "kms_refresh_field($value, 'c', 'c' || n)" ],
	[ 'refresh a field for another key', 10_000, "kms_refresh_field($value, 'c', NULL, 'tax.' || n % 10)" ],
	[ 'heads of values', 100_000, "(kms_field_is_current($value), kms_field_version($value), kms_field_key($value))" ],
	[ 'blind index', 100_000, "kms_blind_index('tax.1', 'DE 123' || n, 's', 'alnum')" ],
	[ 'a block to a field', 6_000, "kms_decrypt_to_field($good, 'tax', 'c', NULL)" ],
	[ 'a JWE to a field', 6_000, "kms_decrypt_to_field((SELECT min(key_id) FROM kms.key WHERE device_id = 'curves' AND algorithm = 'X25519'), '$jwe{X25519}', 'tax', 'c', 'curves')" ],
	[ 'a block to an index', 6_000, "kms_decrypt_to_index($good, 'tax', 's', NULL)" ],
	(map { [ "caught: $_", 6_000, "catch_field_error('$_', n)" ] } qw(context name value block)),
	[ 'errors that are caught', 6_000, 'catch_error(n)' ]);

$node->safe_psql('postgres', <<"SQL");
CREATE FUNCTION catch_error(n int) RETURNS text LANGUAGE plpgsql AS \$\$
BEGIN
	RETURN kms_decrypt($wrong);
EXCEPTION WHEN OTHERS THEN
	RETURN SQLSTATE;
END \$\$;
CREATE FUNCTION catch_jwe_error(jwe text) RETURNS text LANGUAGE plpgsql AS \$\$
BEGIN
	RETURN kms_decrypt_jwe(jwe, 'curves');
EXCEPTION WHEN SQLSTATE 'KM001' OR SQLSTATE '22023' THEN
	RETURN SQLSTATE;
END \$\$;
CREATE FUNCTION catch_field_error(what text, n int) RETURNS text LANGUAGE plpgsql AS \$\$
BEGIN
	RETURN CASE what
		WHEN 'context' THEN kms_decrypt_field($value, 'c' || n)
		WHEN 'name' THEN kms_encrypt_field('nothing', 'x', 'c')::text
		WHEN 'value' THEN kms_decrypt_field('\\x00', 'c')
		ELSE kms_decrypt_to_field($wrong, 'tax', 'c', NULL)::text
	END;
EXCEPTION WHEN SQLSTATE 'KM001' OR SQLSTATE 'KM002' OR SQLSTATE '22023' THEN
	RETURN SQLSTATE;
END \$\$;
CREATE FUNCTION diagnose(sent text) RETURNS bigint LANGUAGE plpgsql AS \$\$
BEGIN
	RETURN (SELECT count(*) FROM kms_diagnose('$key[0]', sent));
END \$\$;
SQL

# Return the private memory of a process in kB, without buffers and the ring.
sub memory
{
	my ($pid) = @_;
	return slurp_file("/proc/$pid/status") =~ /^RssAnon:\s+(\d+) kB$/m ? $1 : 0;
}

sub writer
{
	return $node->safe_psql('postgres',
		"SELECT pid FROM pg_stat_activity WHERE backend_type = 'kms writer'");
}

# Begin this share of a case's calls.
sub call
{
	my ($run, $share) = @_;
	my (undef, $count, $expression) = @{ $run->{case} };

	$run->{before} = memory($run->{session}{pid});
	$run->{session}->send("SELECT count($expression) FROM (SELECT generate_series(1, "
		  . int($count * $share) . ")) AS s(n)");
	return;
}

# The server logs each recovery.
my $quiet = "SET log_min_messages = fatal; SET log_statement = 'none'";

# Two sessions, because there are at least two processors.
my @sessions = map { KmsClient->session($node, 'postgres') } 1, 2;
$_->query($quiet) foreach @sessions;
my ($writer, $writer_memory) = ('', 0);
my $measured = 0;
while (@cases)
{
	my @now;
	foreach my $session (@sessions)
	{
		push @now, { case => shift @cases, session => $session, grown => ENOUGH } if @cases;
	}
	call($_, 0.2) foreach @now;
	$_->{session}->receive foreach @now;
	foreach my $attempt (1 .. 3)
	{
		call($_, 1) foreach grep { $_->{grown} >= ENOUGH } @now;
		foreach my $run (grep { $_->{grown} >= ENOUGH } @now)
		{
			$run->{session}->receive;
			$run->{grown} = memory($run->{session}{pid}) - $run->{before};
		}
	}
	foreach my $run (@now)
	{
		my ($name, $count) = @{ $run->{case} };
		is($run->{session}{state}, '00000', "$name: $count calls");
		cmp_ok($run->{grown}, '<', ENOUGH, "$name: the session has grown by $run->{grown} kB");
	}

	# The writer ends when there is nothing to write, so this may be another
	# process.
	my $pid = writer();
	if ($pid ne '' && $pid eq $writer)
	{
		my $grown = memory($pid) - $writer_memory;
		$measured++;
		cmp_ok($grown, '<', 2048, "the writer has grown by $grown kB");
	}
	($writer, $writer_memory) = ($pid, $pid ne '' ? memory($pid) : 0);
}
cmp_ok($measured, '>', 0, 'the writer was measured');
is($sessions[0]->query("SELECT value FROM kms.status WHERE item = 'keys open in this session'"),
	'3', 'no more keys are open than kms.key_cache_size');

# The result set is sent row by row, so it needs no memory.
my $before = memory($sessions[0]{pid});
$sessions[0]->query("SELECT kms_try_decrypt('no_such_key', 'AAAA'), generate_series(1, 200000)");
cmp_ok(memory($sessions[0]{pid}) - $before, '<', 256, 'rows sent to a client');
$_->quit foreach @sessions;

$node->stop;
done_testing();
