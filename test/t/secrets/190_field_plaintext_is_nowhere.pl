# Stored values of what a device has sent are made without the plaintext being
# anywhere in the clear: not in the data directory, the WAL, temporary files,
# statistics or the server log at any level of logging, and not in the memory of
# the session, before, in the middle of and after a statement.  Field keys and
# index keys are in the memory of a session only while they are opened.
use strict;
use warnings;

use Errno qw(EACCES);
use FindBin;
use lib "$FindBin::Bin/../../perl";
use IPC::Run;
use KmsClient;
use KmsField;
use KmsMemory;
use KmsTest;
use MIME::Base64 qw(encode_base64);
use PostgreSQL::Test::Utils;
use Test::More;

use constant VALUES => 10_000;

my $dir = PostgreSQL::Test::Utils::tempdir();
my $marker = 'Tax' . substr KmsTest::random_master_key(), 0, 15;
my $planted = 'Planted' . substr KmsTest::random_master_key(), 0, 15;

# ---- A device, which is a server of its own ------------------------------

my $device = KmsTest->node('device');
my $node = KmsTest->node('fields', start => 0);
$device->safe_psql('postgres', 'CREATE EXTENSION kms');

my @kinds = ([ 'rsa', '-algorithm', 'RSA', '-pkeyopt', 'rsa_keygen_bits:2048' ],
	[ 'ec', '-algorithm', 'EC', '-pkeyopt', 'ec_paramgen_curve:P-256' ], [ 'x', '-algorithm', 'X25519' ]);
foreach (@kinds)
{
	my ($id, @options) = @$_;
	run_log([ qw(openssl genpkey -out), "$dir/$id.pem", @options ]) or die 'openssl genpkey';
	$device->safe_psql('postgres', import($id));
}
my $text = "'$marker-' || lpad(n::text, 5, '0')";
$device->safe_psql('postgres', <<"SQL");
COPY (SELECT n, k, CASE WHEN n % 4 = 0 THEN kms_encrypt(k, $text) ELSE kms_encrypt_jwe(k, $text) END
	FROM generate_series(1, ${\ VALUES}) AS n, LATERAL (SELECT (ARRAY['rsa', 'ec', 'x', 'rsa'])[n % 4 + 1]) AS c (k))
TO '$dir/sent';
COPY (SELECT kms_encrypt('rsa', '$marker' || chr(8364)), encode(kms_encrypt_bytea('rsa', convert_to('$marker', 'UTF8') || '\\xff'), 'base64'),
	kms_encrypt_jwe('ec', repeat('$marker', 60)))
TO '$dir/odd';
SQL
$device->stop;

# ---- The server that stores, with everything logged ----------------------

my ($libraries) = PostgreSQL::Test::Utils::run_command([ 'pg_config', '--pkglibdir' ]);
my %preload = map { $_ => -e "$libraries/$_.so" } qw(pg_stat_statements auto_explain);
my $preload = join ',', 'kms', sort grep { $preload{$_} } keys %preload;
$node->append_conf('postgresql.conf', <<"CONF");
shared_preload_libraries = '$preload'
kms.protect_memory = off
kms.deprecate_problematic_keys = off
kms.maintenance = off
log_statement = all
log_duration = on
log_min_duration_statement = 0
log_min_messages = debug1
log_error_verbosity = verbose
log_parameter_max_length = -1
log_parameter_max_length_on_error = -1
log_temp_files = 0
work_mem = 64kB
wal_keep_size = 1GB
CONF
$node->append_conf('postgresql.conf', <<'CONF') if $preload{auto_explain};
auto_explain.log_min_duration = 0
auto_explain.log_analyze = on
auto_explain.log_verbose = on
auto_explain.log_nested_statements = on
CONF
$node->append_conf('postgresql.conf', 'pg_stat_statements.track = all') if $preload{pg_stat_statements};
$node->start;
$node->safe_psql('postgres', 'CREATE EXTENSION kms');
$node->safe_psql('postgres', 'CREATE EXTENSION pg_stat_statements') if $preload{pg_stat_statements};
$node->safe_psql('postgres', import($_->[0])) foreach @kinds;
$node->safe_psql('postgres', <<"SQL");
SELECT kms_create_field_key('tax');
CREATE TABLE sent (n int, key_id text, sent text);
COPY sent FROM '$dir/sent';
CREATE TABLE odd (euro text, bytes text, long text);
COPY odd FROM '$dir/odd';
CREATE TABLE planted AS SELECT '$planted'::text AS planted;
CREATE TABLE person (id int PRIMARY KEY CHECK (id > 0), key_id text, sent text, tax bytea,
	tax_index bytea CHECK (octet_length(tax_index) = 16));
CREATE FUNCTION take() RETURNS trigger LANGUAGE plpgsql AS \$\$
BEGIN
	SELECT kms_decrypt_to_field(NEW.key_id, NEW.sent, 'tax', 'person.tax:' || NEW.id, 'phone'),
		kms_decrypt_to_index(NEW.key_id, NEW.sent, 'tax', 'person.tax', 'phone')
	INTO NEW.tax, NEW.tax_index;
	NEW.sent := NULL;
	IF NEW.id % 2500 = 1250 THEN
		PERFORM pg_advisory_xact_lock(NEW.id);
	END IF;
	RETURN NEW;
END \$\$;
CREATE TRIGGER take BEFORE INSERT ON person FOR EACH ROW EXECUTE FUNCTION take();
SQL

my %secret = KmsField::secrets($node, 'postgres');
is(join(' ', sort keys %secret), 'tax/1 tax/index', 'two secrets');
my @keys = map { KmsMemory::forms(unpack 'H*', $_) } values %secret;
my @plain = forms($marker);

# ---- In the middle of a statement ----------------------------------------

my $holder = KmsClient->session($node, 'postgres');
$holder->query('SELECT pg_advisory_lock(n) FROM generate_series(1250, 10000, 2500) AS n');
my $session = KmsClient->session($node, 'postgres');
my $readable = defined KmsMemory::of($session->{pid});
my $insert = "INSERT INTO person (id, key_id, sent) SELECT n, key_id, sent FROM sent";
$session->send("$insert WHERE n > 0 ORDER BY n");
my $looks = 0;
foreach my $lock (1250, 3750, 6250, 8750)
{
	ok( KmsTest::poll(
			sub { $node->safe_psql('postgres', "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted AND objid = $lock") }),
		"row $lock is taken");
	unlike($node->safe_psql('postgres', 'SELECT * FROM pg_stat_activity'), qr/$marker/,
		'pg_stat_activity does not have the plaintext');
	is_clean("in the middle, at row $lock");
	$holder->query("SELECT pg_advisory_unlock($lock)");
}
$session->receive;
is($session->{state}, '00000', 'all are stored');
is_clean('after the statement');

# ---- Errors in between ----------------------------------------------------

my %odd;
@odd{qw(euro bytes long)} = split /\|/, $node->safe_psql('postgres', 'SELECT * FROM odd');
my ($key_id, $block) = split /\|/, $node->safe_psql('postgres', 'SELECT key_id, sent FROM sent WHERE n = 4');
my ($jwe_key, $jwe) = split /\|/, $node->safe_psql('postgres', 'SELECT key_id, sent FROM sent WHERE n = 1');
foreach (
	[ '22023' => 'kms_decrypt_to_field', "'x', '$block', 'tax', 'c', 'phone'", 'another key' ],
	[ KM001 => 'kms_decrypt_to_field', "'rsa', '$block', 'tax', 'c', 'phone', label => 'x'", 'another label' ],
	[ KM001 => 'kms_decrypt_to_index', "'$jwe_key', '" . ($jwe =~ s/.{22}$/'A' x 22/er) . "', 'tax', 's', 'phone'", 'a damaged JWE' ],
	[ KM002 => 'kms_decrypt_to_field', "'rsa', '$block', 'nothing', 'c', 'phone'", 'no field key' ],
	[ KM002 => 'kms_decrypt_to_field', "'rsa', '$block', 'tax', 'c', 'other'", 'another device' ],
	[ '22021' => 'kms_decrypt_to_field', "'rsa', '$odd{bytes}', 'tax', 'c', 'phone'", 'not text' ],
	[ '22021' => 'kms_decrypt_to_index', "'rsa', '$odd{bytes}', 'tax', 's', 'phone'", 'not text' ],
	[ '22004' => 'kms_decrypt_to_field', "'rsa', '$block', 'tax', NULL, 'phone'", 'no context' ],
	[ '22023' => 'kms_decrypt_to_index', "'rsa', '$block', 'tax', 's', 'phone', 'upper'", 'no such fold' ],
	[ '22012' => '1 / octet_length', "substr(kms_decrypt_to_field('rsa', '$block', 'tax', 'c', 'phone'), 1, 0)", 'an error afterwards' ],
	[ KM006 => 'kms_decrypt_to_field', "'ec', '$odd{long}', 'tax', 'c', 'phone'", 'more than kms.max_field_size', "SET kms.max_field_size = '1kB'" ],
	[ KM006 => 'kms_decrypt_to_index', "'ec', '$odd{long}', 'tax', 's', 'phone'", 'more than kms.max_field_size' ])
{
	my ($state, $function, $arguments, $name, $first) = @$_;
	$session->query($first) if defined $first;
	$session->query("SELECT $function($arguments) IS NULL");
	is($session->{state}, $state, "$state: $name");
	is_clean("after $name");
}
$session->query('RESET kms.max_field_size');
$session->query("INSERT INTO person (id, key_id, sent) VALUES (-1, 'rsa', '$block')");
is($session->{state}, '23514', '23514: a row that is refused and shown');
is_clean('after a row that was refused');
is($session->query("SELECT octet_length(kms_decrypt_to_field('rsa', '$odd{bytes}', 'tax', 'c', 'phone', bytes => true))"),
	length($marker) + 1 + 53, 'bytes are stored as such');
is($session->query("SELECT octet_length(kms_decrypt_to_field('rsa', '$odd{euro}', 'tax', 'c', 'phone'))"),
	length($marker) + 3 + 53, 'a character of three bytes');

# cancelled while it works, with the event of a first call to be awaited
$session->send("BEGIN; SET LOCAL statement_timeout = '300ms'; SELECT count(kms_decrypt_to_field(key_id, sent, 'tax', 'c', 'phone')) FROM sent, generate_series(1, 100)");
$session->receive;
is($session->{state}, '57014', 'a cancel');
is_clean('after a cancel');
$session->query('ROLLBACK');

open my $script, '>', "$dir/prepared.sql" or die $!;
print $script "SELECT kms_decrypt_to_field(:key, :sent, 'tax', :context, :device);\nSELECT kms_decrypt_to_index(:key, :sent, 'tax', 's', :device);\n";
close $script or die $!;
$node->command_ok(
	[
		'pgbench', '-n', '-t', '3', '-M', 'prepared', '-f', "$dir/prepared.sql", '-D', 'key=rsa',
		'-D', "sent=$block", '-D', 'context=c', '-D', 'device=phone', $node->connstr('postgres')
	],
	'as parameters');

# ---- What is written -----------------------------------------------------

# A cursor keeps the temporary files of its sort.
$session->query('BEGIN; DECLARE c CURSOR FOR SELECT * FROM person ORDER BY tax; FETCH 1 FROM c');
$session->query('SELECT kms_flush_events()');
$node->safe_psql('postgres', 'CHECKPOINT');
$node->safe_psql('postgres', "SELECT planted FROM planted WHERE planted = '$planted'");
my $dump = "$dir/dump.sql";
$node->command_ok([ 'pg_dump', '-d', $node->connstr('postgres'), '-f', $dump ], 'dumped');
my %where = (
	data => [ KmsMemory::files($node->data_dir) ],
	log => [ $node->logfile ],
	dump => [$dump]);
ok((grep { m{/pgsql_tmp/} } @{ $where{data} }), 'temporary files are searched');
ok((grep { m{/pg_wal/[0-9A-F]{24}$} } @{ $where{data} }), 'the WAL is searched');
ok((grep { m{/pg_stat_tmp/} } @{ $where{data} }), 'the ring and statistics are searched');
foreach my $place (sort keys %where)
{
	is(join(' ', KmsMemory::holding($where{$place}, @plain)), '', "no plaintext is in the $place");
	is(join(' ', KmsMemory::holding($where{$place}, @keys)), '', "no field key is in the $place");
	ok((KmsMemory::holding($where{$place}, $planted)), "the search finds what was put in the $place");
}
my $value = pack 'H*', $node->safe_psql('postgres', "SELECT encode(tax, 'hex') FROM person WHERE id = 77");
my @found = KmsMemory::holding($where{data}, $value);
ok((grep { m{/pgsql_tmp/} } @found), 'the search finds a stored value in temporary files');
ok((grep { m{/pg_wal/} } @found), 'the search finds a stored value in the WAL');
if ($preload{auto_explain})
{
	like(slurp_file($node->logfile), qr/Query Text: SELECT kms_decrypt_to_field/, 'statements of the trigger were explained');
}
SKIP:
{
	skip 'there is no pg_stat_statements', 2 unless $preload{pg_stat_statements};
	unlike($node->safe_psql('postgres', 'SELECT * FROM pg_stat_statements'), qr/$marker/,
		'pg_stat_statements does not have the plaintext');
	cmp_ok($node->safe_psql('postgres', "SELECT count(*) FROM pg_stat_statements WHERE query ~ 'kms_decrypt_to_field'"),
		'>', 0, 'pg_stat_statements has the statements');
}
$session->query('COMMIT');

# ---- The session's memory ------------------------------------------------

has_keys('an opened key is in the memory of an unprotected session');
$session->query('DISCARD ALL');
is(KmsMemory::count(memory(), @keys), 0, 'after DISCARD ALL, no key is in its memory');
is_clean('after DISCARD ALL');
like($session->query("SELECT octet_length(kms_encrypt_field('tax', 'x', 'c')), octet_length(kms_blind_index('tax', 'x', 's'))"),
	qr/^54\|16$/, 'the session goes on');
has_keys('the keys are opened again');

my $path = KmsTest::master_key_path($node);
$node->append_conf('postgresql.conf', "kms.master_key_file = ''");
$node->reload;
ok(KmsTest::poll(sub { KmsClient::sqlstate($node, 'postgres', "SELECT kms_encrypt_field('tax', 'x', 'c')") eq 'KM007' }),
	'the master key is removed');
$session->query("SELECT kms_encrypt_field('tax', 'x', 'c')");
is($session->{state}, 'KM007', 'the session, too, has no key to encrypt with');
is(KmsMemory::count(memory(), @keys), 0, 'and none is left in its memory');
$node->append_conf('postgresql.conf', "kms.master_key_file = '$path'");
$node->reload;
ok(KmsTest::poll(sub { KmsClient::sqlstate($node, 'postgres', "SELECT kms_encrypt_field('tax', 'x', 'c')") eq '00000' }),
	'the master key is back');

# Only kms_decrypt_field() makes it a SQL value.
$session->query("BEGIN; DECLARE d CURSOR FOR SELECT kms_decrypt_field(tax, 'person.tax:' || id) FROM person WHERE id = 77; FETCH 1 FROM d");
SKIP:
{
	skip 'this system lets nobody read the memory of a process', 1 unless $readable;
	cmp_ok(KmsMemory::count(memory(), @plain), '>', 0, 'the search finds a plaintext that is returned in the memory');
}
$session->query('COMMIT');

# ---- Where memory is protected --------------------------------------------

$session->quit;
$holder->quit;
$node->append_conf('postgresql.conf', "kms.protect_memory = on\nlog_statement = none\nlog_min_duration_statement = -1");
$node->restart;
$session = KmsClient->session($node, 'postgres');
$session->query("SELECT kms_encrypt_field('tax', 'x', 'c')");
ok(!defined KmsMemory::of($session->{pid}) && $! == EACCES,
	'the memory of a session that uses only a field key cannot be opened');

# ---- It is the plaintext that was stored ----------------------------------

my $id = pack 'H*', $node->safe_psql('postgres', "SELECT encode(field_key_id, 'hex') FROM kms.field_key WHERE version = 0");
is(KmsField::decrypt($secret{'tax/1'}, $value), "$marker-00077", 'the field key that was searched for opens a value');
is( unpack('H*', KmsField::blind_index($secret{'tax/index'}, $id, 'person.tax', "$marker-00077")),
	$node->safe_psql('postgres', "SELECT encode(tax_index, 'hex') FROM person WHERE id = 77"),
	'the index key that was searched for makes an index');
is( $session->query("SELECT count(*), count(DISTINCT tax_index), count(DISTINCT kms_decrypt_field(tax, 'person.tax:' || id)),
		min(kms_decrypt_field(tax, 'person.tax:' || id)) FROM person"),
	join('|', (VALUES) x 3, "$marker-00001"), 'kms_decrypt_field() returns the plaintext');
is( $session->query("SELECT id FROM person WHERE tax_index = kms_blind_index('tax', '$marker-00099', 'person.tax')"),
	'99', 'a value is found by its index');
is(join(' ', KmsMemory::holding([ KmsMemory::files($node->data_dir) ], @plain)), '', 'a plaintext that was returned is not in the data directory');
$session->quit;

$node->stop;
done_testing();

# ---- Tools ---------------------------------------------------------------

sub import
{
	my ($id) = @_;
	return "SELECT kms_import_key('phone', pg_read_file('$dir/$id.pem'), '$id', deprecated => false)";
}

sub forms
{
	my ($bytes) = @_;
	return ($bytes, unpack('H*', $bytes), encode_base64($bytes, ''), scalar reverse $bytes);
}

sub memory
{
	return $readable ? KmsMemory::of($session->{pid}, wiped => 1) : '';
}

sub has_keys
{
	my ($name) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
  SKIP:
	{
		skip 'this system lets nobody read the memory of a process', 1 unless $readable;
		cmp_ok(KmsMemory::count(memory(), values %secret), '>', 0, $name);
	}
}

# Neither plaintext nor a copy of it in another form is in the memory of the
# session, which it has written to.
sub is_clean
{
	my ($when) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	return is(KmsMemory::count(memory(), @plain), 0, "$when, no plaintext is in the memory of the session");
}
