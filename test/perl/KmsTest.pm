# A server with kms, and what tests of it do again and again.
#
#   my $node = KmsTest->node('primary');
#   $node->safe_psql('postgres', 'CREATE EXTENSION kms');
#   is(KmsTest::events($node, 'postgres', "operation = 'issue'"), 1);
package KmsTest;

use strict;
use warnings;

use Fcntl qw(:flock);
use IPC::Run;
use KmsNode;
use MIME::Base64 qw(encode_base64);
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Time::HiRes qw(usleep);

# Each test starts from the same data directory, so a run makes it only once for
# all its tests.  There is more than one such template, because servers of one
# test must differ in their system identifiers, unless one comes from the other.
use constant TEMPLATES => 3;
use constant INITDB_EXTRA => [ '--encoding=UTF8', '--no-locale' ];
my $servers = 0;

# Seconds that are enough for what need not wait, also on a busy machine, and
# fewer than the shortest wait: a stop leaves ten seconds to the writers.
use constant AT_ONCE => 9;

# pg_ctl, which pg_upgrade calls too, waits as long as the tests do.
$ENV{PGCTLTIMEOUT} = $PostgreSQL::Test::Utils::timeout_default;

# The template for the next server of this test, if it gets one.
sub template
{
	my $n = ++$servers;
	my $path = "$PostgreSQL::Test::Utils::tmp_check/template_$n";

	return undef if $n > TEMPLATES;
	open my $lock, '>', "$path.lock" or die "$path.lock: $!";
	flock $lock, LOCK_EX or die "$path.lock: $!";
	if (!-d $path)
	{
		PostgreSQL::Test::Utils::system_or_bail('initdb', '-D', "$path.new",
			'-A', 'trust', '-N', @{ +INITDB_EXTRA });
		rename "$path.new", $path or die "$path: $!";
	}
	return $path;
}

# Call $node->init() with these parameters.  The templates cannot be used for
# other programs or options of initdb.
sub init
{
	my ($node, %param) = @_;
	my $template = $param{extra} || $node->install_path ? undef : template();
	my $system_or_bail = \&PostgreSQL::Test::Utils::system_or_bail;
	no warnings 'redefine';
	local *PostgreSQL::Test::Utils::system_or_bail = sub {
		@_ = ('cp', '-RPp', $template, $node->data_dir)
		  if defined $template && $_[0] eq 'initdb';
		goto &$system_or_bail;
	};

	$node->init(extra => INITDB_EXTRA, %param);
	return;
}

# Make and start a server that has kms preloaded and a master key.
#
# Options: "conf", more lines for postgresql.conf; "init", arguments for
# init(), as [ allows_streaming => 1 ]; "master_key", the lines of the master
# key file, undef for no such setting; "start", 0 not to start it;
# "install_path", where another PostgreSQL has its bin/.
sub node
{
	my ($class, $name, %opt) = @_;
	my $node = bless PostgreSQL::Test::Cluster->new($name,
		map { $_ => $opt{$_} } grep { exists $opt{$_} } 'install_path'), 'KmsNode';

	init($node, @{ $opt{init} || [] });
	$node->append_conf('postgresql.conf',
		"shared_preload_libraries = 'kms'\n");
	if (!exists $opt{master_key} || defined $opt{master_key})
	{
		my $path = master_key_path($node);
		write_master_key($path, @{ $opt{master_key} || [] });
		$node->append_conf('postgresql.conf',
			"kms.master_key_file = '$path'\n");
	}
	$node->append_conf('postgresql.conf', "$opt{conf}\n")
	  if defined $opt{conf};
	$node->start unless exists $opt{start} && !$opt{start};
	return $node;
}

# Make and start a standby of a node that allows streaming.  Its
# configuration, so also its master key file, is the primary's.
sub standby
{
	my ($class, $primary, $name, %opt) = @_;
	my $standby = bless PostgreSQL::Test::Cluster->new($name), 'KmsNode';

	$primary->backup("for_$name");
	$standby->init_from_backup($primary, "for_$name", has_streaming => 1);
	$standby->append_conf('postgresql.conf', "$opt{conf}\n")
	  if defined $opt{conf};
	$standby->start unless exists $opt{start} && !$opt{start};
	return $standby;
}

# Return the path of a node's master key file, beside its data directory.
sub master_key_path
{
	my $node = shift;
	return $node->basedir . '/master.key';
}

# A new master key: 64 hex digits.
sub random_master_key
{
	open my $random, '<:raw', '/dev/urandom' or die "/dev/urandom: $!";
	read($random, my $bytes, 32) == 32 or die "/dev/urandom: $!";
	return unpack 'H*', $bytes;
}

# Write a master key file, mode 0600; without lines, one new key.  Returns
# the lines.
sub write_master_key
{
	my ($path, @lines) = @_;

	@lines = (random_master_key()) unless @lines;
	unlink $path;
	my $mask = umask 0077;
	open my $file, '>', $path or die "$path: $!";
	umask $mask;
	print $file "$_\n" foreach @lines;
	close $file or die "$path: $!";
	return @lines;
}

# Encrypt as a client with the openssl command does; returns base64.
#
# The digests are those of RSA-OAEP and of its MGF1; sha1 unless said.
sub encrypt_with_openssl
{
	my ($public_pem, $plaintext, $hash, $mgf1_hash) = @_;
	my $path = PostgreSQL::Test::Utils::tempdir() . '/public.pem';
	my ($ciphertext, $errors);

	$hash ||= 'sha1';
	$mgf1_hash ||= $hash;
	open my $file, '>', $path or die "$path: $!";
	print $file $public_pem;
	close $file or die "$path: $!";
	IPC::Run::run(
		[
			qw(openssl pkeyutl -encrypt -pubin -inkey), $path,
			'-pkeyopt', 'rsa_padding_mode:oaep',
			'-pkeyopt', "rsa_oaep_md:$hash",
			'-pkeyopt', "rsa_mgf1_md:$mgf1_hash"
		],
		'<', \$plaintext, '>', \$ciphertext, '2>', \$errors)
	  or die "openssl pkeyutl: $errors";
	return encode_base64($ciphertext, '');
}

# Call the code, with pauses of so many seconds, until it returns something
# true, and return that; false if it does not within the time that all tests
# have.
sub poll
{
	my ($code, $pause) = @_;
	my $end = time + $PostgreSQL::Test::Utils::timeout_default;

	while (1)
	{
		my $result = $code->();
		return $result if $result || time >= $end;
		usleep(1_000_000 * ($pause || 0.1));
	}
}

# Stop a process with SIGSTOP and wait until it has stopped.
sub freeze
{
	my $pid = shift;

	kill 'STOP', $pid or die "process $pid: $!";
	poll(sub { PostgreSQL::Test::Utils::slurp_file("/proc/$pid/stat") =~ /\) T / })
	  or die "process $pid does not stop";
	return;
}

# Return how many of the events that were recorded before this call meet the
# condition.
sub events
{
	my ($node, $db, $where) = @_;

	$where = 'true' unless defined $where;
	$node->safe_psql($db, 'SELECT kms_flush_events()');
	return $node->safe_psql($db, "SELECT count(*) FROM kms.event WHERE $where");
}

1;
