# Makes a few inputs for every target, in corpus/<target> beside this file; what the fuzzer finds lands there too.
# Needs nothing but Python.
import pathlib
import pickle
import shutil
import struct
import zipfile
import zlib

here = pathlib.Path(__file__).parent
data = here.parent / "crates/sncn-weights/tests/data"


def seed(target, name, content):
    folder = here / "corpus" / target
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_bytes(content)


def array(planes):
    """An array of unsigned bytes as numpy pickled it for Python 2."""
    rows = struct.pack("<i", len(planes) // 3072)
    return (b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\0\x85U\x01b\x87R(K\x01J" + rows + b"M\0\x0c\x86"
            b"cnumpy\ndtype\nU\x02u1K\0K\x01\x87R(K\x03U\x01|NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\0tb\x89T"
            + struct.pack("<i", len(planes)) + planes + b"tb")


def batch(key, label):
    return b"\x80\x02}(U" + bytes([len(key)]) + key + b"](K" + bytes([label]) + b"eU\x04data" + array(bytes(3072)) + b"u."


for name in ["zip", "legacy", "nested"]:
    seed("pth", name, (data / f"{name}.pth").read_bytes())
for name in ["script.pt", "module.pth", "values.pth"]:
    seed("pth", name, (data / name).read_bytes())
    with zipfile.ZipFile(data / name) as archive:
        inside = next(record for record in archive.namelist() if record.endswith("/data.pkl"))
        seed("pickle", name, archive.read(inside))
header = b'{"module.fc.bias":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}'
seed("pth", "safetensors", struct.pack("<Q", len(header)) + header + bytes(8))
seed("pth", "index", b'{"metadata": {}, "weight_map": {"fc.bias": "model-00001-of-00001.safetensors"}}')
seed("pth", "pointer", b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 12\n")
for name in ["zip", "nested"]:
    with zipfile.ZipFile(data / f"{name}.pth") as archive:
        seed("pickle", name, archive.read(f"{name}/data.pkl"))
for protocol in range(6):
    value = {"a": [1, -2, 1 << 40, 0.5, None, True], "b": ("x", b"y", {3}), "c": bytearray(b"z")}
    seed("pickle", f"protocol{protocol}", pickle.dumps(value, protocol))
seed("pickle", "cifar10", batch(b"labels", 6))
record = bytes(3072)
seed("cifar", "binary10", b"\x00" + b"\x06" + record)
seed("cifar", "binary100", b"\x01" + b"\x02\x06" + record)
seed("cifar", "python10", b"\x02" + batch(b"labels", 6))
seed("cifar", "python100", b"\x03" + batch(b"fine_labels", 6))
for name, kind, shape, size in [("images", "|u1", "(2, 3, 1, 3)", 18), ("labels", "<i8", "(2,)", 16), ("none", "<i4", "(0, 7)", 0)]:
    header = f"{{'descr': '{kind}', 'fortran_order': False, 'shape': {shape}, }}\n".encode()
    seed("npy", name, b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header + bytes(size))
for table in (here.parent / "models").glob("*.json"):
    (here / "corpus/table").mkdir(parents=True, exist_ok=True)
    shutil.copy(table, here / "corpus/table")


def png(depth, colour, palette, width, rows):
    def chunk(kind, content):
        check = zlib.crc32(kind + content)
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", check)

    header = struct.pack(">IIBBBBB", width, len(rows), depth, colour, 0, 0, 0)
    data = zlib.compress(b"".join(b"\x00" + row for row in rows))
    parts = [chunk(b"IHDR", header), chunk(b"PLTE", palette) if palette else b"", chunk(b"IDAT", data), chunk(b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


seed("labels", "grey", png(8, 0, b"", 3, [b"\x00\x01\x02", b"\xff\x01\x00"]))
seed("labels", "palette", png(2, 3, bytes(12), 3, [b"\x18", b"\x40"]))
seed("labels", "rgb", png(8, 2, b"", 2, [bytes([1, 2, 3, 0, 0, 255])]))
seed("labels", "list", b"sky 1 2 3\nroad 4 5 6\n")
