# If writers are busy in more databases than kms.max_workers allows, maintenance
# gets its turn, and so does each writer.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../../perl";
use KmsClient;
use KmsTest;
use Test::More;

my $node = KmsTest->node('busy', conf => 'kms.maintenance_interval = 1s');
my @databases = qw(one two three);
my %good;

foreach my $db (@databases)
{
	$node->safe_psql('postgres', "CREATE DATABASE $db");
	$node->safe_psql($db, 'CREATE EXTENSION kms');
	my ($key, $pem) = KmsClient::issue($node, $db, 'phone');
	my $ciphertext = KmsTest::encrypt_with_openssl($pem, 'secret');
	$good{$db} = "''$key'', ''$ciphertext''";
}

sub rounds
{
	my ($db) = @_;
	return $node->safe_psql($db,
		"SELECT value FROM kms.status WHERE item = 'maintenance last round'");
}

foreach my $places (1, 2)
{
	$node->append_conf('postgresql.conf', "kms.max_workers = $places");
	$node->reload;
	my @sessions = map {
		my $session = KmsClient->session($node, $_);
		$session->send(
			"DO 'BEGIN LOOP PERFORM kms_decrypt($good{$_}); END LOOP; END'");
		$session;
	} @databases;
	foreach my $db (@databases)
	{
		my $before = rounds($db);
		my $events = $node->safe_psql($db, 'SELECT count(*) FROM kms.event');
		ok(KmsTest::poll(sub { rounds($db) ne $before }),
			"$places: $db is maintained");
		ok( KmsTest::poll(
				sub {
					$node->safe_psql($db, 'SELECT count(*) FROM kms.event') > $events;
				}),
			"$places: events of $db are written");
	}
	foreach my $session (@sessions)
	{
		$node->safe_psql('postgres', "SELECT pg_cancel_backend($session->{pid})");
		$session->receive;
		$session->quit;
	}
}
$node->stop;
done_testing();
