# Calls a service: client.pl [method [arguments as a JSON array [address]]]. Ctrl-C gives the call up.
use strict;
use warnings;
use FindBin;
use lib $FindBin::Bin;
use Clouds;
use JSON::PP qw(decode_json encode_json);

my ($method, $arguments, $url) = @ARGV;
my $client = Clouds->new($url, type => 'client');
$SIG{INT} = sub { die "given up\n" };
my @results = eval {
    $client->call($method // 'test.hello', decode_json($arguments // '["Glen", "hi"]'), timeout => 2, retries => 1);
};
if (my $error = $@) {
    die $error unless ref $error;
    die ref $error, ": $error (", $error->code, ", ", $error->outcome, ", ", encode_json($error->more), ")\n";
}
print encode_json(\@results), "\n";
