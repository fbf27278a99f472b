# Neither plaintext, nor the master key, nor a private key in the clear is in
# the data directory, the WAL, the event ring, the server log or a dump, after
# any operation and at any level of logging.  The search finds
# what is there: public keys, and canaries that the test itself planted.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../../perl";
use IPC::Run;
use KmsClient;
use KmsMemory;
use KmsTest;
use MIME::Base64 qw(decode_base64 encode_base64);
use PostgreSQL::Test::Utils;
use Test::More;

# Every statement is logged, with parameters, also those of what fails.
my $node = KmsTest->node('canary', conf => <<'CONF');
log_statement = all
log_duration = on
log_error_verbosity = verbose
log_min_messages = debug1
log_parameter_max_length = -1
log_parameter_max_length_on_error = -1
kms.key_lifetime = 1h
kms.deprecate_problematic_keys = off
CONF
my $dir = PostgreSQL::Test::Utils::tempdir();
my $random = substr KmsTest::random_master_key(), 0, 12;

# Secrets that do not have the form of a key id, secrets that do, and canaries of
# the test.
my $canary = "canary: $random!";
my $shaped = "CANARY_$random";
my $planted = "PLANTED_$random";
chomp(my $master_key = slurp_file(KmsTest::master_key_path($node)));

$node->safe_psql('postgres', 'CREATE EXTENSION kms');
my ($key, $pem) = KmsClient::issue($node, 'postgres', 'phone');
my ($other) = KmsClient::issue($node, 'postgres', 'other phone');
my $ciphertext = KmsTest::encrypt_with_openssl($pem, $canary);
my $sha256 = KmsTest::encrypt_with_openssl($pem, $canary, 'sha256');
my $bytes = "decode('$ciphertext', 'base64')";

# ---- What is done with it ------------------------------------------------

# Its length is all that we look at.
my $length = length $canary;
sub opens
{
	my ($name, $sql) = @_;
	is($node->safe_psql('postgres', "SELECT length(p) FROM $sql AS p"),
		$length, "$name opens");
}
opens('decrypt', "kms_decrypt('$key', '$ciphertext')");
opens('decrypt bytes', "kms_decrypt_bytea('$key', $bytes)");
opens('try', "kms_try_decrypt('$key', '$ciphertext')");
opens('recover', "kms_decrypt_recover('$key', '$ciphertext', 'a test')");
opens('recover bytes', "kms_decrypt_recover_bytea('$key', $bytes, 'a test')");
opens('digest', "kms_decrypt('$key', '$sha256', NULL, 'sha256')");
my %jwe;
foreach my $algorithm ('RSA-2048', 'EC-P256', 'X25519')
{
	$jwe{$algorithm} = jwe($algorithm);
	opens("JWE $algorithm", "kms_decrypt_jwe('$jwe{$algorithm}', 'curves')");
	opens("JWE $algorithm bytes", "kms_decrypt_jwe_bytea('$jwe{$algorithm}', 'curves')");
	is(KmsClient::sqlstate($node, 'postgres', "SELECT kms_decrypt_jwe('" . ($jwe{$algorithm} =~ s/[^.]+$/'A' x 22/er) . "', 'curves')"),
		'KM001', "damaged JWE $algorithm is refused");
}
opens('parallel', "(SELECT max(kms_decrypt('$key', '$ciphertext')) AS p
	FROM generate_series(1, 3)) AS s(p), LATERAL (VALUES (s.p))");

# Hashed and verified with all statements logged, without becoming a value.
$node->safe_psql('postgres',
	"CREATE TABLE hashed AS SELECT kms_hash_secret('$key', '$ciphertext') AS hash");
is( $node->safe_psql('postgres',
		"SELECT kms_verify_secret('$key', '$ciphertext', hash, 'somebody'),
		kms_verify_secret('$key', '$sha256', hash, 'somebody') FROM hashed"),
	't|f', 'hash and verify');

like(
	$node->safe_psql('postgres', "SELECT kms_diagnose('$key', '$sha256')"),
	qr/opens with OAEP digest sha256/, 'diagnose opens');
$node->safe_psql('postgres', <<"SQL");
CREATE TABLE pin (hash text);
CREATE FUNCTION take() RETURNS trigger LANGUAGE plpgsql AS \$\$
BEGIN
	NEW.hash := md5(kms_decrypt('$key', NEW.hash));
	RETURN NEW;
END \$\$;
CREATE TRIGGER take BEFORE INSERT ON pin FOR EACH ROW EXECUTE FUNCTION take();
INSERT INTO pin VALUES ('$ciphertext');
BEGIN;
INSERT INTO pin VALUES ('$ciphertext');
ROLLBACK;
EXPLAIN (ANALYZE, VERBOSE) SELECT kms_decrypt('$key', '$ciphertext');
SELECT count(*) FROM pin WHERE hash = md5(kms_decrypt('$key', '$ciphertext'));
SQL

foreach my $case (
	[ 'KM001', "kms_decrypt('$other', '$ciphertext')" ],
	[ 'KM001', "kms_decrypt('$key', '$sha256')" ],
	[ 'KM001', "kms_decrypt('$key', '$ciphertext', label => 'x')" ],
	[ 'KM002', "kms_decrypt('$key', '$ciphertext', 'other phone')" ],
	[ '22012', "1 / (length(kms_decrypt('$key', '$ciphertext')) - $length)" ])
{
	is(KmsClient::sqlstate($node, 'postgres', "SELECT $case->[1]"),
		$case->[0], "$case->[0]: $case->[1]" =~ s/'[^']{50,}'/…/gr);
}

# Secrets as parameters, in the correct place and in a wrong one, are not logged
# if logging of statements is off.
$node->append_conf('postgresql.conf', "log_statement = none\nlog_duration = off");
$node->reload;
$node->poll_query_until('postgres',
	"SELECT current_setting('log_statement') = 'none'");

foreach my $case (
	[ '22023', "kms_decrypt('$canary', '$ciphertext')" ],
	[ '22023', "kms_try_decrypt('$canary', '$ciphertext')" ],
	[ '22023', "kms_decrypt('$key', '$canary')" ],
	[ '22023', "kms_decrypt('$key', '$ciphertext', oaep_hash => '$canary')" ],
	[ '22023', "kms_decrypt('$key', '$ciphertext', mgf1_hash => '$canary')" ],
	[ 'KM002', "kms_decrypt('$key', '$ciphertext', '$canary')" ],
	[ 'KM001', "kms_decrypt('$key', '$ciphertext', label => '$canary')" ],
	[ '22023', "kms_hash_secret('$canary', '$ciphertext')" ],
	[ '22023', "kms_hash_secret('$key', '$canary')" ],
	[ 'KM002', "kms_hash_secret('$key', '$ciphertext', '$canary')" ],
	[ '22023', "kms_verify_secret('$canary', '$ciphertext', 'x')" ],
	[ 'KM002', "kms_verify_secret('$key', '$ciphertext', 'x', NULL, '$canary')" ],
	[ '22023', "kms_verify_secret('$key', '$ciphertext', 'x', repeat('$canary', 20))" ],
	[ '22023', "kms_encrypt('$canary', 'x')" ],
	[ '22023', "kms_encrypt('$key', repeat('$canary', 20))" ],
	[ '22023', "kms_public_key('$canary')" ],
	[ '22023', "kms_jwk('$canary')" ],
	[ '22023', "kms_diagnose('$canary', '$ciphertext')" ],
	[ '22023', "kms_key_state('$canary')" ],
	[ '22023', "kms_issue_key('phone', NULL, '$canary')" ],
	[ '22023', "kms_issue_key('phone', repeat('$canary', 20))" ],
	[ '22023', "kms_issue_key(repeat('$canary', 20))" ],
	[ '22023', "kms_issue_key(E'$canary\\n')" ],
	[ 'KM006', "kms_decrypt('$key', repeat('$canary', 200))" ])
{
	my ($state, $call) = @$case;
	my $errors = KmsClient::error($node, 'postgres', "SELECT $call");
	my $name = $call =~ s/'[^']{50,}'/…/gr;
	like($errors, qr/ERROR:  $state:/, "$state: $name");
	unlike($errors =~ s/^LINE 1:.*//mr, qr/\Q$random\E/, "not echoed: $name");
}
is( $node->safe_psql('postgres',
		"SELECT count(*) FROM unnest(ARRAY['$ciphertext', '$sha256', '$canary', '\"$canary\"',
			encode(convert_to('$canary', 'UTF8'), 'base64')]) AS sent,
		LATERAL kms_diagnose('$key', sent) AS d WHERE d::text LIKE '%$random%'"),
	'0', 'diagnose tells nothing of a plaintext');
is($node->safe_psql('postgres', "SELECT kms_try_decrypt('$key', '$canary') IS NULL"),
	't', 'NULL for what is not base64');
is( $node->safe_psql('postgres',
		"SELECT kms_verify_secret('$key', '$canary', 'x'), kms_verify_secret('$key', '$ciphertext', '$canary')"),
	'f|f', 'false for what is no ciphertext or no hash');
is($node->safe_psql('postgres', "SELECT length(kms_encrypt('$key', '$canary'))"),
	'344', 'encrypt');
is( KmsClient::sqlstate($node, 'postgres',
		"SELECT kms_decrypt('$shaped', '$ciphertext')"),
	'KM002', 'an id of the right form that is none of ours');

open my $script, '>', "$dir/prepared.sql" or die $!;
print $script "SELECT kms_encrypt(:key, :pin);\nSELECT length(kms_decrypt(:key, :ct));\n",
  "SELECT kms_try_decrypt(:key, :pin);\nSELECT kms_decrypt(:pin, :ct);\n";
close $script or die $!;
my ($output, $errors);
IPC::Run::run(
	[
		'pgbench', '-n', '-t', '1', '-M', 'prepared', '-f', "$dir/prepared.sql",
		'-D', "key=$key", '-D', "pin=$canary", '-D', "ct=$ciphertext",
		$node->connstr('postgres')
	],
	'>', \$output, '2>', \$errors);
like($errors, qr/key id/, 'prepared statements, the last one with a PIN for a key id');

# ---- Everything is written out -------------------------------------------

$node->safe_psql('postgres', "CREATE TABLE planted AS SELECT '$planted'::text");
$node->safe_psql('postgres', "SET log_statement = 'all'; SELECT '$planted'");
$node->safe_psql('postgres', 'SELECT kms_flush_events()');
my ($modulus) = unpack 'H*', modulus($pem);
$node->safe_psql('postgres', 'CHECKPOINT');
$node->command_ok([ 'pg_dump', '-d', $node->connstr('postgres'), '-f', "$dir/dump.sql" ],
	'dumped');
is( $node->safe_psql('postgres',
		"SELECT count(*) FROM kms.event AS e WHERE e::text ~ '$random'"),
	'0', 'nothing of it is in the trail');

# Search while the server is up, because then the ring and all WAL are there.
my %where = (
	data => [ KmsMemory::files($node->data_dir) ],
	log => [ $node->logfile ],
	dump => ["$dir/dump.sql"]);
ok((grep { m{/pg_stat_tmp/kms\.\d+$} } @{ $where{data} }), 'the ring is searched');
ok((grep { m{/pg_wal/[0-9A-F]{24}$} } @{ $where{data} }), 'the WAL is searched');

my $private = "\x02\x01\x00\x02\x82\x01\x01\x00";
my $raw_modulus = modulus($pem);
my %secret = (
	'the plaintext' => [ forms($canary) ],
	'the master key' =>
	  [ $master_key, uc $master_key, pack('H*', $master_key),
		encode_base64(pack('H*', $master_key), ''),
		scalar reverse pack('H*', $master_key) ],
	'a private key' => [
		map { ($_, unpack('H*', $_)) } $private . substr($raw_modulus, 0, 64),
		$private . scalar reverse $raw_modulus ],

	# PKCS#8 up to the private number: X25519 (RFC 8410) and P-256 (RFC 5915)
	'a private key of a curve' => [
		map { ($_, unpack('H*', $_)) } "\x06\x03\x2b\x65\x6e\x04\x22\x04\x20",
		"\x30\x6b\x02\x01\x01\x04\x20" ],
	'a PEM of a private key' => [ 'PRIVATE KEY-----', encode('PRIVATE KEY-----') ]);

foreach my $what (sort keys %secret)
{
	foreach my $place (sort keys %where)
	{
		my @found = KmsMemory::holding($where{$place}, @{ $secret{$what} });
		is("@found", '', "$what is not in the $place");
	}
}
is(join(' ', KmsMemory::holding($where{data}, $shaped)), '',
	'a PIN passed as a key id is in no table');

# ---- The search finds what is there --------------------------------------

my @found = KmsMemory::holding($where{data}, "\x02\x82\x01\x01\x00$raw_modulus");
ok((grep { m{/base/} } @found), 'the search finds the public key in a table');
ok((grep { m{/pg_wal/} } @found), 'the search finds the public key in the WAL');
ok((KmsMemory::holding($where{dump}, $modulus)), 'the search finds the public key in the dump');
@found = KmsMemory::holding($where{data}, $planted);
ok((grep { m{/base/} } @found), 'the search finds a plaintext that was put in a table');
ok((grep { m{/pg_wal/} } @found), 'the search finds that plaintext in the WAL');
ok((KmsMemory::holding($where{log}, $planted)), 'the search finds that plaintext in the log');
ok((KmsMemory::holding($where{dump}, $planted)), 'the search finds that plaintext in the dump');

# The writer wipes events in the ring that it has written, so it is stopped.
my $writer = KmsTest::poll(
	sub {
		$node->safe_psql('postgres', "SELECT kms_public_key('$key')");
		return $node->safe_psql('postgres',
			"SELECT min(pid) FROM pg_stat_activity WHERE backend_type = 'kms writer' AND datname = 'postgres'");
	});
KmsTest::freeze($writer);
$node->safe_psql('postgres', "SELECT kms_public_key('$key')");
@found = KmsMemory::holding($where{data}, $key);
kill 'CONT', $writer;
ok((grep { m{/pg_stat_tmp/kms\.\d+$} } @found), 'the search finds a key id in the ring');

$node->stop;
done_testing();

# ---- Tools ---------------------------------------------------------------

# Encrypt the canary to a key of this kind, without a log of the statement.
sub jwe
{
	my ($algorithm) = @_;
	return $node->safe_psql('postgres', <<"SQL");
SET log_statement = none;
SET log_min_duration_statement = -1;
SET log_duration = off;
SELECT kms_encrypt_jwe(key_id, '$canary') FROM kms_issue_key('curves', NULL, '$algorithm');
SQL
}

# The ways in which bytes may be written.
sub forms
{
	my ($bytes) = @_;
	return ($bytes, unpack('H*', $bytes), uc unpack('H*', $bytes), encode($bytes),
		scalar reverse $bytes);
}

sub encode
{
	my ($bytes) = @_;

	# Without the ends, which depend on what is beside.
	return substr encode_base64($bytes, ''), 0, 4 * int(length($bytes) / 3);
}

# The modulus of a public key, 256 bytes: the end of SPKI, except the exponent.
sub modulus
{
	my ($pem) = @_;
	$pem =~ s/-----[^-]+-----//g;
	my $der = decode_base64($pem);
	$der =~ /\x02\x82\x01\x01\x00(.{256})\x02\x03\x01\x00\x01$/s
	  or die 'no RSA-2048 public key';
	return $1;
}

