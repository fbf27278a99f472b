# No call and no batch of maintenance reads a table of keys as a whole, for any
# number of keys and any statistics, and each index is used.  A test without
# one of the indexes proves that a full read would be detected.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../../perl";
use KmsClient;
use KmsTest;
use PostgreSQL::Test::Utils;
use Test::More;

# Only this test reads the tables.
my $node = KmsTest->node('plans', conf => <<'CONF');
kms.maintenance = off
kms.keygen_limit = 1000
autovacuum = off
CONF
my @tables  = qw(key key_secret);
my @indexes = qw(key_delete_idx key_device_idx key_expiry_idx key_pkey
  key_secret_master_key_idx key_secret_pkey key_tried_idx);

$node->sql('CREATE EXTENSION kms');
my ($key, $public) = KmsClient::issue($node, 'postgres', 'phone');
my $ciphertext = KmsTest::encrypt_with_openssl($public, 'secret');
my ($pem) = run_command([qw(openssl genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:2048)]);
$node->sql("CREATE TABLE old (private_key text);
	INSERT INTO old VALUES ('$pem')");

# Copies of a row, for other devices; no call reads them.
$node->sql(<<"SQL");
INSERT INTO kms.key SELECT (jsonb_populate_record(k, jsonb_build_object(
	'key_id', 'copy' || n, 'device_id', 'copy' || n, 'expires_at', expires_at + n * interval '1 s'))).*
FROM kms.key AS k, generate_series(1, 20000) AS n WHERE k.key_id = '$key';
INSERT INTO kms.key_secret SELECT 'copy' || n, public_key, wrapped_key
FROM kms.key_secret, generate_series(1, 20000) AS n WHERE key_id = '$key';
SQL

# Real keys: they expire in a second, and are purged a second later.  Some
# cannot be purged: a row refers to them, or their dates were changed by hand.
sub add
{
	my ($name) = @_;
	$node->sql(<<"SQL");
SELECT count(kms_import_key('$name-' || n, private_key, '$name' || n, NULL, now(),
	now() + interval '1 s', deprecated => false))
FROM old, generate_series(1, 12) AS n;
SELECT kms_schedule_key_deletion('$name' || n) FROM generate_series(11, 12) AS n;
UPDATE kms.key SET delete_at = now() WHERE key_id = '${name}12';
INSERT INTO card VALUES ('${name}1');
SELECT pg_sleep(1.5);
SQL
}

# Call each often enough that a generic plan is made, too.
sub work
{
	my ($name) = @_;
	my $each = 'FROM generate_series(1, 8) AS n';
	my $maintain = join ";\n", ('SELECT count(*) FROM kms_maintain()') x 8;

	add($name);
	$node->sql($maintain);
	$node->sql("SET kms.key_retention = 0; $maintain");
	is( $node->sql("SELECT string_agg(key_id, ' ' ORDER BY key_id) FROM kms.key
			WHERE key_id ~ '^${name}[0-9]'"),
		"${name}1 ${name}11 ${name}12", "$name: the other keys are purged");
	$node->sql(<<"SQL");
DELETE FROM card;
SELECT kms_issue_key('$name-new-' || n % 4) $each;
SELECT kms_rotate_key('phone') $each;
SELECT kms_decrypt('$key', '$ciphertext') $each;
SELECT kms_encrypt(key_id, 'x'), kms_public_key(key_id), kms_jwks('$name-new-1'), kms_key_state(key_id),
	kms_key_valid(key_id), kms_rate_limit_status('$name-new-1') FROM kms.keys WHERE device_id = '$name-new-1';
SELECT kms_disable_key(key_id) $each, kms.keys WHERE device_id = '$name-new-1';
SELECT kms_enable_key(key_id) $each, kms.keys WHERE device_id = '$name-new-1';
SELECT kms_revoke_key(key_id, 'lost') $each, kms.keys WHERE device_id = '$name-new-2';
SELECT kms_schedule_key_deletion(key_id) $each, kms.keys WHERE device_id = '$name-new-3';
SELECT kms_cancel_key_deletion(key_id) FROM kms.keys WHERE device_id = '$name-new-3';
SELECT kms_deprecate_key(key_id) FROM kms.keys WHERE device_id = '$name-new-0';
INSERT INTO kms.denial (key_id, state, denied_at)
	SELECT key_id, 'disabled', now() FROM kms.keys WHERE device_id = '$name-new-0';
$maintain;
SELECT kms_destroy_key('${name}11', '${name}11');
SELECT kms_problematic_keys(0, 1) $each;
SELECT * FROM kms_check();
SELECT kms_rewrap_keys(), kms_master_key_status();
SQL
}

# A session reports its last counts when it ends, which may be after psql has.
sub counts
{
	my ($what, $of, $names) = @_;
	$node->poll_query_until('postgres', "SELECT count(*) = 0 FROM pg_stat_activity
		WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()") or die;
	my %count = map { split /\|/ } split /\n/, $node->sql(
		"SELECT $of, $what FROM pg_stat_all_"
		  . ($of eq 'relname' ? 'tables' : 'indexes')
		  . " WHERE schemaname = 'kms' ORDER BY 1");
	return map { $count{$_} || 0 } @$names;
}

# Return the tables that were read as a whole, and the indexes that were not
# used.
sub seen
{
	my ($name) = @_;
	my @scans  = counts('seq_scan', 'relname',      \@tables);
	my @used   = counts('idx_scan', 'indexrelname', \@indexes);
	work($name);
	my @scans_after = counts('seq_scan', 'relname',      \@tables);
	my @used_after  = counts('idx_scan', 'indexrelname', \@indexes);
	return (
		join(' ', map { $tables[$_] } grep { $scans_after[$_] > $scans[$_] } 0 .. $#tables),
		join(' ', map { $indexes[$_] } grep { $used_after[$_] == $used[$_] } 0 .. $#indexes));
}

sub is_good
{
	my ($name, $what) = @_;
	my ($whole, $unused) = seen($name);
	is($whole,  '', "$what: no table is read as a whole");
	is($unused, '', "$what: each index is used");
}

$node->sql('CREATE TABLE card (key_id text COLLATE "C" REFERENCES kms.key)');

# Claim ten million rows in the statistics.
my $claim = "UPDATE pg_class SET reltuples = 1e7, relpages = 1e6, relallvisible = 1e6
	WHERE oid IN ('kms.key'::regclass, 'kms.key_secret'::regclass)";

$node->sql($claim);
is_good('a', 'without statistics');
$node->sql("ANALYZE kms.key, kms.key_secret; $claim");
is_good('b', 'with statistics');

# The statistics say that most keys are expired, and that none has such a
# state.
$node->sql("BEGIN; SET LOCAL session_replication_role = replica;
	UPDATE kms.key SET state = 'disabled' WHERE key_id ~ '^copy'; ANALYZE kms.key; ROLLBACK; $claim");
is_good('c', 'with statistics of other rows');

foreach my $index (qw(key_expiry_idx key_tried_idx))
{
	my $definition = $node->sql("SELECT pg_get_indexdef('kms.$index'::regclass)");
	$node->sql("DROP INDEX kms.$index");
	my ($whole, $unused) = seen("no-$index-");
	isnt("$whole$unused", '', "without $index a full read is detected");
	$node->sql($definition);
}

# ---- A long trail ----------------------------------------------------------

# Copies of an event, for a key that was denied later.
my $denied = join ' ', map { KmsClient::issue($node, 'postgres', "denied$_") && "SELECT kms_disable_key(key_id) FROM kms.keys WHERE device_id = 'denied$_';" } 1 .. 10;
$node->sql($denied);
$node->sql("SELECT kms_decrypt('$key', '$ciphertext'); SELECT kms_flush_events()");
$node->sql("INSERT INTO kms.event SELECT (jsonb_populate_record(NULL::kms.event,
		to_jsonb(e) || jsonb_build_object('ticket', (SELECT max(ticket) FROM kms.event) + n,
			'key_id', (SELECT key_id FROM kms.keys WHERE device_id = 'denied1')))).*
	FROM (SELECT * FROM kms.event WHERE operation = 'decrypt' ORDER BY ticket DESC LIMIT 1) AS e,
		generate_series(1, 20000) AS n");
sub trail_rows_read
{
	my ($before) = counts('seq_tup_read + idx_tup_fetch', 'relname', ['event']);
	$node->sql('SELECT count(*) FROM kms_check()');
	my ($after) = counts('seq_tup_read + idx_tup_fetch', 'relname', ['event']);
	return $after - $before;
}
cmp_ok(trail_rows_read(), '<', 20000, 'kms_check() does not read a long trail');
my $changes = $node->sql("SELECT pg_get_indexdef('kms.event_change_idx'::regclass)");
$node->sql('DROP INDEX kms.event_change_idx');
cmp_ok(trail_rows_read(), '>', 20000, 'without an index a full read is detected');
$node->sql($changes);

# A plan that is forced to use an index has a high cost, but must not be
# compiled.
my $from = -s $node->logfile;
$node->sql("LOAD 'auto_explain'; SET auto_explain.log_min_duration = 0;
	SET auto_explain.log_analyze = on; SET auto_explain.log_nested_statements = on;
	SELECT count(*) FROM kms_problematic_keys(); SELECT count(*) FROM kms_maintain();
	SELECT count(*) FROM kms_check()");
my $log = substr slurp_file($node->logfile), $from;
like($log, qr/Index (?:Only )?Scan using key_expiry_idx/, 'plans are logged');
unlike($log, qr/JIT:/, 'no plan is compiled');

$node->stop;
done_testing();
