# Run programs that may not be installed, and write their files.
package KmsCommand;

use strict;
use warnings;

use Exporter qw(import);
use IPC::Run;
use PostgreSQL::Test::Utils;

our @EXPORT_OK = qw(last_line run write_file);

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

sub write_file
{
	my ($path, $content) = @_;
	open my $file, '>', $path or die "$path: $!";
	print $file $content;
	close $file or die "$path: $!";
	return;
}

1;
