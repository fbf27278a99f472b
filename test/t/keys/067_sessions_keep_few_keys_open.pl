# A session keeps the kms.key_cache_size keys open that it used last, and none
# after DISCARD ALL.
#
# To see which keys are open, this test damages all secrets, because an open
# key does not read its secret again.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../../perl";
use KmsClient;
use KmsTest;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = KmsTest->node('open_keys', conf => 'kms.key_cache_size = 3');
$node->safe_psql('postgres', 'CREATE EXTENSION kms');

my (%key, %ciphertext);
foreach my $name ('a' .. 'e')
{
	my ($key, $pem) = KmsClient::issue($node, 'postgres', "phone $name");
	$key{$name} = $key;
	$ciphertext{$name} = KmsTest::encrypt_with_openssl($pem, "from $name");
}

my $session = KmsClient->session($node, 'postgres');

sub decrypts
{
	my $name = shift;
	return $session->query("SELECT kms_try_decrypt('$key{$name}', '$ciphertext{$name}')");
}

sub use_keys
{
	is(decrypts($_), "from $_", "key $_ opens") foreach @_;
}

sub open_keys
{
	return $session->query("SELECT value FROM kms.status WHERE item = 'keys open in this session'");
}

sub cache_size
{
	my $size = shift;
	$node->safe_psql('postgres', "ALTER SYSTEM SET kms.key_cache_size = $size");
	$node->reload;
	ok(KmsTest::poll(sub { $session->query('SHOW kms.key_cache_size') eq $size }),
		"kms.key_cache_size is $size");
}

$node->safe_psql('postgres', 'CREATE TABLE secret AS TABLE kms.key_secret');

sub spoil
{
	$node->safe_psql('postgres',
		"UPDATE kms.key_secret SET wrapped_key = wrapped_key || '\\x00'");
}

sub mend
{
	$node->safe_psql('postgres',
		'UPDATE kms.key_secret AS k SET wrapped_key = s.wrapped_key FROM secret AS s WHERE s.key_id = k.key_id');
}

is(open_keys(), '0', 'a new session has no key open');
use_keys(qw(a b c));
is(open_keys(), '3', 'the session keeps the keys that it used');
use_keys(qw(a d));
is(open_keys(), '3', 'the session keeps no more keys than the setting says');
spoil();
use_keys(qw(a c d));
is(decrypts('b'), '', 'the least recently used key was closed');
is(open_keys(), '2', 'another key took its place');

foreach my $statement ('DISCARD PLANS', 'DISCARD SEQUENCES', 'DISCARD TEMP', 'RESET ALL')
{
	$session->query($statement);
	is(open_keys(), '2', "$statement leaves keys open");
}
$session->query('BEGIN; DISCARD ALL');
is($session->{state}, '25001', 'DISCARD ALL is refused in a transaction');
$session->query('ROLLBACK');
is(open_keys(), '2', 'after the refused DISCARD ALL, keys stay open');
use_keys('d');

$session->query('DISCARD ALL');
is($session->{state}, '00000', 'DISCARD ALL');
is(open_keys(), '0', 'DISCARD ALL closes all keys');
is(decrypts('d'), '', 'after DISCARD ALL, keys are opened again');
mend();
use_keys(qw(d a));
is(open_keys(), '2', 'after DISCARD ALL, keys are kept open again');

cache_size(5);
use_keys('a' .. 'e');
is(open_keys(), '5', 'after a reload with a larger size, more keys are kept');
cache_size(2);
use_keys('e');
is(open_keys(), '2', 'after a reload with a smaller size, fewer keys are kept from the next use on');
spoil();
use_keys(qw(d e));
is(decrypts('c'), '', 'the keys used last are kept');

$session->quit;
$node->stop;
done_testing();
