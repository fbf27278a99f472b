# DROP EXTENSION and CREATE EXTENSION under calls that wait for their events
# (kms.audit = required): neither the calls nor the DROP hang, each acknowledged
# call had its event in the trail of that time, and the new trail starts empty.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../../perl";
use IPC::Run;
use KmsAudit;
use KmsClient;
use KmsTest;
use PostgreSQL::Test::Utils;
use Test::More;

my $audit = KmsAudit->new('replaced');
my $node = $audit->{node};
my $dir = PostgreSQL::Test::Utils::tempdir();
$audit->mode('required', KmsAudit::LONG_TIMEOUT);

# Each event of a trail that is dropped is kept here; a check does it, as no
# trigger runs when the writer writes.
$audit->sql('CREATE TABLE kept (client text, ticket bigint);
	CREATE FUNCTION keep(client text, ticket bigint) RETURNS boolean LANGUAGE plpgsql AS $$
	BEGIN
		INSERT INTO public.kept VALUES (client, ticket);
		RETURN true;
	END $$');
my $keep = "ALTER TABLE kms.event ADD CONSTRAINT keep CHECK (CASE WHEN operation = 'encrypt'
	AND status = 'success' THEN public.keep(application_name, ticket) ELSE true END)";
$audit->sql($keep);

append_to_file("$dir/load.sql", "SET statement_timeout = '180s';\n" .
	"SELECT kms_encrypt((SELECT key_id FROM kms.key LIMIT 1), 'x') ~ '=\$';\n" x 100);
my @clients = map {
	IPC::Run::start(
		[
			'bash', '-c',
			'while [ ! -e "$2/stop" ]; do
				PGAPPNAME="$3" psql -XAtq -v VERBOSITY=verbose -d "$1" -f "$2/load.sql" \
					>>"$2/$3.out" 2>>"$2/$3.err"
			done', 'bash', $node->connstr('postgres'), $dir, "client $_"
		])
} 1 .. 3;
END { append_to_file("$dir/stop", '') if $dir }

foreach my $round (1 .. 4)
{
	KmsTest::poll(sub { $audit->sql('SELECT count(*) > 100 FROM kms.event') eq 't' })
	  or die 'there is no load';
	my $start = time;
	is(KmsClient::sqlstate($node, 'postgres', 'DROP EXTENSION kms'), '00000',
		"round $round: DROP EXTENSION works");
	cmp_ok(time - $start, '<=', KmsTest::AT_ONCE, "round $round: soon");
	$node->safe_psql('postgres', "BEGIN; CREATE EXTENSION kms; $keep; COMMIT");
	$audit->sql("SELECT kms_issue_key('phone')");
	KmsTest::poll(
		sub { $audit->sql("SELECT count(*) FROM kms.event WHERE operation = 'encrypt'") });
	is( $audit->sql(q{SELECT min(ticket) = 1, count(*) = max(ticket), count(DISTINCT epoch) = 1,
			count(*) FILTER (WHERE operation = 'gap') FROM kms.event}),
		't|t|t|0', "round $round: the new trail begins clean");
}
append_to_file("$dir/stop", '');
$_->finish foreach @clients;

foreach my $client (map { "client $_" } 1 .. 3)
{
	my $output = slurp_file("$dir/$client.out");
	my $acknowledged = () = $output =~ /^[tf]$/mg;
	my $recorded = $audit->sql("SELECT count(*) FROM kept WHERE client = '$client'");
	my $errors = slurp_file("$dir/$client.err");
	my %states;
	$states{$1}++ while $errors =~ /(?:ERROR|FATAL|PANIC):  (\w{5}):/g;

	cmp_ok($acknowledged, '>', 100, "$client: $acknowledged calls were acknowledged");
	cmp_ok($recorded, '>=', $acknowledged, "$client: each was in the trail");

	# Gone: function, table, schema, extension; a NULL key id while there is no key.
	is( join(' ', sort grep { !/^(?:KM008|KM002|42883|42P01|3F000|42704|55000|XX000|22004)$/ } keys %states),
		'', "$client: saw that it was gone, nothing worse, and did not hang")
	  or diag(join ', ', map { "$_: $states{$_}" } sort keys %states);
}
$audit->sql('DROP EXTENSION kms');
ok(KmsTest::poll(sub { !$audit->running('kms writer') }), 'without it the writer leaves');
unlike(slurp_file($node->logfile), qr/PANIC|terminated by signal/, 'no process crashed');
$audit->{session}->quit;
$node->stop;
done_testing();

