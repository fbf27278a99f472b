# If no event ring can be made, a call whose event must be durable fails at
# once and names the reason.  With kms.audit = best_effort, calls continue and
# are counted.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../../perl";
use KmsAudit;
use KmsClient;
use KmsTest;
use PostgreSQL::Test::Utils;
use Test::More;

plan skip_all => 'root may write anywhere' if $> == 0;

my $audit = KmsAudit->new('ringless', conf => 'kms.maintenance = off');
my $node = $audit->{node};
my $folder = $node->data_dir . '/pg_stat_tmp';
my ($ring) = glob "$folder/kms.*";
my $results = $audit->results;
my $failures = $audit->failures;

foreach my $case (
	[ 'a folder that may not be written', sub { unlink $ring; chmod 0555, $folder },
		sub { chmod 0700, $folder } ],
	[ 'something else in its place', sub { unlink $ring; mkdir $ring }, sub { rmdir $ring } ])
{
	my ($name, $arrange, $mend) = @$case;
	$audit->{session}->quit;
	$node->stop;
	$arrange->();
	$node->start;
	$audit->connect;
	$audit->mode('required', KmsAudit::LONG_TIMEOUT);
	foreach my $call (sort keys %$results)
	{
		my $outcome = $audit->call($results->{$call});
		is($outcome->{state}, 'KM008', "$name: $call is refused");
		cmp_ok($outcome->{seconds}, '<', KmsTest::AT_ONCE, "$name: $call, at once");
		is($outcome->{rows}, '', "$name: $call returns nothing");
	}
	foreach my $call (sort keys %$failures)
	{
		my $outcome = $audit->call($failures->{$call}->[1]);
		is($outcome->{state}, 'KM008', "$name: $call is refused");
		cmp_ok($outcome->{seconds}, '<', KmsTest::AT_ONCE, "$name: $call, at once");
	}
	like(KmsClient::error($node, 'postgres', $results->{decrypt}),
		qr/KM008: .*DETAIL:  The event ring of this database cannot be made\..*HINT:  The server log says why/s,
		"$name: the error names the reason");
	is($audit->failing_changes, 0, "$name: keys can be changed");

	$audit->mode('best_effort');
	my $before = $audit->sql("SELECT value FROM kms.status WHERE item = 'events without a ring'");
	is($audit->call($results->{decrypt})->{rows}, 'secret', "$name: with best_effort, calls continue");
	cmp_ok($audit->sql("SELECT value FROM kms.status WHERE item = 'events without a ring'"), '>', $before,
		"$name: with best_effort, unrecorded events are counted");
	like($audit->findings, qr/^error: .*events.* not (?:be )?recorded/m, "$name: kms_check() reports the missing ring");

	$mend->();
	$audit->mode('required', KmsAudit::LONG_TIMEOUT);
	ok( KmsTest::poll(sub { $audit->call($results->{decrypt})->{state} eq '00000' }),
		"$name: calls work again after a ring can be made");
}
$audit->{session}->quit;
$node->stop;
done_testing();
