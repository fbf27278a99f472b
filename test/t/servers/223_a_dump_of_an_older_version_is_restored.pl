# A dump of a database of version 1.0 is restored, plain and custom, where
# CREATE EXTENSION makes the newest version, and where it was created before:
# all rows are there, all works, and grants of users are restored.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../../perl";
use KmsClient;
use KmsFilled;
use KmsTest;
use PostgreSQL::Test::Utils;
use Test::More;

my $dir = PostgreSQL::Test::Utils::tempdir();
my $node = KmsTest->node('dumped', conf => $KmsFilled::conf);

KmsFilled::make_roles($node);
$node->sql('CREATE DATABASE source');
my $filled = KmsFilled->fill($node, 'source');
my %options = (plain => [], custom => ['-Fc']);
foreach my $form (sort keys %options)
{
	$node->command_ok([ 'pg_dump', '-d', $node->connstr('source'), @{ $options{$form} }, '-f', "$dir/$form" ],
		"$form: version 1.0 is dumped");
}
$node->safe_psql('source', "ROLLBACK PREPARED '$filled->{prepared}'");

foreach my $how (qw(plain custom over))
{
	$node->sql("CREATE DATABASE $how");
	$node->safe_psql($how, 'CREATE EXTENSION kms') if $how eq 'over';
	$node->command_ok(
		$how eq 'plain'
		? [ 'psql', '-Xq', '-v', 'ON_ERROR_STOP=1', '-d', $node->connstr($how), '-f', "$dir/plain" ]
		: [ 'pg_restore', '--exit-on-error', '-d', $node->connstr($how), "$dir/custom" ],
		"$how: the dump is restored");
	is($node->safe_psql($how, "SELECT extversion FROM pg_extension WHERE extname = 'kms'"), '1.1', "$how: the SQL is of the new version");
	$filled->is_unchanged($node, $how, $how);
	$filled->works($node, $how, $how, dumped => 1);
	is($node->safe_psql($how, "SELECT active FROM kms.devices WHERE device_id = 'phone'"), '3', "$how: the new view has the devices");
	is($node->safe_psql($how, "SELECT proacl::text ~ 'app=X[*]/' FROM pg_proc WHERE proname = 'kms_decrypt'"), 't',
		"$how: grants of users are restored");
	KmsClient::is_healthy($node, $how, "$how: kms_check() has no complaint");
}
$node->stop;
done_testing();
