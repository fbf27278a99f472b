# kms.audit = required: the first value of a kind leaves only when its event is
# durable, and if that fails, so does the next value.  Further values do not
# wait.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../../perl";
use KmsAudit;
use KmsClient;
use KmsTest;
use PostgreSQL::Test::Utils;
use Test::More;

# a long interval: nothing is written by chance
my $audit = KmsAudit->new('waiting', conf => 'kms.event_flush_interval = 1min');
my $node = $audit->{node};
$audit->sql("SELECT kms_create_field_key('tax');
	CREATE TABLE person AS SELECT id, kms_encrypt_field('tax', 'DE' || id, '') AS tax
	FROM generate_series(1, 1000) AS id");
my $one = "SELECT kms_decrypt_field(tax, '') FROM person WHERE id = 1";
my $many = "SELECT count(kms_decrypt_field(tax, '')) FROM person";
my %call = (
	'decrypt' => $one,
	'try to decrypt' => $one =~ s/decrypt/try_decrypt/r,
	'fail' => "SELECT coalesce(kms_try_decrypt_field(tax, 'wrong'), 'nothing') FROM person WHERE id = 1",
	'encrypt' => "SELECT kms_encrypt_field('tax', 'x', '') IS NULL",
	'refresh' => "SELECT kms_refresh_field(tax, '', 'new') IS NULL FROM person WHERE id = 1",
	'index' => "SELECT kms_blind_index('tax', 'x', 's') IS NULL",
	'from a device' => "SELECT kms_decrypt_to_field('$audit->{key}', ciphertext, 'tax', '', NULL) IS NULL FROM sent",
	'index from a device' => "SELECT kms_decrypt_to_index('$audit->{key}', ciphertext, 'tax', 's', NULL) IS NULL FROM sent");
$audit->sql("CREATE TABLE sent AS SELECT kms_encrypt('$audit->{key}', 'x') AS ciphertext");

# The events of an audit context that are in the trail now, and their calls.
sub recorded
{
	my ($name) = @_;
	return $audit->sql("SELECT string_agg(operation || ' ' || calls, ', ' ORDER BY ticket)
		FROM kms.event WHERE audit_context = '$name'");
}

sub begin
{
	my ($name) = @_;
	$audit->call("SET kms.audit_context = '$name'");
	$audit->call('BEGIN');
	return;
}

# ---- The event is there when the value is --------------------------------

$audit->mode('required', KmsAudit::LONG_TIMEOUT);
my %operation = (encrypt => 'encrypt_field 1', refresh => 'refresh_field 1', index => 'blind_index 1',
	'from a device' => 'encrypt_field 1, decrypt 1', 'index from a device' => 'blind_index 1, decrypt 1');
foreach my $name (sort keys %call)
{
	begin($name);
	is($audit->call($call{$name})->{state}, '00000', "$name: done");
	is(recorded($name), $operation{$name} || 'decrypt_field 1', "$name: recorded when it returns");
	$audit->call('ROLLBACK');
}

# ---- Without a writer no value leaves ------------------------------------

$audit->mode('required', 300);
$audit->call($one);
my $writer = $audit->writer;
KmsTest::freeze($writer);
foreach my $name (sort keys %call)
{
	begin("no $name");
	$audit->call('SAVEPOINT s');
	foreach my $time ('first', 'second')
	{
		my $outcome = $audit->call($call{$name});
		is("$outcome->{state} $outcome->{rows}", 'KM008 ', "$name: the $time value does not leave");
		cmp_ok($outcome->{seconds}, '<', 0.3 + KmsTest::AT_ONCE, "$name: the call fails in time");
		$audit->call('ROLLBACK TO s');
	}
	$audit->call('ROLLBACK');
}
begin('loop');
is( $audit->call("DO \$\$ BEGIN
		FOR i IN 1 .. 3 LOOP
			BEGIN
				PERFORM kms_decrypt_field(tax, '') FROM person WHERE id = 1;
				RAISE 'a value';
			EXCEPTION WHEN SQLSTATE 'KM008' THEN
				NULL;
			END;
		END LOOP;
	END \$\$")->{state},
	'00000', 'errors that are caught give no value');
$audit->call('ROLLBACK');
kill 'CONT', $writer;

# ---- Further values do not wait ------------------------------------------

$audit->mode('required', KmsAudit::LONG_TIMEOUT);
begin('further');
is($audit->call($one)->{rows}, 'DE1', 'the first value');
$writer = $audit->writer;
KmsTest::freeze($writer);
my $outcome = $audit->call($many);
is($outcome->{rows}, '1000', 'further values leave');
cmp_ok($outcome->{seconds}, '<', KmsTest::AT_ONCE, 'they do not wait');
$audit->call('COMMIT');
kill 'CONT', $writer;
$audit->sql('SELECT kms_flush_events()');
like(recorded('further'), qr/^decrypt_field 1(?:, decrypt_field \d+)+$/, 'they are in the trail');
is($audit->sql("SELECT sum(calls) FROM kms.event WHERE audit_context = 'further'"), '1001', 'all of them');

# ---- A setting that comes in a transaction -------------------------------

$audit->mode('best_effort');
begin('later');
is($audit->call($one)->{rows}, 'DE1', 'a value that waits for nothing');
$audit->mode('required', 300);
$writer = $audit->writer;
KmsTest::freeze($writer);
is($audit->call($one)->{state}, 'KM008', 'after a reload, the first event must be durable');
$audit->call('ROLLBACK');
kill 'CONT', $writer;

is($audit->intact, 'intact', 'the trail is intact');
$audit->{session}->quit;
$node->stop;
done_testing();
