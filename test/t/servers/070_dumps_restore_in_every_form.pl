# A dump in each form is restored whole, by each way of pg_restore, where the
# master key is the same, another or none; nothing is damaged where it is not,
# denied stays denied, and the right key heals all databases without a restart.
# Data are also restored into an extension that is in use, and over one.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../../perl";
use KmsClient;
use KmsPool;
use KmsTest;
use PostgreSQL::Test::Utils;
use Test::More;

my $dir = PostgreSQL::Test::Utils::tempdir();
my $conf = <<'CONF';
kms.maintenance = off
kms.keygen_limit = 2
kms.event_ring_size = 256kB
kms.key_pool_size = 0
CONF
my $source = KmsTest->node('source', conf => $conf);
my @master_key = split /\n/, slurp_file(KmsTest::master_key_path($source));

# ---- What is dumped ------------------------------------------------------

sub source
{
	return $source->safe_psql('postgres', $_[0]);
}

source('CREATE EXTENSION kms');
source('SELECT * FROM kms_maintain()');
my ($fingerprint) = source('SELECT master_key_id FROM kms_master_key_status()');
my ($old_key, $old_pem) = KmsClient::issue($source, 'postgres', 'active');
my ($key) = split /\|/, source("SELECT * FROM kms_rotate_key('active')");
my $ciphertext = source("SELECT kms_encrypt('$key', 'secret')");
my $old_ciphertext = KmsTest::encrypt_with_openssl($old_pem, 'old secret');
my $hash = source("SELECT kms_hash_secret('$key', '$ciphertext')");
my %denied;
foreach my $how (
	[ 'disabled', 'kms_disable_key(key_id)' ],
	[ 'revoked', "kms_revoke_key(key_id, 'stolen')" ],
	[ 'pending_deletion', "kms_schedule_key_deletion(key_id, '8 days')" ])
{
	my ($state, $call) = @$how;
	($denied{$state}) = KmsClient::issue($source, 'postgres', $state);
	source("SELECT $call FROM kms.key WHERE device_id = '$state'");
}

# A key whose row is not denied yet, because the transaction has a snapshot.
($denied{'revoked in kms.denial'}) =
  KmsClient::issue($source, 'postgres', 'revoked in kms.denial');
source("BEGIN ISOLATION LEVEL REPEATABLE READ;
	SELECT kms_revoke_key('$denied{'revoked in kms.denial'}', 'lost'); COMMIT");
source("SET kms.key_lifetime = '1s'; SELECT FROM kms_issue_key('expired'); SELECT pg_sleep(1.1)");

# By name, this table comes before those that it refers to.
source(<<"SQL");
CREATE SCHEMA app;
CREATE TABLE app.account (name text PRIMARY KEY,
	key_id text REFERENCES kms.key (key_id), pin text);
INSERT INTO app.account VALUES ('alice', '$key', '$hash');
SQL
source('SELECT kms_flush_events()');
my $events = source('SELECT max(ticket) FROM kms.event');

# While it is dumped one event is in the ring and one in the outbox.
my $session = KmsClient->session($source, 'postgres');
$session->query('BEGIN');
$session->query('LOCK TABLE kms.event IN SHARE MODE');
source("SELECT kms_decrypt('$key', '$ciphertext')");
my ($late) = KmsClient::issue($source, 'postgres', 'late');
is(source('SELECT count(*), min(key_id) FROM kms.event_outbox'),
	"1|$late", 'an event is on its way to the trail');

my %options = (
	plain => [ '-f', "$dir/plain" ],
	custom => [ '-Fc', '-f', "$dir/custom" ],
	directory => [ '-Fd', '--jobs=2', '-f', "$dir/directory" ],
	data => [ '--data-only', '-f', "$dir/data" ]);
foreach my $form (sort keys %options)
{
	$source->command_ok(
		[ 'pg_dump', '-d', $source->connstr('postgres'), @{ $options{$form} } ],
		"$form: dumped");
}
$session->query('COMMIT');
$session->quit;

# A checksum of each table; of the events, those of the source.
my @tables = qw(kms.denial kms.event kms.key kms.key_secret kms.pepper app.account);
sub content
{
	my ($node, $db, @of) = @_;
	return join "\n", map {
		my $old = $_ eq 'kms.event' ? "WHERE ticket <= $events" : '';
		$node->safe_psql($db,
			"SELECT '$_', md5(string_agg(t::text, ',' ORDER BY t::text)) FROM $_ AS t $old")
	} @of;
}
my $content = content($source, 'postgres', @tables);
my $states = 'SELECT device_id, state, expires_at, delete_at FROM kms.keys ORDER BY key_id';
my $dated = source($states);
my $counted = source(
	"SELECT sum((m ->> 'count')::int) FROM jsonb_array_elements(kms_metrics_summary() -> 'metrics') AS m");
$source->stop;

# ---- Where the master key is the same ------------------------------------

my $target = KmsTest->node('target', conf => $conf, master_key => [@master_key]);
my $file = KmsTest::master_key_path($target);
my @databases;
foreach my $form ('plain', 'custom', 'directory')
{
	my $db = restored($form, 'same');
	opens($db);
	is( $target->safe_psql($db, "SELECT key_id, reused FROM kms_issue_key('active')"),
		"$key|t", "$db: a device has its key");
	is(KmsClient::sqlstate($target, $db, "SELECT kms_rotate_key('active')"),
		'KM005', "$db: and its limit");
	is(KmsClient::sqlstate($target, $db, "SELECT kms_destroy_key('$key', '$key')"),
		'23503', "$db: and foreign keys hold");
	is( KmsTest::events($target, $db, "ticket > $events AND operation = 'generate' AND key_id = '$late'"),
		'1', "$db: what was in the outbox comes to the trail");
	is( $target->safe_psql($db,
			"SELECT count(*) = max(ticket) - min(ticket) + 1 AND count(*) = count(DISTINCT ticket),
			min(ticket) FILTER (WHERE operation = 'gap') - $events FROM kms.event"),
		't|1', "$db: each event has its ticket, and what was in the ring is a gap");
	cmp_ok(
		$target->safe_psql($db,
			"SELECT sum((m ->> 'count')::int) FROM jsonb_array_elements(kms_metrics_summary() -> 'metrics') AS m"),
		'>=', $counted, "$db: metrics go on");
	KmsClient::is_healthy($target, $db, "$db: kms_check() has no complaint");
}

# Over a database that is in use.
$target->command_ok(
	[ 'pg_restore', '--clean', '--if-exists', '--exit-on-error', '-d',
		$target->connstr('custom_same'), "$dir/custom" ],
	'restored over a database');
is(content($target, 'custom_same', @tables), $content, 'over: all is as it was');
opens('custom_same');

# Restore in an order that the jobs of pg_restore may choose, with a writer at work.
$target->safe_psql('postgres', 'CREATE DATABASE parts');
my ($list) = run_command([ 'pg_restore', '-l', '--section=data', "$dir/custom" ]);
my %part = (
	first => join("\n", grep { /TABLE DATA kms event_outbox / } split /\n/, $list),
	rest => join("\n", grep { !/TABLE DATA kms event_outbox / } split /\n/, $list));
sub part_ok
{
	my ($name, @options) = @_;
	if ($part{$name})
	{
		append_to_file("$dir/$name", "$part{$name}\n");
		push @options, '-L', "$dir/$name";
	}
	$target->command_ok(
		[ 'pg_restore', '--exit-on-error', '-d', $target->connstr('parts'), @options, "$dir/custom" ],
		"parts: $name is restored");
}
part_ok('pre-data', '--section=pre-data');
part_ok('first');
$target->safe_psql('parts', 'SELECT kms_flush_events()');
is($target->safe_psql('parts', 'SELECT count(*) FROM kms.event_outbox'),
	'1', 'parts: the outbox waits for the trail');
part_ok('rest');
part_ok('post-data', '--section=post-data');
opens('parts');
is( KmsTest::events($target, 'parts', "ticket > $events AND operation = 'generate' AND key_id = '$late'"),
	'1', 'parts: and comes to it');
is( $target->safe_psql('parts',
		"SELECT count(*) = max(ticket) - min(ticket) + 1 AND count(*) = count(DISTINCT ticket),
		min(ticket) FILTER (WHERE operation = 'gap') - $events FROM kms.event"),
	't|1', 'parts: each event has its ticket, after a gap');
KmsClient::is_healthy($target, 'parts', "parts: kms_check() has no complaint");

# Into an extension whose workers have made a pepper and a pool.
$target->append_conf('postgresql.conf', <<'CONF');
kms.maintenance = on
kms.maintenance_interval = 1s
kms.key_pool_size = 2
CONF
$target->reload;
$target->safe_psql('postgres', 'CREATE DATABASE installed');
$target->safe_psql('installed', <<'SQL');
CREATE EXTENSION kms;
CREATE SCHEMA app;
CREATE TABLE app.account (name text PRIMARY KEY,
	key_id text REFERENCES kms.key (key_id), pin text);
SQL
ok(KmsPool::filled($target, 'installed', 2), 'installed: there is a pool');
ok($target->poll_query_until('installed', 'SELECT count(*) = 1 FROM kms.pepper'),
	'installed: and a pepper');
$target->command_ok(
	[ 'psql', '-Xq', '-v', 'ON_ERROR_STOP=1', '-d', $target->connstr('installed'), '-f', "$dir/data" ],
	'installed: data are restored');
opens('installed');
ok( $target->poll_query_until('installed', 'SELECT count(*) = 0 FROM kms.denial'),
	'installed: maintenance goes on');
is( $target->safe_psql('installed', "SELECT state FROM kms.key WHERE device_id = 'revoked in kms.denial'"),
	'revoked', 'installed: with what is restored');
is( KmsTest::events($target, 'installed', "operation = 'generate' AND key_id = '$late'"),
	'1', 'installed: what was in the outbox comes to the trail');
is( $target->safe_psql('installed', 'SELECT count(*) = count(DISTINCT ticket) FROM kms.event'),
	't', 'installed: each event has its own ticket');
KmsClient::is_healthy($target, 'installed', "installed: kms_check() has no complaint");
$target->append_conf('postgresql.conf', $conf);

# ---- Where there is none -------------------------------------------------

unlink $file or die "$file: $!";
$target->restart;
@databases = ();
foreach my $form ('plain', 'custom', 'directory')
{
	my $db = restored($form, 'none');
	stays_closed($db, qr/KM007: master key is not available\nHINT:  /);
	like(KmsClient::findings($target, $db),
		qr/^error: the master key file is refused: /m, "$db: kms_check() tells");
	is( $target->safe_psql($db, "SELECT kms_disable_key('$late')"),
		'disabled', "$db: denying works");
}

# ---- Where there is another ----------------------------------------------

my @other_key = KmsTest::write_master_key($file);
$target->reload;
ok($target->poll_query_until('postgres', q{SELECT count(*) = 1 FROM pg_stat_activity
	WHERE backend_type = 'kms launcher'}), 'another master key');
foreach my $form ('plain', 'custom', 'directory')
{
	my $db = restored($form, 'other');
	ok( KmsTest::poll(
			sub {
				$target->safe_psql($db,
					"SELECT count(*) FROM kms_master_key_status() WHERE status = 'current'") eq '1';
			}),
		"$db: it is read");
	stays_closed($db,
		qr/KM007: key "\Q$key\E" was wrapped under master key "$fingerprint", which this server does not have\nHINT:  /);
	like(KmsClient::findings($target, $db),
		qr/^error: keys wrapped under master key "$fingerprint", which this server does not have: \d/m,
		"$db: kms_check() tells");
	is( $target->safe_psql($db,
			"SELECT master_key_id FROM kms_master_key_status() WHERE status = 'missing'"),
		$fingerprint, "$db: so does kms_master_key_status()");
	is($target->safe_psql($db, "SELECT reused FROM kms_issue_key('new')"),
		'f', "$db: new devices are served");
}

# ---- Healed --------------------------------------------------------------

KmsTest::write_master_key($file, @other_key, @master_key);
$target->reload;
foreach my $db (@databases)
{
	ok( KmsTest::poll(
			sub {
				KmsClient::sqlstate($target, $db,
					"SELECT kms_decrypt('$key', '$ciphertext')") eq '00000';
			}),
		"$db: the right master key is added");
	opens($db);
	$target->safe_psql($db, 'SELECT * FROM kms_maintain()');
	is($target->safe_psql($db, 'SELECT count(*) FROM kms.denial'),
		'0', "$db: denials are sealed");
	is( $target->safe_psql($db, "SELECT stored_state FROM kms.keys WHERE device_id = 'late'"),
		$db =~ /none/ ? 'disabled' : 'active', "$db: so is the denial of a later revocation");
	KmsClient::is_healthy($target, $db, "$db: kms_check() has no complaint");
}
$target->stop;
done_testing();

# ---- Tools ---------------------------------------------------------------

# Each form in another way.
sub restored
{
	my ($form, $where) = @_;
	my $db = "${form}_$where";
	my $connstr = $target->connstr($db);
	my @jobs = (qw(pg_restore --jobs=4 --exit-on-error -d), $connstr);
	my %commands = (
		plain => [ [ qw(psql -Xq --single-transaction -v ON_ERROR_STOP=1 -d), $connstr, '-f' ] ],
		custom => [ [ qw(pg_restore --single-transaction --exit-on-error -d), $connstr ] ],

		# pg_restore does not know that foreign keys need the rows of kms.key.
		directory => [ map { [ @jobs, "--section=$_" ] } qw(pre-data data post-data) ]);

	push @databases, $db;
	$target->safe_psql('postgres', "CREATE DATABASE $db");
	$target->command_ok([ @$_, "$dir/$form" ], "$db: restored") foreach @{ $commands{$form} };
	is(content($target, $db, @tables), $content, "$db: all is as it was");
	is($target->safe_psql($db, $states), $dated, "$db: states and dates are");
	return $db;
}

sub opens
{
	my ($db) = @_;
	is( $target->safe_psql($db,
			"SELECT kms_decrypt('$key', '$ciphertext'), kms_decrypt('$old_key', '$old_ciphertext')"),
		'secret|old secret', "$db: keys open");
	is( $target->safe_psql($db,
			"SELECT kms_verify_secret('$key', '$ciphertext', pin) FROM app.account"),
		't', "$db: hashes verify");
	stays_denied($db);
}

sub stays_denied
{
	my ($db) = @_;
	is( join(' ', map { KmsClient::sqlstate($target, $db, "SELECT kms_decrypt('$_', '$ciphertext')") } values %denied),
		join(' ', ('KM004') x keys %denied), "$db: what was denied is");
}

sub stays_closed
{
	my ($db, $pattern) = @_;
	foreach my $call ("kms_decrypt('$key', '$ciphertext')", "kms_issue_key('active')")
	{
		like(KmsClient::error($target, $db, "SELECT $call"), $pattern, "$db: refused: " . ($call =~ s/\(.*//r));
	}
	is( KmsClient::sqlstate($target, $db,
			"SELECT kms_verify_secret('$key', '$ciphertext', pin) FROM app.account"),
		'KM007', "$db: a hash is not just false");
	stays_denied($db);
	$target->safe_psql($db, 'SELECT * FROM kms_maintain()');

	# except for the time of the failed attempt
	$target->safe_psql($db, 'UPDATE kms.key SET tried_at = NULL');
	is( content($target, $db, qw(kms.denial kms.key kms.key_secret)),
		join("\n", grep { /^kms\.(denial|key|key_secret)\|/ } split /\n/, $content),
		"$db: nothing is changed");
}

