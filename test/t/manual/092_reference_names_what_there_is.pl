# The tables of docs/reference/ list exactly the functions, settings, tables,
# views, errors and operations of the extension, and no page of the manual names
# one that does not exist.
use strict;
use warnings;

use File::Find;
use FindBin;
use lib "$FindBin::Bin/../../perl";
use KmsTest;
use PostgreSQL::Test::Utils;
use Test::More;

my $top = "$FindBin::Bin/../../..";
my $node = KmsTest->node('reference');
$node->safe_psql('postgres', 'CREATE DATABASE app');
$node->safe_psql('app', 'CREATE SCHEMA keys; CREATE EXTENSION kms SCHEMA keys');

# README, and all pages of the manual; those for contributors may also name
# functions in C.
my $manual = slurp_file("$top/README.md");
my $design = '';
find(
	{   no_chdir => 1,
		wanted => sub {
			return unless /\.md$/;
			$design .= slurp_file($_), return if m{/docs/design/};
			$manual .= slurp_file($_);
		} },
	"$top/docs");

my $of_extension = q{(SELECT objid FROM pg_depend
	WHERE refclassid = 'pg_extension'::regclass AND deptype = 'e'
	AND refobjid = (SELECT oid FROM pg_extension WHERE extname = 'kms'))};

# Functions: in the table of functions with the names of all arguments.
my %functions;
my $functions = reference('functions');
foreach (rows('app',
		qq{SELECT p.proname, n.nspname, array_to_string(p.proargnames[1:p.pronargs], ' ')
		FROM pg_proc AS p JOIN pg_namespace AS n ON n.oid = p.pronamespace
		WHERE p.oid IN $of_extension}))
{
	my ($name, $schema, $arguments) = @$_;
	$functions{ $schema eq 'kms' ? "kms.$name" : $name } = 1;
	next if $schema eq 'kms';
	my ($signature) = $functions =~ /^\| `$name\(([^`]*)\)/m;
	ok(defined $signature, "$name() is in the reference") or next;
	my @missing = grep { $signature !~ /\b$_\b/ } split / /, $arguments;
	is("@missing", '', "$name(): all arguments are named");
}
my @listed = $functions =~ /^\| `(kms_\w+)\(/mg;
my %seen;
is_deeply([ grep { $seen{$_}++ || !$functions{$_} } @listed ],
	[], 'the reference has no other function');

# Settings: name, default and who may set it.
my %settings;
my $settings = reference('settings');
my %context = (postmaster => 'restart', sighup => 'reload',
	superuser => 'superuser', user => 'anybody');
foreach (rows('postgres',
		q{SELECT s.name, current_setting(s.name), s.context
		FROM pg_settings AS s WHERE s.name LIKE 'kms.%'}))
{
	my ($name, $value, $context) = @$_;
	$settings{$name} = 1;
	my ($default, $when) =
	  $settings =~ /^\| `\Q$name\E` \| ([^|]*) \| [^|]* \| (\w+) \|/m;
	ok(defined $default, "$name is in the reference") or next;
	$default =~ s/`//g;
	is($default =~ s{^empty$}{}r, $value, "$name: default") unless $name =~ /_file$/;
	is($when, $context{$context}, "$name: who may set it");
}

# Tables and views: all columns in the row of each.
my %relations;
my $relations = reference('tables');
foreach (rows('app',
		qq{SELECT c.relname, string_agg(a.attname, ' ' ORDER BY a.attnum)
		FROM pg_class AS c JOIN pg_attribute AS a
		ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
		WHERE c.oid IN $of_extension AND c.relkind IN ('r', 'v') GROUP BY 1}))
{
	my ($name, $columns) = @$_;
	$relations{"kms.$name"} = 1;
	my ($row) = $relations =~ /^\| `kms\.$name` \|(.*)$/m;
	ok(defined $row, "kms.$name is in the reference") or next;
	my @missing = grep { $row !~ /`$_`/ } split / /, $columns;
	is("@missing", '', "kms.$name: all columns are named");
}

# Errors: every SQLSTATE, message and reason of a status.
my $errors = reference('errors');
my $events = reference('events');
my %sqlstates;
foreach (statuses())
{
	my ($status, $sqlstate, $reason, $message) = @$_;
	ok($errors =~ m/^\| .*`$sqlstate`.* \|/m, "$sqlstate is in the reference")
	  unless $sqlstates{$sqlstate}++;
	my $pattern = join '.*', map { quotemeta } split /\{\w+\}/, $message, -1;
	ok($errors =~ m/$pattern/, "$status: \"$message\" is in the reference")
	  unless $message eq 'NULL';
	ok("$errors$events" =~ /`$reason`/, "reason \"$reason\" is in the reference")
	  unless $reason eq 'NULL';
}
foreach (flaws())
{
	my $pattern = join '.*', map { quotemeta } split /\{\w+\}/, $_, -1;
	ok($errors =~ m/$pattern/, "\"$_\" is in the reference");
}
foreach ($errors =~ /^\| `(KM\w+)`/mg)
{
	ok($sqlstates{$_}, "there is a $_");
}

# Operations of events.
my @operations = slurp_file("$top/src/shmem/event.h") =~ /^\tKMS_OP_(\w+) = \d/mg;
cmp_ok(scalar @operations, '>', 15, 'the operations can be read');
foreach (map { lc } @operations)
{
	ok($events =~ /`$_`/, "operation $_ is in the reference");
}

# The manual names nothing that is not there.
my %roles = map { $_ => 1 }
  slurp_file("$top/examples/grants.sql") =~ /\bTO (kms_\w+);/g,
  $manual =~ /\bCREATE ROLE (kms_\w+)/g;
my %schemas = map { $_->[0] => 1 }
  rows('app', "SELECT nspname FROM pg_namespace WHERE oid IN $of_extension");
my %programs = map { s{.*/|\.c$}{}gr => 1 } glob "$top/src/tools/*.c";

# Test 229 compares these with what there is.
my %metrics = map { $_ => 1 }
  map { slurp_file($_) =~ /\b(kms_\w+)/g } glob "$top/monitoring/*.{json,yml}";
my %strange;
foreach ($manual =~ /\b(kms_[a-z_]+)\b/g)
{
	$strange{$_} = 1
	  unless $functions{$_} || $roles{$_} || $schemas{$_} || $programs{$_} ||
	  $metrics{$_};
}
foreach ($manual =~ /\b(kms\.[a-z_]+)\b/g)
{
	$strange{$_} = 1
	  unless $settings{$_} || $relations{$_} || $functions{$_} ||
	  /^kms\.(?:so|control|conf|spec|yml|cdx)$/;
}
my $headers = join '', map { slurp_file($_) } glob "$top/src/*/*.h";
foreach ($design =~ /\b(kms_[a-z_]+)\b/g)
{
	$strange{$_} = 1
	  unless $functions{$_} || $programs{$_} || $headers =~ /\b$_\(/;
}
is(join(' ', sort keys %strange), '', 'the manual names nothing that is not there');

# Its grants are those of examples/grants.sql.
sub grants
{
	my ($text) = @_;
	$text =~ s/^--.*$//mg;
	$text =~ s/\s+/ /g;
	return [ sort $text =~ /(GRANT (?:EXECUTE|USAGE|SELECT) [^;]* TO kms_\w+;)/g ];
}
my @shown = $manual =~ /^```sql\n(.*?)^```$/gms;
is_deeply(grants(join "\n", @shown),
	grants(slurp_file("$top/examples/grants.sql")),
	'the grants are those of examples/grants.sql');

$node->stop;
done_testing();

# ---- Tools ---------------------------------------------------------------

# The rows of the table of statuses: name, SQLSTATE, reason, message.
sub statuses
{
	my $table = slurp_file("$top/src/crypto/status_list.h");
	my %macro = $table =~ /^#define (KMS_\w+) (?:\\\n)?\s*"(.*)"$/mg;
	my $string = qr/(?:"(?:[^"\\]|\\.)*"|NULL|KMS_\w+)/;
	my @rows;
	while ($table =~ /^\tKMS_STATUS\((\w+), \d+, \w+, ($string),[\s\\]*($string),[\s\\]*($string),/mg)
	{
		push @rows, [ $1, map { $macro{$_} // s/^"|"$//gr } $2, $3, $4 ];
	}
	cmp_ok(scalar @rows, '>', 30, 'the table of statuses can be read');
	return @rows;
}

# The messages of the flaws of a JWE.
sub flaws
{
	my $table = slurp_file("$top/src/crypto/jwe_problem_list.h");
	my @messages = map { s/\\"/"/gr } $table =~ /^\tKMS_JWE_FLAW\(\w+, \\\n\s*"((?:[^"\\]|\\.)*)"/mg;
	cmp_ok(scalar @messages, '>', 30, 'the table of flaws can be read');
	return @messages;
}

# The text of a page of the reference.
sub reference
{
	my $name = shift;
	my $text = slurp_file("$top/docs/reference/$name.md");
	ok($text =~ /^# \w/, "there is a reference of $name");
	return $text;
}

sub rows
{
	my ($db, $sql) = @_;
	return map { [ split /\|/, $_, -1 ] } split /\n/, $node->safe_psql($db, $sql);
}
