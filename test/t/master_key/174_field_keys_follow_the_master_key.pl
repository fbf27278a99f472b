# Field keys move to a new master key online: also those that are disabled or
# destroyed, and those that an open transaction has just made; "0" means that
# the old master key can be removed.  A kill on the way loses nothing.  Without
# a master key a field key can be denied, and maintenance seals that later.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../../perl";
use KmsClient;
use KmsRotation;
use KmsTest;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = KmsTest->node('server', conf => <<'CONF');
kms.maintenance = off
kms.key_pool_size = 0
kms.field_destroy_after = 0
max_prepared_transactions = 2
restart_after_crash = on
CONF
my $file = KmsTest::master_key_path($node);

sub sql
{
	return $node->safe_psql('postgres', $_[0]);
}

sub code
{
	return KmsClient::sqlstate($node, 'postgres', $_[0]);
}

sub fingerprint
{
	return sql("SELECT master_key_id FROM kms_master_key_status() WHERE status = 'current'");
}

# How many rows are under each master key, by the wrap, the seal and the index.
sub under
{
	my %names = @_;
	my $rows = sql(<<'SQL');
SELECT string_agg(concat_ws(' ', id, wraps, seals, found), ', ' ORDER BY id) FROM (
	SELECT encode(substr(coalesce(seal, wrapped_key), 2, 8), 'hex') AS id, count(wrapped_key) AS wraps,
		count(seal) AS seals, count(master_key_id) AS found
	FROM kms.field_key WHERE wrapped_key IS NULL OR seal IS NULL OR substr(wrapped_key, 2, 8) = substr(seal, 2, 8)
	GROUP BY 1) AS u
SQL
	$rows =~ s/\b$_\b/$names{$_}/ foreach keys %names;
	return $rows;
}

sub rewrap_all
{
	my $total = 0;

	while (1)
	{
		my $done = sql('SELECT kms_rewrap_keys(' . ($_[0] || 1000) . ')');
		return $total if $done == 0;
		$total += $done;
	}
}

sub waits
{
	my ($session) = @_;
	return KmsTest::poll(
		sub { sql("SELECT wait_event_type FROM pg_stat_activity WHERE pid = $session->{pid}") eq 'Lock' });
}

sql(<<'SQL');
CREATE EXTENSION kms;
SELECT FROM kms_maintain(confirm_clock => true);
SELECT kms_create_field_key('tax'), kms_rotate_field_key('tax'), kms_create_field_key('tax.ann'), kms_create_field_key('iban');
CREATE TABLE val AS SELECT kms_encrypt_field('tax', 'two', 'c') AS v, kms_encrypt_field('tax.ann', 'ann', 'c') AS ann,
	kms_encrypt_field('iban', 'iban', 'c') AS iban, kms_blind_index('tax', 'x', 's') AS idx;
SELECT kms_rotate_field_key('tax'), kms_disable_field_key('tax', 1), kms_destroy_field_key('tax', 1, 'tax/1'), kms_disable_field_key('iban');
SQL
my $use = q{SELECT kms_decrypt_field(v, 'c'), kms_decrypt_field(ann, 'c'), kms_blind_index('tax', 'x', 's') = idx,
	kms_field_version(kms_encrypt_field('tax', 'x', '')) FROM val};
my $used = 'two|ann|t|3';
my $session = KmsClient->session($node, 'postgres');
is($session->query($use), $used, 'a session has the keys open');
my $first = fingerprint();
is(under($first => 'first'), 'first 6 8 8', 'all rows are under the first master key');

# ---- Online --------------------------------------------------------------

# Two transactions have made rows under the first master key, and are open.
my $maker = KmsClient->session($node, 'postgres');
$maker->query("BEGIN; SELECT kms_create_field_key('late')");
sql("BEGIN; SELECT kms_rotate_field_key('tax'); PREPARE TRANSACTION 'rotation'");
KmsRotation::put_first($node, 'second');
my $second = fingerprint();
sql('SELECT kms_rewrap_keys(3)');
is(sql("SELECT count(*) FROM kms.field_key WHERE encode(master_key_id, 'hex') = '$second'"), '3', 'a batch');
is($session->query($use), $used, 'on the way, the session goes on');
is(sql($use), $used, 'and so does another one');
my $rewrapper = KmsClient->session($node, 'postgres');
$rewrapper->query("SELECT kms_rewrap_keys()");
$rewrapper->send("SELECT kms_rewrap_keys()");
ok(waits($rewrapper), 'when all others are moved, it waits for the open transactions, instead of returning 0');
is(under($first => 'first', $second => 'second'), 'second 6 8 8', 'all rows that are committed are under the new master key');
$maker->query('COMMIT');
cmp_ok($rewrapper->receive, '>=', 1, 'the rows of one are moved');
$rewrapper->send('SELECT kms_rewrap_keys()');
ok(waits($rewrapper), 'then it waits for the prepared one');
sql("COMMIT PREPARED 'rotation'");
cmp_ok($rewrapper->receive, '>=', 1, 'the row of the prepared one is moved, too');
rewrap_all();
is(under($first => 'first', $second => 'second'), 'second 9 11 11', 'zero means zero');
is( sql("SELECT count(*) FROM kms.field_key WHERE octet_length(wrapped_under) = 16 AND wrapped_key IS NOT NULL"),
	'9', 'each row remembers both master keys');
is( sql("SELECT encode(wrapped_under, 'hex') = '$first' FROM kms.field_key WHERE field_key = 'tax' AND version = 1"),
	't', 'a destroyed version remembers the master key that wrapped it');
KmsRotation::put($node, grep { /^second/ } KmsRotation::lines($node));
$used = 'two|ann|t|4';
is($session->query($use), $used, 'without the old master key the session goes on');
is(sql($use), $used, 'and values open');
is(sql("SELECT kms_enable_field_key('iban'); SELECT kms_decrypt_field(iban, 'c') FROM val"), "enabled\niban",
	'a key that was disabled is as well');
is(code("SELECT kms_decrypt_field(kms_encrypt_field('late', 'x', ''), '')"), '00000', 'and one that was made in the meantime');
is( KmsTest::events($node, 'postgres', "operation LIKE '%_field_key' AND operation <> 'enable_field_key'"),
	'10', 'the trail has the changes only');

# ---- A change at the same time -------------------------------------------

KmsRotation::put_first($node, 'third');
my $third = fingerprint();
$rewrapper->query('BEGIN; SELECT kms_rewrap_keys()');
$maker->send("SELECT kms_disable_field_key('tax')");
ok(waits($maker), 'disabling waits for a transaction that has moved the row');
$rewrapper->query('COMMIT');
is($maker->receive, 'disabled', 'and goes on from there');
is(code("SELECT kms_encrypt_field('tax', 'x', '')"), 'KM004', 'the denial is in force');
rewrap_all();
is(under($third => 'third'), 'third 9 11 11', 'and sealed under the new master key');

KmsRotation::put_first($node, 'fourth');
my $fourth = fingerprint();
$maker->query("BEGIN; SELECT kms_enable_field_key('tax')");
$rewrapper->query('SELECT kms_rewrap_keys()');
$rewrapper->send('SELECT kms_rewrap_keys()');
ok(waits($rewrapper), 'a change that is not committed is waited for');
$maker->query('COMMIT');
$rewrapper->receive;
rewrap_all();
is(under($fourth => 'fourth'), 'fourth 9 11 11', 'and moved');
is(sql($use), $used, 'the key is enabled');

# A key that is made while the master key changes is never left under the old one.
$maker->query("BEGIN; SELECT kms_create_field_key('tax.bob')");
KmsRotation::put_first($node, 'fifth');
my $fifth = fingerprint();
is($maker->query("SELECT kms_rotate_field_key('tax.bob')"), '2', 'a version under the new master key');
$maker->query('COMMIT');
rewrap_all(2);
is(under($fifth => 'fifth'), 'fifth 11 14 14', 'small batches end, too');
KmsRotation::put($node, grep { /^fifth/ } KmsRotation::lines($node));
is(sql($use), $used, 'values open');

# ---- A kill --------------------------------------------------------------

KmsRotation::put_first($node, 'sixth');
my $sixth = fingerprint();
sql('SELECT kms_rewrap_keys(4)');
$rewrapper->query('BEGIN; SELECT kms_rewrap_keys(4)');
kill 'KILL', $rewrapper->{pid};
KmsTest::poll(sub { ($node->psql('postgres', "SELECT pg_postmaster_start_time() FROM kms.field_key LIMIT 1"))[0] == 0
	&& ($node->psql('postgres', "SELECT 1 FROM pg_stat_activity WHERE pid = $rewrapper->{pid}"))[1] eq '' })
  or die 'the server does not come back';
KmsTest::poll(sub { ($node->psql('postgres', $use))[1] eq $used });
is(sql($use), $used, 'killed on the way: values open');
is(sql("SELECT count(*) FROM kms.field_key WHERE encode(master_key_id, 'hex') = '$sixth'"), '4', 'the batch that was not committed is undone');
rewrap_all();
is(under($sixth => 'sixth'), 'sixth 11 14 14', 'the rest is moved');
$node->stop('immediate');
KmsTest::write_master_key($file, grep { /^sixth/ } KmsRotation::lines($node));
$node->start;
ok(KmsTest::poll(sub { ($node->psql('postgres', $use))[1] eq $used }), 'after a crash, with the new master key alone, values open');

# ---- Without a master key ------------------------------------------------

my @lines = KmsRotation::lines($node);
foreach my $how ('none', 'other')
{
	my @other = $how eq 'other' ? (KmsTest::random_master_key()) : ();
	unlink $file;
	KmsTest::write_master_key($file, @other) if @other;
	$node->restart;
	KmsTest::poll(sub { code($use) eq 'KM007' });
	is(code($use), 'KM007', "$how: nothing opens");
	is( sql("SELECT kms_disable_field_key('tax', 2), kms_disable_field_key('tax.ann'), kms_disable_field_key('iban')"),
		'disabled|disabled|disabled', "$how: a version and keys are disabled");
	is( sql("SELECT field_key, version FROM kms.field_key WHERE seal IS NULL ORDER BY 1, 2"),
		"iban|0\ntax|2\ntax.ann|0", "$how: their rows are not sealed");
	is( join(' ', map { code("SELECT kms_decrypt_field($_, 'c') FROM val") } qw(v ann iban)),
		'KM004 KM004 KM004', "$how: they are denied");
	is( join(' ', map { code("SELECT kms_enable_field_key($_)") } "'tax', 2", "'tax.ann'", "'iban'"),
		'KM007 KM007 KM007', "$how: without the master key of its secret, none can be enabled");
	sql('SELECT FROM kms_maintain()');
	is( sql("SELECT count(*) FROM kms.field_key WHERE seal IS NULL"), '3', "$how: maintenance cannot seal them");
	KmsTest::write_master_key($file, @lines, @other);
	$node->restart;
	KmsTest::poll(sub { code("SELECT kms_encrypt_field('late', 'x', '')") eq '00000' });
	is( join(' ', map { code("SELECT $_") } "kms_rotate_field_key('iban')", "kms_destroy_field_key('iban', NULL, 'iban/all')",
			"kms_destroy_field_key('tax', 2, 'tax/2')"),
		'55000 55000 55000', "$how: before they are sealed, they are neither rotated nor destroyed");
	is( join(' ', map { code("SELECT kms_decrypt_field($_, 'c') FROM val") } qw(v iban)),
		'KM004 KM004', "$how: with the master key they are denied still");
	my $before = sql('SELECT clock_timestamp()');
	is( sql("SELECT done, skipped FROM kms_maintain() WHERE task = 'rotate field keys'"),
		'3|0', "$how: maintenance seals them");
	is( sql("SELECT count(*) FILTER (WHERE seal IS NULL), count(*) FILTER (WHERE state_changed_at > '$before') FROM kms.field_key"),
		'0|3', "$how: the time until they can be destroyed begins then");
	sql("SELECT kms_enable_field_key('tax', 2), kms_enable_field_key('tax.ann'), kms_enable_field_key('iban')");
	is(sql("SELECT kms_decrypt_field(iban, 'c') FROM val"), 'iban', "$how: they are enabled");
	is(sql($use), $used, "$how: values open");
}

# ---- Rows that only look as if they were disabled without a master key ----

sql(<<'SQL');
UPDATE kms.field_key SET state = 'disabled', seal = NULL WHERE state = 'destroyed' AND version > 0;
UPDATE kms.field_key SET state = 'disabled', seal = NULL, wrapped_key = NULL WHERE field_key = 'late' AND version = 1;
SQL
is( sql("SELECT done, skipped FROM kms_maintain() WHERE task = 'rotate field keys'"), '0|2',
	'maintenance does not seal a row that has lost its secret');
is(code("SELECT kms_enable_field_key('tax', 1)"), 'XX001', 'a version that was destroyed cannot be enabled');
is(code("SELECT kms_enable_field_key('late', 1)"), 'XX001', 'nor one whose secret was removed');
sql(<<'SQL');
UPDATE kms.field_key SET state = 'disabled', seal = NULL, field_key_id = '\x0102030405060708'
WHERE field_key = 'tax.bob' AND version = 0;
SQL
is(code("SELECT kms_enable_field_key('tax.bob')"), 'XX001', 'nor a key under a field whose id was changed');

$node->stop;
done_testing();
