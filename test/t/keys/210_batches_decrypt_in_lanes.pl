# Batches decrypt in lanes as they do without, and wrong results of a lane are
# not used.  The server's kms has a stand-in for crypto_mb, so that any
# processor will do.
use strict;
use warnings;

use File::Basename qw(dirname);
use FindBin;
use lib "$FindBin::Bin/../../perl";
use KmsClient;
use KmsTest;
use PostgreSQL::Test::Utils;
use Test::More;

chdir "$FindBin::Bin/../../.." or die;
delete @ENV{qw(MAKEFLAGS MFLAGS MAKELEVEL)};
my ($pg_config) = `make -s lanes-installation` =~ /^(\/.*)$/m;
defined $pg_config && -x $pg_config or die 'make lanes-installation';
my $bindir = `$pg_config --bindir`;
chomp $bindir;
my $node = KmsTest->node('lanes', install_path => dirname($bindir), start => 0,
	conf => 'kms.key_cache_size = 2');

# Start the server with this fault of the stand-in.
sub start
{
	local $ENV{KMS_TEST_STAND_IN_FAULT} = shift // '';
	$node->start;
	return;
}

sub status
{
	my $item = shift;
	return $node->safe_psql('postgres',
		"SELECT value FROM kms.status WHERE item = 'multi-buffer $item'");
}

sub findings
{
	return $node->safe_psql('postgres',
		"SELECT severity || ': ' || finding FROM kms_check() WHERE finding ~ 'crypto_mb|multi_buffer'");
}

start();
$node->safe_psql('postgres', 'CREATE EXTENSION kms');
is(status('RSA'), 'blinded', 'lanes are blinded by default');
is(status('lanes'), 'in use', 'the lanes are in use');
is(findings(), '', 'kms_check() has nothing to report on lanes');

# ---- The files of the regress tests ----------------------------------------

my $outputs = "$PostgreSQL::Test::Utils::tmp_check/lanes_regress";
mkdir $outputs or die "$outputs: $!";
symlink "$ENV{PWD}/expected", "$outputs/expected" or die "$outputs/expected: $!";
$node->safe_psql('postgres',
	"CREATE DATABASE regression ENCODING 'UTF8' LOCALE 'C' TEMPLATE template0");
$node->safe_psql('regression', 'CREATE EXTENSION kms');
$node->command_ok(
	[
		$ENV{PG_REGRESS}, '--use-existing', '--dbname=regression', '--host=' . $node->host,
		'--port=' . $node->port, '--inputdir=test', "--outputdir=$outputs",
		"--bindir=$bindir", 'batch', 'jwe'
	],
	'batches give what they give without');

# ---- What is together in a batch --------------------------------------------

# Full groups of each size are in "good".
# Three sizes, curves, blocks and JWE: the k-th pair's plaintext is "text k".
$node->safe_psql('postgres', q{
	CREATE TABLE key AS SELECT n, (kms_issue_key('device ' || n, NULL, algorithm)).key_id, algorithm
		FROM unnest(ARRAY['RSA-2048', 'RSA-2048', 'RSA-2048', 'RSA-3072', 'RSA-4096', 'EC-P256'])
			WITH ORDINALITY AS a (algorithm, n);
	CREATE TABLE pair AS SELECT k, key_id, algorithm,
			CASE WHEN k % 4 = 0 OR algorithm LIKE 'EC%' THEN kms_encrypt_jwe(key_id, 'text ' || k)
				ELSE kms_encrypt(key_id, 'text ' || k) END AS ciphertext
		FROM generate_series(1, 60) AS k JOIN key ON n = 1 + k % 6;
	CREATE TABLE good AS SELECT key_id, kms_encrypt(key_id, 'text') AS ciphertext
		FROM key, generate_series(1, 8) WHERE n IN (1, 4, 5);
	CREATE TABLE good_jwe AS SELECT key_id, kms_encrypt_jwe(key_id, 'text') AS ciphertext FROM good;
	CREATE FUNCTION batch(OUT k bigint, OUT plaintext text, OUT sqlstate text)
		RETURNS SETOF record LANGUAGE sql AS
		'SELECT d.* FROM (SELECT array_agg(key_id ORDER BY k) AS ids,
				array_agg(ciphertext ORDER BY k) AS texts FROM pair) AS p,
			kms_decrypt_batch(ids, texts) AS d';
});
my $all = "SELECT count(*) FILTER (WHERE plaintext = 'text ' || k) FROM batch()";
is($node->safe_psql('postgres', $all), '60',
	'sizes, curves, blocks and JWE are decrypted, though the cache keeps two keys');

# Return the result of each pair, and its event, in the order of tickets.
sub outcome
{
	my $query = shift;
	my ($before) = split /\n/, $node->safe_psql('postgres',
		'SELECT kms_flush_events(); SELECT coalesce(max(ticket), 0) FROM kms.event') =~ s/^\s+//r;
	my ($rc, $rows, $errors) = $node->psql('postgres', $query);
	my $events = $node->safe_psql('postgres', "SELECT kms_flush_events();
		SELECT operation, status, reason, key_id, device_id, form FROM kms.event
		WHERE ticket > $before AND operation = 'decrypt' ORDER BY ticket");
	return ($errors =~ s/^psql:[^ ]* //gmr) . "$rows\n$events";
}

# Compare the lanes with what is done without them.
sub same
{
	my ($query, $name) = @_;
	my $lanes = outcome($query);
	$node->append_conf('postgresql.conf', 'kms.multi_buffer = off');
	$node->reload;
	KmsTest::poll(sub { status('lanes') =~ /is off/ }) or die 'no reload';
	my $without = outcome($query);
	$node->append_conf('postgresql.conf', 'kms.multi_buffer = blinded');
	$node->reload;
	KmsTest::poll(sub { status('lanes') eq 'in use' }) or die 'no reload';
	is($lanes, $without, $name);
	return $lanes;
}

$node->safe_psql('postgres', q{
	UPDATE pair SET ciphertext = overlay(ciphertext PLACING 'AAAA' FROM 100) WHERE k IN (3, 20, 41);
	UPDATE pair SET ciphertext = 'junk' WHERE k = 7;
	UPDATE pair SET ciphertext = encode(decode(repeat('00', 256), 'hex'), 'base64') WHERE k = 12;
	UPDATE pair SET ciphertext = encode(decode(repeat('ff', 256), 'hex'), 'base64') WHERE k = 13;
	UPDATE pair SET ciphertext = NULL WHERE k = 15;
	UPDATE pair SET key_id = 'key_0000000000000_000000000000000000000000' WHERE k = 30;
	UPDATE pair SET key_id = (SELECT key_id FROM key WHERE n = 1) WHERE k = 31;
});
my $lanes = same('SELECT * FROM batch()', 'each wrong pair has its own error and event');
is(() = $lanes =~ /^\d+\|text \d+\|$/mg, 51, 'the other pairs have their plaintexts');
$node->safe_psql('postgres', "SELECT kms_revoke_key(key_id, 'lost') FROM key WHERE n = 2;
	SELECT kms_disable_key(key_id) FROM key WHERE n = 4");
like(same('SELECT * FROM batch()', 'states of keys are checked for each pair'),
	qr/^1\|\|KM004$/m, 'a revoked key opens nothing in a batch');
$node->safe_psql('postgres', 'SELECT kms_enable_key(key_id) FROM key WHERE n = 4');
like(
	same(
		"SELECT * FROM (SELECT array_agg(key_id ORDER BY k) AS ids,
			array_agg(convert_to(ciphertext, 'UTF8') ORDER BY k) AS texts FROM pair) AS p,
		kms_decrypt_batch_bytea(ids, texts)",
		'an error of the form is that of the pair'),
	qr/\|22023$/m, 'text in kms_decrypt_batch_bytea is refused');

# ---- A ring with less room than the sessions want together -------------------

$node->append_conf('postgresql.conf', 'kms.event_ring_size = 64kB');
$node->stop;
start();
foreach my $audit ('best_effort', 'required')
{
	$node->append_conf('postgresql.conf', "kms.audit = $audit");
	$node->reload;
	$node->poll_query_until('postgres', "SELECT current_setting('kms.audit') = '$audit'") or die;
	my $before = $node->safe_psql('postgres',
		"SELECT count(*) FROM kms.event WHERE operation = 'decrypt'");
	$node->pgbench(
		'--client=12 --transactions=4 --no-vacuum',
		0, [qr/processed: 48\/48/], [qr/^/], "$audit: no batch fails",
		{ "lanes_$audit" => "SELECT 1 / (count(plaintext) = 24)::int FROM
			(SELECT array_agg(key_id) AS ids, array_agg(ciphertext) AS texts
				FROM good, generate_series(1, 3) WHERE key_id <> (SELECT key_id FROM key WHERE n = 5)) AS p,
			kms_decrypt_batch(ids[:24], texts[:24])" });
	is(KmsTest::events($node, 'postgres', "operation = 'decrypt'") - $before,
		48 * 24, "$audit: no event is lost");
}
$node->append_conf('postgresql.conf', 'kms.audit = best_effort');

# ---- The settings -----------------------------------------------------------

$node->append_conf('postgresql.conf', 'kms.multi_buffer = unblinded');
$node->reload;
KmsTest::poll(sub { status('RSA') eq 'unblinded' }) or die 'no reload';
is(findings(), 'notice: kms.multi_buffer is unblinded', 'lanes that nothing blinds are a finding');
my $good = "SELECT count(*) FILTER (WHERE plaintext = 'text') FROM
	(SELECT array_agg(key_id ORDER BY key_id) AS ids, array_agg(ciphertext ORDER BY key_id) AS texts FROM good) AS p,
	kms_decrypt_batch(ids, texts)";
is($node->safe_psql('postgres', $good), '24', 'unblinded lanes decrypt, too');
$node->append_conf('postgresql.conf', 'kms.multi_buffer = blinded');
$node->stop;

# ---- Faults -----------------------------------------------------------------

# The known answers take 9 runs.
foreach my $fault ('result', 'status', 'check')
{
	start("$fault 10");
	is(status('lanes'), 'in use', "$fault: known answers were right before the fault");
	is($node->safe_psql('postgres', $good), '24', "$fault: wrong results are not used");
	cmp_ok(status('wrong results'), '>', 0, "$fault: wrong results are counted");
	my $wrong = status('wrong results');
	is($node->safe_psql('postgres', $good =~ s/FROM good/FROM good_jwe/r), '24', "$fault: nor are those of JWE");
	cmp_ok(status('wrong results'), '>', $wrong, "$fault: encrypted keys of JWE go through the lanes");
	like(findings(), qr/^error: crypto_mb has given wrong results: \d+, none of which was used$/,
		"$fault: kms_check() reports wrong results");
	$node->stop;
}
start('result');
is(status('lanes'), 'not in use: a known answer differs',
	'the lanes are off if a known answer differs');
like(findings(), qr/^error: crypto_mb is not used, because it gave wrong answers/, 'kms_check() reports a wrong known answer');
is($node->safe_psql('postgres', $good), '24', 'batches are decrypted if a known answer differs');
like(slurp_file($node->logfile), qr/WARNING:  kms does not use crypto_mb: a known answer differs/,
	'the log reports a wrong known answer');
$node->stop;
start('processor');
is(status('lanes'), 'not in use: the processor does not have AVX-512 IFMA',
	'the lanes are off if the processor lacks something');
is(findings(), '', 'a processor without AVX-512 is no finding');
is($node->safe_psql('postgres', $good), '24', 'batches are decrypted without AVX-512, too');
$node->stop;
done_testing();
