# A standby serves, before and after its promotion, exactly as far as it has
# the master key: its own copy, none or another.  It says which master key it
# lacks, and needs no restart when that is added.  Revoking never needs it.
# Servers that change roles, and are rewound, leave a gap in the trail where
# events may be missing, but not after an orderly stop, and use no ticket twice.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../../perl";
use KmsClient;
use KmsTest;
use PostgreSQL::Test::Utils;
use Test::More;

my $primary = KmsTest->node('primary', init => [ allows_streaming => 1 ],
	conf => <<'CONF');
kms.maintenance = off
kms.keygen_limit = 1
kms.key_pool_size = 0
kms.event_ring_size = 256kB
wal_log_hints = on
wal_keep_size = 64MB
CONF
my @master_key = split /\n/, slurp_file(KmsTest::master_key_path($primary));
$primary->safe_psql('postgres', 'CREATE EXTENSION kms');
$primary->safe_psql('postgres', 'SELECT * FROM kms_maintain()');
my ($key, $pem) = KmsClient::issue($primary, 'postgres', 'phone');
my ($lost) = KmsClient::issue($primary, 'postgres', 'lost phone');
my $ciphertext = KmsTest::encrypt_with_openssl($pem, 'secret');
my $decrypt = "SELECT kms_decrypt('$key', '$ciphertext')";
my $hash = $primary->safe_psql('postgres',
	"SELECT kms_hash_secret('$key', '$ciphertext')");
my $verify = "SELECT kms_verify_secret('$key', '$ciphertext', '$hash')";

my %keys = (own => [@master_key], without => undef, other => []);
my %standby;
foreach my $name (sort keys %keys)
{
	my $standby = KmsTest->standby($primary, $name, start => 0);
	my $file = KmsTest::master_key_path($standby);

	KmsTest::write_master_key($file, @{ $keys{$name} }) if $keys{$name};
	$standby->append_conf('postgresql.conf', "kms.master_key_file = '$file'");
	$standby->start;
	$standby{$name} = $standby;
}
my ($own, $without, $other) = @standby{qw(own without other)};

sub is_sql
{
	my ($node, $sql, $expected, $name) = @_;
	is($node->safe_psql('postgres', $sql), $expected, $node->name . ": $name");
}

sub refused
{
	my ($node, $sql, $pattern, $name) = @_;
	like(KmsClient::error($node, 'postgres', $sql), $pattern, $node->name . ": $name");
}

sub last_ticket
{
	my ($node) = @_;
	return $node->safe_psql('postgres', 'SELECT max(ticket) FROM kms.event');
}

my $no_key = qr/KM007: master key is not available/;
my $other_key =
  qr/KM007: key "\Q$key\E" was wrapped under master key "[0-9a-f]{16}", which this server does not have/;

# ---- Before promotion ----------------------------------------------------

$primary->safe_psql('postgres', 'SELECT kms_flush_events()');
$primary->wait_for_catchup($_->name, 'replay', $primary->lsn('insert'))
  foreach values %standby;
is_sql($own, $decrypt, 'secret', 'decrypts');
is_sql($own, $verify, 't', 'verifies hashes');
refused($without, $decrypt, $no_key, 'decrypts nothing');
refused($without, $verify, $no_key, 'verifying a hash is an error and not false');
refused($other, $decrypt, $other_key, 'decrypts nothing, and says what is missing');
foreach my $node ($without, $other)
{
	is_sql($node, "SELECT kms_key_state('$key'), kms_rate_limit_status('phone')",
		'active|(1,1,' . $primary->safe_psql('postgres',
			"SELECT '\"' || next_at || '\"' FROM kms_rate_limit_status('phone')") . ')',
		'states and limits are told');
	is_sql($node, "SELECT state FROM kms.keys WHERE key_id = '$key'", 'active', 'states are shown');
	is_sql($node,
		q{SELECT count(*) FROM jsonb_array_elements(kms_metrics_summary() -> 'metrics') AS m
		WHERE m ->> 'operation' = 'generate'},
		'1', 'the metrics are');
	refused($node, "SELECT kms_revoke_key('$lost', 'lost')", qr/25006: /,
		'a key is revoked on the primary');
	is_sql($node, "SELECT value > '0' FROM kms.status WHERE item = 'standby failures'",
		't', 'failures are counted');
	like(slurp_file($node->logfile),
		qr/kms: decrypt failed on a standby: Master key is not available/,
		$node->name . ': and logged');
}
like(KmsClient::findings($without, 'postgres'),
	qr/^error: the master key file is refused: /m, 'without: kms_check() says so');
like(KmsClient::findings($other, 'postgres'),
	qr/^error: keys wrapped under master key "[0-9a-f]{16}", which this server does not have: \d/m,
	'other: kms_check() says so');

# ---- Promotion -----------------------------------------------------------

my $session = KmsClient->session($own, 'postgres');
is($session->query($decrypt), 'secret', 'own: a session has the key open');
my $before = last_ticket($primary);
$primary->stop;
$_->promote foreach values %standby;

is($session->query($decrypt), 'secret', 'own: which stays so');
$session->quit;
is_sql($own, "SELECT reused FROM kms_issue_key('new phone')", 'f', 'keys are made');

refused($without, $decrypt, $no_key, 'still decrypts nothing');
refused($without, "SELECT kms_issue_key('new phone')", $no_key, 'without the master key the server makes no keys');
is_sql($without, "SELECT kms_revoke_key('$lost', 'lost')", 'revoked', 'without the master key the server revokes keys');
is_sql($without, "SELECT kms_key_state('$lost')", 'revoked', 'a revocation takes effect at once');
KmsTest::write_master_key(KmsTest::master_key_path($without), @master_key);
$without->reload;
ok( KmsTest::poll(sub { KmsClient::sqlstate($without, 'postgres', $decrypt) eq '00000' }),
	'without: with the file in its place a reload heals it');
$without->safe_psql('postgres', 'SELECT * FROM kms_maintain()');
is_sql($without, "SELECT state, sealed FROM (SELECT state, seal IS NOT NULL AS sealed
	FROM kms.key WHERE key_id = '$lost') AS k", 'revoked|t', 'the revoked key is sealed');
is_sql($without, 'SELECT count(*) FROM kms.denial', '0', 'no denial is left');
is_sql($without, "SELECT reused FROM kms_issue_key('new phone')", 'f', 'keys are made');

refused($other, $decrypt, $other_key, 'still decrypts nothing');
is_sql($other, "SELECT reused FROM kms_issue_key('new phone')", 'f', 'keys are made');
KmsTest::write_master_key(KmsTest::master_key_path($other),
	split(/\n/, slurp_file(KmsTest::master_key_path($other))), @master_key);
$other->reload;
ok( KmsTest::poll(sub { KmsClient::sqlstate($other, 'postgres', $decrypt) eq '00000' }),
	'other: with the missing key added a reload heals it');

foreach my $node (@standby{ sort keys %standby })
{
	my $name = $node->name;
	is_sql($node, $verify, 't', 'hashes verify');
	refused($node, "SELECT kms_rotate_key('phone')", qr/KM005: /,
		'the limit counts what was made before');
	is( KmsTest::events($node, 'postgres',
			"ticket > $before AND operation = 'generate' AND device_id = 'new phone' AND status = 'success'"),
		'1', "$name: events are recorded, above those of before");
	is_sql($node, "SELECT count(*) = max(ticket) - min(ticket) + 1 AND count(*) = count(DISTINCT ticket),
		min(ticket) FILTER (WHERE operation = 'gap') - $before FROM kms.event",
		't|', 'each has its own ticket, and no gap, as the primary was stopped in an orderly way');
	is_sql($node, "SELECT count(*) FROM kms.event WHERE operation = 'verify'",
		'1', 'only calls after the promotion are in the trail');
	unlike(KmsClient::findings($node, 'postgres'),
		qr/^(?:error|warning): (?!fsync)/m, "$name: kms_check() has no complaint");
}
$_->stop foreach $without, $other;

# ---- Back again ----------------------------------------------------------

# The old primary still has the ring that it stopped with.
sub follow
{
	my ($node, $leader) = @_;
	my $connstr = $leader->connstr;
	$node->append_conf('postgresql.conf', "primary_conninfo = '$connstr application_name="
		  . $node->name . "'");
	$node->set_standby_mode;
	$node->start;
	$leader->wait_for_catchup($node->name, 'replay', $leader->lsn('insert'));
}

# A crash from which it does not come back, with events in its ring.
sub lose
{
	my ($node) = @_;
	$node->safe_psql('postgres', 'SELECT kms_flush_events()');
	my $session = KmsClient->session($node, 'postgres');
	$session->query('BEGIN');
	$session->query('LOCK TABLE kms.event IN SHARE MODE');
	$node->safe_psql('postgres', "SET application_name = 'lost'; $decrypt");
	$node->stop('immediate');
	$session->{run}->kill_kill;
}

sub promoted
{
	my ($node, $name) = @_;
	my $before = last_ticket($node);
	$node->promote;
	is_sql($node, $decrypt, 'secret', "$name: decrypts");
	is( KmsTest::events($node, 'postgres',
			"ticket > $before AND operation = 'decrypt'"),
		'1', "$name: records that");
	is_sql($node, "SELECT count(*) = max(ticket) - min(ticket) + 1 AND count(*) = count(DISTINCT ticket),
		max(ticket) FILTER (WHERE operation = 'gap') - $before FROM kms.event",
		't|1', "$name: each has its own ticket, after a gap");
	is_sql($node, "SELECT count(*) FROM kms.event WHERE application_name = 'lost'",
		'0', "$name: what the other had in its ring is that gap");
	unlike(KmsClient::findings($node, 'postgres'),
		qr/^(?:error|warning): (?!fsync)/m, "$name: kms_check() has no complaint");
}

sub last_gap
{
	return $_[0]->safe_psql('postgres', "SELECT max(ticket) FROM kms.event WHERE operation = 'gap'");
}

follow($primary, $own);
is(scalar(glob $primary->data_dir . '/pg_stat_tmp/kms.*') ? 1 : 0,
	1, 'the old primary has its ring');
lose($own);
promoted($primary, 'promoted again');

# The other one had gone on for a while; it is rewound.
$own->start;
my $wrong = $own->safe_psql('postgres', "SELECT key_id FROM kms_issue_key('phone of nobody')");
$own->safe_psql('postgres', 'SELECT kms_flush_events()');
my $head = $own->safe_psql('postgres', 'SELECT kms_audit_head()');
like($primary->safe_psql('postgres', "SELECT intact, finding FROM kms_audit_verify('$head')"),
	qr/^f\|the (?:trail ends before|row does not have the hash of) the head that was given; that may have been noted on a branch of the trail that was lost: see the gap with ticket @{[last_gap($primary)]}$/,
	'a head that was noted on what is lost names the gap');
$own->stop;
$primary->safe_psql('postgres', 'CHECKPOINT');
command_ok(
	[
		'pg_rewind', '--no-sync', '--target-pgdata', $own->data_dir,
		'--source-server', $primary->connstr . ' dbname=postgres'
	],
	'rewound');
is(join(' ', glob $own->data_dir . '/pg_stat_tmp/kms.*'), '', 'its ring is gone');
my $host = $own->host;
my $port = $own->port;
$own->append_conf('postgresql.conf',
	"port = $port\nunix_socket_directories = '$host'");
follow($own, $primary);
is(KmsClient::sqlstate($own, 'postgres', "SELECT kms_key_state('$wrong')"),
	'KM002', 'keys that the old primary had made are gone');
lose($primary);
promoted($own, 'promoted after that');
$own->stop;
done_testing();
