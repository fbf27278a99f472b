# A key that was copied from another database under the same master key opens
# there, and rows of a dump can be restored over others: kms_check() tells.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../../perl";
use KmsClient;
use KmsTest;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = KmsTest->node('elsewhere', conf => "kms.maintenance = off\nkms.audit_checkpoint_interval = 1h");
my ($key, $secret) = map {
	join ', ', split /\s+/, $_
} 'key_id device_id app_version algorithm oaep_hash mgf1_hash origin state prior_state state_reason created_at
expires_at state_changed_at delete_at row_version seal', 'key_id public_key wrapped_key';

sub findings
{
	return KmsClient::findings($node, $_[0]);
}

# Copy a key and its secret, as nobody should.
sub copy_key
{
	my ($from, $to, $id) = @_;
	my $dir = $node->basedir;
	foreach my $table ([ key => $key ], [ key_secret => $secret ])
	{
		my ($name, $columns) = @$table;
		$node->safe_psql($from, "COPY (SELECT $columns FROM kms.$name WHERE key_id = '$id') TO '$dir/$name'");
		$node->safe_psql($to, "COPY kms.$name ($columns) FROM '$dir/$name'");
	}
}

foreach my $db (qw(here there))
{
	$node->safe_psql('postgres', "CREATE DATABASE $db");
	$node->safe_psql($db, 'CREATE EXTENSION kms');
	KmsClient::issue($node, $db, "first of $db");
}
my ($id, $pem) = KmsClient::issue($node, 'there', 'phone');
$node->safe_psql('here', "SELECT kms_rotate_key('first of here');
	SELECT kms_import_key('imported', \$\$" . private_key() . "\$\$, created_at => now() - interval '1 year')");
KmsClient::is_healthy($node, 'here', 'keys that were issued, rotated and imported are no finding');

# ---- A copied key -------------------------------------------------------------

copy_key('there', 'here', $id);
is( $node->safe_psql('here', "SELECT kms_decrypt('$id', '" . KmsTest::encrypt_with_openssl($pem, 'secret') . "')"),
	'secret', 'a copy opens what was encrypted for the key');
like(findings('here'), qr/^warning: keys that no event of this trail made: $id \(/m, 'the copy is reported');
$node->safe_psql('here', 'SELECT kms_flush_events()');
like(findings('here'), qr/^warning: keys that no event of this trail made: $id \(/m, 'the copy is reported after it was used');
unlike(findings('there'), qr/no event/, 'the original key is not reported');
$node->safe_psql('here', "SELECT kms_destroy_key('$id', '$id')");
KmsClient::is_healthy($node, 'here', 'without the copy there is no finding');

# Copy a key for a device that has a key, so that both are active.
my ($mine) = KmsClient::issue($node, 'here', 'phone');
copy_key('there', 'here', $id);
like(findings('here'), qr/^error: devices have two active keys of the same kind: (?:$mine and $id|$id and $mine) \(/m,
	'two active keys of a device are reported');
$node->safe_psql('here', "SELECT kms_disable_key('$id')");
unlike(findings('here'), qr/two active/, 'two active keys are no finding if one is denied');
$node->safe_psql('here', "SELECT kms_destroy_key('$id', '$id')");
KmsClient::is_healthy($node, 'here', 'without the copy there is no finding');

# A change that has not reached the trail yet.
my $locker = $node->background_psql('here', on_error_stop => 1);
$locker->query_safe('BEGIN; LOCK TABLE kms.event_epoch IN EXCLUSIVE MODE');
KmsClient::issue($node, 'here', 'a new phone');
unlike(findings('here'), qr/no event/, 'a key whose event is on its way is no finding');
$locker->query_safe('COMMIT');
$locker->quit;

# ---- A dump over what is there --------------------------------------------------

my $dump = $node->basedir . '/there.sql';
$node->safe_psql('there', 'SELECT kms_flush_events()');
command_ok([ 'pg_dump', '--data-only', '-f', $dump, '-d', $node->connstr('there') ], 'a dump of the rows alone');
KmsTest::events($node, 'here', 'true');
$node->command_ok([ 'psql', '-X', '-q', '-d', $node->connstr('here'), '-f', $dump ], 'the dump is restored into a database that has keys');
my $findings = findings('here');
like($findings, qr/^error: tickets of the trail that two epochs have: 1, 2/m, 'tickets of two epochs are reported');
like($findings, qr/^error: devices have two active keys of the same kind: /m, 'two active keys are reported');

# Restoring the same dump into an empty database is normal.
$node->safe_psql('postgres', 'CREATE DATABASE restored');
$node->safe_psql('restored', 'CREATE EXTENSION kms');
$node->command_ok([ 'psql', '-X', '-q', '-d', $node->connstr('restored'), '-f', $dump ], 'the dump is restored into an empty database');
KmsClient::is_healthy($node, 'restored', 'keys restored into an empty database are no finding');

# Only the end of the other trail is left, far from the beginning of this one.
$node->safe_psql('restored', "INSERT INTO kms.event_epoch SELECT epoch + 1, started_at, position, last_ticket, hash, left_out_at FROM kms.event_epoch;
	INSERT INTO kms.event SELECT epoch + 1, ticket, occurred_at, operation, status FROM kms.event ORDER BY ticket DESC LIMIT 1");
like(findings('restored'), qr/^error: tickets of the trail that two epochs have: \d+ \(/m, 'one common ticket of two epochs is found');
$node->stop;
done_testing();

sub private_key
{
	my ($out, $err);
	IPC::Run::run([qw(openssl genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:2048)], '>', \$out, '2>', \$err)
	  or die $err;
	return $out;
}
