# The mode of a ring file is corrected, and a ring file that cannot be opened
# is kept and retried later.  Neither loses an event.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../../perl";
use KmsClient;
use KmsTest;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = KmsTest->node('mode', conf => <<'CONF');
kms.event_ring_size = 256kB
max_prepared_transactions = 1
CONF
$node->safe_psql('postgres', 'CREATE EXTENSION kms');
my ($key, $pem) = KmsClient::issue($node, 'postgres', 'phone');
my $ciphertext = KmsTest::encrypt_with_openssl($pem, 'secret');
my $decrypt = "kms_decrypt('$key', '$ciphertext')";

$node->calls('first', $decrypt, 1);
is($node->recorded('first'), '1', 'events are recorded');
my ($ring) = glob $node->data_dir . '/pg_stat_tmp/kms.*';

foreach my $mode (0640, 0400)
{
	my $name = sprintf 'mode %04o', $mode;

	# hold a lock that survives the restart, so that the events stay in the
	# ring
	$node->safe_psql('postgres',
		"BEGIN; LOCK TABLE kms.event IN SHARE MODE; PREPARE TRANSACTION 'held'");
	$node->calls("$name, before", $decrypt, 50);
	$node->stop;
	my $inode = (stat $ring)[1];
	chmod $mode, $ring;
	$node->start;
	is($node->calls("$name, after", $decrypt, 10), '10', "$name: calls work");
	is((stat $ring)[1], $inode, "$name: the file stays");
	if ($mode == 0640)
	{
		is((stat $ring)[2] & 07777, 0600, "$name: the file has mode 0600 again");
	}
	else
	{
		like(KmsClient::findings($node, 'postgres'),
			qr/^error: events not recorded/m, "$name: kms_check() tells");
		chmod 0600, $ring;
	}
	$node->safe_psql('postgres', "COMMIT PREPARED 'held'");
	ok( KmsTest::poll(
			sub {
				($node->psql('postgres', 'SELECT kms_flush_events()'))[0] == 0;
			}),
		"$name: the writer writes again");
	is($node->recorded("$name, before"), '50', "$name: nothing is lost");
	is($node->recorded("$name, after"), '10', "$name: calls in the meantime are recorded")
	  if $mode == 0640;
	KmsTest::poll(sub { $node->calls("$name, later", $decrypt, 1); $node->recorded("$name, later") > 0 });
	cmp_ok($node->recorded("$name, later"), '>', 0, "$name: recording continues");
}
is( $node->safe_psql('postgres', "SELECT context, calls >= 10, count(*) OVER () FROM kms.event
		WHERE operation = 'gap'"),
	'no event ring could be made|t|1', 'a gap states once how many calls found no ring');
# ---- Rings that were replaced ------------------------------------------------

# They accumulate while the trail is locked, each with events.
my $gaps = KmsTest::events($node, 'postgres', "operation = 'gap'");
$node->safe_psql('postgres', "BEGIN; LOCK TABLE kms.event IN SHARE MODE; PREPARE TRANSACTION 'held'");
foreach my $size (qw(128kB 256kB 192kB 320kB 128kB))
{
	$node->calls("ring before $size", $decrypt, 3);
	$node->stop('immediate');
	$node->append_conf('postgresql.conf', "kms.event_ring_size = $size");
	$node->start;
}
$node->calls('newest ring', $decrypt, 3);
my @rings = glob $node->data_dir . '/pg_stat_tmp/kms.*';
is(scalar @rings, 6, 'rings of other sizes are kept');
$node->safe_psql('postgres', "ROLLBACK PREPARED 'held'");
is($node->recorded('newest ring'), '3', 'the newest ring is written');
is(KmsTest::events($node, 'postgres', "application_name ^@ 'ring before'"), '15', 'the older rings are written');
is(KmsTest::events($node, 'postgres', "operation = 'gap'"), $gaps, 'no gap is reported, because no event can be missing');
is($node->safe_psql('postgres', 'SELECT intact, finding FROM kms_audit_verify()'), 't|', 'the trail is intact');

# A replaced ring that can be read only later, when sessions use its successor.
# It is replaced by hand, because the writer could open it before its mode is
# changed.
my $epoch = $node->safe_psql('postgres',
	'SELECT epoch FROM kms.event_epoch ORDER BY last_ticket DESC, started_at DESC LIMIT 1');
$node->safe_psql('postgres', "BEGIN; LOCK TABLE kms.event IN SHARE MODE; PREPARE TRANSACTION 'held'");
$node->calls('late', $decrypt, 3);
$node->stop('immediate');
my $late = "$ring.$epoch";
rename $ring, $late or die "$late: $!";
chmod 0, $late;
$node->start;
$node->calls('after', $decrypt, 3);
$node->safe_psql('postgres', "ROLLBACK PREPARED 'held'");
is($node->recorded('after'), '3', 'the newest ring is written');
is( KmsTest::events($node, 'postgres', "operation = 'gap' AND context ~ 'epoch $epoch .* may be missing'"),
	'1', 'a gap says that events of the other may be missing');
ok(-e $late, 'the other is kept');
chmod 0600, $late;
ok(KmsTest::poll(sub { $node->safe_psql('postgres', 'SELECT kms_flush_events()'); !-e $late }), 'a ring that can be read again is deleted');
is($node->recorded('late'), '3', 'its events are written');
is(KmsTest::events($node, 'postgres', "operation = 'gap'"), $gaps + 1, 'they leave no other gap');
is($node->safe_psql('postgres', 'SELECT intact, finding FROM kms_audit_verify()'), 't|', 'the trail is intact');
is( $node->safe_psql('postgres', 'SELECT handed_over_at IS NULL FROM kms.event_epoch ORDER BY last_ticket DESC, started_at DESC LIMIT 1'),
	't', 'the trail is not handed over, because sessions still record');

$node->stop;
done_testing();
