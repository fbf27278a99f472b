# The functions of rights on fields follow the extension: to another owner, and
# away with it.  A function that is missing, or belongs to another role, gives
# nobody a right until maintenance has made it again and somebody has granted it.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../../perl";
use KmsClient;
use KmsTest;
use Test::More;

my $node = KmsTest->node('server', conf => "kms.maintenance = off\nkms.key_pool_size = 0");

sub sql
{
	return $node->safe_psql('postgres', $_[0]);
}

sub code
{
	my ($role, $sql) = @_;
	my (undef, $out, $errors) = $node->psql('postgres', "SET ROLE $role; $sql", extra_params => [ '-v', 'VERBOSITY=verbose' ]);
	return $errors =~ /ERROR:  (\w{5}):/ ? $1 : $out;
}

sub functions
{
	return sql(<<'SQL');
SELECT count(*), count(*) FILTER (WHERE p.proowner = e.extowner), count(d), count(*) FILTER (WHERE EXISTS
	(SELECT FROM aclexplode(p.proacl) AS a WHERE a.grantee <> p.proowner))
FROM pg_extension AS e, pg_proc AS p
LEFT JOIN pg_depend AS d ON d.classid = 'pg_proc'::regclass AND d.objid = p.oid
	AND d.refclassid = 'pg_extension'::regclass AND d.deptype = 'x'
WHERE e.extname = 'kms' AND p.pronamespace = 'kms_field'::regnamespace
SQL
}

sql(<<'SQL');
CREATE ROLE first_owner SUPERUSER;
CREATE ROLE second_owner SUPERUSER;
CREATE ROLE reader;
SET ROLE first_owner;
CREATE EXTENSION kms;
SELECT kms_create_field_key('tax');
CREATE TABLE val AS SELECT kms_encrypt_field('tax', 'plain', 'c') AS v;
GRANT EXECUTE ON FUNCTION kms_decrypt_field TO reader;
GRANT EXECUTE ON FUNCTION kms_field."tax/decrypt" TO reader;
SQL

# A value and not a table, whose lock would keep its owner from being changed.
my $value = sql('SELECT v FROM val');
my $open = "SELECT kms_decrypt_field('$value', 'c')";
is(functions(), '4|4|4|1', 'the functions belong to the owner and depend on the extension');
is(code('reader', $open), 'plain', 'the reader has the right');

# ---- Another owner -------------------------------------------------------

my $session = KmsClient->session($node, 'postgres');
$session->query('SET ROLE reader; BEGIN');
is($session->query($open), 'plain', 'a session has the key open');
sql('ALTER ROLE first_owner RENAME TO renamed_owner');
is($session->query($open), 'plain', 'renamed owner: the right stays');
sql('REASSIGN OWNED BY renamed_owner TO second_owner');
is(functions(), '4|4|4|1', 'REASSIGN OWNED: the functions follow the extension');
is($session->query($open), 'plain', 'REASSIGN OWNED: the right stays, also in a transaction');
is(code('reader', $open), 'plain', 'and in a new session');
is( sql("SELECT kms_create_field_key('iban'); SELECT proowner::regrole FROM pg_proc WHERE proname = 'iban/decrypt'"),
	"1\nsecond_owner", 'new functions belong to the new owner');
sql('DROP OWNED BY renamed_owner; DROP ROLE renamed_owner');
is($session->query($open), 'plain', 'the old owner is dropped: the right stays');

# An owner that is no superuser any more can still make functions, and has the
# rights that PostgreSQL gives to the owner of a function.
sql('ALTER ROLE second_owner NOSUPERUSER');
is($session->query($open), 'plain', 'an owner that is no superuser: the right stays');
is(sql("SELECT kms_create_field_key('pin')"), '1', 'an owner that is no superuser: fields can be created');
is(code('second_owner', $open), 'plain', 'and it has the right itself');
is(functions(), '12|12|12|1', 'with their functions, which are granted to nobody');
sql('DROP FUNCTION kms_field."pin/index"');
is( sql("SELECT done, skipped FROM kms_maintain() WHERE task = 'rotate field keys'"),
	'1|0', 'an owner that is no superuser: maintenance makes a missing function');
sql('ALTER ROLE second_owner SUPERUSER');

# ---- Missing functions, and functions of others --------------------------

sql('DROP FUNCTION kms_field."tax/decrypt"');
$session->query($open);
is($session->{state}, '42501', 'a missing function: the session has lost the right');
is(sql($open), 'plain', 'a superuser needs none');
is(sql("SELECT done, skipped FROM kms_maintain() WHERE task = 'rotate field keys'"), '1|0', 'maintenance makes it');
is(functions(), '12|12|12|0', 'like the others, granted to nobody');
is(code('reader', $open), '42501', 'the reader has the right no more');
sql('GRANT EXECUTE ON FUNCTION kms_field."tax/decrypt" TO reader');
is(code('reader', $open), 'plain', 'until it is granted again');
$session->query('ROLLBACK');
sql('GRANT USAGE, CREATE ON SCHEMA kms_field TO reader; ALTER FUNCTION kms_field."tax/decrypt"() OWNER TO reader');
is($session->query($open), '', 'a function that belongs to another role: no right');
is($session->{state}, '42501', 'not even for that role');
is(sql("SELECT done, skipped FROM kms_maintain() WHERE task = 'rotate field keys'"), '0|1', 'maintenance leaves it alone');
sql('DROP OWNED BY reader; GRANT EXECUTE ON FUNCTION kms_decrypt_field TO reader');
is(sql("SELECT done, skipped FROM kms_maintain() WHERE task = 'rotate field keys'"), '1|0', 'once it is dropped, the right one is made');
is(functions(), '12|12|12|0', 'and is like the others');

# Two rounds at once: neither fails, and neither waits.
sql('DROP FUNCTION kms_field."tax/decrypt", kms_field."pin/decrypt"');
my $other = KmsClient->session($node, 'postgres');
$other->query('BEGIN');
is($other->query("SELECT done, skipped FROM kms_maintain() WHERE task = 'rotate field keys'"), '2|0', 'one round makes them');
is( sql("SET statement_timeout = '20s'; SELECT done, skipped FROM kms_maintain() WHERE task = 'rotate field keys'"),
	'0|2', 'another one, which runs at the same time, does not wait');
$other->query('COMMIT');
is(functions(), '12|12|12|0', 'there is one of each');
$other->quit;
$session->quit;

# ---- Without the extension -----------------------------------------------

sql('GRANT EXECUTE ON FUNCTION kms_field."tax/decrypt" TO reader');
like( KmsClient::error($node, 'postgres', 'DROP SCHEMA kms_field CASCADE'),
	qr/2BP01|cannot drop schema kms_field because extension kms requires it/, 'the schema cannot be dropped alone');
sql('CREATE VIEW guarded AS SELECT v FROM val WHERE kms_field."tax/decrypt"()');
my $errors = KmsClient::error($node, 'postgres', 'DROP EXTENSION kms');
like($errors, qr/ERROR:  2BP01: cannot drop extension kms because other objects depend on it/, 'an object that uses a function keeps the extension');
like($errors, qr/view guarded depends on function kms_field\."tax\/decrypt"\(\)/, 'and is named');
is(code('reader', $open), 'plain', 'nothing has happened');
sql('DROP VIEW guarded; CREATE FUNCTION kms_field.own() RETURNS boolean LANGUAGE sql RETURN true');
like( KmsClient::error($node, 'postgres', 'DROP EXTENSION kms'),
	qr/function kms_field\.own\(\) depends on schema kms_field/, 'so does a function of others in the schema');
sql('DROP FUNCTION kms_field.own(); DROP EXTENSION kms');
is( sql("SELECT count(*) FROM pg_proc WHERE proname LIKE 'tax/%'"), '0', 'without CASCADE the functions go with the extension');
is( sql("SELECT count(*) FROM pg_namespace WHERE nspname LIKE 'kms%'"), '0', 'and the schemas');
sql('CREATE EXTENSION kms; GRANT EXECUTE ON FUNCTION kms_decrypt_field TO reader');
is( sql("SELECT count(*) FROM pg_proc WHERE pronamespace = 'kms_field'::regnamespace"), '0', 'a new extension has no rights');
is(code('reader', $open), 'KM002', 'and opens nothing of the old one');
is(sql("SELECT kms_create_field_key('tax')"), '1', 'the name is free');
is(code('reader', $open), 'KM002', 'another key opens nothing of the old one, either');
is(functions(), '4|4|4|0', 'the rights of the new one are granted to nobody');

$node->stop;
done_testing();
