# With kms.audit_wait_for_standby no result leaves before its event is on a
# synchronous standby: a primary that is alone refuses (KM008), and after its
# death each result that was returned is in the trail of the other.  Sessions that
# wait for such a standby are named, a cancelled wait confirms no event, and the
# server stops fast.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../../perl";
use KmsClient;
use KmsLoad;
use KmsTest;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time);

my $primary = KmsTest->node('primary', init => [ allows_streaming => 1 ],
	conf => <<'CONF');
kms.audit = required
kms.audit_timeout = 1s
kms.deprecate_problematic_keys = off
CONF
$primary->safe_psql('postgres', 'CREATE EXTENSION kms');
my ($key, $pem) = KmsClient::issue($primary, 'postgres', 'phone');
my $decrypt = "SELECT kms_decrypt('$key', '" . KmsTest::encrypt_with_openssl($pem, 'secret') . "')";

sub setting
{
	my ($name, $value) = @_;
	$primary->safe_psql('postgres', "ALTER SYSTEM SET $name = '$value'");
	$primary->reload;
	KmsTest::poll(sub { $primary->sql("SHOW $name") eq $value }) or die "$name does not become $value";
}

# Processes that run read a setting a moment after new sessions.
sub soon_refused
{
	my ($name) = @_;
	ok(KmsTest::poll(sub { KmsClient::sqlstate($primary, 'postgres', $decrypt) eq 'KM008' }), $name);
}

# ---- Without one -------------------------------------------------------------

is(KmsClient::sqlstate($primary, 'postgres', $decrypt), '00000', 'without the setting nobody waits for a standby');
setting('kms.audit_wait_for_standby', 'on');
soon_refused('with the setting, and no synchronous standby, calls are refused');
setting('kms.audit_timeout', '1min');
my $start = time;
is(KmsClient::sqlstate($primary, 'postgres', $decrypt), 'KM008', 'calls are refused again');
cmp_ok(time - $start, '<', KmsTest::AT_ONCE, 'calls are refused without waiting for kms.audit_timeout');
setting('kms.audit_timeout', '1s');
like(KmsClient::error($primary, 'postgres', $decrypt), qr/synchronous_standby_names is empty/, 'the error of such a call says why');
like(KmsClient::findings($primary, 'postgres'), qr/^error: calls are refused, because kms.audit_wait_for_standby is on/m,
	'kms_check() says why, too');
is(KmsClient::sqlstate($primary, 'postgres', "SELECT kms_disable_key('$key')"), '00000', 'changes are not refused');
is(KmsClient::sqlstate($primary, 'postgres', "SELECT kms_enable_key('$key')"), '00000', 'because the event of a change is part of its transaction');

# ---- With one that is away -----------------------------------------------------

setting('synchronous_standby_names', 'standby');
soon_refused('with a standby that is away calls are refused');
like(KmsClient::findings($primary, 'postgres'),
	qr/^error: calls fail \(KM008\) unless synchronous_commit is local or off, because .* too few synchronous standbys are connected: 0 of 1 \(.* \(now "standby";/m,
	'kms_check() says that no standby is connected');
my $changer = KmsClient->session($primary, 'postgres');
$changer->send("SELECT kms_disable_key('$key')");
ok(KmsTest::poll(sub { KmsClient::findings($primary, 'postgres') =~ /^error: commits wait for a synchronous standby: \d+, one of them process \d+ \(Their changes, a revoked key for example, are not in force/m }),
	'kms_check() says that a change waits');
is($primary->safe_psql('postgres', "SELECT state FROM kms.key WHERE key_id = '$key'"), 'active', 'the change that waits is not in force');
$primary->safe_psql('postgres', "SELECT pg_cancel_backend($changer->{pid})");
ok(KmsTest::poll(sub { $primary->safe_psql('postgres', "SELECT state FROM kms.key WHERE key_id = '$key'") eq 'disabled' }),
	'the change is in force once its wait is cancelled');
is(KmsClient::sqlstate($primary, 'postgres', "SET synchronous_commit = local; SELECT kms_enable_key('$key')"), '00000', 'a change with synchronous_commit = local does not wait');

# The writer waits, too.  Cancelling its wait releases no result.
my $waits = "SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'kms writer' AND query = 'waiting for a synchronous standby'";
my $session = KmsClient->session($primary, 'postgres');
$session->send($decrypt);
KmsTest::poll(sub { $primary->sql($waits) }) or die 'the writer does not wait';
$primary->safe_psql('postgres', "SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE backend_type = 'kms writer'");
$session->receive;
is($session->{state}, 'KM008', 'a writer whose wait is cancelled confirms nothing');

# The operator turns it off while the writer waits.
setting('kms.audit_timeout', '1min');
KmsTest::poll(sub { $session->query('SHOW kms.audit_timeout') eq '1min' }) or die 'the session does not reload';
$session->send($decrypt);
$primary->wait_until_waiting($session) or die 'the call does not wait';
KmsTest::poll(sub { $primary->sql($waits) }) or die 'the writer does not wait';
$primary->safe_psql('postgres', 'ALTER SYSTEM SET kms.audit_wait_for_standby = off');
$primary->reload;
is($session->receive, 'secret', 'a reload that turns the setting off ends the wait');
setting('kms.audit_timeout', '1s');
setting('kms.audit_wait_for_standby', 'on');
soon_refused('a reload that turns the setting on begins the wait');
$primary->safe_psql('postgres', 'SET synchronous_commit = local; CREATE DATABASE other');
$primary->safe_psql('postgres', 'SET synchronous_commit = local; DROP DATABASE other');
pass('a writer that waits keeps nobody from dropping another database');

$start = time;
$primary->stop('fast');
cmp_ok(time - $start, '<', KmsTest::AT_ONCE, 'with a standby that is away the server stops fast');
$primary->start;
ok(KmsTest::poll(sub { $primary->safe_psql('postgres', "SELECT count(*) FROM kms.event WHERE operation = 'decrypt' AND status = 'success'") >= 2 }),
	'calls whose result nobody got are in the trail all the same');
is($primary->safe_psql('postgres', "SELECT count(*), count(*) FILTER (WHERE operation = 'gap'), count(DISTINCT epoch) FROM kms.event") =~ s/^\d+//r,
	'|0|1', 'after all that the trail has no gap');

# ---- With one that is there ------------------------------------------------------

$primary->safe_psql('postgres', "SET synchronous_commit = local; ALTER SYSTEM RESET synchronous_standby_names");
$primary->reload;
my $standby = KmsTest->standby($primary, 'standby');
setting('synchronous_standby_names', 'standby');
ok(KmsTest::poll(sub { KmsClient::sqlstate($primary, 'postgres', $decrypt) eq '00000' }), 'with a standby that is there calls work');
unlike(KmsClient::findings($primary, 'postgres'), qr/synchronous standbys? /, 'kms_check() does not complain about standbys');

my $load = KmsLoad->start($primary, 'load', $decrypt);
KmsTest::poll(sub { $load->recorded($primary) > 500 }) or die 'the load stands still';
$primary->stop('immediate');
$load->finish;
my $all = () = $load->acknowledged;
cmp_ok($all, '>', 50, 'calls were acknowledged before the primary died');
$standby->append_conf('postgresql.conf', 'kms.audit_wait_for_standby = off');
$standby->safe_psql('postgres', "SELECT 1");
$standby->promote;
is_deeply($load->match($standby), { lost => [], doubled => [] }, "each of $all is in the trail of the other, once");
is($standby->safe_psql('postgres', 'SELECT intact, finding FROM kms_audit_verify()'), 't|', 'the trail of the promoted standby is intact');
$standby->stop('immediate');
done_testing();
