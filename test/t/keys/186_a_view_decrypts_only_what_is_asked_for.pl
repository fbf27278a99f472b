# A view that shows decrypted values decrypts only those that a query needs.
# The numbers are those of the manual.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../../perl";
use KmsFields;
use KmsTest;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = KmsTest->node('views', conf => "jit = off\nmax_parallel_workers_per_gather = 0");
KmsFields::create($node, 1000);
$node->sql(<<"SQL");
ALTER TABLE person ADD PRIMARY KEY (id);
CREATE TABLE visit AS SELECT i AS id, i % 50 + 1 AS person, i % 10 AS day FROM generate_series(1, 500) AS i;
CREATE VIEW shown AS SELECT id, $KmsFields::decrypt AS tax FROM person;
CREATE VIEW guarded WITH (security_barrier) AS SELECT id, $KmsFields::decrypt AS tax FROM person;
CREATE TABLE found AS SELECT id, kms_blind_index('tax', 'DE' || id, 's') AS idx FROM person;
CREATE INDEX ON found (idx);
VACUUM ANALYZE;
SQL

# Return the number of calls that a query makes.
sub calls
{
	my ($sql) = @_;
	my ($calls) = split /\|/, KmsFields::total($node, KmsFields::run($node, $sql));
	return $calls;
}

is($node->sql("SELECT string_agg(provolatile::text || (procost > 10), ' ') FROM pg_proc WHERE proname ~ '^kms_(try_)?decrypt_field'"),
	'strue strue strue strue', 'the functions are STABLE and their COST is above 10');

# A query, and the calls that it makes of the view without and with
# security_barrier.  Such a view gives whole rows to a sort or a join, so there
# all values are decrypted.  Without it, a column that a condition and the
# result both use is decrypted twice.
my @cases = (
	[ 'SELECT count(*) FROM VIEW', 0, 0 ],
	[ 'SELECT id FROM VIEW', 0, 0 ],
	[ 'SELECT max(id) FROM VIEW', 0, 0 ],
	[ 'SELECT DISTINCT id FROM VIEW', 0, 0 ],
	[ 'SELECT count(tax) FROM VIEW', 1000, 1000 ],
	[ 'SELECT * FROM VIEW WHERE id = 7', 1, 1 ],
	[ 'SELECT * FROM VIEW WHERE id <= 10', 10, 10 ],
	[ 'SELECT * FROM VIEW LIMIT 10', 10, 10 ],
	[ 'SELECT * FROM VIEW ORDER BY id LIMIT 10', 10, 1000 ],
	[ 'SELECT * FROM VIEW ORDER BY id DESC OFFSET 20 LIMIT 10', 30, 1000 ],
	[ 'SELECT * FROM VIEW ORDER BY id % 10, id LIMIT 10', 10, 1000 ],
	[ 'SELECT * FROM VIEW ORDER BY id % 10, id', 1000, 1000 ],
	[ 'SELECT id FROM VIEW ORDER BY tax LIMIT 10', 1000, 1000 ],
	[ "SELECT id FROM VIEW WHERE tax = 'DE7'", 1000, 1000 ],
	[ "SELECT id FROM VIEW WHERE tax LIKE '%7' AND id <= 10", 10, 10 ],
	[ "SELECT id, tax FROM VIEW WHERE tax LIKE '%7' AND id <= 10", 11, 10 ],
	[ 'SELECT tax, tax FROM VIEW WHERE id <= 10', 20, 10 ],
	[ 'SELECT v.id, p.id FROM visit AS v JOIN VIEW AS p ON p.id = v.person', 0, 0 ],
	[ 'SELECT v.id, p.tax FROM visit AS v JOIN VIEW AS p ON p.id = v.person WHERE v.day = 1', 50, 1000 ],
	[ 'SELECT v.id, p.tax FROM visit AS v JOIN VIEW AS p ON p.id = v.person WHERE v.day = 1 ORDER BY v.id LIMIT 5', 5, 1000 ],
	[ 'SELECT count(*) FROM visit AS v WHERE EXISTS (SELECT FROM VIEW AS p WHERE p.id = v.person)', 0, 0 ],
	[ 'EXPLAIN VERBOSE SELECT * FROM VIEW', 0, 0 ],
	[ 'EXPLAIN ANALYZE SELECT * FROM VIEW WHERE id <= 10', 10, 10 ]);
foreach my $case (@cases)
{
	my ($sql, $plain, $guarded) = @$case;
	is(calls($sql =~ s/VIEW/shown/r), $plain, $sql);
	is(calls($sql =~ s/VIEW/guarded/r), $guarded, "$sql, with security_barrier");
}

# ---- The planner's own calls ---------------------------------------------

# The planner calls a STABLE function of constants for its estimate, and the
# executor calls it again.
my $search = "SELECT id FROM found WHERE idx = kms_blind_index('tax', 'DE7', 's')";
like($node->sql("EXPLAIN $search"), qr/Index (?:Only )?Scan/, 'a blind index is an index condition');
is(calls("EXPLAIN $search"), 1, 'EXPLAIN of a search makes one index');
is(calls($search), 2, 'a search makes two');
is(calls("SET plan_cache_mode = force_generic_plan; PREPARE p AS $search; EXECUTE p; EXECUTE p"), 3,
	'a prepared one makes one each time, and one to plan it');
my $value = $node->sql('SELECT tax FROM person WHERE id = 7');
my $constant = "SELECT kms_decrypt_field('$value', 'person.tax:7')";
is(calls("EXPLAIN VERBOSE $constant"), 0, 'EXPLAIN does not decrypt a constant that is shown');
unlike($node->sql("EXPLAIN VERBOSE $constant"), qr/DE7/, 'and so does not show it');
my $compared = "EXPLAIN VERBOSE SELECT FROM pg_class WHERE relname = kms_decrypt_field('$value', 'person.tax:7')";
is(calls($compared), 1, 'to compare it, the planner decrypts a constant');
unlike($node->sql($compared), qr/DE7/, 'and does not show it either');

$node->stop;
done_testing();
