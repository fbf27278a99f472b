# With kms.require_tls the functions that return plaintext refuse sessions
# over TCP/IP without TLS, on loopback and in parallel workers too; sessions
# with TLS and through a Unix socket are served, and so are functions that return
# no plaintext.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../../perl";
use IPC::Run;
use KmsClient;
use KmsTest;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = KmsTest->node('tls', start => 0);
my $data = $node->data_dir;
run_log(
	[
		qw(openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=localhost),
		'-keyout', "$data/server.key", '-out', "$data/server.crt"
	]) or die 'openssl req';
chmod 0600, "$data/server.key" or die $!;
$node->append_conf('postgresql.conf', <<'CONF');
listen_addresses = '127.0.0.1'
ssl = on
max_parallel_workers_per_gather = 2
parallel_setup_cost = 0
parallel_tuple_cost = 0
min_parallel_table_scan_size = 0
parallel_leader_participation = off
CONF
$node->start;
$node->safe_psql('postgres', 'CREATE EXTENSION kms');
my ($key, $pem) = KmsClient::issue($node, 'postgres', 'phone');
my $good = KmsTest::encrypt_with_openssl($pem, 'secret');
my $bytes = "decode('$good', 'base64')";
$node->safe_psql('postgres', <<"SQL");
CREATE TABLE message (c text) WITH (parallel_workers = 2);
INSERT INTO message SELECT '$good' FROM generate_series(1, 50);
SQL
my $hash = $node->safe_psql('postgres', "SELECT kms_hash_secret('$key', '$good')");

my $tcp = 'host=127.0.0.1 port=' . $node->port . ' dbname=postgres';
my %connection = (
	'without TLS' => "$tcp sslmode=disable",
	'with TLS' => "$tcp sslmode=require",
	'by a Unix socket' => $node->connstr('postgres'));
$node->safe_psql('postgres', "SELECT kms_create_field_key('tax')");
my $value = $node->safe_psql('postgres', "SELECT kms_encrypt_field('tax', 'secret', 'c')");
my %plaintext = (
	(map { $_ => "'$value', 'c'" } qw(kms_decrypt_field kms_decrypt_field_bytea kms_try_decrypt_field kms_try_decrypt_field_bytea)),
	kms_decrypt => "'$key', '$good'",
	kms_decrypt_bytea => "'$key', $bytes",
	kms_try_decrypt => "'$key', '$good'",
	kms_try_decrypt_bytea => "'$key', $bytes",
	kms_decrypt_recover => "'$key', '$good', 'a test'",
	kms_decrypt_recover_bytea => "'$key', $bytes, 'a test'");
my $in_parallel = "SELECT count(kms_decrypt('$key', c)) FROM message";

# Run statements and return the SQLSTATE of the first error or 00000, the output,
# and the errors.
sub state_of
{
	my ($connection, $sql) = @_;
	my ($out, $errors) = ('', '');
	IPC::Run::run(
		[ qw(psql -XAtq -v VERBOSITY=verbose -d), $connection{$connection}, '-c', $sql ],
		'>', \$out, '2>', \$errors);
	chomp $out;
	return ($errors =~ /ERROR:  (\w{5}): (.*)/ ? $1 : '00000', $out, $errors);
}

sub all_are_served
{
	my ($connection) = @_;
	foreach my $function (sort keys %plaintext)
	{
		is((state_of($connection, "SELECT $function($plaintext{$function})"))[0],
			'00000', "$connection: $function");
	}
	is((state_of($connection, $in_parallel))[1], '50', "$connection: in parallel workers");
}

like((state_of('without TLS', "EXPLAIN ANALYZE $in_parallel"))[1],
	qr/Workers Launched: [12]/, 'parallel workers take part');
all_are_served($_) foreach sort keys %connection;

$node->append_conf('postgresql.conf', 'kms.require_tls = on');
$node->reload;
$node->poll_query_until('postgres', "SELECT current_setting('kms.require_tls') = 'on'");

all_are_served('with TLS');
all_are_served('by a Unix socket');
my $before = $node->safe_psql('postgres',
	'SELECT kms_flush_events(); SELECT max(ticket) FROM kms.event');
$before =~ s/\s//g;
foreach my $function (sort keys %plaintext)
{
	my ($state, $out, $errors) =
	  state_of('without TLS', "SELECT $function($plaintext{$function})");
	is("$state $out", '28000 ', "without TLS: not $function");
	like($errors, qr/plaintext is returned over TLS only\nHINT: /, "without TLS: the error of $function says why");
}
is( KmsTest::events($node, 'postgres',
		"ticket > $before AND status = 'failure' AND reason = 'TLS is required'
		AND operation IN ('decrypt', 'recover') AND key_id = '$key'
		AND client_addr = '127.0.0.1'"),
	'6', 'each is recorded');
is( KmsTest::events($node, 'postgres',
		"ticket > $before AND status = 'failure' AND reason = 'TLS is required'
		AND operation = 'decrypt_field' AND client_addr = '127.0.0.1'"),
	'4', 'so is each of a field');
foreach my $call ('kms_decrypt', 'kms_try_decrypt')
{
	is( (state_of('without TLS', "SELECT count($call('$key', c)) FROM message"))[0],
		'28000', "without TLS: not $call in parallel workers");
}
is((state_of('without TLS', "SELECT kms_decrypt_field('\\x00', NULL, 'no name')"))[0],
	'28000', 'without TLS, nothing else of a field is looked at');
is((state_of('without TLS', "SELECT kms_try_decrypt('$key', '*')"))[0],
	'28000', 'without TLS a malformed ciphertext is refused for the same reason');
foreach my $call (
	"kms_verify_secret('$key', '$good', '$hash')",
	"kms_hash_secret('$key', '$good') ~ 'kms1'",
	"kms_encrypt('$key', 'x') <> ''",
	"kms_encrypt_field('tax', 'x', 'c') <> ''",
	"kms_refresh_field('$value', 'c', 'd') <> ''",
	"kms_blind_index('tax', 'x', 's') <> ''",
	"kms_decrypt_to_field('$key', '$good', 'tax', 'c', 'phone') <> ''",
	"kms_decrypt_to_index('$key', '$good', 'tax', 's', 'phone') <> ''",
	"reused FROM kms_issue_key('phone')")
{
	my ($state, $out) = state_of('without TLS', "SELECT $call");
	is("$state $out", '00000 t', 'without TLS: what returns no plaintext')
}

$node->safe_psql('postgres', <<"SQL");
CREATE VIEW opened AS SELECT kms_decrypt('$key', '$good') AS p;
SQL
is((state_of('without TLS', "SELECT * FROM opened"))[0], '28000', 'without TLS a view returns no plaintext');

$node->append_conf('postgresql.conf', 'kms.require_tls = off');
$node->reload;
ok( KmsTest::poll(sub { (state_of('without TLS', 'SELECT * FROM opened'))[1] eq 'secret' }),
	'off again, it is served');

$node->stop;
done_testing();
