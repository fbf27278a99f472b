# An argument that is passed to a function of kms in the wrong place is in no
# message, in no log and not in the trail.
use strict;
use warnings;

use KmsTest;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = KmsTest->node('main', conf => 'kms.maintenance = off');
$node->safe_psql('postgres', 'CREATE EXTENSION kms');

# ---- What a call gets that is right -------------------------------------

$node->safe_psql(
	'postgres', q{
	CREATE TABLE good AS SELECT 'good device'::text AS device_id, key_id, 'x'::text AS plaintext,
		kms_encrypt(key_id, 'x') AS ciphertext FROM kms_issue_key('good device');
	ALTER TABLE good ADD hash text;
	UPDATE good SET hash = kms_hash_secret(key_id, ciphertext);
	SELECT kms_create_field_key('tax');
	ALTER TABLE good ADD value bytea;
	UPDATE good SET value = kms_encrypt_field('tax', 'x', 'c');
	CREATE TABLE bad (n serial, value text)});

# Secrets of every form that may be confused with a key id.  All contain this text.
my $canary = 'Canary4711';
my @bad = (
	$canary,                         # has the form of a key id
	"$canary 0815",                  # does not have that form
	"$canary\x{85}next",             # nor is it fit for a device id: a C1 control,
	"$canary\x{202e}back",           # a bidirectional one,
	"$canary\x{2028}line",           # a separator of lines
	$canary x 40,                    # too long for anything but a ciphertext
	"\$kms1\$$canary\$\$2b\$10\$" . 'k' x 53,    # a hash, and a pepper's id
	lc $canary,                      # has the form of a field's name
	lc "$canary.$canary");           # of a key under a field
utf8::encode($_) foreach @bad;
foreach my $value (@bad)
{
	(my $literal = $value) =~ s/'/''/g;
	$node->safe_psql('postgres', "INSERT INTO bad (value) VALUES ('$literal')");
}

# Arguments by name; another one is left NULL.
my %good = (
	device_id => 'device_id',
	key_id => 'key_id',
	plaintext => 'plaintext',
	private_key => "'no key'",
	ciphertext => 'ciphertext',
	hash => 'hash',
	reason => "'a reason'",
	key_ids => 'ARRAY[key_id]',
	ciphertexts => 'ARRAY[ciphertext]',
	confirm => "'no'",
	jwe => "'e30....'",
	field_key => "'tax'",
	value => 'good.value',
	context => "'c'",
	scope => "'s'",
	version => '1',
	created_at => 'now()',
	expires_at => "now() + interval '1 day'",
	head => "'1:' || repeat('0', 64)");

# Arguments that are recorded or shown, as long as they have the right form.
my %told = map { $_ => 1 } qw(app_version device_id reason subject);

# ---- Every text of every function ---------------------------------------

my @functions = split /\n/, $node->safe_psql(
	'postgres', q{
	SELECT p.oid::regproc, string_agg(a.name || '=' || a.type::regtype, ',' ORDER BY a.n)
	FROM pg_proc AS p JOIN pg_depend AS d ON d.objid = p.oid AND d.classid = 'pg_proc'::regclass
		AND d.deptype = 'e' JOIN pg_extension AS e ON d.refobjid = e.oid AND e.extname = 'kms',
		unnest(p.proargnames[1:p.pronargs], p.proargtypes::oid[]) WITH ORDINALITY AS a (name, type, n)
	GROUP BY p.oid ORDER BY 1});
cmp_ok(scalar(@functions), '>', 30, 'functions of kms take arguments');

my $script = ("\\set VERBOSITY verbose\n");
my $calls = 0;
foreach (@functions)
{
	my ($function, $list) = split /\|/;
	my @arguments = map { [ split /=/ ] } split /,/, $list;

	foreach my $tried (@arguments)
	{
		my ($name, $type) = @$tried;
		my $value = $type eq 'text' ? 'b.value'
		  : $type eq 'bytea' ? "convert_to(b.value, 'UTF8')"
		  : $type eq 'text[]' ? 'ARRAY[b.value]'
		  : $type eq 'bytea[]' ? "ARRAY[convert_to(b.value, 'UTF8')]" : next;

		foreach my $n (1 .. @bad)
		{
			next if $told{$name} && $n != 3 && $n != 4 && $n != 5 && $n != 6;
			# An import names the id of the key that it refuses.
			next if $name eq 'key_id' && ($n == 1 || $n > 7) && $function =~ /\bkms_import_key$/;
			# This is how a name becomes known.
			next if $name eq 'field_key' && $n == 8 && $function =~ /\bkms_create_field_key$/;
			my $call = join ', ', map {
				my ($other, $its) = @$_;
				my $good = $good{$other};
				$good = "convert_to($good, 'UTF8')" if defined $good && $its eq 'bytea' && $other ne 'value';
				$good = "ARRAY[convert_to(ciphertext, 'UTF8')]" if defined $good && $its eq 'bytea[]';
				$other eq $name ? "$other => $value"
				  : defined $good ? "$other => $good" : ();
			} @arguments;
			$script .= "SELECT $function($call) IS NULL FROM good, bad AS b WHERE b.n = $n;\n";
			$calls++;
		}
	}
}
$script .= "SELECT set_config('kms.audit_context', value, false) IS NULL FROM bad WHERE n = $_;\n" foreach 3, 4, 5, 6;

my ($stdout, $stderr) = ('', '');
$node->psql('postgres', $script, stdout => \$stdout, stderr => \$stderr, on_error_stop => 0);
cmp_ok($calls, '>', 300, 'many calls');
my $errors = () = $stderr =~ /^(?:psql:\S+ )?ERROR: /mg;
cmp_ok($errors, '>', 250, 'most calls fail');
is( join("\n", grep { /^(?:psql:\S+ )?ERROR:  (?:42...|XX000|22P02): / } split /\n/, $stderr),
	'', 'no call fails because of a wrong signature');
unlike($stderr, qr/server closed the connection/, 'the server goes on');

is(join("\n", grep { /$canary|\xc2\x85|\xe2\x80/i } split /\n/, $stderr), '', 'no message has the canary');
unlike($stdout, qr/$canary/i, 'no result has the canary');

# ---- Secrets as literals --------------------------------------------------

# A message of kms hides its statement, whatever is wrong.
my $key = $node->safe_psql('postgres', 'SELECT key_id FROM good');
my $columns = join ', ', map { "ADD added_$_ text" } 1 .. 20;
foreach my $wrong ("ALTER TABLE kms.key $columns", 'ALTER INDEX kms.key_pkey RENAME TO renamed')
{
	foreach my $call ("kms_encrypt('$key', '$canary')", "kms_import_key('new device', '$canary')", "kms_decrypt('$key', '$canary')")
	{
		my ($rc, undef, $said) = $node->psql('postgres', "SET log_statement = 'none'; BEGIN; $wrong; SELECT $call; ROLLBACK");
		isnt($rc, 0, "$call fails") or diag $said;
	}
}

# ---- Where it must not be ------------------------------------------------

KmsTest::events($node, 'postgres');
is( join("\n",
		grep { /$canary/i && !/INSERT INTO bad/ } split /\n/, slurp_file($node->logfile)),
	'', 'the server log does not have the canary');
foreach my $table ('kms.event', 'kms.event_outbox', 'kms.field_key', 'kms.event_quarantine', 'kms.key', 'kms.denial', 'kms.metric',
	'kms.status', 'kms_check()',
	"(SELECT query, application_name, backend_type FROM pg_stat_activity WHERE backend_type <> 'client backend')")
{
	is( $node->safe_psql('postgres', "SELECT t FROM $table AS t WHERE t::text ~* '$canary'"),
		'', "$table has it not");
}
cmp_ok(KmsTest::events($node, 'postgres', "status = 'failure' AND reason IN ('Invalid argument', 'Encryption key not found')"),
	'>', 250, 'yet every call is recorded');

# ---- What may be told ----------------------------------------------------

(undef, undef, $stderr) = $node->psql('postgres', "SELECT kms_key_state('key_0000000000000_ffffffffffffffffffffffff')");
like($stderr, qr/encryption key "key_0{13}_f{24}" not found/, 'an id that has the form of those made here is named');
(undef, undef, $stderr) = $node->psql('postgres', "SELECT kms_key_state('$canary')");
like($stderr, qr/ERROR:  encryption key not found$/m, 'an id of another form is not named');
(undef, undef, $stderr) = $node->psql('postgres', "SELECT kms_rotate_field_key('nothing')");
like($stderr, qr/ERROR:  field key not found$/m, 'a name of no field key is not repeated');

$node->stop;
done_testing();
