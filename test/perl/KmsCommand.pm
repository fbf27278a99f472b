# Run programs that may not be installed, and write their files.
package KmsCommand;

use strict;
use warnings;

use Exporter qw(import);
use IPC::Run;
use JSON::PP;
use PostgreSQL::Test::Utils;

our @EXPORT_OK = qw(last_line npm_install run write_file);

# Run a command in a directory.  Return its status (-1 if it cannot be run),
# stdout and stderr.
sub run
{
	my ($command, $input, $in_dir) = @_;
	my ($output, $errors) = ('', '');

	$input = '' unless defined $input;
	eval {
		IPC::Run::run(
			$command, '<', \$input, '>', \$output, '2>', \$errors,
			init => sub { !$in_dir || chdir $in_dir or die "$in_dir: $!" },
			IPC::Run::timeout($PostgreSQL::Test::Utils::timeout_default));
		1;
	} or return (-1, '', $@);
	return ($?, $output, $errors);
}

# The last line of what a command printed, to say why it cannot be run.
sub last_line
{
	my ($line) = $_[0] =~ /([^\n]*)\n*\z/;
	# Perl and IPC::Run add this to "Command … not found".
	$line =~ s/ in .* at \S+ line \d+\.$//;
	return $line;
}

# Install packages of npm in a directory.  Return 0, or another status and why
# they cannot be had.
sub npm_install
{
	my ($dir, %version) = @_;

	write_file("$dir/package.json", JSON::PP->new->encode(
			{ private => JSON::PP::true, dependencies => \%version }));
	my ($status, undef, $errors) = run([ qw(npm install
			  --ignore-scripts --no-audit --no-fund --no-update-notifier
			  --loglevel=error --fetch-retries=0) ], '', $dir);
	return 0 if $status == 0;
	# npm first names the kind of error, and then explains it at length.
	my ($why) = $errors =~ /^(npm \S+ code .*)$/m;
	return ($status, $why // last_line($errors));
}

sub write_file
{
	my ($path, $content) = @_;
	open my $file, '>', $path or die "$path: $!";
	print $file $content;
	close $file or die "$path: $!";
	return;
}

1;
