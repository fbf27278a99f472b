# Every database that has the extension is served, without a setting that lists
# them.  A blocked database delays no other.  Databases and the extension can be
# dropped, copied and recreated while workers run and sessions are open.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../../perl";
use IPC::Run;
use KmsClient;
use KmsTest;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time);

my $node = KmsTest->node('databases');
my $dir = PostgreSQL::Test::Utils::tempdir();
my %key;

$node->safe_psql('postgres', "CREATE DATABASE $_") foreach qw(one two without);
foreach my $db (qw(one two))
{
	$node->safe_psql($db, 'CREATE EXTENSION kms');
	my ($key, $pem) = KmsClient::issue($node, $db, 'phone');
	my $ciphertext = KmsTest::encrypt_with_openssl($pem, "secret of $db");
	$key{$db} = "'$key', '$ciphertext'";
}

sub decrypts
{
	my ($db, $name, $count) = @_;
	return $node->safe_psql($db,
		"SET application_name = '$name';
		SELECT count(kms_decrypt($key{$db})) FROM generate_series(1, $count)");
}

sub workers
{
	my ($db) = @_;
	return $node->safe_psql('postgres',
		"SELECT count(*) FROM pg_stat_activity
		WHERE datname = '$db' AND backend_type IN ('kms writer', 'kms maintenance')");
}

sub without_workers
{
	my ($db) = @_;
	return KmsTest::poll(sub { workers($db) eq '0' });
}

# Replace the file by renaming, because psql may be reading the old one.
sub write_load
{
	open my $script, '>', "$dir/new.sql" or die $!;
	print $script "SELECT kms_try_decrypt($key{one}) IS NOT NULL;\n" x 500;
	close $script or die $!;
	rename "$dir/new.sql", "$dir/load.sql" or die $!;
}

sub stop_load
{
	open my $stop, '>', "$dir/stop" or die $!;
	close $stop;
}

# Stop the load even if a test fails, because it would run for ever.
END { stop_load() if $dir }

# ---- Apart ---------------------------------------------------------------

is(KmsClient::sqlstate($node, 'one', "SELECT kms_decrypt($key{two})"), 'KM002',
	'a database does not have the keys of another');
decrypts($_, "first in $_", 10) foreach qw(one two);
foreach my $db (qw(one two))
{
	is(KmsTest::events($node, $db, "application_name ~ '^first in'"), '10',
		"$db has its own events");
}

# ---- One is blocked ------------------------------------------------------

my $admin = KmsClient->session($node, 'one');
$admin->query('BEGIN');
$admin->query('LOCK TABLE kms.event');
is(decrypts('one', 'blocked', 500), '500', 'calls go on where the trail is locked');
decrypts('two', 'not blocked', 500);
is(KmsTest::events($node, 'two', "application_name = 'not blocked'"),
	'500', 'the other database goes on');
is( $node->safe_psql('two',
		"SELECT count(*) > 0 FROM kms_maintain()"),
	't', 'the other database goes on with maintenance');
is( KmsClient::sqlstate($node, 'one',
		"SET statement_timeout = '500ms'; SELECT kms_flush_events()"),
	'57014', 'the blocked one has not written');
my (undef, undef, $warning) = $node->psql('one',
	"SET statement_timeout = '180s'; SELECT kms_metrics_summary()");
like($warning, qr/WARNING:  the latest events are not in the summary yet/,
	'its summary does not wait for ever');
$admin->query('COMMIT');
is(KmsTest::events($node, 'one', "application_name = 'blocked'"), '500',
	'everything arrives when the lock is gone');
is( $node->safe_psql('one',
		'SELECT count(*) = max(ticket) - min(ticket) + 1 FROM kms.event'),
	't', 'each event arrives once');
ok( KmsTest::poll(
		sub {
			KmsClient::findings($node, 'one') !~ /^(?:error|warning): (?!fsync)/m;
		}),
	'kms_check() has no complaint when the lock is gone');

# ---- One without the extension -------------------------------------------

ok(without_workers('without'), 'no worker stays where there is no extension');
is($node->psql('postgres', 'DROP DATABASE without'), '0',
	'a database without it can be dropped');

# ---- DROP DATABASE -------------------------------------------------------

decrypts('two', 'before the drop', 100);
cmp_ok(workers('two'), '>', 0, 'a worker runs');
is($node->psql('postgres', 'DROP DATABASE two'), '0',
	'a database can be dropped while its worker runs');
ok( KmsTest::poll(sub { !glob $node->data_dir . '/pg_stat_tmp/kms.*.new' }),
	'a dropped database leaves no half-made ring');
decrypts('one', 'after the drop', 10);
is(KmsTest::events($node, 'one', "application_name = 'after the drop'"), '10',
	'the others go on');

# ---- DROP EXTENSION ------------------------------------------------------

write_load();
my $old = KmsClient->session($node, 'one');
$old->query("PREPARE decrypt AS SELECT kms_decrypt($key{one})");
$old->query('SET plan_cache_mode = force_generic_plan; EXECUTE decrypt');
my @load = map {
	IPC::Run::start(
		[
			'bash', '-c',
			'while [ ! -e "$2/stop" ]; do
				PGAPPNAME="old load" psql -XAtq -d "$1" -f "$2/load.sql" >>"$2/$3.out" 2>&1
			done', 'bash', $node->connstr('one'), $dir, $_
		])
} 1 .. 2;

foreach my $round (1 .. 3)
{
	KmsTest::poll(
		sub {
			$node->safe_psql('one',
				"SELECT count(*) > 50 FROM kms.event WHERE application_name = 'old load'"
			) eq 't';
		}) or die 'there is no load';
	my $start = time;
	is(KmsClient::sqlstate($node, 'one', 'DROP EXTENSION kms'),
		'00000', "round $round: DROP EXTENSION works under load");
	cmp_ok(time - $start, '<', 10, "round $round: soon");
	$old->query('EXECUTE decrypt');
	is($old->{state}, '42883', "round $round: its functions are gone");
	$node->safe_psql('one', 'CREATE EXTENSION kms');

	# The old load goes on, on keys that are not there any more.
	is( KmsTest::events($node, 'one',
			"application_name = 'old load' AND status = 'success'"),
		'0', "round $round: no old event comes into the new trail");
	is( $node->safe_psql('one',
			'SELECT min(ticket) = 1, count(*) = max(ticket), count(DISTINCT epoch) = 1,
			count(*) FILTER (WHERE operation = \'gap\') FROM kms.event'),
		't|t|t|0', "round $round: it starts clean");
	my ($key, $pem) = KmsClient::issue($node, 'one', 'phone');
	my $ciphertext = KmsTest::encrypt_with_openssl($pem, 'new secret');
	is($old->query("SELECT kms_decrypt('$key', '$ciphertext')"),
		'new secret', "round $round: an old session works with the new one");
	$key{one} = "'$key', '$ciphertext'";
	write_load();
	$old->query("DEALLOCATE decrypt; PREPARE decrypt AS SELECT kms_decrypt($key{one})");
}
stop_load();
$_->finish foreach @load;
foreach my $n (1, 2)
{
	my $output = slurp_file("$dir/$n.out");
	my %errors;
	$errors{$1}++ while $output =~ /(?:ERROR|FATAL|PANIC):  (.*)/g;
	my @strange = grep {
		!/^function kms_try_decrypt.* does not exist/ &&
		!/^cache lookup failed for (?:function|extension)/ &&
		!/^extension "?kms"? (?:does not exist|is not installed)/ &&
		!/^could not open relation with OID/ &&
		!/^relation "?kms\.\w+"? does not exist/ && !/^schema "kms" does not exist/
	} keys %errors;
	is("@strange", '', "load $n: callers saw that it was gone, nothing worse");
}
unlike(slurp_file($node->logfile), qr/PANIC|terminated by signal/,
	'no process crashed');

# If DROP EXTENSION is rolled back, no other session sees the extension gone.
$node->safe_psql('one', 'BEGIN; DROP EXTENSION kms; ROLLBACK');
is($old->query("SELECT kms_decrypt($key{one})"), 'new secret',
	'a DROP EXTENSION that is rolled back changes nothing');
$old->quit;
$admin->quit;

# ---- A copy --------------------------------------------------------------

$node->safe_psql('one', 'SELECT kms_flush_events()');
my $events = $node->safe_psql('one', 'SELECT count(*) FROM kms.event');
my $ticket = $node->safe_psql('one', 'SELECT max(ticket) FROM kms.event');
ok( KmsTest::poll(
		sub { ($node->psql('postgres', 'CREATE DATABASE copy TEMPLATE one'))[0] == 0 }),
	'a database can be copied when its workers are idle');
$key{copy} = $key{one};
decrypts('one', 'in the original', 20);
is(decrypts('copy', 'in the copy', 10), '10', 'keys open in the copy');
is(KmsTest::events($node, 'copy', "application_name = 'in the copy'"),
	'10', 'the copy records its own');
is(KmsTest::events($node, 'copy', "application_name = 'in the original'"),
	'0', 'the copy does not record the events of the original');
is(KmsTest::events($node, 'one', "application_name = 'in the original'"),
	'20', 'the original has its own events');
is( $node->safe_psql('copy',
		"SELECT count(*) FROM kms.event WHERE ticket <= $ticket"),
	$events, 'the copy has the earlier events of the original');
is( $node->safe_psql('copy',
		'SELECT count(*) = max(ticket) - min(ticket) + 1 FROM kms.event'),
	't', 'tickets go on without a gap');

$node->stop;
done_testing();
