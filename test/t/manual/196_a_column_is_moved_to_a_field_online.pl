# A column is moved as docs/howto/fields.md shows while the old application
# writes: both columns can be read, each batch is a transaction of its own, a
# change is not lost, and no plaintext is in the log.  A search needs the right,
# even to be explained.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../../perl";
use IPC::Run;
use KmsClient;
use KmsCommand qw(write_file);
use KmsTest;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = KmsTest->node('fields', conf => <<'CONF');
log_statement = all
log_parameter_max_length = 0
CONF
my $dir = PostgreSQL::Test::Utils::tempdir();
my $page = slurp_file("$FindBin::Bin/../../../docs/howto/fields.md");

$node->safe_psql('postgres', 'CREATE DATABASE app');
$node->safe_psql('app', 'CREATE SCHEMA keys; CREATE EXTENSION kms SCHEMA keys;
	ALTER DATABASE app SET search_path = "$user", public, keys');

# The statements of the page up to the move, and the move.
my ($before, $move) = $page =~ /\A(.*)(<!-- test -->\n```sql\n\\! printf.*?^```$)/ms;
my @blocks = $before =~ /^<!-- test -->\n```sql\n(.*?)^```$/gms;
cmp_ok(scalar @blocks, '>', 5, 'the page has the steps before the move');
run_psql(join '', @blocks);
my ($load) = $move =~ /```sql\n(.*?)^CALL/ms;

my $both = q{SELECT count(*), count(*) FILTER (WHERE b.tax_id <> p.tax_id) FROM person_both AS b JOIN person AS p USING (id)};
my $id = $node->safe_psql('app', 'SELECT id FROM person ORDER BY id OFFSET 1500 LIMIT 1');

# The old application changes a row, and keeps it locked.
my $web = KmsClient->session($node, 'app');
$web->query('SET ROLE web');
$web->query('BEGIN');
$web->query("UPDATE person SET tax_id = 'DE 99999' WHERE id = '$id'");

my $from = -s $node->logfile;
my $output = '';
write_file("$dir/move.sql", "SET ROLE shop;\n${load}CALL person_move(100);\n");
my $mover = IPC::Run::start([ psql(), '-f', 'move.sql' ], '<', '/dev/null', '>&', \$output,
	init => sub { chdir $dir or die "$dir: $!" });
ok( KmsTest::poll(
		sub { $node->safe_psql('app', 'SELECT count(tax) FROM person') eq '1500' }),
	'the batches before a locked row are committed');
is($node->safe_psql('app', $both), '2500|0', 'both columns can be read in the meantime');
$web->query('COMMIT');
ok(IPC::Run::finish($mover), 'the move ends') or diag($output);
is($node->safe_psql('app', 'SELECT count(tax), count(tax_index), count(account) FROM person'),
	'2500|2500|2500', 'all rows are moved');
is(stored(), 'DE 99999', 'a change during the move is stored');

# The old application changes a row that was moved, and another column of it.
$web->query("UPDATE person SET tax_id = 'DE 88888' WHERE id = '$id'");
is($node->safe_psql('app', "SELECT tax_id FROM person_both WHERE id = '$id'"),
	'DE 88888', 'a change after the move is read');
run_psql("SET ROLE shop;\n${load}CALL person_move();\n");
is(stored(), 'DE 88888', 'and is moved by the next call');
$web->query("UPDATE person SET name = name, tax_id = tax_id WHERE id = '$id'");
is(stored(), 'DE 88888', 'a write that changes nothing does not take the value away');

my $log = substr slurp_file($node->logfile), $from;
like($log, qr/CALL person_move/, 'the log has the statements');
unlike($log, qr/the old passphrase|DE [0-9]{1,4}\b|IBAN/, 'but neither passphrase nor plaintext');

# The row that was locked is encrypted twice: before the wait and after it.
is( $node->safe_psql('app', q{SELECT FROM kms_flush_events();
		SELECT operation, key_id, sum(calls) FROM kms.event
		WHERE effective_role = 'shop' GROUP BY 1, 2 ORDER BY 1, 2}),
	"blind_index|tax/index|2502\nencrypt_field|iban/1|2501\nencrypt_field|tax/1|2502",
	'the trail has the number of calls');

# ---- The planner ---------------------------------------------------------

$node->safe_psql('app', 'GRANT EXECUTE ON FUNCTION kms_blind_index TO web');
$web->query("EXPLAIN SELECT id FROM person WHERE tax_index = kms_blind_index('tax', 'x', 'person.tax', 'alnum')");
is($web->{state}, '42501', 'EXPLAIN of a search needs the right');
is( KmsTest::events($node, 'app',
		"operation = 'blind_index' AND reason = 'Permission denied' AND effective_role = 'web'"),
	'1', 'and the refusal is in the trail');

$node->stop;
done_testing();

# Return the moved value of the row, decrypted.
sub stored
{
	return $node->safe_psql('app',
		"SELECT kms_decrypt_field(tax, 'person.tax:' || id) FROM person WHERE id = '$id'");
}

sub psql
{
	return ('psql', '-XAtq', '-v', 'ON_ERROR_STOP=1', '-d', $node->connstr('app'));
}

sub run_psql
{
	my $script = shift;
	my $output;
	IPC::Run::run([ psql() ], '<', \$script, '>&', \$output,
		init => sub { chdir $dir or die "$dir: $!" })
	  or die $output;
	return;
}
