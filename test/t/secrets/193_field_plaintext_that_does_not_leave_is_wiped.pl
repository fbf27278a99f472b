# A plaintext of a field that a session has opened and does not return is wiped:
# when its event cannot be recorded in time, when the wait for that is cancelled,
# when it is not text, when the value was changed, and when it is only encrypted
# again.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../../perl";
use KmsClient;
use KmsMemory;
use KmsTest;
use Test::More;

my $node = KmsTest->node('wiped', conf => <<'CONF');
kms.audit = required
kms.audit_timeout = 2s
kms.protect_memory = off
CONF
my $marker = 'Tax' . substr KmsTest::random_master_key(), 0, 29;
my $half = substr $marker, 0, 16;

foreach my $db (qw(postgres latin1))
{
	$node->safe_psql('postgres', "CREATE DATABASE $db ENCODING 'LATIN1' TEMPLATE template0 LC_COLLATE 'C' LC_CTYPE 'C'") if $db ne 'postgres';
	$node->safe_psql($db, "CREATE EXTENSION kms; SELECT kms_create_field_key('tax')");

	# Other sessions than the one that is looked at know the plaintext.
	my $bytes = "convert_to('$marker', 'UTF8')";
	my %plain = (
		text => $bytes,
		long => "convert_to(repeat('$marker', 5000), 'UTF8')",
		bytes => "$bytes || '\\xff'",
		euro => "$bytes || '\\xe282ac'");
	$node->safe_psql($db, 'CREATE TABLE value AS SELECT '
		  . join(', ', map { "kms_encrypt_field_bytea('tax', $plain{$_}, 'c') AS $_" } sort keys %plain));
}

SKIP:
{
	my $session = KmsClient->session($node, 'postgres');
	skip 'this system lets nobody read the memory of a process', 1
	  unless defined KmsMemory::of($session->{pid});
	$session->quit;
	foreach my $db (qw(postgres latin1))
	{
		look($db);
	}
}

$node->stop;
done_testing();

sub look
{
	my ($db) = @_;
	my $session = KmsClient->session($node, $db);
	my $count = sub { KmsMemory::count(KmsMemory::of($session->{pid}, wiped => 1), $marker, $half) };
	my $clean = sub
	{
		my ($state, $call, $name, $first) = @_;
		$session->query("SELECT kms_field_version(text) FROM value");
		$session->query($first) if defined $first;
		$session->query("SELECT length($call) FROM value");
		is($session->{state}, $state, "$db: $state: $name");
		is($count->(), 0, "$db: no plaintext is left: $name");
	};

	$clean->('KM001', "kms_decrypt_field(text, 'd')", 'another context');
	$clean->('KM001', "kms_decrypt_field(set_byte(text, 60, get_byte(text, 60) # 1), 'c')", 'a damaged value');
	$clean->('KM001', "kms_decrypt_field(long, 'd')", 'a long one of another context');
	$clean->('KM001', "kms_decrypt_field_bytea(long, 'd')", 'bytes');
	$clean->('00000', "kms_try_decrypt_field(long, 'd')", 'a damaged one that is tried');
	$clean->('22021', "kms_decrypt_field(bytes, 'c')", 'not text');
	$clean->('00000', "kms_try_decrypt_field(bytes, 'c')", 'not text, tried');
	$clean->('22021', "kms_decrypt_field(euro, 'c')", 'a character that the database does not have') if $db eq 'latin1';
	$clean->('00000', "kms_refresh_field(long, 'c', 'd')", 'encrypted again');
	$clean->('KM001', "kms_refresh_field(long, 'd', 'c')", 'not encrypted again');

	# no event can be written
	my $locker = KmsClient->session($node, $db);
	$locker->query('BEGIN; LOCK TABLE kms.event IN EXCLUSIVE MODE');
	$session->send("SELECT length(kms_decrypt_field(long, 'c')) FROM value");
	ok(KmsTest::poll(sub { $count->() > 0 }), "$db: while a plaintext is held, it is found");
	$session->receive;
	is($session->{state}, 'KM008', "$db: KM008: it was held");
	is($count->(), 0, "$db: no plaintext is left of what was held");
	foreach my $function (qw(kms_decrypt_field kms_decrypt_field_bytea kms_try_decrypt_field kms_try_decrypt_field_bytea))
	{
		$clean->('KM008', "$function(text, 'c')", "$function without an event");
	}
	$clean->('57014', "kms_decrypt_field(long, 'c')", 'a wait that is cancelled', "SET statement_timeout = '500ms'");
	$session->query('RESET statement_timeout');
	$locker->query('ROLLBACK');
	$locker->quit;

	$session->query("SELECT kms_decrypt_field(text, 'c') FROM value");
	is($session->{state}, '00000', "$db: a plaintext is returned");
	cmp_ok($count->(), '>', 0, "$db: which is the caller's");
	$session->quit;
}
