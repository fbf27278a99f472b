# A standby opens values of fields, and sees changes of keys and rights once it
# has replayed their commits: in sessions that have the key open, in a
# transaction with an old snapshot, and in a statement that is running.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../../perl";
use KmsClient;
use KmsTest;
use Test::More;

my $primary = KmsTest->node('primary', init => [ allows_streaming => 1 ], conf => <<'CONF');
kms.maintenance = off
kms.key_pool_size = 0
kms.field_destroy_after = 0
max_prepared_transactions = 2
CONF

sub sql
{
	return $primary->safe_psql('postgres', $_[0]);
}

sql(<<'SQL');
CREATE EXTENSION kms;
SELECT FROM kms_maintain(confirm_clock => true);
SELECT kms_create_field_key('tax');
CREATE ROLE reader;
GRANT EXECUTE ON FUNCTION kms_decrypt_field, kms_try_decrypt_field TO reader;
GRANT EXECUTE ON FUNCTION kms_field."tax/decrypt" TO reader;
SQL
my $value = sql("SELECT kms_encrypt_field('tax', 'plain', 'c')");

# Opens the value until it cannot be opened, for a minute.
sql(<<"SQL");
CREATE FUNCTION open_until_denied() RETURNS text LANGUAGE plpgsql AS \$\$
BEGIN
	FOR i IN 1..60000 LOOP
		IF kms_try_decrypt_field('$value', 'c') IS NULL THEN
			RETURN 'denied after ' || CASE WHEN i > 1 THEN 'a while' ELSE 'nothing' END;
		END IF;
		PERFORM pg_sleep(0.001);
	END LOOP;
	RETURN 'not denied';
END \$\$;
SQL
my $standby = KmsTest->standby($primary, 'standby');

sub change
{
	sql(@_);
	$primary->wait_for_catchup('standby', 'replay', $primary->lsn('insert'));
}

$primary->wait_for_catchup('standby', 'replay', $primary->lsn('insert'));
my $session = KmsClient->session($standby, 'postgres');
$session->query('SET ROLE reader; BEGIN ISOLATION LEVEL REPEATABLE READ');

sub opened
{
	$session->query('SAVEPOINT s');
	my $result = $session->query("SELECT kms_decrypt_field('$value', 'c')");
	my $state = $session->{state};
	$session->query('ROLLBACK TO s');
	return $state eq '00000' ? $result : $state;
}

is(opened(), 'plain', 'a value opens');
change("SELECT kms_disable_field_key('tax')");
is(opened(), 'KM004', 'a denial is seen, in the same transaction');
change("SELECT kms_enable_field_key('tax')");
is(opened(), 'plain', 'and its end');
change('REVOKE EXECUTE ON FUNCTION kms_field."tax/decrypt" FROM reader');
is(opened(), '42501', 'a right that is revoked is seen');
change('GRANT EXECUTE ON FUNCTION kms_field."tax/decrypt" TO reader');
is(opened(), 'plain', 'and one that is granted');
change("BEGIN; SELECT kms_disable_field_key('tax'); PREPARE TRANSACTION 'deny'");
is(opened(), 'plain', 'a denial that is prepared is not in force');
change("COMMIT PREPARED 'deny'");
is(opened(), 'KM004', 'until it is committed');
change("SELECT kms_enable_field_key('tax')");

my $runner = KmsClient->session($standby, 'postgres');
$runner->send('SELECT open_until_denied()');
KmsTest::poll(
	sub { $standby->safe_psql('postgres', "SELECT wait_event FROM pg_stat_activity WHERE pid = $runner->{pid}") eq 'PgSleep' });
change("SELECT kms_disable_field_key('tax', 1)");
is($runner->receive, 'denied after a while', 'a statement that is running sees a denial');
change("SELECT kms_enable_field_key('tax', 1), kms_rotate_field_key('tax')");
is( $standby->safe_psql('postgres', "SELECT kms_field_is_current('$value'), kms_field_version(kms_encrypt_field('tax', 'x', ''))"),
	'f|2', 'a rotation is seen');
is( join(' ', map { KmsClient::sqlstate($standby, 'postgres', "SELECT $_") } "kms_create_field_key('iban')",
		"kms_rotate_field_key('tax')", "kms_disable_field_key('tax')", "kms_enable_field_key('tax')",
		"kms_destroy_field_key('tax', NULL, 'tax/all')"),
	'25006 25006 25006 25006 25006', 'a standby changes nothing');

# ---- After a promotion ---------------------------------------------------

is(opened(), 'plain', 'the session still has the key');
$primary->stop;
$standby->promote;
is( $standby->safe_psql('postgres', "SELECT kms_disable_field_key('tax')"), 'disabled', 'after a promotion, keys are changed');
is(opened(), 'KM004', 'and the session sees it');
is( $standby->safe_psql('postgres', "SELECT kms_enable_field_key('tax'), kms_rotate_field_key('tax'), kms_create_field_key('iban')"),
	'enabled|3|1', 'and made');
is(opened(), 'plain', 'values open');
$_->quit foreach $session, $runner;

$standby->stop;
done_testing();
