# A database can be copied, renamed, moved and dropped while its workers run,
# at the first try, and goes on afterwards; a copy is served without a call;
# a role that may not do it cannot send the workers away.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../perl";
use KmsClient;
use KmsTest;
use Test::More;

# Generation of keys goes on for as long as this test takes.
my $node = KmsTest->node('copied', conf => <<'CONF');
kms.key_pool_size = 10000
kms.keygen_workers = 2
CONF
my $tablespace = $node->basedir . '/elsewhere';
mkdir $tablespace or die "$tablespace: $!";

sub sql
{
	my ($sql) = @_;
	return $node->safe_psql('postgres', $sql);
}

sub pids
{
	my ($db, $type) = @_;
	return sql("SELECT pid FROM pg_stat_activity
		WHERE datname = '$db' AND backend_type LIKE 'kms $type'");
}

# Calls in this database are recorded.
my $calls = 0;
sub works
{
	my ($db, $what) = @_;
	$calls++;
	is($node->safe_psql($db, "SET application_name = 'call $calls'; SELECT kms_decrypt($main::good)"),
		'secret', "$what: calls work");
	is(KmsTest::events($node, $db, "application_name = 'call $calls'"), '1',
		"$what: they are recorded");
}

# The statement succeeds while a key is being generated in the database.
sub succeeds
{
	my ($db, $sql, $what) = @_;
	ok(KmsTest::poll(sub { pids($db, 'key generation') }), "$what: a key is being generated");
	is(KmsClient::sqlstate($node, 'postgres', $sql), '00000', "$what works");
}

sql("CREATE TABLESPACE elsewhere LOCATION '$tablespace'");
sql('CREATE DATABASE one');
$node->safe_psql('one', 'CREATE EXTENSION kms');
my ($key, $pem) = KmsClient::issue($node, 'one', 'phone');
our $good = "'$key', '" . KmsTest::encrypt_with_openssl($pem, 'secret') . "'";
works('one', 'before');

# ---- Who may not ---------------------------------------------------------

sql('CREATE ROLE nobody LOGIN CREATEDB');
my $writer = pids('one', 'writer');
foreach my $statement (
	'CREATE DATABASE mine TEMPLATE one',
	'ALTER DATABASE one RENAME TO mine',
	'ALTER DATABASE one SET TABLESPACE pg_default',
	'DROP DATABASE one')
{
	is( KmsClient::sqlstate(
			$node, 'postgres', "SET SESSION AUTHORIZATION nobody; $statement"),
		'42501', "refused to others: $statement");
}
is(pids('one', 'writer'), $writer, 'and the writer has not left');

# A database that everybody may copy is not closed to its sessions.
sql('ALTER DATABASE one IS_TEMPLATE true');
my $session = KmsClient->session($node, 'one');
my $copier = KmsClient->session($node, 'postgres');
$copier->query('SET SESSION AUTHORIZATION nobody');
$copier->send('CREATE DATABASE mine TEMPLATE one');
is($session->query("SELECT kms_decrypt($good)"), 'secret', 'calls go on');
$session->query('SELECT kms_flush_events()');
is($session->{state}, '00000', 'and are recorded');
$copier->receive;
is($copier->{state}, '55006', 'while it cannot be copied');
is(pids('one', 'writer'), $writer, 'and the writer has not left');
$session->quit;
$copier->quit;
sql('ALTER DATABASE one IS_TEMPLATE false');

# ---- Who may -------------------------------------------------------------

is(KmsClient::sqlstate($node, 'postgres', 'ALTER DATABASE one RENAME TO template1'),
	'42P04', 'a statement that fails');
works('one', 'after it');

foreach my $strategy (qw(wal_log file_copy))
{
	succeeds('one', "CREATE DATABASE by_$strategy TEMPLATE one STRATEGY $strategy",
		"a copy by $strategy");
	ok(KmsTest::poll(sub { pids("by_$strategy", '%') }),
		"a copy by $strategy is served before any call in it");
	works("by_$strategy", "a copy by $strategy");
	is(KmsClient::sqlstate($node, 'postgres', "DROP DATABASE by_$strategy"),
		'00000', "a copy by $strategy is dropped");
}
works('one', 'after copies');

succeeds('one', 'ALTER DATABASE one RENAME TO other', 'renaming');
works('other', 'renamed');
succeeds('other', 'ALTER DATABASE other SET TABLESPACE elsewhere', 'moving');
works('other', 'moved');
succeeds('other', 'DROP DATABASE other', 'dropping');
$node->stop;
done_testing();
