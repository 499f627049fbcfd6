# A service. Its address: the first argument, else CLOUDS_URL, else "local:". Ctrl-C ends it in order.
use strict;
use warnings;
use FindBin;
use lib $FindBin::Bin;
use Clouds;

my $server = Clouds->new($ARGV[0], type => 'server');
$SIG{$_} = sub { $server->stop } for qw(INT TERM);

$server->register('test.hello', sub { my ($name, $message) = @_; return "Hello $name, $message" });
$server->register('test.echo', sub { return @_ });
$server->register('test.refuse', sub {
    my ($day) = @_;
    die Clouds::ServiceError->new("not on $day", code => 'E_DAY', more => { day => $day });
});
$server->on(MESSAGE => sub { my ($event) = @_; print "$event->{peer} says $event->{data}\n" });
$| = 1;
print "serving\n";
$server->run;
