# Changes that a role with pg_write_all_data can make to the tables of the
# extension besides the trail, as listed in SECURITY.md: a denial that is removed
# is found, an invented denial deletes no key at once, and the state of the purge
# is not believed.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../../perl";
use KmsAnchor;
use KmsClient;
use KmsTest;
use PostgreSQL::Test::Utils;
use Test::More;

my $trail = KmsAnchor->new('written');
my $node = $trail->{node};
my $file = KmsTest::master_key_path($node);

# Start the server with the master key in this file or, without, with none.
sub restart_with
{
	my ($path) = @_;
	$path = "$file.away" unless defined $path;
	$node->append_conf('postgresql.conf', "kms.master_key_file = '$path'");
	$node->restart;
}

sub flushed
{
	$trail->sql('SELECT kms_flush_events()');
	return $trail->findings;
}

# ---- kms.denial ------------------------------------------------------------

my ($key, $pem) = KmsClient::issue($node, 'postgres', 'phone');
my $decrypt = "SELECT kms_decrypt('$key', '" . KmsTest::encrypt_with_openssl($pem, 'secret') . "')";
unlike(flushed(), qr/\Q$key\E/, 'at first kms_check() says nothing of the key');
restart_with();
is($trail->sql("SELECT kms_revoke_key('$key', 'stolen')"), 'revoked', 'revoked without a master key');
restart_with($file);
is(KmsClient::sqlstate($node, 'postgres', $decrypt), 'KM004', 'the revocation is in force');
$trail->attack('CREATE TABLE saved AS SELECT * FROM kms.denial; DELETE FROM kms.denial');
like(flushed(), qr/^error: keys are older than the trail says they should be: \Q$key\E/m,
	'a denial that was taken away is found');
like($trail->sql("BEGIN; DELETE FROM kms.event WHERE operation = 'revoke';
		SELECT intact, finding FROM kms_audit_verify(); ROLLBACK"),
	qr/^f\|the row is missing/, 'a removed denial is found even if its event is deleted, too');
$trail->sql('TRUNCATE kms.denial; INSERT INTO kms.denial OVERRIDING SYSTEM VALUE SELECT * FROM tools.saved');
is($trail->sql("SELECT FROM kms_maintain(); SELECT state FROM kms.key WHERE key_id = '$key'"),
	"\nrevoked" =~ s/^\n//r, 'a denial that is restored is sealed');

my ($other) = KmsClient::issue($node, 'postgres', 'other phone');
$trail->attack("INSERT INTO kms.denial (key_id, state, denied_at, delete_at)
	VALUES ('$other', 'pending_deletion', now() - interval '30 days', now() - interval '1 day')");
$trail->sql('SELECT FROM kms_maintain()') foreach 1 .. 2;
is( $trail->sql("SELECT state, delete_at > now() + interval '5 days' FROM kms.key WHERE key_id = '$other'"),
	'pending_deletion|t', 'a denial that was made up deletes no key at once');
like(flushed(), qr/^error: keys have changed more often than the trail says: \Q$other\E/m,
	'an invented denial is found');
is($trail->sql("SELECT kms_cancel_key_deletion('$other'); SELECT kms_enable_key('$other')"),
	"disabled\nactive", 'an invented denial can be undone');

# ---- kms.maintenance ---------------------------------------------------------

# Rows that the purge cannot judge, as their master key is gone.
KmsTest::write_master_key("$file.other");
restart_with("$file.other");
$trail->sql('SELECT FROM kms_maintain(confirm_clock => true)');
$trail->sql(<<"SQL");
INSERT INTO kms.key SELECT (jsonb_populate_record(k, jsonb_build_object('key_id', 'old' || n,
	'device_id', 'old' || n, 'state', 'deprecated', 'expires_at', now() - interval '91 days'))).*
FROM kms.key AS k, generate_series(1, 1101) AS n WHERE k.key_id = '$other';
INSERT INTO kms.key_secret SELECT 'old' || n, public_key, wrapped_key
FROM kms.key_secret, generate_series(1, 1101) AS n WHERE key_id = '$other';
SQL
my $purge = "SELECT done, skipped FROM kms_maintain() WHERE task = 'purge keys'";
is($trail->sql($purge), '0|1101', 'a large purge waits');
foreach my $attack (
	"UPDATE kms.maintenance SET purge_confirmed_until = now() + interval '12 hours'",
	'UPDATE kms.maintenance SET purged = -1000000',
	'UPDATE kms.maintenance SET purge_window_keys = 1000000',
	'UPDATE kms.maintenance SET purge_cleared = 1000',
	'UPDATE kms.maintenance SET purge_blocked_at = NULL, purge_waiting = 0, purge_seal = NULL')
{
	$trail->attack($attack);
	is($trail->sql($purge), '0|1101', $attack);
}
$trail->attack("DELETE FROM kms.key WHERE key_id IN (SELECT 'old' || n FROM generate_series(1, 200) AS n)");
is($trail->sql($purge), '901|0', 'a small purge is done');
$trail->sql("INSERT INTO kms.key SELECT (jsonb_populate_record(k, jsonb_build_object('key_id', 'older' || n,
		'device_id', 'older' || n, 'state', 'deprecated', 'expires_at', now() - interval '91 days'))).*
	FROM kms.key AS k, generate_series(1, 200) AS n WHERE k.key_id = '$other';
	INSERT INTO kms.key_secret SELECT 'older' || n, public_key, wrapped_key
	FROM kms.key_secret, generate_series(1, 200) AS n WHERE key_id = '$other'");
$trail->attack($_), is($trail->sql($purge), '0|200', "a new day by force: $_")
  foreach 'UPDATE kms.maintenance SET purged = 0', 'DELETE FROM kms.maintenance';

# ---- Pool, peppers and keys --------------------------------------------------

restart_with($file);
my ($third, $third_pem) = KmsClient::issue($node, 'postgres', 'third phone');
my $good = "'$third', '" . KmsTest::encrypt_with_openssl($third_pem, '1234') . "'";
my $hash = $trail->sql("SELECT kms_hash_secret($good)");
my $false = "SELECT kms_verify_secret($good, '$hash')";
is($trail->sql($false), 't', 'a hash verifies');
$trail->attack("UPDATE kms.pepper SET wrapped = set_byte(wrapped, 60, get_byte(wrapped, 60) # 1)");
is(KmsClient::sqlstate($node, 'postgres', $false), 'XX001', 'a changed pepper is an error, and not a wrong secret');
$trail->attack("UPDATE kms.pepper SET wrapped = set_byte(wrapped, 60, get_byte(wrapped, 60) # 1)");
$trail->attack("INSERT INTO kms.pepper SELECT 'pep_later', now() + interval '1 day', set_byte(wrapped, 60, get_byte(wrapped, 60) # 1) FROM kms.pepper");
is(KmsClient::sqlstate($node, 'postgres', "SELECT kms_hash_secret($good)"), 'XX001',
	'a pepper that was made up hashes nothing');
is($trail->sql($false), 't', 'hashes of the other still verify');
$trail->attack("DELETE FROM kms.pepper WHERE pepper_id = 'pep_later'");
is(KmsClient::sqlstate($node, 'postgres', "SELECT kms_hash_secret($good)"), '00000', 'without the inserted pepper secrets can be hashed');
$trail->attack("INSERT INTO kms.audit_key SELECT 'aud_000000000000000000000000', now(), wrapped_key, public_key FROM kms.audit_key LIMIT 1");
like(flushed(), qr/^error: audit keys that do not authenticate: aud_000000000000000000000000/m,
	'an audit key that was made up is found');

# The writer cannot move a change out of the outbox while its table is locked.
unlike(flushed(), qr/\Q$third\E/, 'at first kms_check() says nothing of a key');
my $lock = KmsClient->session($node, 'postgres');
$lock->query('BEGIN; LOCK TABLE kms.event IN SHARE MODE');
$trail->sql("SELECT kms_disable_key('$third')");
$trail->attack('DELETE FROM kms.event_outbox');
$lock->query('COMMIT');
like(flushed(), qr/^error: keys have changed more often than the trail says: .*\Q$third\E/m,
	'a change whose event was deleted on its way is found');

$trail->signed_events(2);
is($trail->sql("SELECT count(*) FROM kms.event_checkpoint WHERE signing_key_id = 'aud_000000000000000000000000'"),
	0, 'the server signs nothing after that');
$trail->attack('DELETE FROM kms.event WHERE ticket = (SELECT max(ticket) FROM kms.event)');
restart_with();
is($trail->accept, 'KM007', 'without a master key nothing is accepted');
restart_with($file);
is($trail->accept, '00000', 'with the master key the trail is accepted');
is(KmsClient::sqlstate($node, 'postgres', "SET SESSION AUTHORIZATION writer; SELECT kms_audit_accept('me')"),
	'42501', 'a role that can write all tables cannot accept the trail');
$node->stop;
done_testing();
