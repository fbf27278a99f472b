# If the ring file was restored from a copy, and so is older than the tables,
# nothing is written twice, no event after the start is lost, and a row "gap"
# marks the events that may be lost.
use strict;
use warnings;

use File::Copy;
use FindBin;
use lib "$FindBin::Bin/../../perl";
use KmsClient;
use KmsTest;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = KmsTest->node('putback', conf => <<'CONF');
kms.event_ring_size = 256kB
max_prepared_transactions = 1
CONF
$node->safe_psql('postgres', 'CREATE EXTENSION kms');
my ($key, $pem) = KmsClient::issue($node, 'postgres', 'phone');
my $ciphertext = KmsTest::encrypt_with_openssl($pem, 'secret');
my $decrypt = "kms_decrypt('$key', '$ciphertext')";

# Hold a lock that survives a crash, so that the writer cannot write.
sub hold_writer
{
	$node->safe_psql('postgres',
		"BEGIN; LOCK TABLE kms.event IN SHARE MODE; PREPARE TRANSACTION 'held'");
}

sub release_writer
{
	$node->safe_psql('postgres', "COMMIT PREPARED 'held'");
}

foreach my $case ('no session', 'sessions at work')
{
	hold_writer();
	$node->calls("$case: copied", $decrypt, 10);
	my ($ring) = grep { /\d$/ } glob $node->data_dir . '/pg_stat_tmp/kms.*';
	my $copy = $node->basedir . '/ring';
	copy($ring, $copy) or die "$ring: $!";
	release_writer();
	$node->calls("$case: after the copy", $decrypt, 20);
	is($node->recorded("$case: copied"), '10', "$case: events are recorded");

	my ($epoch, $position) = split /\|/, $node->safe_psql('postgres',
		'SELECT epoch, position FROM kms.event_epoch ORDER BY last_ticket DESC, started_at DESC LIMIT 1');
	my $gaps = KmsTest::events($node, 'postgres', "operation = 'gap'");
	hold_writer() if $case eq 'sessions at work';
	$node->stop('immediate');
	copy($copy, $ring) or die "$ring: $!";
	$node->start;
	if ($case eq 'sessions at work')
	{
		# push more events than the tables have read
		$node->calls("$case: after the start", $decrypt, 40);
		release_writer();
	}
	else
	{
		is($node->recorded("$case: copied"), '10', "$case: nothing is written twice");
		$node->calls("$case: after the start", $decrypt, 40);
	}

	is($node->recorded("$case: after the start"), '40',
		"$case: events after the start are written once");
	is($node->recorded("$case: copied"), '10', "$case: events in the copy are written");
	is($node->recorded("$case: after the copy"), '20', "$case: events after the copy are written");
	$node->is_sql("SELECT position >= $position FROM kms.event_epoch WHERE epoch = $epoch",
		't', "$case: no position goes back");
	is(KmsTest::events($node, 'postgres', "operation = 'gap'") - $gaps,
		1, "$case: one gap is recorded");
	like(
		$node->safe_psql('postgres',
			"SELECT context FROM kms.event WHERE operation = 'gap' ORDER BY ticket DESC LIMIT 1"),
		qr/older than the trail: .* position \d+, the trail at $position$/,
		"$case: the gap names its positions");
	$node->restart;
	is($node->recorded("$case: after the start"), '40', "$case: a restart changes nothing");
	is(KmsTest::events($node, 'postgres', "operation = 'gap'") - $gaps,
		1, "$case: a restart adds no gap");
}
$node->is_sql('SELECT count(*) = max(ticket) - min(ticket) + 1 FROM kms.event',
	't', 'tickets have no gaps');
$node->stop;
done_testing();
