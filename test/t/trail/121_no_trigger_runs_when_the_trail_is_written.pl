# Triggers on the tables of the trail, whatever they are enabled for, neither
# run when the writer writes it nor hold it up.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../../perl";
use KmsAudit;
use KmsClient;
use KmsTest;
use PostgreSQL::Test::Utils;
use Test::More;

my $audit = KmsAudit->new('triggers', conf => "kms.maintenance = off\nkms.audit_checkpoint_interval = 1s");
my $node = $audit->{node};
my @tables = qw(event event_outbox event_epoch event_quarantine event_checkpoint metric audit_key);

$audit->sql('CREATE ROLE mallory LOGIN; CREATE SCHEMA mallory AUTHORIZATION mallory;
	GRANT USAGE ON SCHEMA kms TO mallory;
	GRANT SELECT ON ' . join(', ', map { "kms.$_" } @tables) . ' TO mallory;
	CREATE TABLE mallory.ran (what text); GRANT INSERT ON mallory.ran TO PUBLIC;
	GRANT USAGE ON SCHEMA mallory TO PUBLIC');

# Each kind of trigger; they note that they ran, and who.
my @kinds;
foreach my $when (qw(BEFORE AFTER))
{
	foreach my $what ('INSERT OR UPDATE OR DELETE')
	{
		push @kinds, "$when $what", "$when $what .. FOR EACH ROW";
	}
}
$audit->sql("CREATE FUNCTION mallory.run() RETURNS trigger LANGUAGE plpgsql AS \$\$
	BEGIN
		INSERT INTO mallory.ran VALUES (format('%s of %s as %s', TG_NAME, TG_TABLE_NAME, current_user));
		RETURN NULL;
	END \$\$");
foreach my $table (@tables)
{
	my $number = 0;
	foreach my $kind (@kinds)
	{
		my ($when, $each) = $kind =~ /^(.*?)(?: \.\. (.*))?$/;
		my $name = 't' . $number++;
		$audit->sql("CREATE TRIGGER $name $when ON kms.$table " . ($each || '') .
			' EXECUTE FUNCTION mallory.run()');
	}
	# a trigger with transition tables may have one event only
	$audit->sql("CREATE TRIGGER transition AFTER INSERT ON kms.$table
		REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION mallory.run()");
}

# An event that violates this is quarantined.
$audit->sql("ALTER TABLE kms.event ADD CONSTRAINT poison CHECK (application_name <> 'poison')");

sub all_written
{
	my ($what) = @_;
	my $name = "written: $what";
	my $metrics = $audit->sql("SELECT coalesce(sum(count), 0) FROM kms.metric WHERE operation = 'decrypt'");

	$audit->sql('TRUNCATE mallory.ran');
	$audit->{session}->query("SET application_name = '$name'");
	is($audit->call($audit->results->{decrypt})->{state}, '00000', "$what: a call works");
	is($audit->sql("SET application_name = 'poison'; SELECT length(kms_encrypt('$audit->{key}', 'x')) > 0"),
		't', "$what: so does a call whose event is quarantined");
	is( KmsClient::sqlstate($node, 'postgres', 'SELECT kms_flush_events()'),
		'00000', "$what: the writer goes on");
	is($audit->in_trail($name), 1, "$what: its event is in the trail");
	is($audit->sql("SELECT sum(count) FROM kms.metric WHERE operation = 'decrypt'"),
		$metrics + 1, "$what: its event is counted");
	ok($audit->sql('SELECT count(*) FROM kms.event_quarantine') > 0, "$what: the other event is quarantined");
	ok( KmsTest::poll(
			sub {
				$audit->call($audit->results->{decrypt});
				$audit->sql("SELECT count(*) FROM kms.event_checkpoint AS c JOIN kms.event AS e
					ON e.ticket <= c.ticket WHERE e.application_name = '$name'") > 0;
			}),
		"$what: it is signed");
	is($audit->sql('SELECT string_agg(DISTINCT what, $$, $$) FROM mallory.ran'), '', "$what: nothing of it has run");
	is($audit->intact, 'intact', "$what: the trail is intact");
}

all_written('triggers as a role makes them');
foreach my $mode (qw(ALWAYS REPLICA))
{
	foreach my $table (@tables)
	{
		$audit->sql("ALTER TABLE kms.$table ENABLE $mode TRIGGER $_")
		  foreach qw(t0 t1 t2 t3 transition);
	}
	$audit->sql("SELECT pg_terminate_backend(pid, 180000) FROM pg_stat_activity WHERE backend_type = 'kms writer'");
	all_written("triggers enabled $mode");
}

$audit->{session}->quit;
$node->stop;
done_testing();
