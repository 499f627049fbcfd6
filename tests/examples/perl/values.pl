# Sends each line of its input, the arguments of a call, there and back, and prints what came. Arguments: address, folder.
use strict;
use warnings;
use lib $ARGV[1];
use Clouds;
use JSON::PP;

my $client = Clouds->new($ARGV[0]);
my $json = JSON::PP->new->utf8->allow_nonref->max_depth(100_000);
while (my $line = <STDIN>) {
    my @results = eval { $client->call('test.echo', $json->decode($line), timeout => 100) };
    print $json->encode($@ ? "failed: $@" : \@results), "\n";
}
