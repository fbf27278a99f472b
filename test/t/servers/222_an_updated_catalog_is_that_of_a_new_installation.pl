# A database that was updated from version 1.0 has the same objects as one in
# which the newest version was created: the same definitions, owners, rights,
# comments, dependencies and tables to be dumped.  So has one that was updated
# by another superuser, and one restored from a dump of version 1.0.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../../perl";
use KmsTest;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = KmsTest->node('catalogs', conf => 'kms.maintenance = off');
$node->sql('CREATE ROLE second SUPERUSER LOGIN');

# Each question returns a line per object, without OIDs.
my $members = q{member AS (SELECT d.classid, d.objid, pg_describe_object(d.classid, d.objid, 0) AS name FROM pg_depend AS d
	WHERE d.refclassid = 'pg_extension'::regclass AND d.deptype = 'e'
	AND d.refobjid = (SELECT oid FROM pg_extension WHERE extname = 'kms')),
	relation AS (SELECT m.name, c.* FROM member AS m JOIN pg_class AS c ON c.oid = m.objid AND m.classid = 'pg_class'::regclass)};
my @questions = (
	[ 'members', "SELECT name FROM member" ],
	[ 'owners', q{SELECT name, relowner::regrole::text FROM relation UNION ALL
		SELECT m.name, p.proowner::regrole::text FROM member AS m JOIN pg_proc AS p ON p.oid = m.objid UNION ALL
		SELECT m.name, t.typowner::regrole::text FROM member AS m JOIN pg_type AS t ON t.oid = m.objid UNION ALL
		SELECT m.name, n.nspowner::regrole::text FROM member AS m JOIN pg_namespace AS n ON n.oid = m.objid} ],
	[ 'rights', q{SELECT name, relacl::text FROM relation UNION ALL
		SELECT m.name, p.proacl::text FROM member AS m JOIN pg_proc AS p ON p.oid = m.objid UNION ALL
		SELECT m.name, t.typacl::text FROM member AS m JOIN pg_type AS t ON t.oid = m.objid UNION ALL
		SELECT m.name, n.nspacl::text FROM member AS m JOIN pg_namespace AS n ON n.oid = m.objid} ],
	[ 'rights that dumps leave out', q{SELECT m.name, i.objsubid, i.privtype, i.initprivs FROM pg_init_privs AS i JOIN member AS m
		ON i.classoid = m.classid AND i.objoid = m.objid} ],
	[ 'functions', q{SELECT pg_get_functiondef(m.objid) FROM member AS m WHERE m.classid = 'pg_proc'::regclass} ],
	[ 'views', q{SELECT name, pg_get_viewdef(oid), reloptions FROM relation WHERE relkind = 'v'} ],
	[ 'columns', q{SELECT r.name, a.attnum, a.attname, format_type(a.atttypid, a.atttypmod), a.attnotnull, a.attstorage,
		coalesce(a.attstattarget, -1), a.attidentity, a.attgenerated, a.attcollation::regcollation, a.attislocal, pg_get_expr(d.adbin, d.adrelid)
		FROM relation AS r JOIN pg_attribute AS a ON a.attrelid = r.oid AND a.attnum > 0
		LEFT JOIN pg_attrdef AS d ON d.adrelid = r.oid AND d.adnum = a.attnum} ],
	[ 'relations', q{SELECT name, relkind, relpersistence, reloptions, relreplident, relrowsecurity FROM relation} ],
	[ 'constraints', q{SELECT r.name, x.conname, pg_get_constraintdef(x.oid) FROM relation AS r JOIN pg_constraint AS x ON x.conrelid = r.oid} ],
	[ 'indexes', q{SELECT pg_get_indexdef(x.indexrelid) FROM relation AS r JOIN pg_index AS x ON x.indrelid = r.oid} ],
	[ 'comments', q{SELECT m.name, d.objsubid, d.description FROM member AS m LEFT JOIN pg_description AS d
		ON d.classoid = m.classid AND d.objoid = m.objid} ],
	[ 'dependencies', q{SELECT m.name, pg_describe_object(d.refclassid, d.refobjid, d.refobjsubid), d.deptype FROM member AS m
		JOIN pg_depend AS d ON d.classid = m.classid AND d.objid = m.objid} ],
	[ 'the extension', q{SELECT extname, extowner::regrole, extnamespace::regnamespace, extrelocatable, extversion FROM pg_extension WHERE extname = 'kms'} ],
	[ 'dumped tables', q{SELECT c::regclass, k FROM pg_extension, unnest(extconfig, extcondition) AS x(c, k) WHERE extname = 'kms'} ]);

sub catalog
{
	my ($db, $question) = @_;
	return join "\n", sort split /\n/, $node->safe_psql($db, "WITH $members $question->[1]");
}

sub same
{
	my ($db, $name, $than) = @_;
	is(catalog($db, $_), catalog($than, $_), "$name: $_->[0]") foreach @questions;
}

$node->sql("CREATE DATABASE $_") foreach qw(created updated hostile by_another restored restored_copy);
$node->safe_psql('created', 'CREATE SCHEMA keys; CREATE EXTENSION kms SCHEMA keys');
foreach my $question (@questions)
{
	cmp_ok(length(catalog('created', $question)), '>', 10, "there are answers about $question->[0]");
}
$node->safe_psql('updated', "CREATE SCHEMA keys; CREATE EXTENSION kms SCHEMA keys VERSION '1.0'");
isnt(catalog('updated', $questions[$_]), catalog('created', $questions[$_]),
	"before the update there is a difference in $questions[$_][0]") foreach 0, 1, 3, 5, 6, 7, 10, 11, 12;
$node->safe_psql('updated', 'ALTER EXTENSION kms UPDATE');
same('updated', 'updated', 'created');

$node->safe_psql('hostile', "CREATE SCHEMA keys; CREATE EXTENSION kms SCHEMA keys VERSION '1.0'");
$node->safe_psql('hostile', "ALTER DEFAULT PRIVILEGES GRANT ALL ON $_ TO PUBLIC") foreach qw(TABLES FUNCTIONS TYPES SCHEMAS SEQUENCES);
$node->safe_psql('hostile', 'ALTER EXTENSION kms UPDATE');
same('hostile', 'updated with default privileges', 'created');

$node->safe_psql('by_another', "CREATE SCHEMA keys; CREATE EXTENSION kms SCHEMA keys VERSION '1.0'");
$node->safe_psql('by_another', 'ALTER EXTENSION kms UPDATE', extra_params => [ '-U', 'second' ]);
same('by_another', 'updated by another superuser', 'created');

# pg_dump writes CREATE EXTENSION without a version.
$node->safe_psql('restored', "CREATE SCHEMA keys; CREATE EXTENSION kms SCHEMA keys VERSION '1.0'");
my $dump = PostgreSQL::Test::Utils::tempdir() . '/dump.sql';
$node->command_ok([ 'pg_dump', '-d', $node->connstr('restored'), '-f', $dump ], 'a database of version 1.0 is dumped');
$node->command_ok([ 'psql', '-Xq', '-v', 'ON_ERROR_STOP=1', '-d', $node->connstr('restored_copy'), '-f', $dump ],
	'the dump of version 1.0 is restored');
same('restored_copy', 'restored', 'created');
$node->safe_psql('restored', 'ALTER EXTENSION kms UPDATE');
my $updated = "$dump.updated";
$node->command_ok([ 'pg_dump', '-s', '-d', $node->connstr('restored'), '-f', $updated ], 'a database that was updated is dumped');
unlike(slurp_file($updated), qr/^(?:GRANT|REVOKE) |kms[.]devices/m, 'a dump has nothing of the new view');

$node->stop;
done_testing();
