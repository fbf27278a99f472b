# A role that has nothing to do with keys, or that may write any table, can
# neither keep events out of the trail nor add events unnoticed.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../../perl";
use KmsClient;
use KmsTest;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = KmsTest->node('astray',
	conf => "kms.audit = required\nkms.audit_checkpoint_interval = 1s\nkms.maintenance = off");
$node->safe_psql('postgres', 'CREATE EXTENSION kms; CREATE ROLE nobody LOGIN;
	CREATE ROLE writer LOGIN; GRANT pg_read_all_data, pg_write_all_data TO writer');
my ($key, $pem) = KmsClient::issue($node, 'postgres', 'phone');
my $ciphertext = KmsTest::encrypt_with_openssl($pem, 'secret');
my $decrypt = "SELECT kms_decrypt('$key', '$ciphertext')";

sub fails
{
	my ($query, $role) = @_;
	my ($rc, $stdout, $stderr) = $node->psql('postgres',
		defined $role ? "SET ROLE $role;\n$query" : $query);
	return $stderr;
}

sub recorded
{
	my ($tag, $calls) = @_;
	$node->sql("SET kms.audit_context = '$tag'; SELECT count(kms_decrypt('$key', '$ciphertext')) FROM generate_series(1, $calls)");
	return $node->sql("SELECT count(*) FROM kms.event WHERE audit_context = '$tag'");
}

# ---- Locks that anybody can take for a moment ---------------------------------

my $script = $node->basedir . '/drop.sql';
append_to_file($script, "DROP EXTENSION kms;\n" x 3000);
my @droppers;
foreach (1 .. 3)
{
	my ($in, $out, $err) = ('', '', '');
	push @droppers, IPC::Run::start(
		[ 'psql', '-XqU', 'nobody', '-d', $node->connstr('postgres'), '-v',
			'ON_ERROR_STOP=0', '-f', $script ],
		'<', \$in, '>', \$out, '2>', \$err);
}
is(recorded('refused drops', 200), 200,
	'DROP EXTENSION by one who may not keeps no call from its record');
foreach (@droppers)
{
	$_->kill_kill;
	$_->finish;
}

$node->safe_psql('postgres', 'CREATE DATABASE used');
$node->safe_psql('used', 'CREATE EXTENSION kms');
my $used = $node->background_psql('used', on_error_stop => 1);
my $used_key = $used->query_safe("SELECT key_id FROM kms_issue_key('phone')");
like(fails('DROP DATABASE used'), qr/is being accessed by other users/,
	'a database in use is not dropped');
is( $used->query_safe(
		"SELECT length(kms_encrypt('$used_key', 'x')) > 0"),
	't', 'calls in the database are recorded again at once');
$used->quit;

# ---- The state of the writer in tables ---------------------------------------

like( fails('UPDATE kms.event_epoch SET position = position + 1000000', 'writer'),
	qr/^$/, 'a role that may write any table moves the trail ahead of the ring');
is(recorded('moved far', 5), 5, 'all later calls are recorded');
is( $node->sql("SELECT count(*) FROM kms.event WHERE operation = 'gap' AND context LIKE 'kms.event_epoch was changed%'"),
	1, 'a gap says that kms.event_epoch was changed');
my $session = $node->background_psql('postgres', on_error_stop => 1);
$session->query_safe($decrypt);
fails('UPDATE kms.event_epoch SET position = position + 3', 'writer');
is(recorded('moved a little', 5), 5, 'calls are recorded if the trail is moved a little while a writer runs');
$session->quit;
is($node->sql('SELECT intact FROM kms_audit_verify()'), 't', 'the chain follows');

foreach my $operation (qw(decrypt encrypt verify recover issue gap))
{
	like(
		fails("INSERT INTO kms.event_outbox (occurred_at, operation, key_id, session_role)
			VALUES (now(), '$operation', '$key', 'somebody')", 'writer'),
		qr/violates check constraint "event_outbox_operation_check"/,
		"no $operation can be put into the outbox");
}

# ---- Checkpoints that nobody has signed ----------------------------------------

fails("INSERT INTO kms.event_checkpoint SELECT 900000000000, kind, epoch, hash, previous, signed_at + interval '1 day',
	signing_key_id, signature, able_since FROM kms.event_checkpoint ORDER BY ticket DESC LIMIT 1", 'writer');
$node->sql($decrypt);
my $ticket = $node->sql('SELECT max(ticket) FROM kms.event');
ok( KmsTest::poll(
		sub {
			$node->sql($decrypt);
			$node->sql("SELECT count(*) > 0 FROM kms.event_checkpoint WHERE ticket BETWEEN $ticket AND 800000000000")
			  eq 't';
		}),
	'a checkpoint beyond the end of the trail stops no signing');
like($node->sql('SELECT finding FROM kms_audit_verify()'),
	qr/./, 'the added row is found');
$node->sql('DELETE FROM kms.event_checkpoint WHERE ticket = 900000000000');
is($node->sql('SELECT intact FROM kms_audit_verify()'), 't', 'without the added row the trail is intact');
$node->sql('ALTER TABLE kms.event_checkpoint ALTER signing_key_id DROP NOT NULL;
	UPDATE kms.event_checkpoint SET signing_key_id = NULL');
is($node->sql('SELECT intact FROM kms_audit_verify()'), 'f',
	'a signature without a key is found');

# ---- A batch without a master key ----------------------------------------------

unlink KmsTest::master_key_path($node);
$node->append_conf('postgresql.conf', 'kms.audit_timeout = 500ms');
$node->restart;
my $locker = $node->background_psql('postgres', on_error_stop => 1);
$locker->query_safe('BEGIN; LOCK TABLE kms.event IN EXCLUSIVE MODE');
like(fails("SELECT * FROM kms_decrypt_batch(ARRAY['$key'], ARRAY['$ciphertext'])"),
	qr/operation could not be audited/, 'a batch that fails as a whole has to be recorded, too');
$locker->query_safe('COMMIT');
$locker->quit;
like(fails("SELECT * FROM kms_decrypt_batch(ARRAY['$key'], ARRAY['$ciphertext'])"),
	qr/master key is not available/, 'a call that cannot be recorded says why');
$node->stop;
done_testing();
