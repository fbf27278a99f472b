# pg_dump carries keys, limits, events and metrics into another server, plain
# and custom; they work where the master key is, and are kept as they are
# where it is not, or where kms is not even preloaded.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../../perl";
use KmsClient;
use KmsTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $dir = PostgreSQL::Test::Utils::tempdir();
my $source = KmsTest->node('source', conf => "kms.keygen_limit = 2\nkms.maintenance = off\nkms.audit_checkpoint_interval = 1d");

# ---- What is dumped ------------------------------------------------------

$source->safe_psql('postgres', 'CREATE EXTENSION kms');
my ($old_key, $old_pem) = KmsClient::issue($source, 'postgres', 'phone');
my ($key) = split /\|/,
  $source->safe_psql('postgres', "SELECT * FROM kms_rotate_key('phone')");
my $old_ciphertext = KmsTest::encrypt_with_openssl($old_pem, 'old secret');
my $ciphertext =
  $source->safe_psql('postgres', "SELECT kms_encrypt('$key', 'secret')");
$source->safe_psql('postgres',
	"SELECT kms_decrypt('$key', '$ciphertext'), kms_try_decrypt('$old_key', '$ciphertext')");
my $hash = $source->safe_psql('postgres',
	"SELECT kms_hash_secret('$key', '$ciphertext')");
$source->safe_psql('postgres', 'SELECT * FROM kms_maintain()');

# A denial that is not in its row yet, as the transaction has a snapshot.
my ($denied) = KmsClient::issue($source, 'postgres', 'stolen phone');
$source->safe_psql('postgres',
	"BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT kms_revoke_key('$denied', 'stolen'); COMMIT");
is($source->safe_psql('postgres', 'SELECT count(*) FROM kms.denial'),
	1, 'there is a denial');
$source->safe_psql('postgres', 'SELECT kms_flush_events()');

# A line of table and checksum each; of the events only those of the source.
my $events;
sub content
{
	my ($node, $db, $tables) = @_;
	return join "\n", map {
		my $old = $events && /^event$/ ? "WHERE ticket <= $events" : '';
		"$_ "
		  . $node->safe_psql($db,
			"SELECT md5(string_agg(t::text, ',' ORDER BY t::text)) FROM kms.$_ AS t $old")
	} split / /, $tables;
}
my $all = 'audit_key denial event event_checkpoint event_epoch event_outbox'
  . ' event_quarantine field_key key key_secret metric pepper';
is( $source->safe_psql('postgres',
		q{SELECT string_agg(relname, ' ' ORDER BY relname COLLATE "C") FROM pg_class
		WHERE relnamespace = 'kms'::regnamespace AND relkind = 'r'
		AND relname NOT IN ('maintenance', 'pool_key')}),
	$all, 'the test knows all tables');
$events = $source->safe_psql('postgres', 'SELECT max(ticket) FROM kms.event');
my $content = content($source, 'postgres', $all);

dump_ok($source, 'plain', '-f', "$dir/plain.sql");
dump_ok($source, 'custom', '-Fc', '-f', "$dir/custom.dump");
dump_ok($source, 'directory', '-Fd', '-f', "$dir/directory.dump");
my $master_key = slurp_file(KmsTest::master_key_path($source));
$source->stop;

# ---- Into a server with the same master key ------------------------------

my $target = KmsTest->node('target',
	conf => "kms.keygen_limit = 2\nkms.maintenance = off\nkms.audit_checkpoint_interval = 1d",
	master_key => [ split /\n/, $master_key ]);
my $connstr = $target->connstr;
foreach my $how ('plain', 'custom', 'late')
{
	$target->safe_psql('postgres', "CREATE DATABASE $how");
	if ($how eq 'plain')
	{
		$target->command_ok(
			[ 'psql', '-Xq', '-v', 'ON_ERROR_STOP=1', '-d',
				"$connstr dbname=$how", '-f', "$dir/plain.sql" ],
			'plain: restored');
	}
	elsif ($how eq 'late')
	{
		# The workers have seen the extension before its data come.
		restore_ok($target, $how, 'custom', '--section=pre-data');
		KmsTest::poll(
			sub {
				$target->safe_psql($how,
					"SELECT value FROM kms.status WHERE item = 'maintenance last round'")
				  ne 'never';
			});
		restore_ok($target, $how, 'custom', '--section=data');
		restore_ok($target, $how, 'custom', '--section=post-data');
	}
	else
	{
		restore_ok($target, $how, $how);
	}
	is(content($target, $how, 'denial event key key_secret metric'),
		part('denial event key key_secret metric'),
		"$how: keys, events and metrics are the same");
	is( $target->safe_psql($how,
			"SELECT kms_decrypt('$key', '$ciphertext'), kms_decrypt('$old_key', '$old_ciphertext')"),
		'secret|old secret', "$how: keys open");
	is( $target->safe_psql($how,
			"SELECT kms_verify_secret('$key', '$ciphertext', '$hash')"),
		't', "$how: hashes of secrets verify");
	is( $target->safe_psql($how, "SELECT key_id, reused FROM kms_issue_key('phone')"),
		"$key|t", "$how: the device has its key");
	is(KmsClient::sqlstate($target, $how, "SELECT kms_rotate_key('phone')"),
		'KM005', "$how: and its limit");
	is( $target->safe_psql($how, "SELECT reused FROM kms_issue_key('new phone')"),
		'f', "$how: keys are made");
	is( KmsTest::events($target, $how, "ticket > $events AND operation <> 'gap'"),
		'6', "$how: events are recorded");
	is( $target->safe_psql($how,
			'SELECT count(*) = max(ticket) - min(ticket) + 1 FROM kms.event'),
		't', "$how: tickets go on without a gap");
	is( $target->safe_psql($how, 'SELECT count(*) FROM kms.event_outbox'),
		'0', "$how: also those of changes");
	unlike(KmsClient::findings($target, $how),
		qr/^(?:error|warning): (?!fsync)/m, "$how: kms_check() has no complaint");
	my $counted = $target->safe_psql($how,
		"SELECT sum((m ->> 'count')::int) FROM jsonb_array_elements(kms_metrics_summary() -> 'metrics') AS m");
	is( $counted,
		$target->safe_psql($how,
			"SELECT count(*) FROM kms.event WHERE operation <> 'gap'"),
		"$how: the summary counts old and new");
}

# Parallel jobs restore the tables in another order.
$target->safe_psql('postgres', 'CREATE DATABASE jobs');
restore_ok($target, 'jobs', 'directory', '--jobs=4');
is( content($target, 'jobs', 'denial event key key_secret metric'),
	part('denial event key key_secret metric'),
	'restored by several jobs');
$target->stop;

# ---- Into a server without the library -----------------------------------

my $bare = PostgreSQL::Test::Cluster->new('bare');
$bare->init(extra => [ '--encoding=UTF8', '--no-locale' ]);
$bare->start;
restore_ok($bare, 'postgres', 'custom');
is(content($bare, 'postgres', $all), $content, 'not preloaded: all is restored');
foreach my $call (
	"kms_decrypt('$key', '$ciphertext')", "kms_issue_key('phone')",
	"kms_issue_key('new phone')", "kms_public_key('$key')",
	"kms_encrypt('$key', 'x')", "kms_try_decrypt('$key', '$ciphertext')",
	'kms_check()', 'kms_maintain()', 'kms_metrics_summary()',
	'kms_flush_events()', 'kms_master_key_status()', "kms_key_valid('$key')")
{
	like(KmsClient::error($bare, 'postgres', "SELECT * FROM $call"),
		qr/55000: kms is not loaded by the server\nHINT:  Add kms to shared_preload_libraries/,
		"not preloaded: " . ($call =~ s/\(.*//r) . '()');
}
is($bare->safe_psql('postgres', "SELECT kms_version() ~ '^[0-9]'"), 't',
	'not preloaded: kms_version() works');
is($bare->safe_psql('postgres', "SELECT kms_jwe_header('e30....') ->> 'form'"), 'compact',
	'not preloaded: kms_jwe_header() works');
dump_ok($bare, 'not preloaded', '-f', "$dir/again.sql");
is(data_of("$dir/again.sql"), data_of("$dir/plain.sql"),
	'not preloaded: its dump has the same rows');
$bare->safe_psql('postgres', 'CREATE DATABASE empty');
$bare->safe_psql('empty', 'CREATE EXTENSION kms');
dump_ok($bare, 'not preloaded, empty', '-f', "$dir/empty.sql");

# ---- Into a server without the master key --------------------------------

my $file = KmsTest::master_key_path($bare);
$bare->append_conf('postgresql.conf',
	"shared_preload_libraries = 'kms'\nkms.master_key_file = '$file'\n");
$bare->restart;
refused('no master key', qr/KM007: master key is not available\nHINT:  /);
is(content($bare, 'postgres', 'key key_secret'),
	part('key key_secret'),
	'no master key: keys are as they were');

KmsTest::write_master_key($file);
$bare->restart;
refused('another master key',
	qr/KM007: key "\Q$key\E" was wrapped under master key "[0-9a-f]{16}", which this server does not have\nHINT:  Add that master key/);
$bare->safe_psql('postgres', 'SELECT * FROM kms_maintain()');

# except for the time of the failed attempt to seal the denial
$bare->safe_psql('postgres', 'UPDATE kms.key SET tried_at = NULL');
is(content($bare, 'postgres', 'denial key key_secret'),
	part('denial key key_secret'),
	'another master key: keys are as they were');
like(KmsClient::findings($bare, 'postgres'),
	qr/^error: keys wrapped under master key "[0-9a-f]{16}", which this server does not have: \d/m,
	'another master key: kms_check() tells');
# The writer may have made an audit key by now, to sign with.
like( $bare->safe_psql('postgres',
		'SELECT status, keys, peppers FROM kms_master_key_status() ORDER BY 1'),
	qr/^current\|0\|[01]\nmissing\|3\|2$/, 'another master key: kms_master_key_status() says so');
is( $bare->safe_psql('postgres', "SELECT reused FROM kms_issue_key('new phone')"),
	'f', 'another master key: new devices are served');

KmsTest::write_master_key($file, KmsTest::random_master_key(),
	split /\n/, $master_key);
$bare->reload;
ok( KmsTest::poll(
		sub {
			KmsClient::sqlstate($bare, 'postgres',
				"SELECT kms_decrypt('$key', '$ciphertext')") eq '00000';
		}),
	'with the master key added all keys open');
$bare->stop;

done_testing();

# ---- Tools ---------------------------------------------------------------

sub dump_ok
{
	my ($node, $name, @options) = @_;
	$node->command_ok([ 'pg_dump', '-d', $node->connstr('postgres'), @options ],
		"$name: dumped");
}

sub restore_ok
{
	my ($node, $db, $dump, @options) = @_;
	$node->command_ok(
		[ 'pg_restore', '--exit-on-error', '-d', $node->connstr($db), @options,
			"$dir/$dump.dump" ],
		"$db: restored @options");
}

# Return the part of the content of the source that is about these tables.
sub part
{
	my %wanted = map { $_ => 1 } split / /, shift;
	return join "\n", grep { /^(\w+)/ && $wanted{$1} } split /\n/, $content;
}

# The rows in a plain dump.
sub data_of
{
	my $sql = slurp_file(shift);
	return join '', sort $sql =~ /^(COPY kms\..*?^\\\.\n)/gms;
}

sub refused
{
	my ($name, $pattern) = @_;
	like( KmsClient::error($bare, 'postgres',
			"SELECT kms_decrypt('$key', '$ciphertext')"),
		$pattern, "$name: decrypt says what is missing");
	like(KmsClient::error($bare, 'postgres', "SELECT kms_issue_key('phone')"),
		$pattern, "$name: so does issue");
	like(KmsClient::error($bare, 'postgres', "SELECT kms_public_key('$key')"),
		$pattern, "$name: and kms_public_key");
}
