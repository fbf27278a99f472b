# A purge that would take more than 5 % of the keys, and more than 1,000,
# within a day deletes nothing and waits for confirmation.  Keys that a
# foreign key refers to are skipped, reported, and stop nothing else.
#
# Making thousands of keys would take an hour: these are rows copied from one,
# which the purge takes only because the server has another master key, and so
# cannot judge them.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../../perl";
use KmsClient;
use KmsTest;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = KmsTest->node('purge', conf => 'kms.maintenance = off');
my $file = KmsTest::master_key_path($node);
chomp(my $master_key = slurp_file($file));

$node->safe_psql('postgres', 'CREATE EXTENSION kms');
my ($key) = KmsClient::issue($node, 'postgres', 'phone');
$node->safe_psql('postgres', 'SELECT kms_flush_events()');
KmsTest::write_master_key($file);
$node->restart;

# No row authenticates, so nothing but the operator tells maintenance the time.
$node->safe_psql('postgres', 'SELECT FROM kms_maintain(confirm_clock => true)');

sub sql
{
	return $node->safe_psql('postgres', $_[0]);
}

# Copies of the key: so many, expired so long ago, in this state.
sub add
{
	my ($name, $count, $days, $state) = @_;
	$state ||= 'deprecated';
	sql(<<"SQL");
INSERT INTO kms.key SELECT (jsonb_populate_record(k, jsonb_build_object(
	'key_id', '$name' || n, 'device_id', '$name' || n, 'state', '$state',
	'expires_at', now() - interval '$days days'))).*
FROM kms.key AS k, generate_series(1, $count) AS n WHERE k.key_id = '$key';
INSERT INTO kms.key_secret SELECT '$name' || n, public_key, wrapped_key
FROM kms.key_secret, generate_series(1, $count) AS n WHERE key_id = '$key';
SQL
}

# One call: "done skipped more" of the purge.
sub maintain
{
	my ($argument) = @_;
	$argument = '' unless defined $argument;
	return sql("SELECT concat_ws(' ', done, skipped, more)
		FROM kms_maintain($argument) WHERE task = 'purge keys'");
}

sub left
{
	my ($name) = @_;
	return sql("SELECT count(*) FROM kms.key WHERE key_id ~ '^${name}[0-9]'");
}

# Move the day that the purge counts in to the past.  The row has no seal then,
# so that its day begins anew, with what the trail says was purged within a day.
sub next_day
{
	sql("SELECT kms_flush_events();
		UPDATE kms.event SET occurred_at = occurred_at - interval '25 hours' WHERE operation = 'purge';
		UPDATE kms.maintenance SET
		purge_window_start = purge_window_start - interval '25 hours',
		purge_confirmed_until = purge_confirmed_until - interval '25 hours'");
}

my $waits = qr/^warning: .*purge.* waits? for confirmation/m;

# ---- 1,000 ---------------------------------------------------------------

add('a', 1000, 91);
add('young', 10, 89);
is(maintain(), '1000 0 t', '1,000 keys go without confirmation');
is(left('a'), '0', 'all of them');
is(left('young'), '10', 'none before its time');
add('b', 1, 91);
is(maintain(), '0 1 f', 'one more in the same day does not go');
like(KmsClient::findings($node, 'postgres'), $waits, 'kms_check() says so');
next_day();
is(maintain(), '1 0 f', 'it goes on the next day');
unlike(KmsClient::findings($node, 'postgres'), $waits, 'and the complaint ends');

next_day();
add('c', 1101, 91);
is(maintain(), '0 1101 f', 'more than 1,000 and 5 %: nothing is deleted');
is(left('c'), '1101', 'not even some');
like(KmsClient::findings($node, 'postgres'),
	qr/^warning: .*purge.* waits? for confirmation.*\b1101\b.*confirm_purge => true/m,
	'kms_check() says how many wait and what to do');
is(maintain(), '0 1101 f', 'it waits');
$node->restart;
is(maintain(), '0 1101 f', 'over a restart');
is(maintain('confirm_purge => true'), '1000 0 t', 'with confirmation it goes on');
is(maintain(), '101 0 f', 'in batches, which need no other');
is(left('c'), '0', 'until all are deleted');
unlike(KmsClient::findings($node, 'postgres'), $waits, 'and the complaint ends');
next_day();
add('d', 1001, 91);
is(maintain(), '0 1001 f', 'a confirmation is for a day');
maintain('true');
maintain();

# ---- 5 % -----------------------------------------------------------------

next_day();
add('many', 30000, 1);
add('e', 1400, 91, 'revoked');
is(maintain(), '1000 0 t', '1,400 of 31,400 keys, less than 5 %, go');
is(maintain(), '400 0 f', 'all of them');
add('f', 200, 91);
is(maintain(), '0 200 f', 'in a day that makes 5 %, no more go');
next_day();
is(maintain(), '200 0 f', 'but the next day');
sql("DELETE FROM kms.key WHERE key_id ~ '^many'");

# What was counted goes on without being counted with each batch, and no more.
next_day();
add('crowd', 40000, 1);
add('n', 2100, 91);
is(maintain(), '1000 0 t', '2,100 of 42,100 keys, less than 5 %, begin to go');
add('o', 500, 91);
is(maintain(), '1000 0 t', 'they go on while others become due');
is(maintain(), '0 600 f', 'which stop it when they would make it more than 5 %');
next_day();
is(maintain(), '600 0 f', 'until the next day');
sql("DELETE FROM kms.key WHERE key_id ~ '^crowd'");

# ---- The clock -----------------------------------------------------------

next_day();
add('g', 10, 91);
sql("UPDATE kms.maintenance SET purge_window_start = now() + interval '10 years'");
is(maintain(), '10 0 f', 'a clock that went back does not stop it for ever');

# ---- Foreign keys --------------------------------------------------------

next_day();
add('h', 20, 91);
sql(<<'SQL');
CREATE TABLE card (key_id text COLLATE "C" REFERENCES kms.key);
CREATE TABLE late (key_id text COLLATE "C" REFERENCES kms.key
	DEFERRABLE INITIALLY DEFERRED);
INSERT INTO card VALUES ('h1'), ('h2');
INSERT INTO late VALUES ('h3'), ('h4');
SQL
is(maintain(), '16 4 f', 'keys that are referred to are skipped, the others go');
is(sql("SELECT string_agg(key_id, ' ' ORDER BY key_id) FROM kms.key WHERE key_id ~ '^h'"),
	'h1 h2 h3 h4', 'it is those');
like(KmsClient::findings($node, 'postgres'), qr/^\w+: .*\b4\b.*(?:foreign key|refer)|^\w+: .*(?:foreign key|refer).*\b4\b/m,
	'kms_check() reports them');
add('i', 5, 91);
is(maintain(), '5 4 f', 'they stand in nobody\'s way, and are tried again');
is(maintain(), '0 4 f', 'and again');
sql("DELETE FROM card WHERE key_id = 'h1'; DELETE FROM late WHERE key_id = 'h3'");
is(maintain(), '2 2 f', 'they go when the reference is gone');
sql('DELETE FROM card; DELETE FROM late');
is(maintain(), '2 0 f', 'all of them');
unlike(KmsClient::findings($node, 'postgres'), qr/foreign key|refer/,
	'and the report ends');

# One that acts on deletes would run triggers with the purge's rights: it is
# refused now, but may be there from before.
sql(<<'SQL');
ALTER EXTENSION kms DROP TABLE kms.key;
CREATE TABLE acting (key_id text COLLATE "C" REFERENCES kms.key ON DELETE CASCADE);
ALTER EXTENSION kms ADD TABLE kms.key;
SQL
add('acting', 5, 91);
sql("INSERT INTO acting VALUES ('acting5')");
is(maintain(), '0 5 f', 'nothing is purged where a foreign key acts on deletes');
is(sql('SELECT count(*) FROM acting'), '1', 'which has not acted');
like(KmsClient::findings($node, 'postgres'),
	qr/^error: nothing is deleted from kms\.key .*acting_key_id_fkey/m, 'kms_check() says so');
sql('DROP TABLE acting');
is(maintain(), '5 0 f', 'without it they go');

# ---- No master key -------------------------------------------------------

my $lost = slurp_file($file);
unlink $file;
$node->restart;
add('lost', 5, 91);
is(maintain(), '0 0 f', 'nothing is purged without a master key');
is(left('lost'), '5', 'nothing at all');
KmsTest::write_master_key($file, split /\n/, $lost);
$node->restart;
is(maintain(), '5 0 f', 'with one they go');

# ---- Concurrently --------------------------------------------------------

next_day();
add('j', 300, 91);
my $session = KmsClient->session($node, 'postgres');
$session->query('BEGIN');
$session->query("SELECT FROM kms.key WHERE key_id = 'j7' FOR UPDATE");
like(maintain(), qr/^299 1 /, 'a key that a session has locked is passed over');
$session->query('COMMIT');
like(maintain(), qr/^1 0 /, 'and goes the next time');
add('k', 300, 91);
my $other = KmsClient->session($node, 'postgres');
$session->send('SELECT * FROM kms_maintain()');
$other->send('SELECT * FROM kms_maintain()');
$session->receive;
$other->receive;
is("$session->{state} $other->{state}", '00000 00000', 'two at once do not fail');
maintain();
is(left('k'), '0', 'and all keys go');

# The wait for it is bounded, and it does not end the round.
sql('CREATE TABLE held (key_id text COLLATE "C" REFERENCES kms.key)');
add('m', 3, 91);
sql("INSERT INTO held VALUES ('m1')");
$session->query('BEGIN');
$session->query('SELECT FROM held FOR UPDATE');
sql("ALTER DATABASE postgres SET lock_timeout = '200ms'");
is(maintain(), '2 1 f', 'nor does one whose referring row is locked');
sql('ALTER DATABASE postgres RESET lock_timeout');
$session->query('COMMIT');
sql('DROP TABLE held');
is(maintain(), '1 0 f', 'and it goes when there is no reference');
$_->quit foreach $session, $other;

# ---- The trail -----------------------------------------------------------

$node->safe_psql('postgres', 'SELECT kms_flush_events()');
is( sql("SELECT count(*), count(DISTINCT key_id) FROM kms.event WHERE operation = 'purge'
		AND status = 'success'"),
	'7951|7951', 'each key that was purged has one event of it');
is(sql("SELECT count(*) FROM kms.event WHERE operation = 'purge' AND status <> 'success'
		AND reason <> 'Rolled back'"),
	'0', 'and failures only of what was tried');

# ---- With the master key -------------------------------------------------

KmsTest::write_master_key($file, $master_key);
$node->restart;
sql('SELECT FROM kms_maintain(confirm_clock => true)');
next_day();
add('l', 5, 91);
is(maintain(), '0 5 f', 'rows that do not authenticate are kept for the operator');
is($node->safe_psql('postgres',
		"SELECT kms_decrypt('$key', kms_encrypt('$key', 'x'))"),
	'x', 'and keys work all the same');

$node->stop;
done_testing();
