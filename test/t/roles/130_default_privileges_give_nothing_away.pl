# Only the owner has rights on the objects of the extension, even if ALTER DEFAULT
# PRIVILEGES granted others before CREATE EXTENSION, and also in a copy that is
# made from a dump.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../../perl";
use KmsTest;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = KmsTest->node('defaults', conf => 'kms.maintenance = off');
my $members = q{pg_depend AS d WHERE d.refclassid = 'pg_extension'::regclass
	AND d.deptype = 'e' AND d.refobjid = (SELECT oid FROM pg_extension WHERE extname = 'kms')};

# List all rights on members, except those of their owner and that of PUBLIC on
# kms_version().  A function without an ACL has the default rights.
my $rights = qq{
	WITH member AS (SELECT d.classid, d.objid FROM $members), acl AS (
		SELECT classid, objid, relowner AS owner, relacl AS acl FROM member JOIN pg_class ON oid = objid
			AND classid = 'pg_class'::regclass
		UNION ALL SELECT classid, objid, proowner, coalesce(proacl, acldefault('f', proowner))
		FROM member JOIN pg_proc ON oid = objid AND classid = 'pg_proc'::regclass
		UNION ALL SELECT classid, objid, nspowner, nspacl FROM member JOIN pg_namespace ON oid = objid
			AND classid = 'pg_namespace'::regclass
		UNION ALL SELECT classid, objid, typowner, typacl FROM member JOIN pg_type ON oid = objid
			AND classid = 'pg_type'::regclass)
	SELECT string_agg(pg_describe_object(classid, objid, 0) || ': '
		|| CASE WHEN grantee = 0 THEN 'PUBLIC' ELSE pg_get_userbyid(grantee) END || ' ' || privilege_type,
		', ' ORDER BY objid, grantee)
	FROM acl, aclexplode(acl) WHERE grantee <> owner};
my $own = q{SELECT bool_and(has_table_privilege(relowner, oid, 'INSERT') AND has_table_privilege(relowner, oid, 'TRIGGER'))
	FROM pg_class WHERE relnamespace = 'kms'::regnamespace AND relkind IN ('r', 'v')};
my $version = 'function kms_version(): PUBLIC EXECUTE';

$node->safe_psql('postgres', 'CREATE ROLE reader LOGIN; CREATE ROLE "Odd ""name" LOGIN;
	CREATE ROLE admin SUPERUSER LOGIN; CREATE ROLE plain NOLOGIN; GRANT plain TO admin');

# ---- In each form ---------------------------------------------------------

my @kinds = qw(TABLES SEQUENCES FUNCTIONS TYPES SCHEMAS);
my %hostile = (
	to_public => join(';', map { "ALTER DEFAULT PRIVILEGES GRANT ALL ON $_ TO PUBLIC" } @kinds),
	to_a_role => join(';', map { "ALTER DEFAULT PRIVILEGES GRANT ALL ON $_ TO reader" } @kinds),
	with_grant_option => join(';', map { qq{ALTER DEFAULT PRIVILEGES GRANT ALL ON $_ TO "Odd ""name" WITH GRANT OPTION} } @kinds),
	in_the_schema => join(';', map { "ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT ALL ON $_ TO reader" } @kinds[0 .. 3]),
	of_another_role => join(';', map { "ALTER DEFAULT PRIVILEGES FOR ROLE plain GRANT ALL ON $_ TO reader" } @kinds),
	from_everybody => "ALTER DEFAULT PRIVILEGES REVOKE ALL ON FUNCTIONS FROM PUBLIC;
		ALTER DEFAULT PRIVILEGES REVOKE ALL ON TABLES FROM admin; ALTER DEFAULT PRIVILEGES REVOKE ALL ON SCHEMAS FROM admin");

foreach my $form (sort keys %hostile)
{
	$node->safe_psql('postgres', "CREATE DATABASE $form");
	sql($form, "$hostile{$form}; CREATE EXTENSION kms");
	is(sql($form, $rights), $version, "$form: nobody but the owner has a right");
	is(sql($form, $own), 't', "$form: and the owner has all of them");
	is( sql($form, "SELECT count(*) FROM pg_init_privs AS i, $members AND i.classoid = d.classid AND i.objoid = d.objid
			AND initprivs::text ~ '(reader|Odd)'"),
		'0', "$form: pg_init_privs names nobody else");
	is(sql($form, "SELECT kms_version() <> ''", 'reader'), 't', "$form: all have kms_version()");
	my $dump = $node->basedir . "/$form.sql";
	$node->command_ok([ 'pg_dump', '-d', $node->connstr($form), '-f', $dump ], "$form: a dump is made");
	unlike(slurp_file($dump), qr/^(?:GRANT|REVOKE) .*kms/m, "$form: it grants nothing of kms");
	$node->safe_psql('postgres', "CREATE DATABASE copy_of_$form");
	sql("copy_of_$form", $hostile{$form});
	$node->command_ok([ 'psql', '-XqU', 'admin', '-v', 'ON_ERROR_STOP=1', '-d', $node->connstr("copy_of_$form"), '-f', $dump ],
		"$form: it is restored where the same is in force");
	is(sql("copy_of_$form", $rights), $version, "$form: nobody has more there");
}

# ---- What the owner grants stays ----------------------------------------------

sql('to_a_role', 'GRANT EXECUTE ON FUNCTION kms_decrypt TO reader; ALTER EXTENSION kms UPDATE');
is(sql('to_a_role', $rights), "$version, function kms_decrypt(text,text,text,text,text,bytea): reader EXECUTE",
	'a later grant stays when the extension is updated');

# ---- The functions of the script --------------------------------------------------

is(sql('to_a_role', "SELECT count(*) FROM pg_proc WHERE prosrc IN ('kms_api_begin_script', 'kms_api_end_script')"),
	'0', 'the functions that the script calls are gone');
foreach my $function (qw(begin end))
{
	my ($rc, $stdout, $stderr) = $node->psql('to_a_role',
		"CREATE FUNCTION again_$function() RETURNS void LANGUAGE c AS '\$libdir/kms', 'kms_api_${function}_script'; SELECT again_$function()");
	like($stderr, qr/only a script of extension kms can call this function/,
		"${function}_script does nothing outside the script");
}

$node->stop;
done_testing();

sub sql
{
	my ($database, $sql, $role) = @_;
	return $node->safe_psql($database, $sql, extra_params => [ '-U', $role || 'admin' ]);
}
