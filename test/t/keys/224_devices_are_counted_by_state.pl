# kms.devices has a row per device that counts its keys as kms.keys has them, and
# shows the newest active one.  A condition on the device uses the index, also if
# an auditor asks, and shows which devices need a key.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../../perl";
use KmsClient;
use KmsTest;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = KmsTest->node('devices', conf => "kms.maintenance = off\nkms.keygen_limit = 100\nkms.key_pool_size = 0");
my $states = 'active, deprecated, expired, disabled, revoked, pending_deletion';
$node->sql("CREATE EXTENSION kms; SET kms.key_algorithm = 'EC-P256'; CREATE ROLE auditor LOGIN;
	GRANT USAGE ON SCHEMA kms TO auditor; GRANT SELECT ON kms.devices TO auditor;
	GRANT EXECUTE ON FUNCTION kms.renew_at TO auditor");

# ---- What it shows ----------------------------------------------------------

sub issue
{
	my ($device, $kind) = @_;
	return $node->sql("SELECT key_id FROM kms_issue_key('$device', NULL, '" . ($kind || 'EC-P256') . "')");
}
my $first = issue('full');
my $second = $node->sql("SELECT key_id FROM kms_rotate_key('full', NULL, 'EC-P256')");
my $third = issue('full', 'X25519');
$node->is_sql("SELECT keys, $states, newest_key_id, active_key_id FROM kms.devices WHERE device_id = 'full'",
	"3|2|1|0|0|0|0|$third|$third", 'the newest of two active keys is shown');
$node->is_sql("SELECT d.created_at = k.created_at AND d.expires_at = k.expires_at AND d.renew_at = k.renew_at
		AND k.renew_at < k.expires_at FROM kms.devices AS d JOIN kms.keys AS k ON k.key_id = d.active_key_id WHERE d.device_id = 'full'",
	't', 'the dates are those of that key');
$node->sql("SELECT kms_disable_key('$third')");
$node->is_sql("SELECT keys, $states, newest_key_id, active_key_id FROM kms.devices WHERE device_id = 'full'",
	"3|1|1|0|1|0|0|$third|$second", 'an older key that is active is shown');
$node->sql("SELECT kms_revoke_key('$second', 'lost'), kms_schedule_key_deletion('$first')");
$node->is_sql("SELECT keys, $states, newest_key_id, active_key_id IS NULL, created_at IS NULL, expires_at IS NULL, renew_at IS NULL
		FROM kms.devices WHERE device_id = 'full'",
	"3|0|0|0|1|1|1|$third|t|t|t|t", 'a device without an active key is shown');

my $denied = issue('denied');
$node->sql("BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT kms_revoke_key('$denied', 'stolen'); COMMIT");
$node->is_sql('SELECT count(*) FROM kms.denial', '1', 'there is a denial that is not in its row');
$node->is_sql("SELECT active, revoked FROM kms.devices WHERE device_id = 'denied'", '0|1', 'a denial counts at once');

$node->sql("SET kms.key_lifetime = '1s'; SELECT kms_issue_key('short', NULL, 'EC-P256')");
ok($node->poll_query_until('postgres', "SELECT active = 0 AND expired = 1 FROM kms.devices WHERE device_id = 'short'"),
	'a key that expires is no longer active, without maintenance');
issue('healthy');
$node->is_sql("SELECT string_agg(device_id, ' ' ORDER BY device_id) FROM kms.devices WHERE active = 0 OR expires_at < now() + interval '2 days'",
	'denied full short', 'devices that need a key are found');
$node->is_sql("SELECT count(*), sum(keys), sum(active + deprecated + expired + disabled + revoked + pending_deletion) FROM kms.devices",
	'4|6|6', 'each key is counted in one state');
$node->is_sql("SELECT count(*) FROM (SELECT device_id, count(*), $states FROM (SELECT device_id, " . join(', ',
		map { "count(*) FILTER (WHERE state = '$_') AS $_" } split /, /, $states) . " FROM kms.keys GROUP BY 1) AS k GROUP BY device_id, $states) AS a
	JOIN kms.devices AS d USING (device_id, " . $states . ')', '4', 'the states are those of kms.keys');

# ---- How it is read ------------------------------------------------------------

# Rows that no call made: the plan depends on their number only.
$node->sql("INSERT INTO kms.key SELECT 'key_' || n, 'device ' || n / 2, NULL, 'RSA-2048', 'sha1', 'sha1', 'imported', 'active', NULL, NULL,
		now(), now() + interval '1 day', now(), NULL, 1, NULL, NULL FROM generate_series(1, 20000) AS n");
$node->sql('ANALYZE kms.key');
my %asked = (
	'a literal' => "EXPLAIN SELECT * FROM kms.devices WHERE device_id = 'device 5000'",
	'a parameter' => "SET plan_cache_mode = force_generic_plan; PREPARE d(text) AS SELECT * FROM kms.devices WHERE device_id = \$1;
		EXPLAIN EXECUTE d('device 5000')",
	'a list' => "EXPLAIN SELECT * FROM kms.devices WHERE device_id = ANY ('{device 1,device 5000}')");
foreach my $how (sort keys %asked)
{
	foreach my $role ('auditor', $node->sql('SELECT current_user'))
	{
		my $plan = $node->safe_psql('postgres', $asked{$how}, extra_params => [ '-U', $role ]);
		like($plan, qr/(?:Index|Bitmap Index) Scan (?:using|on) key_device_idx.*\n(?:.*\n)*?.*Index Cond: \(device_id = /,
			"$how, $role: the index is used");
		unlike($plan, qr/Seq Scan on key\b/, "$how, $role: kms.key is not read as a whole");
	}
}
is($node->safe_psql('postgres', "SELECT keys, active FROM kms.devices WHERE device_id = 'device 5000'", extra_params => [ '-U', 'auditor' ]),
	'2|2', 'an auditor reads it');
is(KmsClient::sqlstate($node, 'postgres', 'SET ROLE auditor; SELECT FROM kms.keys'), '42501', 'the right on it is none on kms.keys');
is(KmsClient::sqlstate($node, 'postgres', 'DELETE FROM kms.devices'), '55000', 'nobody deletes from it');
$node->stop;
done_testing();
