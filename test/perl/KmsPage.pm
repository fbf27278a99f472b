# Pages in Chromium: that of examples/clients/web, and others.
package KmsPage;

use strict;
use warnings;

use File::Copy qw(copy);
use JSON::PP;
use KmsCommand qw(run write_file);
use PostgreSQL::Test::Utils;
use Test::More;

use constant NEED => [ 'chromium', '--version' ];

my $web = __FILE__ =~ s{[^/]*\z}{../../examples/clients/web}r;

# The steps of a user in the form, for each of "cases".  Chromium prints a page
# when it has loaded, so not before the frame is closed.
my $user;
BEGIN { $user = <<'END' }
(async () => {
  const frame = document.body.appendChild(document.createElement('iframe'));
  frame.contentDocument.open();
  const results = [];
  for (const { jwk, secret, asJwe } of cases) {
    element('jwk').value = jwk;
    element('secret').value = secret;
    element('as-jwe').checked = asJwe;
    await new Promise((resolve) => {
      const observer = new MutationObserver(() => {
        if (element('result').hidden && !element('error').textContent) return;
        observer.disconnect();
        resolve();
      });
      observer.observe(document.body,
        { attributes: true, childList: true, subtree: true });
      element('form').requestSubmit();
    });
    results.push(element('result').hidden ? element('error').textContent
      : element('statement').textContent);
  }
  const output = document.body.appendChild(document.createElement('pre'));
  output.id = 'results';
  output.textContent = results.join('\n');
  frame.contentDocument.close();
})();
END

# Use the page of examples/clients/web in a directory of the test.  A case has
# "jwk", "secret" (a text) and, if the form shall make a JWE, "asJwe".  Returns
# the statement or the error that the page shows for each.
sub results
{
	my ($dir, @cases) = @_;
	my $page = slurp_file("$web/index.html");

	$page =~ s{(?=</html>)}{<script src="user.js"></script>\n}
	  or die 'the page has no end';
	write_file("$dir/index.html", $page);
	write_file("$dir/user.js",
		'const cases = ' . JSON::PP->new->ascii->encode(\@cases) . ";\n$user");
	foreach my $script (qw(encrypt.js jwe.js))
	{
		copy("$web/$script", $dir) or die "$script: $!";
	}
	return open_page($dir, "$dir/index.html");
}

# Open a page that is a file, and return the lines of its element "results".
# Chromium's own files go to a directory of the test.
sub open_page
{
	my ($dir, $page) = @_;

	# Its sandbox needs rights that not every machine gives; the page is ours.
	# A file may import modules only if it may read other files.
	my ($status, $output, $errors) = run(
		[
			'chromium', '--headless', '--no-sandbox', '--disable-gpu',
			'--allow-file-access-from-files',
			"--user-data-dir=$dir/chromium", '--dump-dom', "file://$page"
		]);
	return split /\n/, $1, -1 if $output =~ m{<pre id="results">(.*?)</pre>}s;
	diag("status $status: $output$errors");
	return ();
}

1;
