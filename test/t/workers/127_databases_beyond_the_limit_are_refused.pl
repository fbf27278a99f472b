# In a database beyond kms.max_databases every call fails at once.  kms_check()
# says so in every database and blames nothing else.  Databases without the
# extension do not count.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../../perl";
use KmsClient;
use KmsTest;
use Test::More;

my $node = KmsTest->node('places', conf => 'kms.max_databases = 2');
my $beyond = qr/53400: too many databases of this server use kms.*HINT:  Raise kms.max_databases/s;

sub make_database
{
	my ($db) = @_;
	$node->safe_psql('postgres', "CREATE DATABASE $db");
	$node->safe_psql($db, 'CREATE EXTENSION kms');
}

# Return the complaints of kms_check(), except about fsync.
sub complaints
{
	my ($db) = @_;
	return join "\n", grep { /^(?:error|warning): (?!fsync)/ }
	  split /\n/, KmsClient::findings($node, $db);
}

sub works
{
	my ($db, $what) = @_;
	is(KmsClient::sqlstate($node, $db, "SELECT kms_issue_key('$what')"),
		'00000', "$what: calls work in $db");
	is(KmsTest::events($node, $db, "device_id = '$what'"), '1',
		"$what: they are recorded in $db");
}

$node->safe_psql('postgres', "CREATE DATABASE without_$_") foreach 1 .. 6;
make_database('one');
make_database('two');
works($_, 'two databases') foreach qw(one two);

make_database('three');
foreach my $mode (qw(best_effort required))
{
	$node->append_conf('postgresql.conf', "kms.audit = $mode");
	$node->restart;
	works($_, "restart with $mode") foreach qw(one two);
	foreach my $call ("kms_issue_key('phone')", "kms_decrypt('k', 'c')", "kms_public_key('k')",
		"kms_key_state('k')", 'kms_flush_events()', 'kms_maintain()',
		"kms_disable_key('k')", 'kms_metrics_summary()')
	{
		like(KmsClient::error($node, 'three', "SELECT $call"), $beyond,
			"$mode: in the third, $call fails");
	}
}
is($node->safe_psql('three', 'SELECT count(*) FROM kms.key'), '0', 'the third database made no key');

# Before any worker has looked at a database, because none can start.
$node->append_conf('postgresql.conf', "max_worker_processes = 2\nkms.reserved_writers = 0\nkms.audit = best_effort");
$node->restart;
like(KmsClient::error($node, 'three', "SELECT kms_issue_key('early')"), $beyond,
	'the first call after a restart takes no place from a database that had one');
is(KmsClient::sqlstate($node, $_, "SELECT kms_issue_key('two databases')"), '00000', "$_ has its place")
  foreach qw(one two);
$node->append_conf('postgresql.conf', "max_worker_processes = 8\nkms.reserved_writers = 1");
$node->restart;
works($_, 'workers again') foreach qw(one two);
like(complaints('three'),
	qr/^error: this database has no place among kms.max_databases \(2\), so every call fails \(Raise kms.max_databases[^\n]*$/,
	'kms_check() says why there, and nothing else');
like(complaints('one'),
	qr/^error: databases have no place among kms.max_databases \(2\), so every call in them fails: three \(Raise kms.max_databases[^\n]*$/,
	'kms_check() says it elsewhere, and nothing else');

$node->safe_psql('postgres', 'DROP DATABASE one');
ok( KmsTest::poll(
		sub { KmsClient::sqlstate($node, 'three', "SELECT kms_issue_key('later')") eq '00000' }),
	'a database that is dropped leaves its place to another');
works('three', 'in the free place');
is(complaints($_), '', "kms_check() has no complaint any more in $_") foreach qw(two three);
$node->stop;
done_testing();
