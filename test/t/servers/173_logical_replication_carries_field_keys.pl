# Field keys that are replicated logically open on the subscriber if it has the
# master key.  Rights are granted there; changes are made by the publisher only,
# and count on the subscriber, also in sessions that have the key open.  The
# subscriber can take over.
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
kms.key_pool_size = 0
kms.field_destroy_after = 0
CONF
my $publisher = KmsTest->node('publisher', init => [ allows_streaming => 'logical' ], conf => $conf);
my @master_key = KmsRotation::lines($publisher);
my $own = 'own: ' . KmsTest::random_master_key();
my $subscriber = KmsTest->node('subscriber', conf => $conf, master_key => [ $own, @master_key ]);

sub pub
{
	return $publisher->safe_psql('postgres', $_[0]);
}

sub sub_
{
	return $subscriber->safe_psql('postgres', $_[0]);
}

sub code
{
	return KmsClient::sqlstate($subscriber, 'postgres', $_[0]);
}

sub change
{
	pub(@_);
	$publisher->wait_for_catchup('kms');
}

sub content
{
	return $_[0]->safe_psql('postgres', 'SELECT * FROM kms.field_key ORDER BY field_key, version');
}

# ---- The first copy ------------------------------------------------------

$_->safe_psql('postgres', 'CREATE EXTENSION kms; CREATE ROLE reader') foreach $publisher, $subscriber;
pub(<<'SQL');
SELECT FROM kms_maintain(confirm_clock => true);
SELECT kms_create_field_key('tax', '1 year'), kms_create_field_key('tax.ann');
CREATE PUBLICATION kms FOR TABLE kms.field_key;
SQL
my $value = pub("SELECT kms_encrypt_field('tax', 'plain', 'c')");
my $ann = pub("SELECT kms_encrypt_field('tax.ann', 'ann', 'c')");
my $index = pub("SELECT kms_blind_index('tax', 'x', 's')");
my $connstr = $publisher->connstr . ' dbname=postgres';
sub_("CREATE SUBSCRIPTION kms CONNECTION '$connstr' PUBLICATION kms");
$subscriber->wait_for_subscription_sync($publisher, 'kms');
is(content($subscriber), content($publisher), 'the rows are copied');
my $open = "SELECT kms_decrypt_field('$value', 'c')";
my $open_ann = "SELECT kms_decrypt_field('$ann', 'c')";
is(sub_($open), 'plain', 'values open');
is(sub_("SELECT kms_blind_index('tax', 'x', 's') = '$index'"), 't', 'indexes are the same');
my $new_value = sub_("SELECT kms_encrypt_field('tax', 'from here', 'c')");
is(pub("SELECT kms_decrypt_field('$new_value', 'c')"), 'from here', 'a value that is encrypted there opens here');

# ---- Rights are the subscriber's own -------------------------------------

sub_('GRANT EXECUTE ON FUNCTION kms_decrypt_field TO reader');
is(code("SET ROLE reader; $open"), '42501', 'no role has a right there');
is(sub_("SELECT done, skipped FROM kms_maintain() WHERE task = 'rotate field keys'"), '4|0',
	'maintenance makes the functions there');
sub_('GRANT EXECUTE ON FUNCTION kms_field."tax/decrypt" TO reader');
is(sub_("SET ROLE reader; $open"), 'plain', 'they can be granted');
is(pub(q{SELECT has_function_privilege('reader', 'kms_field."tax/decrypt"()', 'EXECUTE')}), 'f',
	'and are not on the publisher');

# ---- Changes -------------------------------------------------------------

is( join(' ', map { code("SELECT $_") } "kms_create_field_key('iban')", "kms_rotate_field_key('tax')",
		"kms_disable_field_key('tax')", "kms_enable_field_key('tax')", "kms_destroy_field_key('tax', NULL, 'tax/all')"),
	'55000 55000 55000 55000 55000', 'the subscriber changes nothing');
like(KmsClient::error($subscriber, 'postgres', "SELECT kms_disable_field_key('tax')"),
	qr/changed by their publisher.*Make the change there/s, 'and says where to do it');

my $session = KmsClient->session($subscriber, 'postgres');
$session->query('SET ROLE reader; BEGIN ISOLATION LEVEL REPEATABLE READ');
is($session->query($open), 'plain', 'a session has the key open, under a snapshot');
is($session->query($open_ann), 'ann', 'and one under it');

# After an error, the transaction goes on from a savepoint.
sub opened
{
	$session->query('SAVEPOINT s');
	my $result = $session->query($_[0]);
	my $state = $session->{state};
	$session->query('ROLLBACK TO s');
	return $state eq '00000' ? $result : $state;
}
foreach my $what ([ "'tax'", 'KM004 KM004' ], [ "'tax', 1", 'KM004 ann' ], [ "'tax.ann'", 'plain KM004' ])
{
	my ($args, $expected) = @$what;
	change("SELECT kms_disable_field_key($args)");
	is(join(' ', opened($open), opened($open_ann)), $expected, "disabled there ($args): refused here, in the same transaction");
	change("SELECT kms_enable_field_key($args)");
	is(join(' ', opened($open), opened($open_ann)), 'plain ann', 'and enabled again');
}
change("SELECT kms_rotate_field_key('tax')");
is( sub_("SELECT kms_field_version(kms_encrypt_field('tax', 'x', ''))"), '2', 'a rotation arrives');
is(opened($open), 'plain', 'the old version opens');

# A statement that is running sees a denial within a second.
my $looper = KmsClient->session($subscriber, 'postgres');
$looper->query(<<"SQL");
CREATE FUNCTION loop() RETURNS text LANGUAGE plpgsql AS \$\$
BEGIN
	FOR i IN 1..60000 LOOP
		IF kms_try_decrypt_field('$value', 'c') IS NULL THEN
			RETURN 'denied';
		END IF;
		IF i = 1 THEN
			PERFORM pg_advisory_unlock(1);
		END IF;
		PERFORM pg_sleep(0.001);
	END LOOP;
	RETURN 'not denied';
END \$\$;
SELECT pg_advisory_lock(1);
SQL
$looper->send('SELECT loop()');
sub_('SELECT pg_advisory_lock(1)');
change("SELECT kms_disable_field_key('tax')");
is($looper->receive, 'denied', 'a statement that is running sees it');
change("SELECT kms_enable_field_key('tax')");
$looper->quit;

# A denial without a master key, and destroying.
change("UPDATE kms.field_key SET state = 'disabled', seal = NULL WHERE field_key = 'tax.ann' AND version = 0");
is(opened($open_ann), 'KM004', 'a denial that is not sealed is in force');
sub_('SELECT FROM kms_maintain()');
is(content($subscriber), content($publisher), 'maintenance there leaves it to the publisher');
change('SELECT FROM kms_maintain()');
is(sub_("SELECT count(*) FROM kms.field_key WHERE seal IS NULL"), '0', 'the seal of the publisher arrives');
change("SELECT kms_disable_field_key('tax', 1), kms_destroy_field_key('tax', 1, 'tax/1')");
is(opened($open), 'KM002', 'destroyed there, a version is here, too');
is(sub_("SELECT wrapped_key IS NULL FROM kms.field_key WHERE field_key = 'tax' AND version = 1"), 't', 'with its wrapped bytes');

# ---- The master key ------------------------------------------------------

my $fresh = pub("SELECT kms_encrypt_field('tax', 'fresh', 'c')");
my $content = content($publisher);
like(KmsClient::error($subscriber, 'postgres', 'SELECT kms_rewrap_keys()'),
	qr/WARNING: .*field keys that come by a subscription are wrapped by their publisher/, 'rewrapping says what it leaves');
sub_('SELECT FROM kms_maintain()');
is(content($subscriber), $content, 'the subscriber, whose current master key is another, wraps no field key again');
my $new = 'new: ' . KmsTest::random_master_key();
KmsRotation::put($subscriber, KmsRotation::lines($subscriber), $new);
KmsRotation::put($publisher, $new, KmsRotation::lines($publisher));
cmp_ok(pub('SELECT kms_rewrap_keys()'), '>=', 4, 'the publisher does');
$publisher->wait_for_catchup('kms');
is(content($subscriber), content($publisher), 'and they arrive');
is(sub_("SELECT kms_decrypt_field('$fresh', 'c')"), 'fresh', 'values open');
is($session->query("COMMIT; SELECT kms_decrypt_field('$fresh', 'c')"), 'fresh', 'also in the session that had the key open');
is( sub_('SELECT apply_error_count, sync_error_count FROM pg_stat_subscription_stats'), '0|0', 'replication has met no error');

# ---- Taking over ---------------------------------------------------------

$publisher->stop;
sub_($_) foreach 'ALTER SUBSCRIPTION kms DISABLE', 'ALTER SUBSCRIPTION kms SET (slot_name = NONE)', 'DROP SUBSCRIPTION kms';
is(sub_("SELECT kms_disable_field_key('tax')"), 'disabled', 'without the subscription, changes are made here');
$session->query("SELECT kms_decrypt_field('$fresh', 'c')");
is($session->{state}, 'KM004', 'and count');
is(sub_("SELECT kms_enable_field_key('tax'), kms_rotate_field_key('tax'), kms_create_field_key('iban')"),
	'enabled|3|1', 'versions and keys are made');
is($session->query("SELECT kms_decrypt_field('$fresh', 'c')"), 'fresh', 'values open');
KmsTest::poll(sub { sub_('SELECT kms_rewrap_keys()') == 0 });
KmsRotation::put($subscriber, $own);
is(sub_("SELECT kms_decrypt_field('$fresh', 'c')"), 'fresh', 'under its own master key alone, too');
$session->quit;

$subscriber->stop;
done_testing();
