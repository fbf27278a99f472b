# A forgotten prepared transaction holds a device: a call that waits for it says
# so, and kms_check() names the transaction.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../../perl";
use KmsClient;
use KmsTest;
use PostgreSQL::Test::Utils;
use Test::More;

my ($faketime) = glob '/usr/lib/*/faketime/libfaketime.so.1';
my $node = KmsTest->node('prepared', conf => "kms.maintenance = off\nmax_prepared_transactions = 5", start => 0);

# Ten minutes ago.
{
	local %ENV = %ENV;
	@ENV{qw(LD_PRELOAD FAKETIME FAKETIME_DONT_FAKE_MONOTONIC)} = ($faketime, '-10m', '1') if $faketime;
	$node->start;
}
$node->safe_psql('postgres', 'CREATE EXTENSION kms; CREATE TABLE message (key_id text REFERENCES kms.key)');
my ($old, $nested, $shared) = map { (KmsClient::issue($node, 'postgres', $_))[0] } 'old phone', 'nested phone', 'shared phone';
$node->safe_psql('postgres', "BEGIN; SELECT kms_issue_key('phone'); PREPARE TRANSACTION 'left behind'");
$node->safe_psql('postgres', "BEGIN; INSERT INTO message VALUES ('$old'), ('$shared'); PREPARE TRANSACTION 'it''s'");
$node->safe_psql('postgres', "BEGIN; SELECT kms_deprecate_key('$old'), kms_deprecate_key('$shared');
	SAVEPOINT s; SELECT kms_deprecate_key('$nested'); RELEASE s; PREPARE TRANSACTION 'changed'");
$node->safe_psql('postgres', "BEGIN; CREATE TABLE other (); SELECT kms_key_state('$old'); PREPARE TRANSACTION 'harmless'");
$node->restart;
$node->safe_psql('postgres', "BEGIN; SELECT kms_issue_key('new phone'); PREPARE TRANSACTION 'young'");

sub waits
{
	my ($setting, $query) = @_;
	my ($rc, $stdout, $stderr) = $node->psql('postgres', "SET $setting; $query");
	return $stderr;
}

foreach my $setting (qw(lock_timeout statement_timeout))
{
	my $said = waits("$setting = '300ms'", "SELECT kms_issue_key('phone')");
	like($said, qr/NOTICE:  the keys of this device are held by prepared transaction "left behind"\n.*HINT: .*COMMIT PREPARED or ROLLBACK PREPARED/m,
		"$setting: who holds the device is said before the wait");
	like($said, qr/ERROR:  canceling statement due to .*timeout\n.*HINT: .*pg_prepared_xacts and kms_check\(\)/m,
		"$setting: and a hint when it ends");
	foreach ([ $old, 'old phone' ], [ $nested, 'nested phone' ], [ $shared, 'shared phone' ])
	{
		my ($key, $device) = @$_;
		$said = waits("$setting = '300ms'", "SELECT kms_rotate_key('$device')");
		like($said, qr/NOTICE:  encryption key "$key" is held by prepared transaction "changed"\n.*HINT: .*COMMIT PREPARED or ROLLBACK PREPARED/m,
			"$setting: also if it is the key of the $device");
		like($said, qr/ERROR:  canceling statement due to .*timeout\n.*HINT: .*pg_prepared_xacts and kms_check\(\)/m,
			"$setting: and a hint when that wait ends");
	}
}
like(waits("statement_timeout = '300ms'", 'SELECT pg_sleep(10)'), qr/^(?!.*HINT)/s, 'other waits have no such hint');

SKIP:
{
	skip 'no libfaketime', 4 unless $faketime;
	my $findings = KmsClient::findings($node, 'postgres');
	like($findings,
		qr/^warning: prepared transactions have held keys of kms for more than a minute: 'left behind' of \w+, 'it''s' of \w+, 'changed' of \w+ \(.*wait/m,
		'kms_check() names those that were left behind, oldest first');
	unlike($findings, qr/young|harmless/, 'kms_check() names no other transactions');
	$node->safe_psql('postgres', "COMMIT PREPARED 'left behind'");
	$node->safe_psql('postgres', "ROLLBACK PREPARED '$_'") foreach ("it''s", 'changed');
	unlike(KmsClient::findings($node, 'postgres'), qr/prepared/, 'the finding ends with the transactions');
	is(waits("lock_timeout = '300ms'", "SELECT count(kms_issue_key('phone'))"), '', 'after that the device gets its key');
}
$node->stop;
done_testing();
