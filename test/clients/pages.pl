#!/usr/bin/env perl
# The program of each page of docs/clients prints what the page shows, directly
# and through the pooler as docs/clients/pgbouncer.md has it, where two clients
# share one session.  A driver that cannot be had here is skipped by name.
#
# A block that follows a line "<!-- run -->" is a file, and a block "text"
# behind it is what it prints.  The files of "<!-- run person -->" are another
# program of the page, which is run in the same directory.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../perl";
use IPC::Run;
use KmsCommand qw(last_line npm_install run write_file);
use KmsTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $docs = "$FindBin::Bin/../../docs";
my $dir = PostgreSQL::Test::Utils::tempdir();
my $jar = '/usr/share/java/postgresql.jar';

# Each page: the packages, the command that succeeds if the program can be run,
# and how it is built and run.  "pooler" is what the page says about the pooler:
# a parameter of the URL, or code behind the URL.  "clash" is the contrary, also
# as a command.  "in_text" says that the driver inserts parameters into the text
# of the statement.
my $prepares = <<'END';
import os, psycopg
url = os.environ['DATABASE_URL']
for conn in [psycopg.connect(url, autocommit=True) for _ in range(2)]:
    for _ in range(6):
        conn.execute('SELECT 1')
END
my @pages = (
	{
		page => 'node-postgres',
		file => 'main.js',
		packages => { pg => '8' },
		need => [ 'node', '-e', "require('pg')" ],
		run => [ 'node', 'main.js' ]
	},
	{
		page => 'prisma',
		file => 'main.js',
		packages => {
			map { $_ => '7' } qw(prisma @prisma/client @prisma/adapter-pg)
		},
		# A client is generated without the engine that this stands for.
		need => [
			'env', 'PRISMA_SCHEMA_ENGINE_BINARY=/bin/true', 'npx',
			'--no-install', 'prisma', 'generate', '--schema=schema.prisma'
		],
		run => [ 'node', 'main.js' ]
	},
	{
		page => 'prisma',
		part => 'person',
		file => 'person.js',
		need => [
			'env', 'PRISMA_SCHEMA_ENGINE_BINARY=/bin/true', 'npx',
			'--no-install', 'prisma', 'generate', '--schema=schema.prisma'
		],
		run => [ 'node', 'person.js' ]
	},
	{
		page => 'psycopg',
		file => 'main.py',
		need => [ 'python3', '-c', 'import psycopg, cryptography' ],
		run => [ 'python3', 'main.py' ],
		pooler => ', prepare_threshold=None',
		clash => [ 'python3', '-c', $prepares ]
	},
	{
		page => 'sqlalchemy',
		file => 'main.py',
		need => [
			'python3', '-c', 'import sqlalchemy, psycopg2, cryptography'
		],
		run => [ 'python3', 'main.py' ],
		in_text => 1
	},
	{
		page => 'sqlalchemy',
		part => 'person',
		file => 'person.py',
		need => [
			'python3', '-c', 'import sqlalchemy, psycopg2, cryptography'
		],
		run => [ 'python3', 'person.py' ]
	},
	{
		page => 'jdbc',
		file => 'Notes.java',
		need => [ 'sh', '-c', "java --version && ls $jar" ],
		run => [ 'java', '-cp', $jar, 'Notes.java' ],
		pooler => '&prepareThreshold=0',
		clash => '&prepareThreshold=1'
	},
	{
		page => 'pgx',
		file => 'main.go',
		need => [ 'go', 'list', 'github.com/jackc/pgx/v4' ],
		build => [ 'go', 'build', '-o', "$dir/pgx/main", 'main.go' ],
		run => ["$dir/pgx/main"],
		pooler => '&statement_cache_mode=describe',
		clash => ''
	});

local $ENV{HOME} = $dir;
local $ENV{PATH} = "$ENV{PATH}:/usr/sbin";
local $ENV{GO111MODULE} = 'off';
local $ENV{GOPATH} = '/usr/share/gocode';
local $ENV{GOCACHE} = "$dir/go-cache";

my $node = KmsTest->node(
	'pages', start => 0,
	conf => join "\n", "listen_addresses = 'localhost'", 'ssl = on',
	'kms.require_tls = on', 'log_statement = all',
	'log_parameter_max_length = 0', 'log_parameter_max_length_on_error = 0');
my $port = $node->port;
my $pooler_port = PostgreSQL::Test::Cluster::get_free_port();
my ($certificate, $key) = map { $node->data_dir . "/server.$_" } qw(crt key);
my $sslmode = 'verify-full';
my $page_of_pooler = read_page('pgbouncer');

make_certificate();
$node->start;
make_database();
my $pooler = start_pooler();
test_page($_) foreach @pages;
test_pooler();

$pooler->kill_kill if $pooler;
$node->stop;
done_testing();

# ---- The server and the pooler -------------------------------------------

sub make_certificate
{
	my ($status, undef, $errors) = run([
			qw(openssl req -x509 -newkey rsa:2048 -nodes -days 2),
			qw(-subj /CN=localhost -addext subjectAltName=DNS:localhost),
			'-keyout', $key, '-out', $certificate ]);
	die $errors if $status != 0;
	chmod 0600, $key or die "$key: $!";
	return;
}

# The database of docs/install.md, and the role and the saved keys of
# docs/clients/index.md.
sub make_database
{
	my ($from_role) = slurp_file("$docs/clients/index.md") =~
	  /^(```sql\nCREATE ROLE web LOGIN;\n.*)/ms;

	$node->safe_psql('postgres', 'CREATE DATABASE app');
	$node->safe_psql('app', 'CREATE SCHEMA keys;
		CREATE EXTENSION kms SCHEMA keys;
		ALTER DATABASE app SET search_path = "$user", public, keys');
	$node->safe_psql('app', $_)
	  foreach $from_role =~ /^```sql\n(.*?)^```$/gms;
	return;
}

# Start the pooler as its page has it, with other changes, and with one session
# for all clients.  Return nothing if it is not installed.
sub start_pooler
{
	my %change = (
		'host=db.example.com port=5432' => "host=localhost port=$port",
		'listen_port = 6432' => "listen_port = $pooler_port",
		'/etc/pgbouncer/userlist.txt' => "$dir/userlist.txt",
		'/etc/pgbouncer/server.key' => $key,
		'/etc/pgbouncer/server.crt' => $certificate,
		'/etc/ssl/kms-ca.pem' => $certificate,
		'pool_mode = transaction' => "pool_mode = transaction\n"
		  . "default_pool_size = 1\nunix_socket_dir =",
		@_);
	my ($status) = run([ 'pgbouncer', '--version' ]);
	return undef if $status != 0;

	my $ini = $page_of_pooler->{files}{ini};
	foreach my $old (keys %change)
	{
		$ini =~ s/\Q$old\E/$change{$old}/ or die "pgbouncer.md has no $old";
	}
	write_file("$dir/pgbouncer.ini", $ini);
	write_file("$dir/userlist.txt", qq{"web" "secret"\n});
	my $started = IPC::Run::start([ 'pgbouncer', "$dir/pgbouncer.ini" ],
		'>', "$dir/pgbouncer.log", '2>&1');
	KmsTest::poll(sub { (ask_pooler('SELECT 1'))[0] == 0 })
	  or die slurp_file("$dir/pgbouncer.log");
	return $started;
}

# Returns the status, stdout and stderr.
sub ask_pooler
{
	my $sql = shift;
	my $url = url($pooler_port) . '&application_name=notes';
	return run([ 'psql', '-XAtqc', $sql, $url ]);
}

sub url
{
	my $to = shift;
	return "postgresql://web:secret\@localhost:$to/app?"
	  . "sslmode=$sslmode&sslrootcert=$certificate";
}

# ---- Pages ---------------------------------------------------------------

# The files of a page, or of a part of it, by their language, and what the page
# says they print.
sub read_page
{
	my ($name, $part) = @_;
	my $text = slurp_file("$docs/clients/$name.md");
	my %page = (output => '');
	my $mark = defined $part ? "<!-- run $part -->" : '<!-- run -->';
	my $marks = () = $text =~ /^\Q$mark\E$/gm;

	while ($text =~
		/^\Q$mark\E\n```(\w+)\n(.*?)^```$(?:\n\n```text\n(.*?)^```$)?/gms)
	{
		$page{files}{$1} = $2;
		$page{output} .= defined $3 ? $3 : '';
	}
	is(scalar(keys %{ $page{files} }), $marks,
		name_of($name, $part) . ': each mark stands before a file of its own');
	return \%page;
}

sub name_of
{
	my ($name, $part) = @_;
	return defined $part ? "$name ($part)" : $name;
}

sub test_page
{
	my $page = shift;
	my $name = name_of($page->{page}, $page->{part});
	my $shown = read_page($page->{page}, $page->{part});
	my $work = "$dir/$page->{page}";

  SKIP:
	{
		-d $work or mkdir $work or die "$work: $!";
		my ($ending) = $page->{file} =~ /\.(\w+)$/;
		$ending = 'python' if $ending eq 'py';
		write_file("$work/$page->{file}", $shown->{files}{$ending});
		write_file("$work/schema.prisma", $shown->{files}{prisma})
		  if $shown->{files}{prisma};
		my ($status, $why) = install($page, $work);
		skip "$name: $why", 1 if $status != 0;

		if ($page->{build})
		{
			my ($built, undef, $errors) = run($page->{build}, '', $work);
			is($built, 0, "$name: it is built") or diag($errors);
		}
		test_direct($page, $work, $shown->{output});
		skip "$name: there is no pgbouncer", 1 unless $pooler;
		test_behind_pooler($page, $work, $shown->{output});
	}
	return;
}

# Returns 0, or another status and why the program cannot be run here.
sub install
{
	my ($page, $work) = @_;

	if ($page->{packages})
	{
		my ($failed, $why) = npm_install($work, %{ $page->{packages} });
		return ($failed, $why) if $failed != 0;
	}
	my ($status, undef, $errors) = run($page->{need}, '', $work);
	return ($status, last_line($errors));
}

# Run the page's program, or another command, with this server and what the
# page says to change.
sub run_program
{
	my ($page, $work, $to, $change, $command) = @_;
	my $program = "$work/$page->{file}";
	my $unchanged = slurp_file($program);
	my $url = url($to);

	if ($change =~ /^,/)
	{
		(my $changed = $unchanged) =~ s/(?<=\['DATABASE_URL'\])/$change/
		  or die "$page->{page} does not use the URL";
		write_file($program, $changed);
	}
	else
	{
		$url .= $change;
	}
	local $ENV{DATABASE_URL} = $url;
	local $ENV{JDBC_URL} = $url =~
	  s{^(postgresql://)web:secret\@(.*)\?}{jdbc:$1$2?user=web&password=secret&}r;
	my @result = run($command || $page->{run}, '', $work);
	write_file($program, $unchanged);
	return @result;
}

sub test_direct
{
	my ($page, $work, $expected) = @_;
	my $name = name_of($page->{page}, $page->{part});
	my $from = -s $node->logfile;
	my ($status, $output, $errors) = run_program($page, $work, $port, '');

	is(trimmed($output), $expected, "$name prints what its page shows")
	  or diag("status $status: $errors");
	# Errors name the key.
	my $log = join "\n", grep { !/ (?:ERROR|DETAIL|HINT):  / } split /\n/,
	  substr slurp_file($node->logfile), $from;
	if ($page->{part})
	{
		unlike($log, qr/parameters: |DE 471/, "$name: the log has no plaintext");
		is( $node->safe_psql('app', 'SELECT count(*) FROM person_stored'),
			'0', "$name: it leaves no row");
	}
	elsif ($page->{in_text})
	{
		like($log, qr/kms_decrypt_bytea\('key_/,
			"$name: parameters are in the text of the statement");
	}
	else
	{
		like($log, qr/kms_decrypt_bytea\(\$1, \$2/,
			"$name: the log has the statement");
		unlike($log, qr/parameters: |key_[0-9]/,
			"$name: the log has no parameters");
	}
	return;
}

# Two clients in turn get the same session.
sub test_behind_pooler
{
	my ($page, $work, $expected) = @_;
	my $name = name_of($page->{page}, $page->{part});

	if (defined $page->{clash})
	{
		my @clash =
		  ref $page->{clash} ? ('', $page->{clash}) : ($page->{clash});
		my @errors = map {
			(run_program($page, $work, $pooler_port, @clash))[2]
		} 1 .. 2;
		like($errors[1], qr/prepared statement "\w+" already exists/,
			"$name: behind the pooler, prepared statements clash");
	}
	foreach my $client (1 .. 2)
	{
		my ($status, $output, $errors) =
		  run_program($page, $work, $pooler_port, $page->{pooler} // '');
		is(trimmed($output), $expected,
			"$name: behind the pooler, client $client prints the same")
		  or diag("status $status: $errors");
	}
	return;
}

sub trimmed
{
	my $output = shift;
	$output =~ s/[ \t]+$//gm;
	return $output;
}

# Test the claims of pgbouncer.md about the trail, settings and TLS.
sub test_pooler
{
  SKIP:
	{
		skip 'pgbouncer: it is not installed', 1 unless $pooler;

		my ($status, $id, $errors) =
		  ask_pooler("SELECT key_id FROM kms_issue_key('behind the pooler')");
		is($status, 0, 'pgbouncer: psql gets a key') or diag($errors);
		chomp $id;
		like( $node->safe_psql('app', "SELECT FROM kms_flush_events();
				SELECT client_addr || ' ' || application_name
				FROM kms.event WHERE device_id = 'behind the pooler'"),
			qr/^127\.0\.0\.1 notes - 127\.0\.0\.1:\d+$/,
			'pgbouncer: the trail names the client in application_name');

		ask_pooler("BEGIN; SET LOCAL kms.audit_context = 'user 17'; COMMIT");
		is((ask_pooler('SHOW kms.audit_context'))[1], "\n",
			'pgbouncer: SET LOCAL ends with the transaction');
		ask_pooler("SET kms.audit_context = 'user 17'");
		is((ask_pooler('SHOW kms.audit_context'))[1], "user 17\n",
			'pgbouncer: what SET sets, the next client gets');
		ask_pooler('RESET kms.audit_context');

		my $decrypt = "SELECT kms_decrypt('$id', '"
		  . $node->safe_psql('app', "SELECT kms_encrypt('$id', '4711')") . "')";
		restart_pooler('server_tls_sslmode = verify-full' =>
			  'server_tls_sslmode = disable');
		(undef, undef, $errors) = ask_pooler($decrypt);
		like($errors, qr/plaintext is returned over TLS only/,
			'pgbouncer: without TLS to the server there is no plaintext');

		$sslmode = 'disable';
		restart_pooler('client_tls_sslmode = require' =>
			  'client_tls_sslmode = disable');
		is((ask_pooler($decrypt))[1], "4711\n",
			'pgbouncer: the server does not know that the client has no TLS');
	}
	return;
}

sub restart_pooler
{
	$pooler->kill_kill;
	$pooler = start_pooler(@_);
	return;
}
