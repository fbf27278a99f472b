# Each recipe of examples/ does what it says, run by the role that it names,
# for an application that has no more rights than the recipe gives it.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../../perl";
use KmsClient;
use KmsTest;
use PostgreSQL::Test::Utils;
use Test::More;

my $examples = "$FindBin::Bin/../../../examples";
my $node = KmsTest->node('recipes', conf => <<'CONF');
kms.maintenance = off
kms.verify_failure_limit = 3
CONF

# A database that belongs to role shop, with an application role web, an
# operator, and somebody else.
$node->safe_psql(
	'postgres', q{
	CREATE ROLE kms_issuer; CREATE ROLE kms_decrypter; CREATE ROLE kms_operator;
	CREATE ROLE kms_auditor; CREATE ROLE kms_break_glass; CREATE ROLE kms_custodian; CREATE ROLE kms_monitor;
	CREATE ROLE shop LOGIN; CREATE ROLE web LOGIN; CREATE ROLE ops LOGIN;
	GRANT kms_decrypter, kms_auditor TO shop;
	GRANT kms_operator, kms_auditor TO ops});
$node->safe_psql('postgres', 'CREATE DATABASE app OWNER shop');
$node->safe_psql('app', 'CREATE SCHEMA keys; CREATE EXTENSION kms SCHEMA keys;
	ALTER DATABASE app SET search_path = "$user", public, keys');
my $superuser = $node->safe_psql('app', 'SELECT session_user');

# The recipes in the order in which they are run, and the result of each.
my @recipes = (
	[ 'grants.sql', $superuser, \&grants ],
	[ 'trigger.sql', 'shop', \&trigger ],
	[ 'check_pin.sql', 'shop', \&check_pin ],
	[ 'bulk.sql', 'shop', \&bulk ],
	[ 'foreign_key.sql', $superuser, \&foreign_key ],
	[ 'rotate_fleet.sql', 'ops', \&rotate_fleet ]);

is_deeply(
	[ sort map { $_->[0] } @recipes ],
	[ sort map { m{([^/]+)$} } glob "$examples/*.sql" ],
	'each recipe is run');

foreach my $recipe (@recipes)
{
	my ($file, $role, $check) = @$recipe;

	run_recipe($file, $role);
	$check->();
}

unlike(slurp_file($node->logfile), qr/4111111111111111|71717|canary/,
	'no plaintext is in the log');
$node->stop;
done_testing();

# ---- What comes of them --------------------------------------------------

# The rights of each role are tested in 091.
sub grants
{
	is( as('shop', "SELECT has_function_privilege('kms_decrypt(text, text, text, text, text, bytea)', 'EXECUTE')"),
		't', 'grants: the owner may decrypt');
	is(as('web', "SELECT keys.kms_try_decrypt('a', 'AAAA')"),
		'42501', 'grants: the application may not');
}

sub trigger
{
	my ($key, $pem) = KmsClient::issue($node, 'app', 'phone');
	my $insert = 'INSERT INTO card (device_id, key_id, number) VALUES';

	my $good = KmsTest::encrypt_with_openssl($pem, '4111111111111111');
	is(as('web', "$insert ('phone', '$key', '$good') RETURNING number"),
		'****1111', 'trigger: what is stored is what is needed');
	is( as('web', "$insert ('phone', '$key', '"
			  . KmsTest::encrypt_with_openssl($pem, 'canary') . "')"),
		'23514', 'trigger: a plaintext of another form is refused');
	is(as('web', "$insert ('tablet', '$key', '$good')"),
		'KM002', "trigger: and another device's key");
	is(as('web', "$insert ('phone', '$key', 'AAAA')"),
		'22023', 'trigger: and what is no ciphertext');
	is(as('web', "UPDATE card SET number = '$good'"),
		'42501', 'trigger: the application may not write over it');
	is(as('shop', "UPDATE card SET number = '$good' RETURNING number"),
		'****1111', 'trigger: the owner may, with a ciphertext');
	is(as('web', "SELECT string_agg(number, ' ') FROM card"),
		'****1111', 'trigger: one card is stored');
	is(as('web', "SELECT keys.kms_decrypt('$key', '$good')"),
		'42501', 'trigger: the application cannot decrypt');
	is( KmsTest::events($node, 'app',
			"operation = 'decrypt' AND status = 'failure' AND session_role = 'web' AND effective_role = 'shop'"),
		'2', 'trigger: what did not open is recorded, with who it was');
}

sub check_pin
{
	my ($key, $pem) = KmsClient::issue($node, 'app', 'pad');
	my ($other, $other_pem) = KmsClient::issue($node, 'app', 'another pad');
	my $right = KmsTest::encrypt_with_openssl($pem, '71717');
	my $wrong = KmsTest::encrypt_with_openssl($pem, '81818');

	is(as('web', "SELECT login_set_pin('alice', 'pad', '$key', '$right')"),
		'', 'check_pin: a PIN is set');
	is(as('web', "SELECT login_set_pin('bob', 'pad', '$other', '"
			  . KmsTest::encrypt_with_openssl($other_pem, '71717') . "')"),
		'KM002', "check_pin: not with another device's key");
	is(as('web', "SELECT login_check_pin('alice', '$key', '$right')"),
		't', 'check_pin: the right one');
	is(as('web', "SELECT login_check_pin('alice', '$key', '$wrong')"),
		'f', 'check_pin: a wrong one');
	is(as('web', "SELECT login_check_pin('alice', '$key', NULL)"),
		'f', 'check_pin: none');
	is(as('web', "SELECT login_check_pin('nobody', '$key', '$right')"),
		'f', 'check_pin: an account that is not there');
	is(as('web', "SELECT login_set_pin('alice', 'pad', '$key', '$wrong')"),
		'', 'check_pin: another PIN is set');
	is(as('web', "SELECT login_check_pin('alice', '$key', '$wrong')"),
		't', 'check_pin: that one counts now');
	my @after = map { as('web', "SELECT login_check_pin('alice', '$key', '$right')") } 1 .. 4;
	is($after[0], 'f', 'check_pin: and the old one no more');
	is($after[3], 'KM009', 'check_pin: too many failures lock the account');
	is(as('web', "SELECT login_check_pin('alice', '$key', '$wrong')"),
		'KM009', 'check_pin: for the right PIN, too');
	is(as('web', 'SELECT pin_hash FROM login'),
		'42501', 'check_pin: the application sees no hash');
	unlike($node->safe_psql('app', 'SELECT pin_hash FROM login'),
		qr/81818/, 'check_pin: and a hash is what is stored');
}

sub bulk
{
	my ($key, $pem) = KmsClient::issue($node, 'app', 'scanner');
	my ($gone, $gone_pem) = KmsClient::issue($node, 'app', 'old scanner');
	my @rows = map { [ $key, KmsTest::encrypt_with_openssl($pem, sprintf '%05d Somewhere', $_) ] } 1 .. 12;

	$rows[3][1] = KmsTest::encrypt_with_openssl($gone_pem, '00004 Elsewhere');
	$rows[6][1] = 'spam!';
	$rows[8][0] = 'key_0000000000000_000000000000000000000000';
	$node->safe_psql('app', join '', map {
			"INSERT INTO inbox VALUES ($_, '$rows[$_ - 1][0]', '$rows[$_ - 1][1]');"
	} 1 .. @rows);
	is(as('shop', 'CALL inbox_open(5)'), '', 'bulk: the rows are opened');
	is(as('shop', 'SELECT count(*) FROM inbox WHERE tried_at IS NULL'),
		'0', 'bulk: all were tried');
	is( as('shop', "SELECT string_agg(postcode, ' ' ORDER BY id) FROM inbox"),
		'00001 00002 00003 00005 00006 00008 00010 00011 00012',
		'bulk: bad rows do not stop the good ones');
	is(as('shop', 'SELECT kms_flush_events()'), '', 'bulk: the trail is complete');
	is( as('shop', "SELECT string_agg(id || ': ' || reason, ', ' ORDER BY id) FROM inbox_failed"),
		'4: Failed to decrypt data, 7: Invalid argument, 9: Encryption key not found',
		'bulk: it says which did not open, and why');
	as('shop', 'UPDATE inbox SET tried_at = NULL WHERE id <= 2');
	is(as('shop', 'CALL inbox_open()'), '', 'bulk: it goes on with what is left');
	is( KmsTest::events($node, 'app', "application_name ~ '^inbox ' AND operation = 'decrypt'"),
		'14', 'bulk: and tries nothing else again');
}

sub foreign_key
{
	$node->safe_psql('app', 'ALTER DATABASE app SET kms.key_retention = 0');
	my ($kept) = split /\|/, $node->safe_psql('app',
		"SET kms.key_lifetime = '1s'; SELECT * FROM kms_issue_key('letter box')");
	my ($free) = split /\|/, $node->safe_psql('app',
		"SET kms.key_lifetime = '1s'; SELECT * FROM kms_issue_key('other box')");

	is(as('shop', "INSERT INTO message (key_id, body) VALUES ('$kept', 'x') RETURNING message_id"),
		'1', 'foreign_key: the owner of the table needs no right on kms.key');
	is(as('shop', "INSERT INTO message (key_id, body) VALUES ('none', 'x')"),
		'23503', 'foreign_key: a key that is not there is refused');
	is( as('shop', 'CREATE TABLE mine (key_id text REFERENCES kms.key)'),
		'42501', 'foreign_key: others cannot make such a constraint');
	like(
		$node->safe_psql('app', 'SELECT * FROM key_references'),
		qr/^message\|message_key\|FOREIGN KEY \(key_id\) REFERENCES kms\.key\(key_id\)$/,
		'foreign_key: which there are');
	is($node->safe_psql('app', 'SELECT * FROM message_keeps_key'),
		'', 'foreign_key: nothing is kept yet');

	my $left = "SELECT string_agg(device_id, ' ' ORDER BY device_id) FROM kms.key WHERE device_id LIKE '% box'";
	my $purge = "SELECT done, skipped FROM kms_maintain() WHERE task = 'purge keys'";
	ok( KmsTest::poll(
			sub {
				$node->safe_psql('app', $purge);
				$node->safe_psql('app', $left) eq 'letter box';
			}),
		'foreign_key: the purge takes the other key');
	like(KmsClient::findings($node, 'app'), qr/message/,
		'foreign_key: kms_check() says what keeps one');
	is( $node->safe_psql('app', 'SELECT key_id, device_id, messages FROM message_keeps_key'),
		"$kept|letter box|1", 'foreign_key: and here is which rows');
	$node->safe_psql('app',
		'DELETE FROM message WHERE key_id IN (SELECT key_id FROM message_keeps_key)');
	ok( KmsTest::poll(
			sub {
				$node->safe_psql('app', $purge);
				$node->safe_psql('app', $left) eq '';
			}),
		'foreign_key: without them the key is purged');
	$node->safe_psql('app', 'ALTER DATABASE app RESET kms.key_retention');
}

sub rotate_fleet
{
	my $before = "SELECT string_agg(concat_ws(' ', device_id, algorithm, state), ', ' ORDER BY device_id, created_at) FROM kms.keys WHERE device_id LIKE 'till%'";

	$node->safe_psql('app', "SELECT kms_issue_key('till ' || n, '2.' || n) FROM generate_series(1, 3) AS n");
	$node->safe_psql('app', "SELECT kms_issue_key('till 4', NULL, 'RSA-3072')");
	$node->safe_psql('app', 'ALTER DATABASE app SET kms.keygen_limit = 2');
	$node->safe_psql('app', "SELECT kms_rotate_key('till 3')");

	# Stopped in the middle: another session holds a device.
	my $session = KmsClient->session($node, 'app');
	$session->query("BEGIN; SELECT kms_rotate_key('till 2')");
	{
		local $ENV{PGOPTIONS} = '-c lock_timeout=1s';
		my ($status, $said) = psql_recipe('rotate_fleet.sql', 'ops',
			algorithm => 'RSA-3072', batch => 1);
		is($status, 3, 'rotate_fleet: it is stopped');
		like($said, qr/lock timeout/, 'rotate_fleet: by a lock');
	}
	$session->query('ROLLBACK');
	$session->quit;
	is( $node->safe_psql('app', $before),
		'till 1 RSA-2048 deprecated, till 1 RSA-3072 active, till 2 RSA-2048 active, '
		  . 'till 3 RSA-2048 deprecated, till 3 RSA-2048 active, till 4 RSA-3072 active',
		'rotate_fleet: what was done is kept');

	# Run again it does the rest.
	my $said = run_recipe('rotate_fleet.sql', 'ops', algorithm => 'RSA-3072', batch => 2);
	like($said, qr/device till 3 is skipped: rate limit/,
		'rotate_fleet: a device at its limit is skipped');
	like($said, qr/\d rotated, 1 skipped/, 'rotate_fleet: skipped devices are counted');
	is( $node->safe_psql('app', $before),
		'till 1 RSA-2048 deprecated, till 1 RSA-3072 active, '
		  . 'till 2 RSA-2048 deprecated, till 2 RSA-3072 active, '
		  . 'till 3 RSA-2048 deprecated, till 3 RSA-2048 active, '
		  . 'till 4 RSA-3072 active',
		'rotate_fleet: the others have the algorithm');
	is( $node->safe_psql('app', "SELECT string_agg(app_version, ' ' ORDER BY device_id) FROM kms.keys WHERE state = 'active' AND device_id LIKE 'till%'"),
		'2.1 2.2', 'rotate_fleet: and their app version still');

	$node->safe_psql('app', 'ALTER DATABASE app SET kms.keygen_limit = 3');
	like(run_recipe('rotate_fleet.sql', 'ops', algorithm => 'RSA-3072'),
		qr/ 1 rotated, 0 skipped/,
		'rotate_fleet: run again it takes those that are left');
	like(run_recipe('rotate_fleet.sql', 'ops', algorithm => 'RSA-3072'),
		qr/ 0 rotated, 0 skipped/, 'rotate_fleet: the next run rotates none');
	# Keys of EC-P256 and X25519 are left, and the digests are those of the key.
	$node->safe_psql('app', "SELECT kms_issue_key('till 5', algorithm => 'EC-P256');
		SELECT kms_issue_key('till 6', algorithm => 'X25519');
		SELECT kms_issue_key('till 7', algorithm => 'RSA-2048', oaep_hash => 'sha256', mgf1_hash => 'sha1')");
	run_recipe('rotate_fleet.sql', 'ops', algorithm => 'RSA-3072');
	my $kinds = "SELECT string_agg(concat_ws(' ', device_id, algorithm, oaep_hash, mgf1_hash), ', ' ORDER BY device_id) FROM kms.keys WHERE state = 'active' AND device_id ~ 'till [567]'";
	is($node->safe_psql('app', $kinds),
		'till 5 EC-P256 none none, till 6 X25519 none none, till 7 RSA-3072 sha256 sha1',
		'rotate_fleet: each RSA key is replaced by one with its digests, and no other');
	like(run_recipe('rotate_fleet.sql', 'ops', algorithm => 'EC-P256'),
		qr/ [1-9]\d* rotated/, 'rotate_fleet: RSA keys are replaced by keys of EC-P256');
	is($node->safe_psql('app', $kinds),
		'till 5 EC-P256 none none, till 6 X25519 none none, till 7 EC-P256 none none',
		'rotate_fleet: which have no digests');
	$node->safe_psql('app', "SELECT kms_issue_key('till 8', NULL, 'RSA-3072')");

	like(run_recipe('rotate_fleet.sql', 'ops', algorithm => 'RSA-3072', older_than => '0'),
		qr/ [1-9]\d* rotated/, 'rotate_fleet: what is too old is rotated, too');
}

# ---- Tools ---------------------------------------------------------------

# Run a file of examples/ as a role; returns what psql prints.
sub run_recipe
{
	my ($file, $role) = @_;
	my ($status, $said) = psql_recipe(@_);

	is($status, 0, "$file runs as $role") or diag($said);
	return $said;
}

sub psql_recipe
{
	my ($file, $role, %variables) = @_;
	my ($out, $err);
	my @set = map { ('-v', "$_=$variables{$_}") } sort keys %variables;
	my $status = $node->psql('app', "\\i $examples/$file",
		stdout => \$out, stderr => \$err,
		extra_params => [ '-U', $role, '-v', 'ON_ERROR_STOP=1', @set ]);

	return ($status, "$out\n$err");
}

# The rows of a statement run by a role, or its SQLSTATE.
sub as
{
	my ($role, $sql) = @_;
	my ($status, $out, $err) = $node->psql('app', $sql,
		extra_params => [ '-U', $role, '-v', 'VERBOSITY=verbose' ]);

	return $out if $err !~ /(?:ERROR|FATAL):  (\w{5}):/;
	return $1;
}
