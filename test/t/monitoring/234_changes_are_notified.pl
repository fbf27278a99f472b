# With kms.notify, sessions that listen are told which key was changed, once the
# change is committed and in the trail.  A notification that cannot be sent
# harms nothing.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../../perl";
use KmsClient;
use KmsTest;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = KmsTest->node('notify', init => [ allows_streaming => 1 ], conf => <<CONF);
max_prepared_transactions = 5
kms.maintenance = off
kms.key_algorithm = EC-P256
kms.keygen_limit = 1000000
kms.field_destroy_after = 0
synchronous_commit = local
CONF
$node->sql('CREATE DATABASE other');
$node->safe_psql($_, 'CREATE EXTENSION kms') foreach 'postgres', 'other';
my $listener = KmsClient->session($node, 'postgres');
my @told;

$listener->query('LISTEN kms');

# Wait until this payload comes, and return all that came since the last call.
sub told_up_to
{
	my $payload = shift;
	my @up_to;

	KmsTest::poll(
		sub {
			push @told, $listener->query('SELECT') =~
			  /^Asynchronous notification "kms" with payload "([^"]*)" received/mg;
			return grep { $_ eq $payload } @told;
		}) or diag("not told: $payload; but: @told");
	while (@told)
	{
		push @up_to, shift @told;
		last if $up_to[-1] eq $payload;
	}
	return join ', ', @up_to;
}

# Wait until the writer has moved all changes and told them: a flush ends before
# they are told, and the next one begins after that.
sub settle
{
	$node->sql('SELECT kms_flush_events()') for 1 .. 2;
	return;
}

sub issue
{
	my $device = shift;
	return $node->sql("SELECT key_id FROM kms_issue_key('$device')");
}

# ---- Off and on -------------------------------------------------------------------

is($node->sql('SHOW kms.notify'), 'off', 'kms.notify is off');
issue('quiet');
settle();
my $writer = $node->writer;

$node->set('kms.notify' => 'on');
my $key = issue('phone');
is(told_up_to("generate $key"), "generate $key", 'what was changed while it was off is not told');
is($node->writer, $writer, 'the writer that was running is the one that tells');

# ---- Each change, and nothing else ----------------------------------------------------

my $ciphertext = $node->sql("SELECT kms_encrypt_jwe('$key', 'secret')");
is($node->sql("SELECT kms_decrypt('$key', '$ciphertext')"), 'secret', 'a call that changes nothing');
my $next = $node->sql(q{SELECT key_id FROM kms_rotate_key('phone')});
$node->sql("SELECT kms_disable_key('$next')");
$node->sql("SELECT kms_enable_key('$next')");
$node->sql("SELECT kms_revoke_key('$next', 'lost')");
$node->sql(q{SELECT kms_create_field_key('tax')});
$node->sql(q{SELECT kms_rotate_field_key('tax')});
$node->sql("SELECT kms_destroy_key('$next', '$next')");
my $told = told_up_to("destroy $next");
is( $told,
	$node->sql(qq{SELECT string_agg(concat_ws(' ', operation, key_id), ', ' ORDER BY ticket) FROM kms.event
		WHERE ticket > (SELECT max(ticket) FROM kms.event WHERE operation = 'generate' AND key_id = '$key')
		AND operation NOT IN ('decrypt', 'encrypt')}),
	'each change is told as the trail has it');
like($told, qr/rotate $next, disable $next, enable $next, revoke $next, create_field_key tax\S*, rotate_field_key tax/,
	'in their order');

# ---- With the transaction ---------------------------------------------------------------

$node->sql("BEGIN; SELECT kms_disable_key('$key'); ROLLBACK");
$node->sql("BEGIN; SAVEPOINT s; SELECT kms_disable_key('$key'); ROLLBACK TO s; COMMIT");
my $marker = issue('after rollback');
is(told_up_to("generate $marker"), "generate $marker", 'a change that is rolled back is not told');

$node->sql("BEGIN; SELECT kms_disable_key('$key'); PREPARE TRANSACTION 'change'");
$marker = issue('before commit');
is(told_up_to("generate $marker"), "generate $marker", 'a transaction can be prepared, and is not told then');
$node->sql("COMMIT PREPARED 'change'; SELECT kms_flush_events()");
is(told_up_to("disable $key"), "disable $key", 'but when it is committed');

# ---- Many keys at once --------------------------------------------------------------------

$node->sql(q{SELECT count(*) FROM generate_series(1, 100) AS n, LATERAL kms_issue_key('few ' || n)});
settle();
$marker = issue('after few');
my @few = split /, /, told_up_to("generate $marker");
is(scalar(grep { /^generate key_\w+$/ } @few), 101, '100 keys of a transaction are told, each');
$node->sql(q{SELECT count(*) FROM generate_series(1, 101) AS n, LATERAL kms_issue_key('many ' || n)});
settle();
$marker = issue('after many');
is(told_up_to("generate $marker"), "generate, generate $marker", 'more of them are told as one');

$node->sql(q{SELECT kms_forget_device('many 1')});
like(told_up_to('forget'), qr/^destroy key_\w+, forget$/, 'a forgotten device is not named');

# ---- Other databases ------------------------------------------------------------------------

$node->safe_psql('other', q{SELECT FROM kms_issue_key('phone'); SELECT kms_flush_events()});
$marker = issue('after other');
is(told_up_to("generate $marker"), "generate $marker", 'what changes in another database is told there');

# ---- What cannot be told ------------------------------------------------------------------------

# A session that waits for a standby holds the lock of the queue.
$node->append_conf('postgresql.conf', "synchronous_standby_names = 'nobody'\n");
$node->reload;
my $holder = KmsClient->session($node, 'postgres');
KmsTest::poll(sub { $holder->query('SHOW synchronous_standby_names') eq 'nobody' });
$holder->query('SET synchronous_commit = on');
$holder->send('BEGIN; CREATE TABLE something (); NOTIFY something; COMMIT');
ok( KmsTest::poll(
		sub {
			$node->sql("SELECT wait_event = 'SyncRep' FROM pg_stat_activity WHERE pid = $holder->{pid}") eq 't';
		}),
	'another session keeps all from notifying');
$node->sql("SELECT kms_enable_key('$key')");
ok( KmsTest::poll(
		sub {
			slurp_file($node->logfile) =~
			  /LOG:  (?:\w+: )?kms writer of database "postgres": changes of keys could not be notified/;
		}),
	'the log says that changes are not told');
my $lost = issue('not told');
is(KmsTest::events($node, 'postgres', "key_id = '$lost' AND operation = 'generate'"), 1, 'the trail goes on');
is($node->writer, $writer, 'with the same writer');
$node->sql("SELECT pg_cancel_backend($holder->{pid})");
$holder->receive;
my $later = told_up_to('enable') . ', ' . told_up_to('generate');
unlike($later, qr/key_/, 'later the operations are told, without keys');

# ---- Off again --------------------------------------------------------------------------------------

$node->set('kms.notify' => 'off');
issue('off again');
settle();
$node->set('kms.notify' => 'on');
$marker = issue('on again');
is(told_up_to("generate $marker"), "generate $marker", 'nothing is told while it is off again');
$node->stop;
done_testing();
