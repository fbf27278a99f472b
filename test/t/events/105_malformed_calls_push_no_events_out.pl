# A flood of malformed calls costs no event of other calls and no result of
# such a call, both while the writer works and while it cannot.  Every
# malformed call is at least counted.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../../perl";
use KmsAudit;
use KmsClient;
use KmsTest;
use PostgreSQL::Test::Utils;
use Test::More;

my $audit = KmsAudit->new('junk', conf => 'kms.event_ring_size = 1MB');
my $node = $audit->{node};
my $decrypt = "SELECT count(kms_decrypt($audit->{good})) FROM generate_series(1, CALLS)";

# Make each kind of malformed call again and again until the row in "flood" is
# deleted.
$audit->sql("CREATE TABLE flood (); CREATE TABLE made (calls bigint);
	CREATE FUNCTION junk() RETURNS void LANGUAGE plpgsql AS \$\$
	DECLARE
		made bigint := 0;
		statement text;
	BEGIN
		WHILE EXISTS (SELECT FROM public.flood) LOOP
			FOREACH statement IN ARRAY ARRAY[
				'SELECT kms_decrypt(''$audit->{key}'', ''?'')',
				'SELECT kms_decrypt(''$audit->{key}'', ''AAAA'')',
				'SELECT kms_decrypt(''$audit->{key}'', repeat(''A'', 4000))',
				'SELECT kms_decrypt(''key_1700000000000_000000000000000000000000'', ''AAAA'')',
				'SELECT kms_decrypt(repeat(''x'', 10000), ''AAAA'')',
				'SELECT kms_encrypt(''$audit->{key}'', repeat(''x'', 1000))',
				'SELECT kms_issue_key(repeat(''x'', 1000))']
			LOOP
				BEGIN
					EXECUTE statement;
				EXCEPTION WHEN OTHERS THEN
					made := made + 1;
				END;
			END LOOP;
		END LOOP;
		INSERT INTO public.made VALUES (made);
	END \$\$");
my @floods = map { KmsClient->session($node, 'postgres') } 1 .. 3;
my $slots = $audit->status('ring size');
my $reserved = int($slots / 4);

foreach my $mode (qw(best_effort required))
{
	$audit->mode($mode, $mode eq 'required' ? KmsAudit::LONG_TIMEOUT : 1000);
	$_->query("SET application_name = 'junk, $mode'") foreach @floods;
	$audit->call("SET application_name = 'matters, $mode'");
	$audit->sql('INSERT INTO flood DEFAULT VALUES; DELETE FROM made');
	my $counted = $audit->status('events counted only');
	$_->send('SELECT junk()') foreach @floods;
	ok(KmsTest::poll(sub { $audit->in_trail("junk, $mode") > 1000 }), "$mode: there is a flood");

	# Make no more calls than there is room for, so that the test depends on no
	# speed.
	my $calls = $reserved - 10;
	is($audit->call($decrypt =~ s/CALLS/$calls/r)->{rows}, $calls, "$mode: other calls work");
	is_deeply([ $audit->failing_changes ], [], "$mode: changes work");

	# Until the writer has released them, malformed calls have no more room.
	kill 'STOP', my $writer = $audit->writer;
	my $waiting = KmsClient->session($node, 'postgres');
	$waiting->query("SET application_name = 'matters more, $mode'");
	if ($mode eq 'best_effort')
	{
		ok( KmsTest::poll(sub { $audit->status('events counted only') > $counted + $slots }),
			"$mode: while the ring is filling up, malformed calls are only counted");
		is($waiting->query($decrypt =~ s/CALLS/$calls/r), $calls, "$mode: other calls continue");
	}
	else
	{
		$waiting->send($decrypt =~ s/CALLS/1/r);
		ok($audit->wait_until_waiting($waiting), "$mode: a call waits for its event");
	}
	kill 'CONT', $writer;
	if ($mode eq 'required')
	{
		is($waiting->receive, '1', "$mode: the waiting call gets its result");
		$calls = 1;
	}
	$audit->sql('DELETE FROM flood');
	$_->receive foreach @floods;
	$waiting->quit;

	$audit->sql('SELECT kms_flush_events()');
	is($audit->status('events dropped'), '0', "$mode: nothing is dropped");
	my $changes = () = KmsAudit::changes();
	is($audit->in_trail("matters, $mode"), $reserved - 10 + $changes,
		"$mode: the other calls are in the trail");
	is($audit->in_trail("matters more, $mode"), $calls, "$mode: the last of the other calls is in the trail");
	is( $audit->in_trail("junk, $mode") + $audit->status('events counted only') - $counted,
		$audit->sql('SELECT sum(calls) FROM made'),
		"$mode: malformed calls are in the trail or counted");
	is($audit->sql("SELECT count(*) FROM kms.event WHERE application_name = 'junk, $mode'
			AND (status <> 'failure' OR key_id NOT IN (SELECT key_id FROM kms.key)
				AND key_id !~ '^key_1700000000000_0+\$' OR length(device_id) > 255)"),
		'0', "$mode: malformed calls left no argument in the trail");
	is($audit->intact, 'intact', "$mode: the trail is intact");
}
$_->quit foreach @floods, $audit->{session};
$node->stop;
done_testing();
