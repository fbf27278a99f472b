# No lock that a role without rights on the tables of kms can take stops the
# writer or a call whose event must be durable.  kms_check() names the process or
# prepared transaction that holds a lock which does.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../../perl";
use IPC::Run;
use KmsAudit;
use KmsClient;
use KmsTest;
use PostgreSQL::Test::Utils;
use Test::More;

my $audit = KmsAudit->new('locks', conf => "max_prepared_transactions = 5\nkms.maintenance = off");
my $node = $audit->{node};
$audit->mode('required', KmsAudit::LONG_TIMEOUT);
$audit->sql('CREATE ROLE nobody LOGIN; CREATE ROLE loader LOGIN;
	GRANT pg_write_all_data, pg_read_all_data TO loader');

my $call = $audit->results->{decrypt};
my $number = 0;

# Make so many decrypts under a new name, and return how many are in the trail.
sub recorded
{
	my ($calls) = @_;
	my $name = 'calls ' . ++$number;
	my ($rc, $out, $err) = $node->psql('postgres', "SET application_name = '$name';\n" . "$call;\n" x $calls);
	diag($err) if $err ne '';
	return $audit->in_trail($name);
}

sub all_recorded
{
	my ($what) = @_;
	is(recorded(20), 20, "$what: calls are recorded");
	is($audit->failing_changes, 0, "$what: keys can be changed");
	is( KmsClient::sqlstate($node, 'postgres', 'SELECT kms_flush_events()'),
		'00000', "$what: the outbox is written, too");
	is($audit->sql('SELECT count(*) FROM kms.event_outbox'), 0, "$what: all of it");
}

# ---- The lock of the extension ---------------------------------------------------

my $lock = 'CREATE FUNCTION pg_temp.f() RETURNS integer LANGUAGE sql RETURN 1;
	BEGIN; ALTER FUNCTION pg_temp.f() DEPENDS ON EXTENSION kms';
my $nobody = KmsClient->session($node, 'postgres');
$nobody->query("SET ROLE nobody; $lock");
is($nobody->{state}, '00000', 'a role without a grant locks the extension');
all_recorded('extension locked');
like($audit->findings,
	qr/^notice: process $nobody->{pid} of role "\w+" holds AccessExclusiveLock on extension kms; the event writer works without that lock \(See it in pg_stat_activity; pg_terminate_backend\($nobody->{pid}\) ends it/m,
	'kms_check() says who has that lock');
is($audit->sql("SELECT pg_terminate_backend(pid, 180000) FROM pg_stat_activity WHERE backend_type = 'kms writer'"),
	't', 'the writer is ended');
all_recorded('extension locked, a new writer');
$nobody->query('ROLLBACK');

# A prepared transaction may use no temporary schema.
$audit->sql('CREATE SCHEMA nobody AUTHORIZATION nobody');
$nobody->query("CREATE FUNCTION nobody.f() RETURNS integer LANGUAGE sql RETURN 1;
	BEGIN; ALTER FUNCTION nobody.f() DEPENDS ON EXTENSION kms; PREPARE TRANSACTION 'it''s kept'");
is($nobody->{state}, '00000', 'the same in a prepared transaction');
all_recorded('extension locked by a prepared transaction');
like($audit->findings,
	qr/^notice: prepared transaction "it's kept" of role "nobody" holds AccessExclusiveLock on extension kms; .* \(End it with COMMIT PREPARED 'it''s kept' or ROLLBACK PREPARED/m,
	'kms_check() names it');
$node->restart;
$audit->connect;
$nobody = KmsClient->session($node, 'postgres');
$nobody->query('SET ROLE nobody');
all_recorded('the same after a restart');

# A session that waits for such a lock does not stop the writer either.
my $dropper = KmsClient->session($node, 'postgres');
$dropper->send('DROP EXTENSION kms');
ok( KmsTest::poll(
		sub {
			$audit->sql("SELECT wait_event_type = 'Lock' FROM pg_stat_activity WHERE pid = $dropper->{pid}") eq 't';
		}),
	'DROP EXTENSION waits for it');
all_recorded('extension locked, and a DROP that waits');
like($audit->findings,
	qr/^notice: process $dropper->{pid} of role "\w+" waits for AccessExclusiveLock on extension kms;/m,
	'kms_check() names what waits, too');
$audit->sql("SELECT pg_cancel_backend($dropper->{pid})");
$dropper->receive;
$node->safe_psql('postgres', "ROLLBACK PREPARED 'it''s kept'");

# Commands that are refused once they have the lock.
my @loops;
foreach my $command ('DROP EXTENSION kms', "COMMENT ON EXTENSION kms IS 'x'",
	'ALTER EXTENSION kms UPDATE', 'ALTER EXTENSION kms ADD FUNCTION nobody.f()')
{
	my $script = $node->basedir . '/loop' . @loops . '.sql';
	append_to_file($script, "$command;\n" x 3000);
	my ($in, $out, $err) = ('', '', '');
	push @loops, IPC::Run::start(
		[ 'psql', '-XqU', 'nobody', '-d', $node->connstr('postgres'), '-v', 'ON_ERROR_STOP=0', '-f', $script ],
		'<', \$in, '>', \$out, '2>', \$err);
}
is(recorded(200), 200, 'commands that are refused keep no call from its record');
foreach (@loops)
{
	$_->kill_kill;
	$_->finish;
}

# ---- Locks of tables ------------------------------------------------------------

my $loader = KmsClient->session($node, 'postgres');
$loader->query('SET ROLE loader; BEGIN; LOCK TABLE kms.event IN SHARE MODE');
is($loader->{state}, '00000', 'a role that may write the trail locks it');
$audit->mode('required', 1000);
is($audit->call($call)->{state}, 'KM008', 'a call is not recorded while the trail is locked');
like($audit->findings,
	qr/^warning: process $loader->{pid} of role "\w+" holds ShareLock on kms\.event, for which the event writer waits/m,
	'kms_check() says who has the lock');
$loader->query("PREPARE TRANSACTION 'kept'");
is($loader->{state}, '00000', 'the transaction with the lock is prepared');
like($audit->findings,
	qr/^warning: prepared transaction "kept" of role "loader" holds ShareLock on kms\.event, for which the event writer waits \(End it with COMMIT PREPARED 'kept'/m,
	'kms_check() names the prepared transaction');
my $waiting = KmsClient->session($node, 'postgres');
$audit->mode('required', KmsAudit::LONG_TIMEOUT);
$waiting->send($call);
ok($audit->wait_until_waiting($waiting), 'a call waits for it');
$node->safe_psql('postgres', "ROLLBACK PREPARED 'kept'");
is($waiting->receive, 'secret', 'the call goes on when the prepared transaction has ended');
all_recorded('table locked no longer');

# A session that waits for a lock blocks the writer, which comes later.
my $reader = KmsClient->session($node, 'postgres');
$reader->query('BEGIN; SELECT count(*) FROM kms.event');
$loader->query('SET ROLE loader; BEGIN');
$loader->send('LOCK TABLE kms.event IN ACCESS EXCLUSIVE MODE');
ok( KmsTest::poll(
		sub {
			$audit->sql("SELECT wait_event_type = 'Lock' FROM pg_stat_activity WHERE pid = $loader->{pid}") eq 't';
		}),
	'a session that wants to lock the trail waits for a reader');
like($audit->findings,
	qr/^warning: process $loader->{pid} of role "\w+" waits for AccessExclusiveLock on kms\.event, and the event writer waits behind it/m,
	'kms_check() says so');
$audit->sql("SELECT pg_cancel_backend($loader->{pid})");
$loader->receive;
$loader->query('ROLLBACK');
$reader->query('ROLLBACK');
all_recorded('the queue is gone');

# A row that the writer changes.
$loader->query("BEGIN; UPDATE kms.event_epoch SET position = position; PREPARE TRANSACTION 'row'");
is($loader->{state}, '00000', 'a role that may write any table locks a row');
$waiting->send($call);
ok( KmsTest::poll(
		sub {
			$audit->findings =~
			  /^warning: prepared transaction "row" of role "loader" has changed rows of kms\.event_epoch, and the event writer waits for a row/m;
		}),
	'kms_check() names the prepared transaction that may hold the row');
$node->safe_psql('postgres', "ROLLBACK PREPARED 'row'");
is($waiting->receive, 'secret', 'the call goes on when that has ended');
unlike($audit->findings, qr/event writer waits/, 'kms_check() has no finding left');

# ---- DROP EXTENSION ----------------------------------------------------------------

# A DROP EXTENSION that times out while it waits for the lock leaves nothing
# behind.
$nobody->query($lock);
is($nobody->{state}, '00000', 'the extension is locked again');
is($node->psql('postgres', "SET lock_timeout = '100ms'; DROP EXTENSION kms"), 3,
	'a DROP does not get it');
all_recorded('after a DROP that failed');
$nobody->query('ROLLBACK');
$dropper->query('BEGIN; DROP EXTENSION kms; CREATE EXTENSION kms; COMMIT');
is($dropper->{state}, '00000', 'the extension is replaced');
$audit->make_keys;
$call = $audit->results->{decrypt};
all_recorded('a new extension');
is($audit->intact, 'intact', 'the trail is intact');
is($audit->sql("SELECT min(ticket), count(DISTINCT epoch) FROM kms.event"),
	'1|1', 'the new trail holds nothing of the old one');
unlike(slurp_file($node->logfile), qr/PANIC|terminated by signal/, 'no process crashed');
$node->stop;
done_testing();
