"""Prints bundles that no git makes: python3 -c THIS KIND BASE-OR-FILE [NUMBER]."""
import hashlib, struct, sys, zlib

COMMIT, TREE, BLOB, OFS_DELTA, REF_DELTA = 1, 2, 3, 6, 7


def entry(kind, size):
    """The head of an object in a pack: its kind, and its length in pieces of 4 and 7 bits."""
    byte, size = kind << 4 | size & 15, size >> 4
    head = bytearray()
    while size:
        head.append(byte | 128)
        byte, size = size & 127, size >> 7
    head.append(byte)
    return bytes(head)


def whole(kind, content):
    return entry(kind, len(content)) + zlib.compress(content)


def blob(content):
    return whole(BLOB, content)


def zeros(count):
    """A file of zeros, as small as it gets, without having been that long here."""
    piece = 1 << 20
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    first = packer.compress(bytes(piece)) + packer.flush(zlib.Z_FULL_FLUSH)
    assert count % piece == 0
    checksum = struct.pack(">I", (count % 65521) << 16 | 1)
    return entry(BLOB, count) + b"\x78\xda" + first * (count // piece) + b"\x03\x00" + checksum


def number(value):
    out = bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    return bytes(out + bytes([value]))


def copies(length, times):
    """A delta whose result is the beginning of an object of `length`, at most 16 MiB of it, `times` over."""
    piece = min(length, 0xFFFFFF)
    one = b"\xf0" + struct.pack("<I", piece)[:3]
    return number(length) + number(piece * times) + one * times


def on(base, delta):
    return entry(REF_DELTA, len(delta)) + base + zlib.compress(delta)


def behind(distance, delta):
    """On the object that begins `distance` bytes before this one."""
    back = [distance & 127]
    while distance := distance >> 7:
        distance -= 1
        back.insert(0, distance & 127 | 128)
    return entry(OFS_DELTA, len(delta)) + bytes(back) + zlib.compress(delta)


def bundle(base, objects, tip=None):
    pack = b"PACK" + struct.pack(">II", 2, len(objects)) + b"".join(objects)
    head = f"# v2 git bundle\n-{base} \n{tip or base} refs/heads/work\n\n".encode()
    return head + pack + hashlib.sha1(pack).digest()


def name_of(kind, content):
    return hashlib.sha1(b"%s %d\0" % (kind, len(content)) + content)


def tree(base, entries):
    """A commit whose tree has these modes and names, in this order, all of one file."""
    file = b"#!/bin/sh\n"
    tree = b"".join(it.encode() + b"\0" + name_of(b"blob", file).digest() for it in entries)
    person = "a <a@localhost> 1 +0000"
    commit = f"tree {name_of(b'tree', tree).hexdigest()}\nparent {base}\nauthor {person}\ncommitter {person}\n\nx\n"
    commit = commit.encode()
    objects = [whole(COMMIT, commit), whole(TREE, tree), blob(file)]
    return bundle(base, objects, name_of(b"commit", commit).hexdigest())


def delta_bomb():
    """64 KiB, then 1 MB, 15 MB, 200 MB, and 4 GB."""
    length = 1 << 16
    objects = [blob(bytes(length))]
    for times in (15, 15, 15, 256):
        objects.append(behind(len(objects[-1]), copies(length, times)))
        length = min(length, 0xFFFFFF) * times
    return objects


def delta_chain(levels):
    objects = [blob(bytes(1 << 16))]
    for _ in range(levels):
        objects.append(behind(len(objects[-1]), copies(1 << 16, 1)))
    return objects


def flipped(path, at):
    """The byte at this part of the pack is another one, and the pack's checksum is right."""
    whole = open(path, "rb").read()
    start = whole.index(b"PACK")
    pack = bytearray(whole[start:-20])
    pack[12 + int((len(pack) - 12) * at)] ^= 0x55
    return whole[:start] + pack + hashlib.sha1(pack).digest()


kind, base = sys.argv[1:3]
if kind == "flip":
    made = flipped(base, float(sys.argv[3]))
elif kind == "orphan-delta":
    made = bundle(base, [on(bytes(range(20)), copies(1 << 16, 1))])
elif kind == "delta-nowhere":
    made = bundle(base, [blob(bytes(1 << 16)), behind(int(sys.argv[3]), copies(1 << 16, 1))])
elif kind == "zeros":
    made = bundle(base, [zeros(int(sys.argv[3]))])
elif kind == "delta-bomb":
    made = bundle(base, delta_bomb())
elif kind == "delta-chain":
    made = bundle(base, delta_chain(int(sys.argv[3])))
elif kind == "tree":
    made = tree(base, sys.argv[3:])
sys.stdout.buffer.write(made)
