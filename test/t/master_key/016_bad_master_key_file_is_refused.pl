# If anything is wrong with the master key file, the server starts, functions
# raise KM007 with a hint, status and kms_check() say what is wrong, and a reload
# with a good file mends it.  A bad file at a reload leaves the keys in force.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../../perl";
use KmsClient;
use KmsTest;
use POSIX qw(mkfifo);
use PostgreSQL::Test::Utils;
use Test::More;

my $node = KmsTest->node('master', conf => 'kms.audit_checkpoint_interval = 1d');
my $file = KmsTest::master_key_path($node);
my $dir = $node->basedir;
chomp(my $good = slurp_file($file));
my $wrong = KmsTest::random_master_key();

$node->safe_psql('postgres', 'CREATE EXTENSION kms');
my ($key, $pem) = KmsClient::issue($node, 'postgres', 'phone');
my $ciphertext = KmsTest::encrypt_with_openssl($pem, 'secret');
my $decrypt = "SELECT kms_decrypt('$key', '$ciphertext')";

# A key and the pepper, which exists from now on, need the master key.
my $hash = $node->safe_psql('postgres',
	"SELECT kms_hash_secret('$key', '$ciphertext')");

sub put
{
	my ($content, $mode) = @_;
	remove();
	KmsTest::write_master_key($file);
	open my $out, '>', $file or die "$file: $!";
	print $out $content;
	close $out or die "$file: $!";
	chmod $mode, $file or die "$file: $!" if defined $mode;
}

sub remove
{
	-d $file && !-l $file ? rmdir $file : unlink $file;
}

sub heals
{
	my ($name) = @_;
	$node->reload;
	ok( KmsTest::poll(
			sub { KmsClient::sqlstate($node, 'postgres', $decrypt) eq '00000' }),
		$name);
}

# ---- What is refused -----------------------------------------------------

my $half = substr $good, 0, 63;
my @bad = (
	[ 'missing', qr/cannot be opened: No such file/, \&remove ],
	[ 'group may read', qr/chmod it to 0600/, sub { put("$good\n", 0640) } ],
	[ 'all may read', qr/chmod it to 0600/, sub { put("$good\n", 0604) } ],
	[ 'empty', qr/it is empty/, sub { put('') } ],
	[ 'a directory', qr/not a regular file/, sub { remove(); mkdir $file, 0700 } ],
	[ 'a FIFO', qr/not a regular file/, sub { remove(); mkfifo($file, 0600) } ],
	[
		'a dangling link', qr/cannot be opened: No such file/,
		sub { remove(); symlink "$dir/nowhere", $file }
	],
	[
		'a link to a device', qr/not a regular file/,
		sub { remove(); symlink '/dev/zero', $file }
	],
	[ 'half-written', qr/line 1: not 64 hexadecimal digits/, sub { put($half) } ],
	[
		'half-written second key', qr/line 2: not 64 hexadecimal digits/,
		sub { put("$good\n" . substr $wrong, 0, 63) }
	],
	[ 'garbage', qr/line 1: /, sub { put("\0\xff garbage \n" x 50) } ],
	[ 'only a comment', qr/no key/, sub { put("# $good\n") } ],
	[ 'zeros', qr/line 1: a key of one byte repeated/, sub { put('0' x 64) } ],
	[ 'larger than 64 kB', qr/larger than 64 kB/, sub { put("\n" x 70000) } ]);
push @bad,
  [ 'not readable', qr/cannot be opened: Permission denied/, sub { put($good, 0000) } ]
  if $> != 0;

foreach my $case (@bad)
{
	my ($name, $reason, $arrange) = @$case;
	$node->stop;
	$arrange->();
	$node->start;
	like(KmsClient::error($node, 'postgres', $decrypt),
		qr/KM007: master key is not available\nHINT:  .*kms\.master_key_file/,
		"$name: the server starts, decrypt says KM007");
	is( KmsClient::sqlstate($node, 'postgres',
			"SELECT kms_issue_key('phone'), kms_issue_key('new phone')"),
		'KM007', "$name: so does issue");
	is(KmsClient::sqlstate($node, 'postgres', "SELECT kms_import_key('phone', 'x')"),
		'KM007', "$name: so does import, before it looks at the key");
	like( $node->safe_psql('postgres', 'SELECT status, detail FROM kms_master_key_status()'),
		qr/^refused\|.*$reason/m, "$name: kms_master_key_status() says what it is");
	like(KmsClient::findings($node, 'postgres'),
		qr/^error: the master key file is refused: .*$reason.*\(.*reload/m,
		"$name: so does kms_check()");
}
put("$good\n");
heals('a reload with a good file heals');

# ---- A reload does not take keys away ------------------------------------

foreach my $case (@bad)
{
	my ($name, $reason, $arrange) = @$case;
	$arrange->();
	$node->reload;
	ok( KmsTest::poll(
			sub {
				KmsClient::findings($node, 'postgres') =~
				  /^error: .*the keys read before are in force: .*$reason/m;
			}),
		"$name at a reload: kms_check() says that the old keys are in force");
	is($node->safe_psql('postgres', $decrypt), 'secret',
		"$name at a reload: and they are");
}
unlike(slurp_file($node->logfile), qr/\Q$half\E/,
	'no key is in the server log');
put("$good\n");
$node->reload;
ok( KmsTest::poll(
		sub { KmsClient::findings($node, 'postgres') !~ /keys read before/ }),
	'a good file ends the complaint');

# ---- A wrong key ---------------------------------------------------------

my $rows = $node->safe_psql('postgres', 'SELECT * FROM kms.key, kms.key_secret');
$node->stop;
put("$wrong\n");
$node->start;
like(KmsClient::error($node, 'postgres', $decrypt),
	qr/KM007: key "\Q$key\E" was wrapped under master key "[0-9a-f]{16}", which this server does not have\nHINT:  Add that master key/,
	'a wrong key: KM007 names what is missing');
is( $node->safe_psql('postgres',
		'SELECT status, keys, peppers FROM kms_master_key_status() ORDER BY 1'),
	"current|0|0\nmissing|1|2", 'a wrong key: kms_master_key_status() shows it');
is( KmsClient::sqlstate($node, 'postgres',
		"SELECT kms_verify_secret('$key', '$ciphertext', '$hash')"),
	'KM007', 'a wrong key: no PIN is called wrong');
is($node->safe_psql('postgres', 'SELECT * FROM kms.key, kms.key_secret'),
	$rows, 'a wrong key: rows are untouched');

# ---- No setting ----------------------------------------------------------

$node->append_conf('postgresql.conf', "kms.master_key_file = ''");
$node->restart;
like(KmsClient::error($node, 'postgres', $decrypt),
	qr/KM007: master key is not available\nHINT:  Set kms\.master_key_file/,
	'not set: decrypt says KM007');
is( $node->safe_psql('postgres',
		"SELECT status, detail FROM kms_master_key_status() WHERE status <> 'missing'"),
	'unset|Neither kms.master_key_file nor kms.master_key_command is set.', 'not set: status says it');
like(KmsClient::findings($node, 'postgres'), qr/^error: no master key is set/m,
	'not set: so does kms_check()');
$node->append_conf('postgresql.conf', "kms.master_key_file = '$file'");
put("$good\n");
heals('set again: a reload heals');

# ---- What is taken -------------------------------------------------------

foreach my $case (
	[ 'no newline at the end', sub { put($good) } ],
	[ 'CR LF', sub { put("$good\r\n") } ],
	[ 'upper case', sub { put(uc $good) } ],
	[ 'comments, empty lines, a label', sub { put("# ours\n\n 2026-11: $good\n\n") } ],
	[ 'mode 0400', sub { put($good, 0400) } ],
	[ 'a link to a good file',
		sub { put($good); rename $file, "$dir/real.key"; symlink "$dir/real.key", $file } ])
{
	my ($name, $arrange) = @$case;
	$node->stop;
	$arrange->();
	$node->start;
	is($node->safe_psql('postgres', $decrypt), 'secret', "$name: works");
	unlike(KmsClient::findings($node, 'postgres'), qr/master key/,
		"$name: kms_check() has no complaint");
}

SKIP:
{
	my $files = $ENV{KMS_TEST_ROOT_FILES};
	skip 'only root can make files of root (test/root-files)', 7 unless defined $files;

	# Return why a file of root is refused, or "" if it is accepted.
	my $read = sub {
		$node->append_conf('postgresql.conf', "kms.master_key_file = '$files/$_[0]'");
		$node->restart;
		return $node->safe_psql('postgres',
			"SELECT detail FROM kms_master_key_status() WHERE status = 'refused'");
	};
	is($read->("mode-$_"), '', "of root, mode $_: works") foreach '0440', '0640';
	is($read->('secret/master.key'), '', 'links and files of a mounted secret: work');
	like($read->("mode-$_"), qr/^it belongs to root and others have rights on it, or its group more/,
		"of root, mode $_: refused")
	  foreach '0660', '0444', '0450';
	like($read->('mode-0400'), qr/^the file cannot be opened: Permission denied/,
		'a file of root that nobody else may read is refused');
  SKIP:
	{
		skip 'the file system has no access control lists', 1 unless -e "$files/credential";
		is($read->('credential'), '', 'a credential of systemd: works');
	}
	$node->append_conf('postgresql.conf', "kms.master_key_file = '$file'");
}

# ---- Two keys ------------------------------------------------------------

put("new:$wrong\nold:$good\n");
$node->restart;
is($node->safe_psql('postgres', $decrypt), 'secret', 'the second key unwraps');
my ($new) = KmsClient::issue($node, 'postgres', 'new phone');
is( $node->safe_psql('postgres',
		'SELECT label, status, keys, peppers FROM kms_master_key_status() ORDER BY 1'),
	"new|current|1|0\nold|available|1|2", 'the first key wraps new keys');

put("$wrong\n");
$node->restart;
is(KmsClient::sqlstate($node, 'postgres', $decrypt), 'KM007',
	'without the old master key the key does not open');
is($node->safe_psql('postgres',
		"SELECT kms_decrypt('$new', kms_encrypt('$new', 'x'))"),
	'x', 'the new key does not open');

put("$good\n$wrong\n");
$node->reload;
ok( KmsTest::poll(
		sub { KmsClient::sqlstate($node, 'postgres', $decrypt) eq '00000' }),
	'a key that is added opens the old key in new sessions');

# ---- Inside the data directory -------------------------------------------

my $inside = $node->data_dir . '/master.key';
KmsTest::write_master_key($inside, $good, $wrong);
$node->append_conf('postgresql.conf', "kms.master_key_file = '$inside'");
$node->restart;
is($node->safe_psql('postgres', $decrypt), 'secret',
	'a file in the data directory works');
like(KmsClient::findings($node, 'postgres'),
	qr/^warning: .*inside the data directory/m, 'kms_check() warns of a file in the data directory');
is( KmsClient::sqlstate($node, 'postgres',
		"ALTER SYSTEM SET kms.master_key_file = ''"),
	'55P02', 'ALTER SYSTEM cannot set it');
unlike(slurp_file($node->logfile), qr/\Q$good\E|\Q$wrong\E/i,
	'no key is in the server log');

$node->stop;
done_testing();
