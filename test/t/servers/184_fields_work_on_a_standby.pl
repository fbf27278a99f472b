# On a hot standby and in read-only transactions values are encrypted, decrypted
# and found, and nothing is changed.  A standby counts the calls, and a denial
# is in force there once it is replayed.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../../perl";
use KmsClient;
use KmsFields;
use KmsTest;
use PostgreSQL::Test::Utils;
use Test::More;

my $primary = KmsTest->node('primary', init => [ allows_streaming => 1 ]);
KmsFields::create($primary, 1000);
my ($key, $pem) = KmsClient::issue($primary, 'postgres', 'phone');
my $sent = KmsTest::encrypt_with_openssl($pem, 'DE7');
$primary->sql(<<"SQL");
SELECT kms_create_field_key('wage');
CREATE TABLE wage AS SELECT kms_encrypt_field('wage', '1000', '') AS wage;
CREATE TABLE search AS SELECT kms_blind_index('tax', 'DE7', 's') AS idx;
CREATE FUNCTION denied(name text) RETURNS text LANGUAGE plpgsql AS \$\$
BEGIN
	LOOP
		PERFORM FROM kms.field_keys WHERE field_key = name AND state = 'disabled';
		EXIT WHEN FOUND;
		PERFORM pg_sleep(0.05);
	END LOOP;
	RETURN '';
END \$\$;
SQL
my $standby = KmsTest->standby($primary, 'standby');

sub replay
{
	$primary->sql('SELECT kms_flush_events()');
	$primary->wait_for_catchup('standby', 'replay', $primary->lsn('insert'));
	return;
}
replay();

my $decrypt = $KmsFields::decrypt;
my %change = (
	'made' => "kms_create_field_key('new')", 'rotated' => "kms_rotate_field_key('tax')",
	'disabled' => "kms_disable_field_key('tax')", 'enabled' => "kms_enable_field_key('tax')",
	'destroyed' => "kms_destroy_field_key('tax', NULL, 'tax/all')");

# ---- Reading -------------------------------------------------------------

foreach my $case ([ 'a standby', $standby, '' ], [ 'a read-only transaction', $primary, 'BEGIN READ ONLY;' ])
{
	my ($where, $node, $begin) = @$case;
	my %before = map { $_ => $standby->status("standby $_") } 'successes', 'failures';

	is($node->sql("$begin SELECT count($decrypt) FROM person"), '1000', "$where: decrypt");
	is($node->sql("$begin SELECT kms_decrypt_field(kms_encrypt_field('tax', 'x', 'y'), 'y')"), 'x', "$where: encrypt");
	is($node->sql("$begin SELECT idx = kms_blind_index('tax', 'DE7', 's') FROM search"), 't', "$where: index");
	is( $node->sql("$begin SELECT kms_decrypt_field(kms_refresh_field(tax, 'person.tax:7', 'new'), 'new')
			FROM person WHERE id = 7"), 'DE7', "$where: refresh");
	is( $node->sql("$begin SELECT kms_decrypt_field(kms_decrypt_to_field('$key', '$sent', 'tax', 'c', 'phone'), 'c'),
			kms_decrypt_to_index('$key', '$sent', 'tax', 's', 'phone') = idx FROM search"),
		'DE7|t', "$where: from a device");
	is($node->sql("$begin SELECT count(kms_try_decrypt_field(tax, 'wrong')) FROM person"), '0', "$where: failures");
	my $calls = $node == $standby ? 1000 + 2 + 1 + 2 + 5 : 0;
	is($standby->status('standby successes') - $before{successes}, $calls, "$where: successes that the standby has counted");
	is($standby->status('standby failures') - $before{failures}, $node == $standby ? 1000 : 0,
		"$where: failures that the standby has counted");
	foreach my $name (sort keys %change)
	{
		is(KmsClient::sqlstate($node, 'postgres', "$begin SELECT $change{$name}"), '25006', "$where: no key is $name");
	}
}
my $log = slurp_file($standby->logfile);
like($log, qr/kms: decrypt_field failed on a standby: Failed to decrypt data\n.*DETAIL:  Key "tax\/1"\.$/m,
	'a standby logs the first failure');
is(eval { my $sum = 0; $sum += $1 while $log =~ /DETAIL:  Key "tax\/1"\.  Calls: (\d+)\.$/mg; $sum }, 999,
	'and the number of the further ones');

# ---- Denials -------------------------------------------------------------

sub deny
{
	my ($name) = @_;
	$primary->sql("SELECT kms_disable_field_key('$name')");
	replay();
	return;
}

sub allow
{
	my ($name) = @_;
	$primary->sql("SELECT kms_enable_field_key('$name')");
	replay();
	return;
}

my $one = "SELECT kms_decrypt_field(wage, '') FROM wage";
my $session = KmsClient->session($standby, 'postgres');
foreach my $level ('READ COMMITTED', 'REPEATABLE READ')
{
	$session->query("BEGIN ISOLATION LEVEL $level");
	is($session->query($one), '1000', "$level: a session has the key open");
	deny('wage');
	$session->query($one);
	is($session->{state}, 'KM004', "$level: a denial is in force once it is replayed");
	$session->query('ROLLBACK');
	allow('wage');
	is($session->query($one), '1000', "$level: the key is allowed again");
}
$session->send("SELECT kms_decrypt_field(wage, ''), denied('wage'), kms_decrypt_field(wage, '') FROM wage");
KmsTest::poll(sub { $standby->sql("SELECT wait_event = 'PgSleep' FROM pg_stat_activity WHERE pid = $session->{pid}") eq 't' })
  or die 'the session does not sleep';
deny('wage');
$session->receive;
is($session->{state}, 'KM004', 'a denial is in force within a statement');
$session->quit;

$standby->stop;
$primary->stop;
done_testing();
