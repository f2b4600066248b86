#!/usr/bin/perl
# Cache::Memcached::Fast: storage commands, cas, many keys at once, gat, touch, and a large value.
use strict;
use warnings;
use Cache::Memcached::Fast;
use Test::More;

my $memd = Cache::Memcached::Fast->new({servers => [$ARGV[0]], io_timeout => 30, connect_timeout => 30});

ok($memd->set('k', 'v'), 'set');
is($memd->get('k'), 'v', 'get');
is($memd->get('absent'), undef, 'a miss');
ok(!$memd->add('k', 'x'), 'add finds a value');
ok($memd->add('fresh', 'x', 100), 'add');
ok($memd->replace('k', 'w'), 'replace');
ok(!$memd->replace('absent', 'w'), 'replace finds nothing');
ok($memd->append('k', '!'), 'append');
ok($memd->prepend('k', '?'), 'prepend');
is($memd->get('k'), '?w!', 'both are there');

my ($token, $value) = @{$memd->gets('k')};
is($value, '?w!', 'gets');
ok($memd->cas('k', $token, 'swapped'), 'cas');
ok(!$memd->cas('k', $token, 'again'), 'cas with an old token');

$memd->set('n', 10);
is($memd->incr('n', 5), 15, 'incr');
cmp_ok($memd->decr('n', 100), '==', 0, 'decr stops at 0');
ok(!$memd->incr('absent', 1), 'incr finds nothing');

my %many = map { ("key$_" => "value$_") } 1 .. 300;
$memd->set_multi(map { [$_, $many{$_}] } keys %many);
is_deeply($memd->get_multi(keys %many, 'absent'), \%many, 'get_multi');
is(scalar keys %{$memd->gets_multi(keys %many)}, 300, 'gets_multi');

ok($memd->touch('k', 100), 'touch');
is($memd->gat(100, 'k'), 'swapped', 'gat');
is(scalar keys %{$memd->gat_multi(100, 'key1', 'key2', 'absent')}, 2, 'gat_multi');

my $large = join '', map { chr($_ % 256) } 1 .. 700_000;
ok($memd->set('large', $large), 'set of a large value');
ok($memd->get('large') eq $large, 'get of a large value');

ok($memd->delete('k'), 'delete');
ok(!$memd->delete('k'), 'delete finds nothing');
ok((values %{$memd->server_versions})[0], 'version');
ok($memd->flush_all, 'flush_all');
is($memd->get('n'), undef, 'all is gone');
done_testing();
