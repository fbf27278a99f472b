# If a purge would delete more than 5 % of the keys, and more than 1,000,
# within a day, it deletes nothing and waits for confirmation.  The purge skips
# and reports keys that a foreign key refers to, and deletes the others.
#
# Making thousands of keys would take an hour, so the rows are copies of one.
# The purge deletes them only because the server has another master key and
# cannot authenticate them.
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

# No row authenticates, so only the operator tells maintenance the time.
$node->safe_psql('postgres', 'SELECT FROM kms_maintain(confirm_clock => true)');

# Copies of the key: the number, the age of the expiry, and the state.
sub add
{
	my ($name, $count, $days, $state) = @_;
	$state ||= 'deprecated';
	$node->sql(<<"SQL");
INSERT INTO kms.key SELECT (jsonb_populate_record(k, jsonb_build_object(
	'key_id', '$name' || n, 'device_id', '$name' || n, 'state', '$state',
	'expires_at', now() - interval '$days days'))).*
FROM kms.key AS k, generate_series(1, $count) AS n WHERE k.key_id = '$key';
INSERT INTO kms.key_secret SELECT '$name' || n, public_key, wrapped_key
FROM kms.key_secret, generate_series(1, $count) AS n WHERE key_id = '$key';
SQL
}

# Return "done skipped more" of the purge in one call.
sub maintain
{
	my ($argument) = @_;
	$argument = '' unless defined $argument;
	return $node->sql("SELECT concat_ws(' ', done, skipped, more)
		FROM kms_maintain($argument) WHERE task = 'purge keys'");
}

sub left
{
	my ($name) = @_;
	return $node->sql("SELECT count(*) FROM kms.key WHERE key_id ~ '^${name}[0-9]'");
}

# Move the day in which the purge counts into the past.  The row then has no
# seal, so its day begins again, with the number of keys that the trail says
# were purged within a day.
sub next_day
{
	$node->sql("SELECT kms_flush_events();
		UPDATE kms.event SET occurred_at = occurred_at - interval '25 hours' WHERE operation = 'purge';
		UPDATE kms.maintenance SET
		purge_window_start = purge_window_start - interval '25 hours',
		purge_confirmed_until = purge_confirmed_until - interval '25 hours'");
}

my $waits = qr/^warning: .*purge.* waits? for confirmation/m;

# ---- 1,000 ---------------------------------------------------------------

add('a', 1000, 91);
add('young', 10, 89);
is(maintain(), '1000 0 t', '1,000 keys are purged without confirmation');
is(left('a'), '0', 'all 1,000 keys are deleted');
is(left('young'), '10', 'no key is purged before its time');
add('b', 1, 91);
is(maintain(), '0 1 f', 'one more key in the same day is not purged');
like(KmsClient::findings($node, 'postgres'), $waits, 'kms_check() reports that the purge waits');
next_day();
is(maintain(), '1 0 f', 'the key is purged on the next day');
unlike(KmsClient::findings($node, 'postgres'), $waits, 'the finding ends');

next_day();
add('c', 1101, 91);
is(maintain(), '0 1101 f', 'more than 1,000 and 5 %: nothing is deleted');
is(left('c'), '1101', 'not a single key is deleted');
like(KmsClient::findings($node, 'postgres'),
	qr/^warning: .*purge.* waits? for confirmation.*\b1101\b.*confirm_purge => true/m,
	'kms_check() says how many keys wait and how to continue');
is(maintain(), '0 1101 f', 'the purge waits');
$node->restart;
is(maintain(), '0 1101 f', 'the purge waits after a restart');
is(maintain('confirm_purge => true'), '1000 0 t', 'with confirmation the purge continues');
is(maintain(), '101 0 f', 'further batches need no further confirmation');
is(left('c'), '0', 'all keys are deleted');
unlike(KmsClient::findings($node, 'postgres'), $waits, 'the finding ends after the confirmed purge');
next_day();
add('d', 1001, 91);
is(maintain(), '0 1001 f', 'a confirmation is valid for a day');
maintain('true');
maintain();

# ---- 5 % -----------------------------------------------------------------

next_day();
add('many', 30000, 1);
add('e', 1400, 91, 'revoked');
is(maintain(), '1000 0 t', '1,400 of 31,400 keys, less than 5 %, are purged');
is(maintain(), '400 0 f', 'all 1,400 keys are deleted');
add('f', 200, 91);
is(maintain(), '0 200 f', 'after 5 % in a day, no more keys are purged');
next_day();
is(maintain(), '200 0 f', 'the purge continues on the next day');
$node->sql("DELETE FROM kms.key WHERE key_id ~ '^many'");

# Later batches use the first count of keys.
next_day();
add('crowd', 40000, 1);
add('n', 2100, 91);
is(maintain(), '1000 0 t', 'the purge of 2,100 of 42,100 keys, less than 5 %, begins');
add('o', 500, 91);
is(maintain(), '1000 0 t', 'the purge continues while more keys become due');
is(maintain(), '0 600 f', 'the purge stops when the later keys make more than 5 %');
next_day();
is(maintain(), '600 0 f', 'the purge continues on the next day, after later keys');
$node->sql("DELETE FROM kms.key WHERE key_id ~ '^crowd'");

# ---- The clock -----------------------------------------------------------

next_day();
add('g', 10, 91);
$node->sql("UPDATE kms.maintenance SET purge_window_start = now() + interval '10 years'");
is(maintain(), '10 0 f', 'a clock that was set back does not stop the purge permanently');

# ---- Foreign keys --------------------------------------------------------

next_day();
add('h', 20, 91);
$node->sql(<<'SQL');
CREATE TABLE card (key_id text COLLATE "C" REFERENCES kms.key);
CREATE TABLE late (key_id text COLLATE "C" REFERENCES kms.key
	DEFERRABLE INITIALLY DEFERRED);
INSERT INTO card VALUES ('h1'), ('h2');
INSERT INTO late VALUES ('h3'), ('h4');
SQL
is(maintain(), '16 4 f', 'keys with references are skipped, the others are purged');
is($node->sql("SELECT string_agg(key_id, ' ' ORDER BY key_id) FROM kms.key WHERE key_id ~ '^h'"),
	'h1 h2 h3 h4', 'exactly these keys are skipped');
like(KmsClient::findings($node, 'postgres'), qr/^\w+: .*\b4\b.*(?:foreign key|refer)|^\w+: .*(?:foreign key|refer).*\b4\b/m,
	'kms_check() reports the skipped keys');
add('i', 5, 91);
is(maintain(), '5 4 f', 'the skipped keys delay no other key, and are retried');
is(maintain(), '0 4 f', 'the skipped keys are retried again');
$node->sql("DELETE FROM card WHERE key_id = 'h1'; DELETE FROM late WHERE key_id = 'h3'");
is(maintain(), '2 2 f', 'the keys are purged after the references are deleted');
$node->sql('DELETE FROM card; DELETE FROM late');
is(maintain(), '2 0 f', 'all keys are deleted');
unlike(KmsClient::findings($node, 'postgres'), qr/foreign key|refer/,
	'the finding about references ends');

# A foreign key that acts on deletes would run triggers with the purge's
# rights.  It is refused now, but may exist from before.
$node->sql(<<'SQL');
ALTER EXTENSION kms DROP TABLE kms.key;
CREATE TABLE acting (key_id text COLLATE "C" REFERENCES kms.key ON DELETE CASCADE);
ALTER EXTENSION kms ADD TABLE kms.key;
SQL
add('acting', 5, 91);
$node->sql("INSERT INTO acting VALUES ('acting5')");
is(maintain(), '0 5 f', 'if a foreign key acts on deletes, nothing is purged');
is($node->sql('SELECT count(*) FROM acting'), '1', 'the foreign key that acts on deletes did not act');
like(KmsClient::findings($node, 'postgres'),
	qr/^error: nothing is deleted from kms\.key .*acting_key_id_fkey/m, 'kms_check() reports that foreign key');
$node->sql('DROP TABLE acting');
is(maintain(), '5 0 f', 'without that foreign key the purge continues');

# ---- No master key -------------------------------------------------------

my $lost = slurp_file($file);
unlink $file;
$node->restart;
add('lost', 5, 91);
is(maintain(), '0 0 f', 'nothing is purged without a master key');
is(left('lost'), '5', 'no key is deleted');
KmsTest::write_master_key($file, split /\n/, $lost);
$node->restart;
is(maintain(), '5 0 f', 'with a master key the keys are purged');

# ---- Concurrently --------------------------------------------------------

next_day();
add('j', 300, 91);
my $session = KmsClient->session($node, 'postgres');
$session->query('BEGIN');
$session->query("SELECT FROM kms.key WHERE key_id = 'j7' FOR UPDATE");
like(maintain(), qr/^299 1 /, 'a key that a session has locked is skipped');
$session->query('COMMIT');
like(maintain(), qr/^1 0 /, 'the key is purged in the next round');
add('k', 300, 91);
my $other = KmsClient->session($node, 'postgres');
$session->send('SELECT * FROM kms_maintain()');
$other->send('SELECT * FROM kms_maintain()');
$session->receive;
$other->receive;
is("$session->{state} $other->{state}", '00000 00000', 'two calls at the same time both succeed');
maintain();
is(left('k'), '0', 'all keys of the two calls are deleted');

# The wait for the lock has a limit, and exceeding it does not end the round.
$node->sql('CREATE TABLE held (key_id text COLLATE "C" REFERENCES kms.key)');
add('m', 3, 91);
$node->sql("INSERT INTO held VALUES ('m1')");
$session->query('BEGIN');
$session->query('SELECT FROM held FOR UPDATE');
$node->sql("ALTER DATABASE postgres SET lock_timeout = '200ms'");
is(maintain(), '2 1 f', 'a key whose referring row is locked is skipped, too');
$node->sql('ALTER DATABASE postgres RESET lock_timeout');
$session->query('COMMIT');
$node->sql('DROP TABLE held');
is(maintain(), '1 0 f', 'the key is purged after its reference is deleted');
$_->quit foreach $session, $other;

# ---- The trail -----------------------------------------------------------

$node->safe_psql('postgres', 'SELECT kms_flush_events()');
is( $node->sql("SELECT count(*), count(DISTINCT key_id) FROM kms.event WHERE operation = 'purge'
		AND status = 'success'"),
	'7951|7951', 'each purged key has one event');
is($node->sql("SELECT count(*) FROM kms.event WHERE operation = 'purge' AND status <> 'success'
		AND reason <> 'Rolled back'"),
	'0', 'there are failures only of skipped keys');

# ---- With the master key -------------------------------------------------

KmsTest::write_master_key($file, $master_key);
$node->restart;
$node->sql('SELECT FROM kms_maintain(confirm_clock => true)');
next_day();
add('l', 5, 91);
is(maintain(), '0 5 f', 'rows that do not authenticate are kept for the operator');
is($node->safe_psql('postgres',
		"SELECT kms_decrypt('$key', kms_encrypt('$key', 'x'))"),
	'x', 'the keys still work');

$node->stop;
done_testing();
