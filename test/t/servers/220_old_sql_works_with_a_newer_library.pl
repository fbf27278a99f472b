# Between the new library and ALTER EXTENSION kms UPDATE, all functions and views
# of version 1.0 and all workers work, on standbys and after a restart too.
# kms_check() asks for the update in each database that needs it, and calls a
# library that is older than the SQL an error.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../../perl";
use KmsClient;
use KmsFilled;
use KmsTest;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = KmsTest->node('old_sql', conf => $KmsFilled::conf, init => [ allows_streaming => 1 ]);
my $asks = qr/^warning: the SQL of this database is of version 1\.0, older than the library, 1\.1 \(Run ALTER EXTENSION kms UPDATE in this database/m;

KmsFilled::make_roles($node);
my $filled = KmsFilled->fill($node, 'postgres');
$node->sql('CREATE DATABASE updated');
$node->safe_psql('updated', "CREATE EXTENSION kms VERSION '1.0'; ALTER EXTENSION kms UPDATE");

# ---- Functions --------------------------------------------------------------

$node->restart;
$filled->works($node, 'postgres', 'old SQL');
is($node->sql('SELECT kms_version()'), '1.1', 'kms_version() is that of the library');
is($node->sql("SELECT extversion FROM pg_extension WHERE extname = 'kms'"), '1.0', 'the SQL is of version 1.0');
$node->is_sql("SELECT to_regclass('kms.devices') IS NULL", 't', 'there is no view of version 1.1');
my ($key) = split /\|/, $node->sql("SELECT * FROM kms_issue_key('other phone')");
my $ciphertext = $node->sql("SELECT kms_encrypt('$key', 'x')");
# In this order: each call finds what the ones before it have left.
foreach (
	[ "kms_rotate_key('third phone')" ],
	[ "kms_public_key('$key')" ],
	[ "kms_jwk('$key')" ],
	[ "kms_jwks('other phone')" ],
	[ "kms_try_decrypt('$key', 'AAAA')" ],
	[ "kms_decrypt('$key', 'AAAA')", '22023' ],
	[ "kms_decrypt_batch(ARRAY['$key'], ARRAY['$ciphertext'])" ],
	[ "kms_diagnose('$key', '$ciphertext')" ],
	[ "kms_rate_limit_status('other phone')" ],
	['kms_problematic_keys()'],
	['kms_audit_checkpoints()'],
	['kms_master_key_status()'],
	['kms_rewrap_keys()'],
	[ "kms_create_field_key('made')" ],
	[ "kms_decrypt_to_field('$key', '$ciphertext', 'made', 'c', NULL)" ],
	[ "kms_deprecate_key('$key')" ],
	[ "kms_disable_key('$key')" ],
	[ "kms_enable_key('$key')" ],
	[ "kms_schedule_key_deletion('$key')" ],
	[ "kms_cancel_key_deletion('$key')" ],
	[ "kms_forget_device('third phone')" ],
	[ "kms_destroy_key('$key', '$key')" ])
{
	my ($call, $state) = @$_;
	is(KmsClient::sqlstate($node, 'postgres', "SELECT $call"), $state // '00000', 'old SQL: ' . $call =~ s/\(.*//r);
}
foreach my $view (split /\n/, $node->sql("SELECT relname FROM pg_class WHERE relnamespace = 'kms'::regnamespace AND relkind = 'v'"))
{
	is(KmsClient::sqlstate($node, 'postgres', "SELECT * FROM kms.$view"), '00000', "old SQL: kms.$view");
}

# ---- Findings -----------------------------------------------------------------

my $findings = KmsClient::findings($node, 'postgres');
like($findings, $asks, 'kms_check() asks for the update');
my @others = grep { /^(?:error|warning): / && !/fsync/ && $_ !~ $asks } split /\n/, $findings;
is("@others", '', 'kms_check() misses nothing of the new version');
unlike(KmsClient::findings($node, 'updated'), $asks, 'a database that was updated is not asked again');

# ---- Workers ---------------------------------------------------------------------

$node->set('kms.maintenance' => 'on', 'kms.maintenance_interval' => '1s', 'kms.key_pool_size' => '1');
# Not until a key is in the pool: on a busy machine the search for one rests.
ok($node->poll_query_until('postgres', "SELECT value <> 'never' FROM kms.status WHERE item = 'key generation last round'"),
	'key generation looks at the pool');
$node->sql("SET kms.key_lifetime = '1s'; SELECT FROM kms_issue_key('short')");
ok($node->poll_query_until('postgres', "SELECT stored_state = 'deprecated' FROM kms.keys WHERE device_id = 'short'"),
	'maintenance deprecates a key that has expired');
is(KmsTest::events($node, 'postgres', "operation = 'deprecate' AND device_id = 'short'"), '1', 'the writer writes the trail');
my $signed = $node->sql('SELECT max(ticket) FROM kms_audit_checkpoints()');
$node->sql("SELECT kms_issue_key('more')");
ok($node->poll_query_until('postgres', "SELECT max(ticket) > $signed FROM kms_audit_checkpoints()"), 'the writer signs the trail');
is($node->sql('SELECT intact FROM kms_audit_verify()'), 't', 'the trail is intact');

# ---- On a standby -----------------------------------------------------------------

my $standby = KmsTest->standby($node, 'standby');
$node->wait_for_catchup('standby', 'replay', $node->lsn('insert'));
my $new_key = $node->sql("SELECT key_id FROM kms_issue_key('new phone')");
$ciphertext = $node->sql("SELECT kms_encrypt('$new_key', 'on a standby')");
$node->wait_for_catchup('standby', 'replay', $node->lsn('insert'));
$standby->is_sql("SELECT kms_decrypt('$new_key', '$ciphertext')", 'on a standby', 'a standby with old SQL decrypts');
like(KmsClient::findings($standby, 'postgres'), $asks, 'kms_check() asks for the update on a standby, too');
$node->sql('ALTER EXTENSION kms UPDATE');
$node->wait_for_catchup('standby', 'replay', $node->lsn('insert'));
$standby->is_sql("SELECT kms_decrypt('$new_key', '$ciphertext')", 'on a standby', 'a standby decrypts after the update');
$standby->is_sql("SELECT active FROM kms.devices WHERE device_id = 'new phone'", '1', 'a standby has the new view');
unlike(KmsClient::findings($standby, 'postgres'), $asks, 'the standby is updated by the primary');
$standby->stop;

# ---- A library that is older ---------------------------------------------------------

KmsClient::is_healthy($node, 'postgres', 'kms_check() has no complaint after the update');
foreach my $newer ('1.2', '1.10', '2.0')
{
	$node->sql("UPDATE pg_extension SET extversion = '$newer' WHERE extname = 'kms'");
	like(KmsClient::findings($node, 'postgres'),
		qr/^error: the library is of version 1\.1, older than the SQL of this database, \Q$newer\E \(Install the library of that version/m,
		"SQL of version $newer is an error");
}

# A script of a newer version, as if the server had not been restarted.
$node->sql("UPDATE pg_extension SET extversion = '1.1' WHERE extname = 'kms'");
my $made;
my $scripts = $node->config_data('--sharedir') . '/extension';
END { unlink $made if defined $made }
SKIP:
{
	skip "the test may not write to $scripts", 1 unless -w $scripts;
	$made = "$scripts/kms--1.1--99.0.sql";
	append_to_file($made, slurp_file("$scripts/kms--1.0--1.1.sql") =~ s/kms_begin_update\('1\.1'/kms_begin_update('99.0'/r);
	like(KmsClient::error($node, 'postgres', "ALTER EXTENSION kms UPDATE TO '99.0'"),
		qr/55000: the library of kms is of version 1\.1, older than version 99\.0 of its SQL\nHINT:  Install the library of that version and restart the server/,
		'a script of a newer version says that the server still runs the older library');
	unlink $made or die "$made: $!";
}
$node->stop;
done_testing();
