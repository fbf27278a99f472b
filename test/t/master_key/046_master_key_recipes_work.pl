# Each recipe of examples/master-key gives the server its master key, does not
# show it, and fails if what it needs is missing.  Recipes for services that a
# test cannot use are run against stand-ins, which accept only the arguments that
# they must be called with.
use strict;
use warnings;

use File::Basename;
use FindBin;
use lib "$FindBin::Bin/../../perl";
use IPC::Run;
use KmsClient;
use KmsTest;
use MIME::Base64 qw(decode_base64 encode_base64);
use PostgreSQL::Test::Utils;
use Test::More;

my $recipes = "$FindBin::Bin/../../../examples/master-key";
my $short = PostgreSQL::Test::Utils::tempdir_short();
my $key = KmsTest::random_master_key();

# A blank, as a file's name may have.
my $dir = PostgreSQL::Test::Utils::tempdir() . '/the files';
my $bin = "$short/bin";
my $softhsm = '/usr/lib/softhsm/libsofthsm2.so';
mkdir $_, 0700 or die "$_: $!" foreach $dir, $bin, "$short/gnupg", "$short/tokens";

# The environment of the server and its commands.
$ENV{PATH} = "$bin:$ENV{PATH}";
$ENV{SOFTHSM2_CONF} = "$short/softhsm2.conf";
$ENV{KMS_PKCS11_MODULE} = $softhsm;
my $node = KmsTest->node('recipes', master_key => [$key]);
my $log = $node->logfile;
$node->safe_psql('postgres', 'CREATE EXTENSION kms');
my ($id, $pem) = KmsClient::issue($node, 'postgres', 'phone');
my $ciphertext = KmsTest::encrypt_with_openssl($pem, 'secret');

sub run
{
	my ($input, @command) = @_;
	my ($output, $errors) = ('', '');
	IPC::Run::run(\@command, '<', \$input, '>', \$output, '2>', \$errors)
	  or die "@command: $errors";
	return $output;
}

sub put
{
	my ($path, $content, $mode) = @_;
	unlink $path;
	open my $file, '>:raw', $path or die "$path: $!";
	print $file $content;
	close $file or die "$path: $!";
	chmod $mode || 0600, $path or die "$path: $!";
}

sub has
{
	my ($program) = @_;
	return system("command -v $program >/dev/null 2>&1") == 0;
}

# A program that expects just these arguments, and prints this.
sub stand_in
{
	my ($name, $output, @arguments) = @_;
	my $expected = join ' ', map { "<$_>" } @arguments;
	put("$bin/$name", <<"SH", 0700);
#!/bin/sh
[ "\$(printf ' <%s>' "\$@")" = ' $expected' ] || { echo "called with:\$(printf ' <%s>' "\$@")" >&2; exit 2; }
printf %s '$output'
SH
}

sub status
{
	return $node->safe_psql('postgres',
		"SELECT detail FROM kms_master_key_status() WHERE status IN ('refused', 'unread', 'unset')");
}

# Reload with this command, having forgotten the keys.
sub try
{
	my ($command) = @_;
	$node->append_conf('postgresql.conf',
		"kms.master_key_file = ''\nkms.master_key_command = ''");
	$node->reload;
	KmsTest::poll(sub { status() =~ /^neither/i }) or die 'the key is not forgotten';
	$command =~ s/'/''/g;
	$node->append_conf('postgresql.conf', "kms.master_key_command = '$command'");
	$node->reload;
	KmsTest::poll(sub { status() !~ /^neither|running/i });
	return status();
}

# For each recipe: a function that prepares it and returns false if it cannot be
# used here, its arguments, a function that removes something that it needs, and
# the error that it prints then.
my %recipe = (
	'gpg.sh' => [
		sub {
			return 0 unless has('gpg');
			my @gpg = ('gpg', '--batch', '--quiet', '--homedir', "$short/gnupg");
			run('', @gpg, '--passphrase', '', '--quick-generate-key', 'kms', 'rsa2048', 'encrypt');
			put("$dir/master.key.gpg",
				run("$key\n", @gpg, '--trust-model', 'always', '--encrypt', '--recipient', 'kms'));
		},
		"'$dir/master.key.gpg' '$short/gnupg'",
		sub { rename "$short/gnupg/private-keys-v1.d", "$short/gnupg/taken-away" },
		qr/gpg: .*No secret key/ ],
	'age.sh' => [
		sub {
			return 0 unless has('age');
			run('', 'age-keygen', '-o', "$dir/identity");
			chomp(my $recipient = run('', 'age-keygen', '-y', "$dir/identity"));
			put("$dir/master.key.age", run("$key\n", 'age', '-r', $recipient));
		},
		"'$dir/master.key.age' '$dir/identity'",
		sub { unlink "$dir/identity"; run('', 'age-keygen', '-o', "$dir/identity") },
		qr/age: error: no identity matched/ ],
	'pkcs11.sh' => [
		sub {
			return 0 unless has('pkcs11-tool') && has('softhsm2-util') && -e $softhsm;
			put($ENV{SOFTHSM2_CONF},
				"directories.tokendir = $short/tokens\nobjectstore.backend = file\nlog.level = ERROR\n");
			run('', 'softhsm2-util', '--init-token', '--free', '--label', 'kms',
				'--so-pin', '56781234', '--pin', '12345678');
			my @tool = ('pkcs11-tool', '--module', $softhsm, '--token-label', 'kms');
			run('', @tool, '--login', '--pin', '12345678', '--keypairgen', '--key-type',
				'rsa:2048', '--id', '01', '--label', 'master', '--usage-decrypt');
			run('', @tool, '--read-object', '--type', 'pubkey', '--id', '01',
				'--output-file', "$dir/public.der");
			put("$dir/master.key.p11",
				run("$key\n", 'openssl', 'pkeyutl', '-encrypt', '-pubin', '-keyform', 'DER',
					'-inkey', "$dir/public.der", '-pkeyopt', 'rsa_padding_mode:oaep',
					'-pkeyopt', 'rsa_oaep_md:sha1'));
			put("$dir/pin", "12345678\n");
		},
		"'$dir/master.key.p11' '$dir/pin'",
		sub { put("$dir/pin", "87654321\n") },
		qr/CKR_PIN_INCORRECT/ ],
	'vault-kv.sh' => [
		sub {
			stand_in('vault', "$key\n", 'kv', 'get', '-mount=secret', '-field=master-key', 'kms');
		},
		'secret kms master-key', sub { stand_in('vault', '', 'none') }, qr/called with: <kv>/ ],
	'vault-transit.sh' => [
		sub {
			stand_in('vault', encode_base64("$key\n", ''),
				'write', '-field=plaintext', 'transit/decrypt/kms', "ciphertext=\@$dir/t");
		},
		"'$dir/t' kms", sub { stand_in('vault', '', 'none') }, qr/called with: <write>/ ],
	'aws-kms.sh' => [
		sub {
			stand_in('aws', encode_base64("$key\n", ''), 'kms', 'decrypt', '--key-id', 'alias/kms',
				'--ciphertext-blob', "fileb://$dir/a", '--encryption-context',
				'purpose=kms-master-key', '--query', 'Plaintext', '--output', 'text');
		},
		"'$dir/a' alias/kms", sub { stand_in('aws', '', 'none') }, qr/called with: <kms>/ ],
	'gcloud-kms.sh' => [
		sub {
			stand_in('gcloud', "$key\n", 'kms', 'decrypt', '--location', 'global', '--keyring',
				'kms', '--key', 'master', '--ciphertext-file', "$dir/g",
				'--plaintext-file', '-', '--quiet');
		},
		"'$dir/g' global kms master", sub { stand_in('gcloud', '', 'none') }, qr/called with: <kms>/ ],
	'azure-keyvault.sh' => [
		sub {
			stand_in('az', "$key\n", 'keyvault', 'secret', 'show', '--vault-name', 'ours', '--name',
				'kms-master-key', '--query', 'value', '--output', 'tsv');
		},
		'ours kms-master-key', sub { stand_in('az', '', 'none') }, qr/called with: <keyvault>/ ]);

foreach my $name (sort keys %recipe)
{
	my ($arrange, $arguments, $spoil, $says) = @{ $recipe{$name} };
	my $script = "$recipes/$name";
  SKIP:
	{
		skip "$name: what it needs is not installed", 8 unless $arrange->();

		ok(-x $script, "$name can be executed");
		is(try("$script $arguments"), '', "$name gives the master key");
		is($node->safe_psql('postgres', "SELECT kms_decrypt('$id', '$ciphertext')"),
			'secret', "$name: which opens keys");
		$spoil->();
		my $offset = -s $log;
		like(try("$script $arguments"), qr/^the command ended with exit code [1-9]/,
			"$name fails when what it needs is not there");
		like(substr(slurp_file($log), $offset), qr/kms\.master_key_command: .*$says/,
			"$name: the log has why");
		like(try($script), qr/^the command ended with exit code [1-9]/,
			"$name fails without arguments");
		like(slurp_file($log), qr/kms\.master_key_command: .*usage: \Q$name\E/,
			"$name: and tells what they are");
		is($node->safe_psql('postgres', "SELECT value FROM kms.status WHERE item = 'master keys'"),
			'0', "$name: then there is no key");
	}
}
put("$bin/bao", "#!/bin/sh\nexec vault \"\$@\"\n", 0700);
foreach my $name ('vault-kv.sh', 'vault-transit.sh')
{
	$recipe{$name}[0]->();
	rename "$bin/vault", "$bin/bao";
	is(try("$recipes/$name $recipe{$name}[1]"), '', "$name takes OpenBao's tool if it is there");
}

# ---- Links of a mounted secret -------------------------------------------

# Exchange the files as the kubelet does.  Files of root are in test 016.
my $next = KmsTest::random_master_key();
mkdir $_ or die "$_: $!" foreach "$dir/secret", "$dir/secret/..1", "$dir/secret/..2";
put("$dir/secret/..1/master.key", $key, 0400);
put("$dir/secret/..2/master.key", "$next\n$key", 0400);
symlink '..1', "$dir/secret/..data" or die $!;
symlink '..data/master.key', "$dir/secret/master.key" or die $!;
$node->append_conf('postgresql.conf',
	"kms.master_key_command = ''\nkms.master_key_file = '$dir/secret/master.key'");
$node->reload;
my $keys = sub { $node->safe_psql('postgres', "SELECT value FROM kms.status WHERE item = 'master keys'") };
ok(KmsTest::poll(sub { $keys->() eq '1' }), 'a mounted secret is read');
symlink '..2', "$dir/secret/..data_tmp" or die $!;
rename "$dir/secret/..data_tmp", "$dir/secret/..data" or die $!;
$node->reload;
ok(KmsTest::poll(sub { $keys->() eq '2' }), 'the next mounted secret is read at a reload');
is($node->safe_psql('postgres', "SELECT kms_decrypt('$id', '$ciphertext')"),
	'secret', 'the next master key opens keys');

# ---- All of them ---------------------------------------------------------

is(index(slurp_file($log), $key), -1, 'the log has no key');
is( join(' ', grep { !$recipe{$_} } map { basename($_) } grep { !/README\.md$|systemd\.conf$|kubernetes\.yaml$/ } glob "$recipes/*"),
	'', 'there is no recipe that this test does not know');
my $readme = slurp_file("$recipes/README.md");
ok($readme =~ /\]\(\Q$_\E\)/, "README.md has $_")
  foreach grep { $_ ne 'README.md' } map { basename($_) } glob "$recipes/*";

$node->stop;
system('gpgconf', '--homedir', "$short/gnupg", '--kill', 'all') if has('gpgconf');
done_testing();
