# pg_upgrade, copying or linking, carries everything into the new server without
# starting our processes: keys open, denied keys stay denied, hashes verify, and
# limits, states, tickets and metrics go on.
#
# The old server is the PostgreSQL whose programs are in KMS_OLD_BINDIR
# (test/matrix has an older one, with kms), or else the same version.
use strict;
use warnings;

use File::Basename;
use FindBin;
use lib "$FindBin::Bin/../../perl";
use KmsClient;
use KmsPool;
use KmsTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $dir = PostgreSQL::Test::Utils::tempdir();
my $conf = <<'CONF';
kms.keygen_limit = 2
kms.key_pool_size = 2
kms.maintenance = off
log_min_messages = debug1
CONF
my $started = qr/registering background worker "kms launcher"/;
my @states = qw(active deprecated expired disabled revoked denied pending_deletion);
my @tables = qw(denial event event_outbox event_quarantine key key_secret metric pepper);
my (%key, %ciphertext);

# ---- The old server ------------------------------------------------------

my $old_bindir = $ENV{KMS_OLD_BINDIR} || '';
my $old = KmsTest->node(
	'old',
	conf => $conf,
	$old_bindir eq '' ? () : (install_path => dirname($old_bindir)),
	checksums($old_bindir eq '' ? 'initdb' : "$old_bindir/initdb"));
diag('pg_upgrade from ' . $old->safe_psql('postgres', 'SHOW server_version'));
my $file = KmsTest::master_key_path($old);
chomp(my $master_key = slurp_file($file));

$old->safe_psql('postgres', 'CREATE DATABASE other');
$old->safe_psql($_, 'CREATE EXTENSION kms') foreach 'postgres', 'other';
foreach my $state (grep { $_ ne 'active' } @states)
{
	my $device = $state eq 'deprecated' ? 'phone' : $state;
	my $life = $state eq 'expired' ? '1s' : '1d';
	my $pem;
	$old->safe_psql('postgres', "ALTER SYSTEM SET kms.key_lifetime = '$life'");
	$old->reload;
	KmsTest::poll(
		sub {
			$old->safe_psql('postgres', 'SHOW kms.key_lifetime') eq $life;
		});
	($key{$state}, $pem) = KmsClient::issue($old, 'postgres', $device);
	$ciphertext{$state} = KmsTest::encrypt_with_openssl($pem, "secret of $state");
}
$old->safe_psql('postgres', 'ALTER SYSTEM RESET kms.key_lifetime');
($key{active}) = split /\|/,
  $old->safe_psql('postgres', "SELECT * FROM kms_rotate_key('phone')");
$ciphertext{active} = $old->safe_psql('postgres',
	"SELECT kms_encrypt('$key{active}', 'secret of active')");
$old->safe_psql('postgres', "SELECT kms_disable_key('$key{disabled}')");
$old->safe_psql('postgres', "SELECT kms_revoke_key('$key{revoked}', 'lost')");
$old->safe_psql('postgres',
	"SELECT kms_schedule_key_deletion('$key{pending_deletion}')");
my $hash = $old->safe_psql('postgres',
	"SELECT kms_hash_secret('$key{active}', '$ciphertext{active}')");
$old->safe_psql('postgres',
	"SELECT kms_decrypt('$key{active}', '$ciphertext{active}'),
	kms_try_decrypt('$key{deprecated}', '$ciphertext{active}')");
my ($other_key) = KmsClient::issue($old, 'other', 'phone');
my $other_ciphertext =
  $old->safe_psql('other', "SELECT kms_encrypt('$other_key', 'other secret')");

# Revoke a key while the master key is missing, so that its row does not say so.
$old->stop;
unlink $file or die "$file: $!";
$old->start;
$old->safe_psql('postgres', "SELECT kms_revoke_key('$key{denied}', 'stolen')");
is($old->safe_psql('postgres', 'SELECT count(*) FROM kms.denial'),
	1, 'a key is denied by a row of kms.denial');
KmsTest::write_master_key($file, $master_key);

# Follow the steps of the manual: the events in the ring get into the tables.
$old->restart;
KmsTest::poll(sub { $old->sql("SELECT kms_key_valid('$key{expired}')") eq 'f' }) or die 'the key does not expire';
ok(KmsPool::filled($old, $_, 2), "the pool of $_ is full") foreach 'postgres', 'other';
$old->safe_psql($_, 'SELECT kms_flush_events()') foreach 'postgres', 'other';
my $epochs = $old->safe_psql('postgres', 'SELECT count(*) FROM kms.event_epoch');
my $last = $old->safe_psql('postgres', 'SELECT max(ticket) FROM kms.event');
my $pool = KmsPool::keys($old, 'postgres');
my $content = content($old);
my $states = states($old);
my $configured = configured($old);
like(slurp_file($old->logfile), $started, 'the log tells when our processes start');
$old->stop;

# ---- The new ones --------------------------------------------------------

foreach my $mode ('copy', 'link')
{
	my $new = KmsTest->node($mode,
		conf => $conf,
		start => 0,
		master_key => [$master_key],
		checksums('initdb'));
	upgrade($new, $mode eq 'link' ? '--link' : ());
	$new->start;

	my $q = sub { $new->safe_psql('postgres', $_[0]) };
	my $sqlstate = sub { KmsClient::sqlstate($new, 'postgres', $_[0]) };
	is(content($new), $content, "$mode: the tables are the same");
	is(states($new), $states, "$mode: the states are the same");
	is(configured($new), $configured, "$mode: a dump would carry the same tables");

	foreach my $state ('active', 'deprecated')
	{
		is( $q->("SELECT kms_decrypt('$key{$state}', '$ciphertext{$state}')"),
			"secret of $state", "$mode: $state: opens");
	}
	foreach my $state ('disabled', 'revoked', 'denied', 'pending_deletion')
	{
		is($sqlstate->("SELECT kms_decrypt('$key{$state}', '$ciphertext{$state}')"),
			'KM004', "$mode: $state: refused");
	}
	is($sqlstate->("SELECT kms_decrypt('$key{expired}', '$ciphertext{expired}')"),
		'KM003', "$mode: expired: refused");
	foreach my $state (@states)
	{
		is( $q->(
				"SELECT kms_decrypt_recover('$key{$state}', '$ciphertext{$state}', 'upgraded')"),
			"secret of $state", "$mode: $state: can be recovered");
	}
	is( $q->("SELECT kms_verify_secret('$key{active}', '$ciphertext{active}', '$hash')"),
		't', "$mode: hashes of secrets verify");
	is( $new->safe_psql('other', "SELECT kms_decrypt('$other_key', '$other_ciphertext')"),
		'other secret', "$mode: keys of another database open");

	is($q->("SELECT key_id, reused FROM kms_issue_key('phone')"),
		"$key{active}|t", "$mode: the device has its key");
	is($sqlstate->("SELECT kms_rotate_key('phone')"),
		'KM005', "$mode: the device has its limit");
	is($q->("SELECT reused FROM kms_issue_key('new phone')"),
		'f', "$mode: keys are made");
	is(KmsPool::origin($new, 'postgres', 'new phone', $pool),
		'none', "$mode: a new key is none that the old server could issue, too");
	ok( KmsTest::poll(
			sub {
				my @keys = keys %{ KmsPool::keys($new, 'postgres') };
				@keys == 2 && !grep { $pool->{$_} } @keys;
			}),
		"$mode: the pool is filled with keys of its own");

	$q->('SELECT * FROM kms_maintain()');
	is($q->('SELECT count(*) FROM kms.denial'),
		0, "$mode: the denial gets into its row");
	is( $q->("SELECT state FROM kms.key WHERE key_id = '$key{denied}'"),
		'revoked', "$mode: the key with the denial is revoked");

	is( KmsTest::events($new, 'postgres', "operation = 'gap' AND ticket > $last"),
		0, "$mode: there is no gap in the trail, as the old server was stopped");
	is( $q->('SELECT count(*) = max(ticket) - min(ticket) + 1 FROM kms.event'),
		't', "$mode: tickets go on without a gap");
	is( $q->("SELECT count(*) - $epochs FROM kms.event_epoch"),
		1, "$mode: the new tickets are in an epoch of their own");
	is($q->('SELECT count(*) FROM kms.event_outbox'),
		0, "$mode: events of changes go on, too");
	is( $q->(
			"SELECT sum((m ->> 'count')::int) FROM jsonb_array_elements(kms_metrics_summary() -> 'metrics') AS m"),
		$q->("SELECT count(*) FROM kms.event WHERE operation <> 'gap'"),
		"$mode: the summary counts old and new");
	is($q->('SELECT kms_self_test()'), 't', "$mode: the self test passes");
	KmsClient::is_healthy($new, $_, "$mode: $_: kms_check() has no complaint")
	  foreach 'postgres', 'other';
	$new->stop;
}

done_testing();

# ---- Tools ---------------------------------------------------------------

# Both servers must have no checksums, which is not the default from PostgreSQL 18
# on.
sub checksums
{
	my $initdb = shift;
	return () unless `"$initdb" --help` =~ /--no-data-checksums/;
	return (
		init => [
			extra => [ '--encoding=UTF8', '--no-locale', '--no-data-checksums' ]
		]);
}

# Run pg_upgrade, and test with the logs that it keeps that our processes were not
# started.
sub upgrade
{
	my ($new, @options) = @_;
	my $name = $new->name;

	chdir $dir or die "$dir: $!";
	ok( run_log(
			[
				'pg_upgrade', '--no-sync', '--retain', @options,
				'-d', $old->data_dir, '-D', $new->data_dir,
				'-b', $old->config_data('--bindir'),
				'-B', $new->config_data('--bindir'),
				'-p', $old->port, '-P', $new->port, '-s', $dir
			]),
		"$name: pg_upgrade succeeds")
	  or diag(map { slurp_file($_) }
		  glob($new->data_dir . '/pg_upgrade_output.d/*/log/*'));
	my $log = join '', map { slurp_file($_) }
	  glob($new->data_dir . '/pg_upgrade_output.d/*/log/pg_upgrade_server.log');
	like($log, qr/database system is ready to accept connections/,
		"$name: the log is that of its servers");
	unlike($log, $started, "$name: our processes were not started");
}

# Return a line with a checksum for each table.  Leave out events of the new
# server.
sub content
{
	my $node = shift;
	return join "\n", map {
		my $where = $_ eq 'event' ? "WHERE ticket <= $last" : '';
		"$_ "
		  . $node->safe_psql('postgres',
			"SELECT count(*), md5(string_agg(t::text, ',' ORDER BY t::text COLLATE \"C\")) FROM kms.$_ AS t $where")
	} @tables;
}

sub states
{
	my $node = shift;
	return $node->safe_psql('postgres',
		'SELECT key_id, kms_key_state(key_id), kms_key_valid(key_id) FROM kms.key ORDER BY 1');
}

sub configured
{
	my $node = shift;
	return $node->safe_psql('postgres',
		"SELECT string_agg(c::regclass::text, ' ' ORDER BY c::regclass::text COLLATE \"C\")
		FROM pg_extension, unnest(extconfig) AS c WHERE extname = 'kms'");
}
