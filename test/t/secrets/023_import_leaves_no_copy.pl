# Importing private keys from a table writes no copy of them anywhere, and
# the commands of the manual then remove the bytes of the old table from the data
# directory.  Before that, the search finds them where they are.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../../perl";
use IPC::Run;
use KmsClient;
use KmsMemory;
use KmsTest;
use PostgreSQL::Test::Utils;
use Test::More;

# Everything is logged, and reading a page may write it to the WAL.
my $node = KmsTest->node('import', conf => <<'CONF');
autovacuum = off
wal_log_hints = on
log_statement = all
log_duration = on
log_error_verbosity = verbose
log_min_messages = debug1
log_min_error_statement = debug1
log_parameter_max_length = -1
log_parameter_max_length_on_error = -1
CONF
my $dir = PostgreSQL::Test::Utils::tempdir();
$node->safe_psql('postgres', 'CREATE EXTENSION kms');

# ---- The service that is left --------------------------------------------

# PEM of a new key, of both forms and all sizes.
my @pems = map { new_pem($_, 0) } (2048) x 6, 3072, 4096;
push @pems, map { new_pem($_, 1) } 2048, 2048;
my $encrypted = output('openssl', 'pkcs8', '-topk8', '-passout', 'pass:x', '-in', file($pems[0]));
my @short = map { new_pem(1024, 0) } 1 .. 3;
my @curves = (
	output(qw(openssl ecparam -name prime256v1 -genkey -noout)),
	output(qw(openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256)),
	output(qw(openssl genpkey -algorithm X25519)));

$node->safe_psql('postgres', <<'SQL');
CREATE TABLE client_encryption_key (id text PRIMARY KEY, device_id text,
	app_version text, public_key text, private_key text, expires_at timestamptz,
	created_at timestamptz, deprecated boolean);
CREATE TABLE broken (private_key text);
CREATE TABLE short (private_key text);
CREATE TABLE curve (id text, private_key text);
SQL
load('client_encryption_key (id, private_key)', map { [ "old-$_", $pems[$_] ] } 0 .. $#pems);
load('broken', [$encrypted], [ substr $pems[1], 0, 900 ]);
load('short', map { [$_] } @short);
load('curve', map { [ "curve-$_", $curves[$_] ] } 0 .. $#curves);
$node->safe_psql('postgres', <<'SQL');
UPDATE client_encryption_key SET device_id = 'phone-' || id, created_at = now(), deprecated = false;
ANALYZE client_encryption_key, short, curve;
CHECKPOINT;
SQL

# ---- What is done --------------------------------------------------------

is( $node->safe_psql('postgres', <<'SQL'), 10, 'all are imported in one statement');
CREATE TABLE moved (key_id text);
INSERT INTO moved SELECT kms_import_key(k.device_id, k.private_key, k.id,
	k.app_version, k.created_at, k.expires_at) FROM client_encryption_key AS k;
SELECT count(*) FROM kms.keys JOIN moved USING (key_id);
SQL
is( $node->safe_psql('postgres', <<'SQL'), 'EC-P256 EC-P256 X25519', 'and keys of other kinds');
INSERT INTO moved SELECT kms_import_key('phone', private_key, id) FROM curve;
SELECT string_agg(algorithm, ' ' ORDER BY key_id) FROM kms.keys WHERE key_id LIKE 'curve-%';
SQL
foreach my $case (
	[ '23505', 'kms_import_key(device_id, private_key, id) FROM client_encryption_key' ],
	[ '22023', "kms_import_key('phone', private_key) FROM broken" ],
	[ '22023', "kms_import_key('phone', private_key) FROM broken WHERE length(private_key) = 900" ],
	[ '22023', "kms_import_key('phone', private_key) FROM short" ],
	[ '22023', "kms_import_key('phone', repeat(private_key, 9)) FROM short" ],
	[ '22023', "kms_import_key(private_key, 'phone') FROM client_encryption_key" ],
	[ '22023', "kms_import_key('phone', 'x', private_key) FROM client_encryption_key" ],
	[ '22023', "kms_import_key('phone', 'x', NULL, private_key) FROM client_encryption_key" ],
	[ '22023', "kms_import_key('phone', 'x', oaep_hash => private_key) FROM client_encryption_key" ],
	[ '22012', "kms_import_key('phone', private_key), 1 / (length(private_key) - length(private_key)) FROM client_encryption_key" ])
{
	is(KmsClient::sqlstate($node, 'postgres', "SELECT $case->[1]"),
		$case->[0], "$case->[0]: $case->[1]");
}
is( KmsClient::sqlstate($node, 'postgres', <<'SQL'), '22023', 'a failing import in a function');
DO $$
DECLARE pem text;
BEGIN
	FOR pem IN SELECT private_key FROM broken LOOP
		PERFORM kms_import_key('phone', pem);
	END LOOP;
END $$
SQL
$node->safe_psql('postgres', 'SELECT kms_flush_events(); CHECKPOINT');
$node->command_ok(
	[
		'pg_dump', '-d', $node->connstr('postgres'), '-f', "$dir/dump.sql",
		'-T', 'client_encryption_key', '-T', 'broken', '-T', 'short', '-T', 'curve'
	],
	'dumped without the old tables');

# ---- The memory of a session ---------------------------------------------

# Values stored elsewhere and compressed are fetched to the session's memory.
$node->append_conf('postgresql.conf', 'kms.protect_memory = off');
$node->reload;
$node->poll_query_until('postgres', "SELECT current_setting('kms.protect_memory') = 'off'");
$node->safe_psql('postgres', <<'SQL');
CREATE TABLE elsewhere (private_key text);
ALTER TABLE elsewhere ALTER COLUMN private_key SET STORAGE EXTERNAL;
INSERT INTO elsewhere SELECT private_key FROM client_encryption_key WHERE id = 'old-7';
CREATE TABLE compressed AS SELECT private_key || repeat(E'\n', 4000) AS private_key
	FROM client_encryption_key WHERE id = 'old-7';
SQL
foreach my $table (qw(elsewhere compressed))
{
	my $session = KmsClient->session($node, 'postgres');
	is($session->query("SELECT length(kms_import_key('phone', private_key)) FROM $table"),
		42, "imported from what is $table");
  SKIP:
	{
		my $memory = KmsMemory::of($session->{pid}, private => 1);
		skip 'this system lets nobody read the memory of a process', 2
		  unless defined $memory;
		ok(index($memory, 'SELECT length(kms_import_key') >= 0,
			'its memory has the statement');
		is(scalar(grep { index($memory, $_) >= 0 } (split /\n/, $pems[7])[ 2 .. 20 ]),
			0, 'the memory has no line of the PEM');
	}
	$session->quit;
}
$node->safe_psql('postgres', 'DROP TABLE elsewhere, compressed');
foreach my $i (0 .. $#curves)
{
	my $session = KmsClient->session($node, 'postgres');
	is($session->query("SELECT length(kms_import_key('phone', private_key)) FROM curve WHERE id = 'curve-$i'"),
		42, "curve-$i is imported again");
  SKIP:
	{
		my $memory = KmsMemory::of($session->{pid}, private => 1);
		skip 'this system lets nobody read the memory of a process', 2
		  unless defined $memory;
		ok(index($memory, "id = 'curve-$i'") >= 0, 'its memory has the statement');
		is(KmsMemory::count($memory, KmsMemory::numbers($curves[$i])), 0, 'the memory has no private number');
	}
	$session->quit;
}

# ---- Where the keys are, and where not -----------------------------------

my @lines = map { (split /\n/, $_)[5] } @pems, $encrypted;
my @short_lines = ((map { (split /\n/, $_)[5] } @short), map { (split /\n/, $_)[1] } @curves);
my @numbers = map { KmsMemory::numbers($_) } @pems, @curves;
my @old = paths(q{relname IN ('client_encryption_key', 'broken')});
my @ours = paths(q{relnamespace = 'kms'::regnamespace});
my @statistics = paths(q{relname = 'pg_statistic'});
my @rest = grep { my $path = $_; $path !~ m{/pg_wal/} && !grep { $_ eq $path } @old, paths(q{relname IN ('short', 'curve')}), @statistics }
  KmsMemory::files($node->data_dir);
cmp_ok(scalar(@numbers), '>=', 50, 'numbers to look for');
ok((grep { m{/pg_stat_tmp/kms\.\d+$} } @rest), 'the ring is among the other files');

is(scalar(KmsMemory::holding(\@old, @lines)) > 0, 1, 'the old table holds PEM');
is(scalar(KmsMemory::holding([ wal() ], @lines)) > 0, 1, 'the WAL holds PEM');
foreach my $case (
	[ 'the tables of kms', @ours ], [ 'the log', $node->logfile ],
	[ 'a dump of the rest', "$dir/dump.sql" ], [ 'any other file', @rest ])
{
	my ($where, @files) = @$case;
	is(join(' ', KmsMemory::holding(\@files, @lines, @short_lines)), '', "$where: no PEM");
}
is(join(' ', KmsMemory::holding(\@statistics, @lines)), '', 'statistics: no long PEM');
is(join(' ', KmsMemory::holding([ KmsMemory::files($node->data_dir), $node->logfile, "$dir/dump.sql" ], @numbers)),
	'', 'a number of a key is nowhere');
is( $node->safe_psql('postgres',
		q{SELECT count(*) FROM kms.event AS e, regexp_split_to_table(
		(SELECT string_agg(private_key, E'\n') FROM client_encryption_key), E'\n') AS line
		WHERE length(line) > 10 AND position(line in e::text) > 0}),
	'0', 'no event holds a line');

# ---- How the old bytes go -------------------------------------------------

$node->safe_psql('postgres', <<'SQL');
DELETE FROM client_encryption_key WHERE id <> 'old-9';
VACUUM client_encryption_key;
CHECKPOINT;
SQL
@old = paths(q{relname = 'client_encryption_key'});
is(scalar(KmsMemory::holding(\@old, @lines[ 0 .. 8 ])) > 0, 1, 'DELETE and VACUUM leave bytes');

$node->safe_psql('postgres', 'DROP TABLE client_encryption_key, broken, short, curve');
$node->safe_psql('postgres', 'CHECKPOINT');
is( join(' ', KmsMemory::holding([ grep { !m{/pg_wal/} } KmsMemory::files($node->data_dir) ], @lines)),
	'', 'DROP TABLE and CHECKPOINT remove them from all but the WAL');
is(scalar(KmsMemory::holding([ wal() ], @lines)) > 0, 1, 'the WAL still holds PEM');

# A value of at most 1 kB may be among the samples that ANALYZE keeps.
is(scalar(KmsMemory::holding([ paths(q{relname = 'pg_statistic'}) ], @short_lines)) > 0,
	1, 'the statistics of a dropped table are still in their file');
$node->safe_psql('postgres', 'VACUUM FULL pg_statistic');
$node->safe_psql('postgres', 'CHECKPOINT');
is( join(' ', KmsMemory::holding([ grep { !m{/pg_wal/} } KmsMemory::files($node->data_dir) ], @short_lines)),
	'', 'VACUUM FULL pg_statistic removes them');

# The commands of the manual for the operator.
my ($recipe) = slurp_file("$FindBin::Bin/../../../docs/howto/migrate-from-pem.md") =~
  /^<!-- test -->\n```sql\n(ALTER SYSTEM SET wal_recycle.*?)^```$/ms;
ok(defined $recipe, 'the manual says how the WAL is emptied');
$node->command_ok([ 'psql', '-XAtq', '-v', 'ON_ERROR_STOP=1', '-d', $node->connstr('postgres'),
		'-f', file($recipe) ], 'the commands of the manual run');
is(join(' ', KmsMemory::holding([ KmsMemory::files($node->data_dir) ], @lines, @short_lines)),
	'', 'no file of the data directory holds a line of a PEM');

is( $node->safe_psql('postgres',
		q{SELECT count(*) FROM moved WHERE kms_key_valid(key_id)}),
	13, 'the imported keys exist');
my $ciphertext = KmsTest::encrypt_with_openssl(
	output('openssl', 'pkey', '-pubout', '-in', file($pems[7])), '4711');
is($node->safe_psql('postgres', "SELECT kms_decrypt('old-7', '$ciphertext')"),
	'4711', 'the keys open what was encrypted before');

$node->stop;
done_testing();

# ---- Tools ---------------------------------------------------------------

sub output
{
	my @command = @_;
	my ($output, $errors);
	IPC::Run::run(\@command, '>', \$output, '2>', \$errors) or die "@command: $errors";
	return $output;
}

# A test key, made here and used for nothing else.
sub new_pem
{
	my ($bits, $traditional) = @_;
	return output('openssl', 'genrsa', $traditional ? '-traditional' : (), $bits);
}

# A file with this text.
sub file
{
	my ($content) = @_;
	our $files;
	my $path = "$dir/file" . ++$files;
	open my $file, '>', $path or die "$path: $!";
	print $file $content;
	close $file or die "$path: $!";
	return $path;
}

# Load rows without a value of theirs in a statement.
sub load
{
	my ($table, @rows) = @_;
	my $path = file(join '', map {
		join("\t", map { s/\n/\\n/gr } @$_) . "\n" } @rows);
	$node->safe_psql('postgres', "COPY $table FROM '$path'");
}

# The files of relations, their indexes and their TOAST.
sub paths
{
	my ($where) = @_;
	my $paths = $node->safe_psql('postgres', <<"SQL");
WITH r AS (SELECT oid, reltoastrelid FROM pg_class WHERE $where),
all_of AS (SELECT oid FROM r UNION SELECT reltoastrelid FROM r WHERE reltoastrelid <> 0)
SELECT pg_relation_filepath(oid) FROM all_of WHERE pg_relation_filepath(oid) IS NOT NULL
UNION SELECT pg_relation_filepath(indexrelid) FROM pg_index JOIN all_of ON indrelid = oid
SQL
	return map { $node->data_dir . "/$_" } split /\n/, $paths;
}

sub wal
{
	return grep { m{/pg_wal/} } KmsMemory::files($node->data_dir);
}

