# Keys, secrets, denials and peppers that are replicated logically open on the
# second server if it has the master key; changes count there, also in sessions
# that have the key open; maintenance of both ends in the same rows; the trail
# can be replicated to a database that is only an archive; and the second
# server can take over.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../../perl";
use KmsClient;
use KmsRotation;
use KmsTest;
use PostgreSQL::Test::Utils;
use Test::More;

my $conf = <<'CONF';
max_worker_processes = 20
kms.maintenance = off
kms.keygen_limit = 3
CONF
my $publisher = KmsTest->node('publisher', init => [ allows_streaming => 'logical' ],
	conf => $conf);
my $subscriber = KmsTest->node('subscriber', conf => $conf, start => 0);
my $file = KmsTest::master_key_path($subscriber);
my @master_key = split /\n/, slurp_file(KmsTest::master_key_path($publisher));
unlink $file;
$subscriber->start;

sub on_both
{
	my ($sql) = @_;
	$_->safe_psql('postgres', $sql) foreach $publisher, $subscriber;
}

sub catch_up
{
	$publisher->wait_for_catchup('kms');
}

sub maintain
{
	my ($node) = @_;
	$node->safe_psql('postgres', 'SELECT * FROM kms_maintain()');
}

# Return the content of the tables that are replicated, except the times of failed
# attempts, which each server has of its own.
sub content
{
	my ($node) = @_;
	return join ' ', map {
		$node->safe_psql('postgres',
			"SELECT md5(string_agg((to_jsonb(t) - 'tried_at')::text, ',' ORDER BY to_jsonb(t)::text)) FROM kms.$_ AS t")
	} qw(key key_secret denial pepper);
}

# A denial that waits for maintenance: the transaction has an old snapshot.
sub deny
{
	my ($call) = @_;
	$publisher->safe_psql('postgres',
		"BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT $call; COMMIT");
}

# ---- The first copy, and the master key ----------------------------------

on_both('CREATE EXTENSION kms');
maintain($publisher);
my ($key, $pem) = KmsClient::issue($publisher, 'postgres', 'phone');
my ($stolen, $stolen_pem) = KmsClient::issue($publisher, 'postgres', 'stolen phone');
my $ciphertext = KmsTest::encrypt_with_openssl($pem, 'secret');
my $stolen_ciphertext = KmsTest::encrypt_with_openssl($stolen_pem, 'secret');
my $hash = $publisher->safe_psql('postgres',
	"SELECT kms_hash_secret('$key', '$ciphertext')");
$publisher->safe_psql('postgres',
	'CREATE PUBLICATION kms FOR TABLE kms.key, kms.key_secret, kms.denial, kms.pepper,
	kms.field_key');
my $connstr = $publisher->connstr . ' dbname=postgres';
$subscriber->safe_psql('postgres',
	"CREATE SUBSCRIPTION kms CONNECTION '$connstr' PUBLICATION kms");
$subscriber->wait_for_subscription_sync($publisher, 'kms');
is(content($subscriber), content($publisher), 'the rows are copied');

my $decrypt = "SELECT kms_decrypt('$key', '$ciphertext')";
like(KmsClient::error($subscriber, 'postgres', $decrypt),
	qr/KM007: master key is not available/, 'without a master key nothing opens');
my ($own) = KmsTest::write_master_key($file);
$subscriber->reload;
ok( KmsTest::poll(
		sub {
			KmsClient::error($subscriber, 'postgres', $decrypt) =~
			  /KM007: key "\Q$key\E" was wrapped under master key "[0-9a-f]{16}", which this server does not have/;
		}),
	'with another master key nothing opens, and the error says so');
KmsTest::write_master_key($file, $own, @master_key);
$subscriber->reload;
my $session = KmsClient->session($subscriber, 'postgres');
ok( KmsTest::poll(sub { $session->query($decrypt) eq 'secret' }),
	'with the master key of the publisher below its own, the key opens');
is( $subscriber->safe_psql('postgres',
		"SELECT kms_verify_secret('$key', '$ciphertext', '$hash')"),
	't', 'hashes verify');
is( $subscriber->safe_psql('postgres', "SELECT key_id, reused FROM kms_issue_key('phone')"),
	"$key|t", 'the device has its key');

# ---- Changes -------------------------------------------------------------

my ($new_key) = split /\|/,
  $publisher->safe_psql('postgres', "SELECT * FROM kms_rotate_key('phone')");
catch_up();
is($session->query("SELECT kms_key_state('$key'), kms_key_state('$new_key')"),
	'deprecated|active', 'a rotation arrives');
is($session->query($decrypt), 'secret', 'the old key still opens');
is( $session->query("SELECT kms_decrypt('$new_key', kms_encrypt('$new_key', 'x'))"),
	'x', 'the new key opens');
is( $session->query("SELECT key_id, reused FROM kms_issue_key('phone')"),
	"$new_key|t", 'the new key is issued again');
is($session->query("SELECT used, allowed FROM kms_rate_limit_status('phone')"),
	'2|3', 'keys that were made on the first server count');

$publisher->safe_psql('postgres', "SELECT kms_disable_key('$key')");
catch_up();
$session->query($decrypt);
is($session->{state}, 'KM004', 'disabled: refused in a session that has the key open');
$publisher->safe_psql('postgres', "SELECT kms_enable_key('$key')");
catch_up();
is($session->query($decrypt), 'secret', 'enabled: opens again');

is($session->query("SELECT kms_decrypt('$stolen', '$stolen_ciphertext')"),
	'secret', 'another key is open');
deny("kms_revoke_key('$stolen', 'stolen')");
catch_up();
is($subscriber->safe_psql('postgres', 'SELECT count(*) FROM kms.denial'),
	'1', 'a denial arrives');
$session->query("SELECT kms_decrypt('$stolen', '$stolen_ciphertext')");
is($session->{state}, 'KM004', 'a denial that arrives takes effect at once');

# ---- A new master key ----------------------------------------------------

is(KmsClient::sqlstate($subscriber, 'postgres', 'SELECT kms_rewrap_keys()'), '55000',
	'the second server, whose current master key is another, does not rewrap keys');
my $new = 'new: ' . KmsTest::random_master_key();
KmsRotation::put($subscriber, KmsRotation::lines($subscriber), $new);
KmsRotation::put($publisher, $new, KmsRotation::lines($publisher));
is($publisher->safe_psql('postgres', 'SELECT kms_rewrap_keys()'), '5', 'the first server rewraps keys');
catch_up();
is($subscriber->safe_psql('postgres',
		"SELECT keys, peppers FROM kms_master_key_status() WHERE label = 'new'"),
	'3|1', 'the rewrapped keys arrive');
is($session->query($decrypt), 'secret', 'a session that had the key open decrypts with it');
$publisher->safe_psql('postgres', "SELECT kms_disable_key('$key'); SELECT kms_enable_key('$key')");
catch_up();
is($session->query($decrypt), 'secret', 'the key opens after changes of its state, too');
KmsRotation::put_first($subscriber, 'own');
$subscriber->safe_psql('postgres', 'SELECT FROM kms_maintain()');
is($subscriber->safe_psql('postgres', <<'SQL'), '1', 'the audit key of the second server is under its own current master key');
SELECT count(*) FROM kms.audit_key, kms_master_key_status()
WHERE status = 'current' AND master_key_id = encode(substr(wrapped_key, 2, 8), 'hex')
SQL

# ---- Maintenance on both sides -------------------------------------------

# Run maintenance in either order: the publisher repeats what the subscriber has
# done.
my @denied = ($stolen);
foreach my $first ($subscriber, $publisher)
{
	my $name = $first->name . ' first';
	my ($denied) = KmsClient::issue($publisher, 'postgres', "lost phone, $name");
	deny("kms_revoke_key('$denied', 'lost')");
	push @denied, $denied;
	$publisher->safe_psql('postgres', <<"SQL");
SET kms.key_lifetime = '1s';
SELECT FROM kms_issue_key('short life, $name');
SELECT pg_sleep(1.1);
SQL
	catch_up();
	maintain($first);
	catch_up();
	maintain($first == $publisher ? $subscriber : $publisher);
	catch_up();
	is(content($subscriber), content($publisher), "$name: the rows are the same");
	is( $subscriber->safe_psql('postgres',
			"SELECT count(*) FILTER (WHERE state = 'revoked' AND state_reason = 'lost' AND device_id ~ '$name'),
			count(*) FILTER (WHERE state = 'deprecated' AND state_reason = 'Expired' AND device_id ~ '$name')
			FROM kms.key"),
		'1|1', "$name: denials are in their rows, expired keys are deprecated");
	is($subscriber->safe_psql('postgres', 'SELECT count(*) FROM kms.denial'),
		'0', "$name: no denial is left");

	on_both("ALTER DATABASE postgres SET kms.key_retention = '0s'");
	maintain($first);
	catch_up();
	maintain($first == $publisher ? $subscriber : $publisher);
	catch_up();
	is(content($subscriber), content($publisher), "$name: purged, they are");
	is( $subscriber->safe_psql('postgres',
			"SELECT count(*) FROM kms.key WHERE device_id ~ '^short life'"),
		'0', "$name: expired keys are gone");
	on_both('ALTER DATABASE postgres RESET kms.key_retention');
}
is( $subscriber->safe_psql('postgres',
		'SELECT apply_error_count, sync_error_count FROM pg_stat_subscription_stats'),
	'0|0', 'replication has met no error');
$session->query("SELECT kms_decrypt('$stolen', '$stolen_ciphertext')");
is($session->{state}, 'KM004', 'the revoked key is refused');
unlike(KmsClient::findings($subscriber, 'postgres'),
	qr/^(?:error|warning): (?!fsync)/m, 'kms_check() of the subscriber has no complaint');

# ---- Fields --------------------------------------------------------------

$publisher->safe_psql('postgres', "SELECT kms_create_field_key('tax')");
my $value = $publisher->safe_psql('postgres',
	"SELECT kms_encrypt_field('tax', 'DE 4711', 'c')");
my $show = "SELECT kms_decrypt_field('$value', 'c')";
catch_up();
is($session->query($show), 'DE 4711', 'a value of a field opens');
is(KmsClient::sqlstate($subscriber, 'postgres', "SELECT kms_rotate_field_key('tax')"),
	'55000', 'the second server does not change field keys');
maintain($subscriber);
$subscriber->safe_psql('postgres', 'CREATE ROLE support;
	GRANT EXECUTE ON FUNCTION kms_decrypt_field TO support;
	GRANT EXECUTE ON FUNCTION kms_field."tax/decrypt" TO support');
is($subscriber->safe_psql('postgres', "SET ROLE support; $show"),
	'DE 4711', 'a right that is granted on the second server counts there');
$publisher->safe_psql('postgres', "SELECT kms_disable_field_key('tax')");
catch_up();
$session->query($show);
is($session->{state}, 'KM004', 'disabled: refused in a session that has the field key open');

# ---- The trail -----------------------------------------------------------

$publisher->safe_psql('postgres', 'SELECT kms_flush_events()');
is( KmsTest::events($subscriber, 'postgres',
		"operation IN ('generate', 'rotate', 'disable')"),
	'0', 'the trail of the subscriber has only what was called there');
is(KmsTest::events($subscriber, 'postgres',
		"operation = 'decrypt' AND status = 'success' AND key_id = '$new_key'"),
	'1', 'calls on the subscriber are in its trail');

$subscriber->safe_psql('postgres', 'CREATE DATABASE archive');
my $columns = $publisher->safe_psql('postgres',
	q{SELECT string_agg(quote_ident(attname) || ' ' || format_type(atttypid, atttypmod), ', ' ORDER BY attnum)
	FROM pg_attribute WHERE attrelid = 'kms.event'::regclass AND attnum > 0 AND NOT attisdropped});
$publisher->safe_psql('postgres',
	"CREATE PUBLICATION kms_trail FOR TABLE kms.event WITH (publish = 'insert')");
$subscriber->safe_psql('archive', <<"SQL");
CREATE SCHEMA kms;
CREATE TABLE kms.event ($columns, PRIMARY KEY (ticket, epoch));
CREATE SUBSCRIPTION kms_trail CONNECTION '$connstr' PUBLICATION kms_trail;
SQL
$subscriber->wait_for_subscription_sync($publisher, 'kms_trail', 'archive');
$publisher->safe_psql('postgres',
	"SELECT kms_try_decrypt('$key', '$ciphertext'), kms_flush_events()");
my $trail = q{SELECT md5(string_agg(e::text, ',' ORDER BY epoch, ticket)) FROM kms.event AS e};
my $whole = $publisher->safe_psql('postgres', $trail);
$publisher->append_conf('postgresql.conf', "kms.event_retention = '1s'\nkms.audit_checkpoint_interval = '1s'");
$publisher->reload;
ok( KmsTest::poll(
		sub {
			$publisher->safe_psql('postgres',
				"SELECT kms_try_decrypt('$key', '$ciphertext'), kms_flush_events(); SELECT FROM kms_maintain()");
			$publisher->safe_psql('postgres', 'SELECT min(ticket) > 4 FROM kms.event') eq 't';
		}),
	'the publisher trims its trail');
$publisher->append_conf('postgresql.conf', "kms.event_retention = '90d'");
$publisher->reload;
$publisher->wait_for_catchup('kms_trail');
is($subscriber->safe_psql('archive',
		'SELECT count(*), min(ticket) FROM kms.event WHERE ticket < 5'),
	'4|1', 'an archive keeps the events that the publisher deleted');

# ---- Taking over ---------------------------------------------------------

# No sequence is replicated: its last denial has the number of the first here.
my ($last) = KmsClient::issue($publisher, 'postgres', 'last phone');
$publisher->safe_psql('postgres', 'ALTER TABLE kms.denial ALTER COLUMN denial_id RESTART');
deny("kms_disable_key('$last')");
catch_up();
$publisher->stop;
$subscriber->safe_psql('postgres', <<'SQL');
ALTER SUBSCRIPTION kms DISABLE;
ALTER SUBSCRIPTION kms SET (slot_name = NONE);
DROP SUBSCRIPTION kms;
SQL
$publisher = $subscriber;
deny("kms_revoke_key('$new_key', 'moved')");
is( $session->query("SELECT kms_key_state('$last'), kms_key_state('$new_key')"),
	'disabled|revoked', 'after it has taken over, denials go on');
is($session->query("SELECT reused FROM kms_issue_key('phone')"),
	'f', 'keys are made');
$session->query("SELECT kms_rotate_key('phone')");
is($session->{state}, 'KM005', 'the limit counts those of before');
maintain($subscriber);
is( $session->query("SELECT state, stored_state FROM kms.keys WHERE key_id IN ('$last', '$new_key') ORDER BY 1"),
	"disabled|disabled\nrevoked|revoked", 'maintenance seals the denials');
$session->quit;
my $findings = KmsClient::findings($subscriber, 'postgres');
unlike($findings, qr/^(?:error|warning): (?!fsync|keys that no event)/m, 'kms_check() has no complaint');
like($findings, qr/^warning: keys that no event of this trail made: .*a subscription that is gone/m,
	'kms_check() only says that keys came from elsewhere');

$subscriber->stop;
done_testing();
