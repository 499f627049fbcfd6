# A service whose handlers do what they should not. Arguments: address, folder.
use strict;
use warnings;
use lib $ARGV[1];
use Clouds;

my $server = Clouds->new($ARGV[0], type => 'server');
$SIG{TERM} = sub { $server->stop };
$server->register('test.raise', sub { die "oops\n" });
$server->register('test.infinite', sub { return 9**9**9 });
$server->register('test.code', sub { die Clouds::ServiceError->new('refused', code => 'E_OWN', more => { depth => 3 }) });
$server->register('test.asks', sub { return $server->call('test.never', [], timeout => 1000) });
$| = 1;
print "serving\n";
$server->run;
