# The pool of ready-made keys fills to its size.  Issuing takes a key from it,
# which is gone at COMMIT and is in the pool again after any kind of ROLLBACK.
# Sessions that take keys do not wait for each other.  The pool is refilled as
# soon as a transaction that took a key commits.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../../perl";
use KmsClient;
use KmsPool;
use KmsTest;
use MIME::Base64 qw(decode_base64);
use PostgreSQL::Test::Utils;
use Test::More;

# Maintenance comes by once, at the start.
my $node = KmsTest->node('pool', conf => "kms.key_pool_size = 3
	kms.maintenance_interval = 1h
	max_prepared_transactions = 2");

sub filled
{
	my ($name) = @_;
	ok(KmsPool::filled($node, 'postgres', 3), $name);
	return KmsPool::keys($node, 'postgres');
}


# ---- Full ----------------------------------------------------------------

$node->sql('CREATE EXTENSION kms');
my $keys = filled('after CREATE EXTENSION the pool fills to its size');
is($node->status('keys in the pool') . '/' . $node->status('keys wanted in the pool'),
	'3/3', 'kms.status shows its level');
is(KmsPool::made($node, 'postgres'), '3', 'all keys that were made are in the pool');
is( $node->sql("SELECT count(DISTINCT public_key), count(DISTINCT wrapped_key),
			bool_and(algorithm = 'RSA-2048') FROM kms.pool_key"),
	'3|3|t', 'all are keys of their own');

# ---- Taking --------------------------------------------------------------

my ($key, $pem) = KmsClient::issue($node, 'postgres', 'phone');
my $origin = KmsPool::origin($node, 'postgres', 'phone', $keys);
isnt($origin, 'none', 'a key that is issued is one of the pool');
(my $body = $pem) =~ s/-----.*//g;
is($keys->{ $body =~ s/\s//gr }, $origin, 'the public key that was returned is that of the pool');
is($node->sql("SELECT count(*) FROM kms.pool_key WHERE pool_key_id = '$origin'"),
	'0', 'the row of the pool is gone');
isnt($key, $origin, 'the key has an id of its own');
my $ciphertext = KmsTest::encrypt_with_openssl($pem, 'secret');
is($node->sql("SELECT kms_decrypt('$key', '$ciphertext')"), 'secret', 'the key decrypts');
is( KmsTest::events($node, 'postgres',
		"operation = 'generate' AND status = 'success' AND key_id = '$key' AND device_id = 'phone'"),
	'1', 'the event of the key is that of a generated key');
is($node->sql("SELECT origin FROM kms.key WHERE key_id = '$key'"), 'generated',
	'the row of the key says that it was generated');

$keys = filled('a key that was taken is replaced at once, without a round of maintenance');
is(KmsPool::made($node, 'postgres'), '4', 'only one key is made');
my $rotated = $node->sql("SELECT key_id FROM kms_rotate_key('phone')");
isnt(KmsPool::origin($node, 'postgres', 'phone', $keys), 'none',
	'rotating takes one as well');
is( $node->sql("SELECT kms_decrypt(key_id, kms_encrypt(key_id, 'x')) FROM kms.keys
		WHERE key_id = '$rotated'"), 'x', 'the rotated key decrypts');

# ---- Restart, without maintenance ---------------------------------------

$node->append_conf('postgresql.conf', 'kms.maintenance = off');
$keys = filled('the pool is full after the rotation');
$node->restart;
is($node->sql("SELECT kms_decrypt('$key', '$ciphertext')"), 'secret',
	'after a restart the key decrypts');
$node->sql("SELECT kms_issue_key('restarted')");
isnt(KmsPool::origin($node, 'postgres', 'restarted', $keys), 'none',
	'a key of the pool from before the restart is issued');
filled('the pool is filled without maintenance');

# ---- Rollback ------------------------------------------------------------

my $session = KmsClient->session($node, 'postgres');
my $before = join(' ', KmsPool::ids($node, 'postgres'));
foreach my $case (
	[ 'ROLLBACK', sub { $session->query('ROLLBACK') } ],
	[ 'an error', sub { $session->query('SELECT 1 / 0; COMMIT') } ],
	[
		'a savepoint',
		sub { $session->query('ROLLBACK TO s; COMMIT') }
	],
	[
		'a session that is terminated',
		sub {
			$node->sql("SELECT pg_terminate_backend($session->{pid}, 180000)");
			$session->{run}->finish;
			$session = KmsClient->session($node, 'postgres');
		}
	])
{
	my ($name, $end) = @$case;
	$session->query("BEGIN; SAVEPOINT s; SELECT kms_issue_key('rolled back')");
	is($session->{state}, '00000', "$name: a key is issued");
	is(join(' ', KmsPool::ids($node, 'postgres')), $before, "$name: until the end others see it in the pool");
	$end->();
	is(join(' ', KmsPool::ids($node, 'postgres')), $before, "$name: it is in the pool again");
}
ok(KmsPool::idle($node), 'nobody makes another');
is($session->query("SELECT count(*) FROM kms.key WHERE device_id = 'rolled back'"),
	'0', 'no device has that key');

# The next session can have each of these keys.
$keys = KmsPool::keys($node, 'postgres');
$session->query('BEGIN');
$session->query("SELECT kms_issue_key('next ' || n) FROM generate_series(1, 3) AS n");
is( join(' ', sort map {
		$session->query("SELECT translate(encode(s.public_key, 'base64'), E'\\n', '')
			FROM kms.key_secret AS s JOIN kms.key USING (key_id) WHERE device_id = 'next $_'")
	} 1 .. 3),
	join(' ', sort keys %$keys),
	'a statement takes one for each device, also those that were given back');
$session->query('ROLLBACK');
is(join(' ', KmsPool::ids($node, 'postgres')), $before, 'a rollback gives all keys back');

# ---- Two phases ----------------------------------------------------------

$keys = KmsPool::keys($node, 'postgres');
$node->sql("BEGIN; SELECT kms_issue_key('prepared'); PREPARE TRANSACTION 'one'");
is(join(' ', KmsPool::ids($node, 'postgres')), $before, 'a prepared transaction keeps its key in the pool');
$session->query("BEGIN; SELECT kms_issue_key('other'); ROLLBACK");
is($session->{state}, '00000', 'other sessions take other keys');
$node->restart;
$session = KmsClient->session($node, 'postgres');
$node->sql("ROLLBACK PREPARED 'one'");
is(join(' ', KmsPool::ids($node, 'postgres')), $before, 'ROLLBACK PREPARED gives it back');
$node->sql("BEGIN; SELECT kms_issue_key('prepared'); PREPARE TRANSACTION 'two'");
$node->sql("COMMIT PREPARED 'two'");
isnt(KmsPool::origin($node, 'postgres', 'prepared', $keys), 'none',
	'COMMIT PREPARED takes it');
isnt(join(' ', KmsPool::ids($node, 'postgres')), $before, 'the committed key is gone from the pool');

# ---- Side by side --------------------------------------------------------

$node->sql("SELECT kms_issue_key('wakes')");
$keys = filled('full for many');
my @many = map { KmsClient->session($node, 'postgres') } 1 .. 3;
foreach my $isolation ('READ COMMITTED', 'REPEATABLE READ')
{
	my @public;
	$_->query("SET lock_timeout = '180s'; BEGIN ISOLATION LEVEL $isolation; SELECT count(*) FROM kms.keys")
	  foreach @many;
	foreach my $n (0 .. 2)
	{
		push @public,
		  $many[$n]->query(
			"SELECT public_key FROM kms_issue_key('$isolation $n')") =~ s/-----.*|\s//gr;
		is($many[$n]{state}, '00000', "$isolation: session $n takes one and waits for nobody");
	}
	is(scalar(grep { $keys->{$_} } @public), 3, "$isolation: all are of the pool");
	is(scalar(keys %{ { map { $_ => 1 } @public } }), 3, "$isolation: no two are the same");
	$_->query('ROLLBACK') foreach @many;
}

# Keys of the pool are no reason for two to conflict.
$_->query('BEGIN ISOLATION LEVEL SERIALIZABLE; SELECT 1') foreach @many;
foreach my $end ('issues', 'commits')
{
	foreach my $n (0 .. 2)
	{
		$many[$n]->query($end eq 'commits' ? 'COMMIT' : "SELECT kms_issue_key('serial $n')");
		is($many[$n]{state}, '00000', "SERIALIZABLE: session $n $end");
	}
}
filled('the pool is full after the concurrent sessions');

# A snapshot from before another's taking.
foreach my $isolation ('REPEATABLE READ', 'SERIALIZABLE')
{
	$many[0]->query("BEGIN ISOLATION LEVEL $isolation; SELECT count(*) FROM kms.pool_key");
	$node->sql("SELECT kms_issue_key('while $isolation')");
	$many[0]->query("SELECT kms_issue_key('after $isolation')");
	is($many[0]{state}, '00000', "$isolation: a key that has been taken since is skipped");
	$many[0]->query('COMMIT');
	is($many[0]{state}, '00000', "$isolation: a transaction that skipped a key can be committed");
}
filled('full at the end');
is($node->sql("SELECT count(*) FROM (SELECT public_key FROM kms.key_secret
		UNION ALL SELECT public_key FROM kms.pool_key) AS t
		GROUP BY public_key HAVING count(*) > 1"), '', 'no key was given twice');
$_->quit foreach $session, @many;
$node->stop;
done_testing();
