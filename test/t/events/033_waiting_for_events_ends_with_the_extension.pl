# kms_flush_events() does not wait for ever for a writer that has no tables,
# because the extension is dropped in the meantime or is not committed yet.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../../perl";
use KmsClient;
use KmsTest;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = KmsTest->node('dropped');
$node->safe_psql('postgres', 'CREATE EXTENSION kms');

my $session = KmsClient->session($node, 'postgres');
$session->query("SET statement_timeout = '180s'");
$session->query("SELECT kms_issue_key('phone')");
my $writer = KmsTest::poll(
	sub {
		$node->safe_psql('postgres',
			"SELECT pid FROM pg_stat_activity WHERE backend_type = 'kms writer'");
	});
kill 'STOP', $writer;
$session->send('SELECT kms_flush_events()');
ok( KmsTest::poll(
		sub {
			$node->safe_psql('postgres',
				"SELECT wait_event_type = 'Extension' FROM pg_stat_activity WHERE pid = $session->{pid}"
			) eq 't';
		}),
	'somebody waits for the writer');
$node->safe_psql('postgres', 'DROP EXTENSION kms');
kill 'CONT', $writer;
$session->receive;
is($session->{state}, '55000', 'DROP EXTENSION ends that');

$session->query('BEGIN');
$session->query('CREATE EXTENSION kms');
$session->query('SELECT kms_flush_events()');
is($session->{state}, '55000', 'an extension that is not committed has no writer');
$session->query('ROLLBACK');

# The launcher finds the extension at its commit, however long the transaction
# takes.
$session->query('BEGIN');
$session->query('CREATE EXTENSION kms');
$session->query('SAVEPOINT s');
$session->query('SELECT kms_flush_events()');
$session->query('ROLLBACK TO s');
$session->query('COMMIT');
ok( KmsTest::poll(
		sub {
			$node->safe_psql('postgres',
				"SELECT value <> 'never' FROM kms.status WHERE item = 'maintenance last round'"
			) eq 't';
		}),
	'a new extension is served from its commit on');
$session->query("SELECT kms_issue_key('phone')");
$session->query('SELECT kms_flush_events()');
is($session->{state}, '00000', 'after the commit the extension has a writer');
$session->quit;
$node->stop;
done_testing();
