# A dump in each form carries field keys, their versions and states, and the
# rights on them, to another server.  Values open there with the same master
# key and with no other; what was denied stays denied; no role gains a right,
# whatever became of roles in the meantime.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../../perl";
use KmsClient;
use KmsRotation;
use KmsTest;
use PostgreSQL::Test::Utils;
use Test::More;

my $dir = PostgreSQL::Test::Utils::tempdir();
my $conf = <<'CONF';
kms.maintenance = off
kms.key_pool_size = 0
CONF
my $source = KmsTest->node('source', conf => $conf);
my @master_key = KmsRotation::lines($source);

sub source
{
	return $source->safe_psql('postgres', $_[0]);
}

# ---- What is dumped ------------------------------------------------------

my @roles = qw(reader reader_group writer custodian newcomer nobody);
source("CREATE ROLE $_") foreach @roles, 'dropped', 'again', 'old_name';
source(<<'SQL');
CREATE EXTENSION kms;
SELECT kms_create_field_key('tax', '1 year'), kms_create_field_key('tax.ann'), kms_create_field_key('iban');
GRANT EXECUTE ON FUNCTION kms_encrypt_field, kms_decrypt_field, kms_blind_index TO PUBLIC;
CREATE TABLE val AS SELECT kms_encrypt_field('tax', 'one', 'c') AS one, kms_encrypt_field('tax.ann', 'ann', 'c') AS ann,
	kms_encrypt_field('iban', 'iban', 'c') AS iban, kms_blind_index('tax', 'two', 's') AS idx;
SELECT kms_rotate_field_key('tax');
ALTER TABLE val ADD two bytea, ADD three bytea;
UPDATE val SET two = kms_encrypt_field('tax', 'two', 'c');
SELECT kms_rotate_field_key('tax');
UPDATE val SET three = kms_encrypt_field('tax', 'three', 'c');
SELECT FROM kms_maintain(confirm_clock => true);
SET kms.field_destroy_after = 0;
SELECT kms_disable_field_key('tax', 1), kms_destroy_field_key('tax', 1, 'tax/1'), kms_disable_field_key('iban');
GRANT SELECT ON val TO PUBLIC;
GRANT EXECUTE ON FUNCTION kms_field."tax/decrypt" TO reader_group, dropped, again, old_name;
GRANT reader_group TO reader;
GRANT EXECUTE ON FUNCTION kms_field."tax/encrypt" TO writer;
GRANT USAGE ON SCHEMA kms_field TO custodian;
GRANT EXECUTE ON FUNCTION kms_field."tax/index" TO custodian WITH GRANT OPTION;
SET ROLE custodian;
GRANT EXECUTE ON FUNCTION kms_field."tax/index" TO writer;
RESET ROLE;
DROP OWNED BY dropped, again;
DROP ROLE dropped, again;
CREATE ROLE again;
ALTER ROLE old_name RENAME TO new_name;
CREATE ROLE old_name;
-- a disabled row that maintenance has not sealed
SELECT kms_create_field_key('unsealed');
UPDATE kms.field_key SET state = 'disabled', seal = NULL WHERE field_key = 'unsealed' AND version = 0;
SQL
push @roles, 'again', 'old_name', 'new_name';
my %options = (
	plain => [ '-f', "$dir/plain" ],
	custom => [ '-Fc', '-f', "$dir/custom" ],
	directory => [ '-Fd', '--jobs=2', '-f', "$dir/directory" ],
	data => [ '--data-only', '--table=kms.field_key', '-f', "$dir/data" ],
	clean => [ '--clean', '--if-exists', '-f', "$dir/clean" ],
	disowned => [ '--no-owner', '-f', "$dir/disowned" ]);
foreach my $form (sort keys %options)
{
	$source->command_ok(
		[ 'pg_dump', '-d', $source->connstr('postgres'), @{ $options{$form} } ],
		"$form: dumped");
}
my $plain = slurp_file("$dir/plain");
like($plain, qr/^CREATE FUNCTION kms_field\."tax\/decrypt"\(\)/m, 'the functions of rights are dumped');
like($plain, qr/^ALTER FUNCTION kms_field\."tax\/decrypt"\(\) DEPENDS ON EXTENSION kms;/m,
	'they depend on the extension');
like($plain, qr/^REVOKE ALL ON FUNCTION kms_field\."tax\/decrypt"\(\) FROM PUBLIC;/m, 'PUBLIC has no right');
unlike($plain, qr/kms_field\."[^"]*\..*"/, 'keys under a field have no functions');

# The rows, the rights of each role, and whether the functions are as they were made.
sub keys_of
{
	my ($node, $db) = @_;
	return $node->safe_psql($db, 'SELECT * FROM kms.field_key ORDER BY field_key, version')
	  . $node->safe_psql($db, 'SELECT * FROM kms.field_keys ORDER BY field_key, version');
}

sub rights_of
{
	my ($node, $db, @of) = @_;
	my $roles = join ',', map { "'$_'" } @of;
	return $node->safe_psql($db, <<"SQL");
SELECT r.rolname, string_agg(p.proname || CASE WHEN has_function_privilege(r.oid, p.oid, 'EXECUTE WITH GRANT OPTION')
	THEN '*' ELSE '' END, ' ' ORDER BY p.proname COLLATE "C")
FROM pg_roles AS r, pg_proc AS p
WHERE r.rolname IN ($roles) AND p.pronamespace = 'kms_field'::regnamespace
	AND has_function_privilege(r.oid, p.oid, 'EXECUTE')
GROUP BY 1 ORDER BY 1
SQL
}

sub functions_of
{
	my ($node, $db) = @_;
	return $node->safe_psql($db, <<'SQL');
SELECT p.proname, p.proowner = e.extowner, d.deptype, p.provolatile, p.proparallel, p.prosecdef,
	has_function_privilege('public', p.oid, 'EXECUTE')
FROM pg_extension AS e, pg_proc AS p
LEFT JOIN pg_depend AS d ON d.classid = 'pg_proc'::regclass AND d.objid = p.oid AND d.refclassid = 'pg_extension'::regclass
WHERE e.extname = 'kms' AND p.pronamespace = 'kms_field'::regnamespace ORDER BY p.proname COLLATE "C"
SQL
}
my $keys = keys_of($source, 'postgres');
my $rights = rights_of($source, 'postgres', @roles);
my $functions = functions_of($source, 'postgres');
is($rights, <<'RIGHTS' =~ s/\n\z//r, 'the rights');
custodian|tax/index*
new_name|tax/decrypt
reader|tax/decrypt
reader_group|tax/decrypt
writer|tax/encrypt tax/index
RIGHTS
is((split /\n/, $functions)[0], 'iban/decrypt|t|x|i|s|f|f', 'the functions');

# ---- Restored where the master key is the same ---------------------------

my $target = KmsTest->node('target', conf => $conf, master_key => [@master_key]);
my $file = KmsTest::master_key_path($target);
$target->safe_psql('postgres', "CREATE ROLE $_") foreach grep { $_ ne 'reader_group' } @roles;
$target->safe_psql('postgres', 'CREATE ROLE reader_group; GRANT reader_group TO reader');

sub code
{
	my ($db, $role, $sql) = @_;
	my (undef, $out, $errors) = $target->psql($db, "SET ROLE $role; $sql", extra_params => [ '-v', 'VERBOSITY=verbose' ]);
	return $errors =~ /ERROR:  (\w{5}):/ ? $1 : $out;
}

sub opens
{
	my ($db) = @_;
	is( join(' ', map { code($db, 'reader', "SELECT kms_decrypt_field($_, 'c') FROM val") } qw(one two three ann)),
		'KM002 two three ann', "$db: values open, what was destroyed does not");
	is(KmsClient::sqlstate($target, $db, "SELECT kms_decrypt_field(iban, 'c') FROM val"), 'KM004', "$db: what was denied does not");
	is(code($db, 'writer', "SELECT kms_blind_index('tax', 'two', 's') = idx FROM val"), 't', "$db: indexes are found");
	is(substr(code($db, 'writer', "SELECT kms_encrypt_field('tax', 'x', 'c')"), 24, 4), '0003',
		"$db: the newest version encrypts");
	is( join(' ', map { code($db, $_, "SELECT kms_decrypt_field(two, 'c') FROM val") } qw(writer custodian again old_name new_name nobody)),
		'42501 42501 42501 42501 two 42501', "$db: no other role has gained a right");
}

sub restored
{
	my ($form, $name) = @_;
	my $db = "${form}_$name";
	my @psql = ('psql', '-X', '-q', '-d', $target->connstr($db), '-v', 'ON_ERROR_STOP=1', '-f');
	my @restore = ('pg_restore', '--exit-on-error', '-d', $target->connstr($db));
	my %commands = (
		plain => [@psql], clean => [@psql], disowned => [@psql],
		custom => [@restore],
		# several jobs would grant on a function before the schema, see docs/howto/roles.md
		directory => [ 'pg_restore', '--exit-on-error', '-d', $target->connstr($db) ]);

	$target->safe_psql('postgres', "CREATE DATABASE $db");
	$target->command_ok([ @{ $commands{$form} }, "$dir/$form" ], "$db: restored");
	return $db;
}

foreach my $form (qw(plain custom directory clean disowned))
{
	my $db = restored($form, 'same');
	is(keys_of($target, $db), $keys, "$db: the rows are");
	is(rights_of($target, $db, @roles), $rights, "$db: the rights are");
	is(functions_of($target, $db), $functions, "$db: the functions are");
	opens($db);
	is($target->safe_psql($db, "SELECT kms_rotate_field_key('tax')"), '4', "$db: the next version");
	is(KmsClient::sqlstate($target, $db, "SELECT kms_create_field_key('tax')"), '22023', "$db: names stay used");
	$target->safe_psql($db, "SELECT kms_enable_field_key('iban')");
	is($target->safe_psql($db, "SELECT kms_decrypt_field(iban, 'c') FROM val"), 'iban', "$db: allowed again");
	is(KmsClient::sqlstate($target, $db, "SELECT kms_encrypt_field('unsealed', 'x', '')"), 'KM004', "$db: denied without a seal");
	is($target->safe_psql($db, "SELECT done FROM kms_maintain() WHERE task = 'rotate field keys'"),
		'1', "$db: maintenance seals it, and makes no function");
}

# Restored over itself, twice: the rows of the dump are back.
$target->command_ok([ 'psql', '-X', '-q', '-d', $target->connstr('clean_same'), '-v', 'ON_ERROR_STOP=1', '-f', "$dir/clean" ],
	'restored over');
is(keys_of($target, 'clean_same'), $keys, 'restored over: the rows are');
is(rights_of($target, 'clean_same', @roles), $rights, 'restored over: the rights are');
is(functions_of($target, 'clean_same'), $functions, 'restored over: the functions are');
opens('clean_same');

# Rows alone: over rows that exist nothing is changed; without them, maintenance
# makes the functions, granted to nobody.
$target->command_fails([ 'psql', '-X', '-q', '-d', $target->connstr('clean_same'), '-v', 'ON_ERROR_STOP=1', '-f', "$dir/data" ],
	'rows are not restored over rows');
is(keys_of($target, 'clean_same'), $keys, 'nothing has changed');
$target->safe_psql('postgres', 'CREATE DATABASE data_only');
$target->safe_psql('data_only', 'CREATE EXTENSION kms; GRANT EXECUTE ON FUNCTION kms_decrypt_field TO PUBLIC');
$target->command_ok([ 'psql', '-X', '-q', '-d', $target->connstr('data_only'), '-v', 'ON_ERROR_STOP=1', '-f', "$dir/data" ],
	'rows are restored into a new extension');
my $two = source('SELECT two FROM val');
is($target->safe_psql('data_only', "SELECT kms_decrypt_field('$two', 'c')"), 'two', 'data only: opens for a superuser');
is(code('data_only', 'reader', "SELECT kms_decrypt_field('$two', 'c')"), '42501', 'data only: nobody else has a right');
is($target->safe_psql('data_only', "SELECT done FROM kms_maintain() WHERE task = 'rotate field keys'"),
	'13', 'data only: maintenance makes the functions, and seals');
is(functions_of($target, 'data_only'), $functions, 'data only: they are as they were made');
is(rights_of($target, 'data_only', @roles), '', 'data only: granted to nobody');
is(code('data_only', 'reader', "SELECT kms_decrypt_field('$two', 'c')"), '42501', 'data only: so nobody has a right');
$target->safe_psql('data_only', 'GRANT EXECUTE ON FUNCTION kms_field."tax/decrypt" TO reader');
is(code('data_only', 'reader', "SELECT kms_decrypt_field('$two', 'c')"), 'two', 'data only: they can be granted');

# ---- Roles that are missing, and restores without privileges --------------

$target->safe_psql('postgres', <<'SQL');
DROP DATABASE plain_same;
DROP DATABASE custom_same;
DROP DATABASE directory_same;
DROP DATABASE clean_same;
DROP DATABASE disowned_same;
DROP DATABASE data_only;
DROP ROLE reader, new_name;
CREATE ROLE reader;
CREATE DATABASE missing;
CREATE DATABASE unprivileged;
CREATE EXTENSION kms;
SQL
$target->command_checks_all([ 'pg_restore', '-d', $target->connstr('missing'), "$dir/custom" ],
	1, [], [qr/role "new_name" does not exist/], 'a role is missing');
is(keys_of($target, 'missing'), $keys, 'the rows are there');
is($target->safe_psql('missing', "SELECT kms_decrypt_field(two, 'c') FROM val"), 'two', 'and open');

# pg_restore runs the statements of an ACL in one transaction, so that of the
# function is the default, in which PUBLIC has EXECUTE.
is($target->safe_psql('missing', q{SELECT has_function_privilege('nobody', 'kms_field."tax/decrypt"()', 'EXECUTE')}),
	't', 'PUBLIC has EXECUTE on its function');
$target->command_ok([ 'pg_restore', '--no-privileges', '-d', $target->connstr('unprivileged'), "$dir/custom" ],
	'restored without privileges');
$target->safe_psql('unprivileged', 'GRANT EXECUTE ON FUNCTION kms_decrypt_field TO PUBLIC; GRANT SELECT ON val TO PUBLIC');
foreach my $db ('missing', 'unprivileged')
{
	is( join(' ', map { code($db, $_, "SELECT kms_decrypt_field(two, 'c') FROM val") } 'nobody', 'writer', 'reader'),
		'42501 42501 42501', "$db: that gives nobody the right");
	$target->safe_psql($db, 'GRANT EXECUTE ON FUNCTION kms_field."tax/decrypt" TO reader');
	is( join(' ', map { code($db, $_, "SELECT kms_decrypt_field(two, 'c') FROM val") } 'nobody', 'writer', 'reader'),
		'42501 42501 two', "$db: a role to which it is granted has it, and no other");
}

# ---- Another master key, and none ----------------------------------------

my ($other) = (KmsTest::random_master_key());
KmsRotation::put($target, $other);
like( KmsClient::error($target, 'missing', "SELECT kms_decrypt_field(two, 'c') FROM val"),
	qr/KM007: field key "tax" was wrapped under master key "[0-9a-f]{16}", which this server does not have/,
	'another master key opens nothing, and the error says which one is missing');
is( join(' ', map { KmsClient::sqlstate($target, 'missing', "SELECT $_ FROM val") }
	"kms_encrypt_field('tax', 'x', '')", "kms_blind_index('tax', 'x', 's')", "kms_refresh_field(two, 'c')",
	"kms_decrypt_field(one, 'c')", "kms_decrypt_field(iban, 'c')", "kms_rotate_field_key('tax')",
	"kms_enable_field_key('iban')", "kms_field_key(two)", "kms_create_field_key('tax.bob')"),
	'KM007 KM007 KM007 KM002 KM004 KM007 KM007 00000 00000', 'states come before the master key');
$target->safe_psql('missing', 'SELECT * FROM kms_maintain()');
is(keys_of($target, 'missing') =~ s/^tax\.bob.*\n//mgr, $keys, 'nothing of it is changed');
$target->safe_psql('missing', "SELECT kms_disable_field_key('tax')");
is( $target->safe_psql('missing', "SELECT state, seal IS NULL FROM kms.field_key WHERE field_key = 'tax' AND version = 0"),
	'disabled|t', 'a key can be denied');
is(KmsClient::sqlstate($target, 'missing', "SELECT kms_decrypt_field(two, 'c') FROM val"), 'KM004', 'and is');
KmsRotation::put($target, $other, @master_key);
is($target->safe_psql('missing', "SELECT done FROM kms_maintain() WHERE task = 'rotate field keys'"),
	'2', 'with the master key of the dump, maintenance seals the denials');
is($target->safe_psql('missing', "SELECT kms_enable_field_key('tax'); SELECT kms_decrypt_field(two, 'c') FROM val"),
	"enabled\ntwo", 'and values open');

unlink $file;
$target->restart;
is( join(' ', map { KmsClient::sqlstate($target, 'missing', "SELECT kms_decrypt_field($_, 'c') FROM val") } qw(one two iban)),
	'KM002 KM007 KM004', 'without a master key nothing opens');
KmsTest::write_master_key($file, @master_key);
$target->reload;
ok( KmsTest::poll(sub { KmsClient::sqlstate($target, 'missing', "SELECT kms_decrypt_field(two, 'c') FROM val") eq '00000' }),
	'with it they do, without a restart');

$target->stop;
$source->stop;
done_testing();
