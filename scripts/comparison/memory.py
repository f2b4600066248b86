"""How much memory an item takes: what a server's resident set grows by when it is filled."""
import re
from pathlib import Path

from .peers import Peer, PeerError

# How to ask how many items there are, where the answer ends, and where the number is in it.
ASK_REDIS = (b'DBSIZE\r\n', b'\r\n', rb':(\d+)')
ASK_MEMCACHED = (b'stats\r\n', b'END\r\n', rb'STAT curr_items (\d+)')  # it takes text beside its other protocols


def resident_bytes(pid):
    status = Path(f'/proc/{pid}/status').read_text(encoding='ascii')
    return int(re.search(r'VmRSS:\s+(\d+) kB', status)[1]) * 1024


def room_mb(items, item_bytes):
    """Memory for twice so many items, with 100 bytes for what comes to each."""
    return 2 * items * (item_bytes + 100) // 2**20 + 64


def measure(description, places, generator, items, key_bytes, value_bytes):
    """A server that was told nothing but its room; index, headers, padding and all are in the bytes per item."""
    places = {**places, 'memory_mb': room_mb(items, key_bytes + value_bytes)}
    with Peer(description, places) as peer:
        before = resident_bytes(peer.process.pid)
        generator.fill(peer, items, value_bytes, key_bytes)
        grown = resident_bytes(peer.process.pid) - before
        question, end, pattern = ASK_REDIS if description.protocol == 'resp' else ASK_MEMCACHED
        if not (found := re.search(pattern, peer.ask(question, end))):
            raise PeerError(f'{peer.name}: does not say how many items it has')
    if int(found[1]) != items:
        raise PeerError(f'{peer.name}: has {int(found[1])} of {items} items')
    each = grown / items
    return {'resident_bytes': grown, 'bytes_per_item': each, 'overhead_bytes': each - key_bytes - value_bytes}
