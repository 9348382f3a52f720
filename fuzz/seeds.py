# Makes a few inputs for every target, in corpus/<target> beside this file; what the fuzzer finds lands there too.
# Needs nothing but Python.
import gzip
import json
import pathlib
import pickle
import shutil
import struct
import zipfile
import zlib

here = pathlib.Path(__file__).parent
data = here.parent / "crates/sncn-weights/tests/data"
models = here.parent / "crates/sncn-onnx/tests/data"


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
        seed("pickle", name, archive.read(next(entry for entry in archive.namelist() if entry.endswith("/data.pkl"))))
for model in sorted(models.glob("*.onnx")):
    seed("onnx", model.stem, model.read_bytes())
for model in (here.parent / "models/zoo").glob("*/model.safetensors"):
    seed("checkpoint", model.parent.name, model.read_bytes())
for results in sorted((here.parent / "results").glob("quick/*/seed-0.jsonl"))[:3]:
    seed("results", results.parent.name, results.read_bytes())
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

rows = [("a fine film", 1), ("caf\u00e9, bad", 0)]
records = [{"text": text, "label": label} for text, label in rows]
table = "text,label\n" + "".join(f'"{text}",{label}\n' for text, label in rows)
seed("texts", "lines", b"\x00" + "\n".join(map(json.dumps, records)).encode())
seed("texts", "list", b"\x00" + json.dumps(records).encode())
seed("texts", "columns", b"\x00" + json.dumps({"data": {"text": [row[0] for row in rows], "label": [1.0, True]}}).encode())
seed("texts", "index", b"\x00" + json.dumps({"text": {"0": "a", "1": "b"}, "label": {"0": "5 stars", "1": "1 star"}}).encode())
seed("texts", "split", b"\x00" + json.dumps({"columns": ["text", "label"], "data": [list(row) for row in rows]}).encode())
for name, encoding in [("plain", "utf-8"), ("mark", "utf-8-sig"), ("wide", "utf-16"), ("latin", "latin-1")]:
    seed("texts", name, b"\x01" + table.encode(encoding))
seed("texts", "packed", b"\x01" + gzip.compress(table.encode()))
seed("texts", "semicolons", b"\x01sep=;\r\ntext;label\r\na;sport\r\nb;arts\r\n")
seed("texts", "tabs", b"\x02" + table.replace(",", "\t").encode())
config = {"model_type": "bert", "vocab_size": 32, "hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 8,
          "max_position_embeddings": 16, "id2label": {"0": "bad", "1": "good"}}
settings = {"do_lower_case": False, "strip_accents": None, "tokenize_chinese_chars": True, "model_max_length": 12,
            "added_tokens_decoder": {"9": {"content": "so-so", "special": False, "normalized": True}}}
special = {"unk_token": "[UNK]", "cls_token": {"content": "[CLS]"}}
pieces = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "good", "us", "##s", "film"]
first = [json.dumps(part) for part in (config, settings, special)]
seed("encoder_folder", "pieces", "\0".join([*first, "\n".join(pieces)]).encode())
pairs = {piece: i for i, piece in enumerate(["<s>", "<pad>", "</s>", "<unk>", "g", "o", "d", "oo", "\u0120"])}
roberta = [json.dumps({**config, "model_type": "roberta"}), "{}", "{}"]
seed("encoder_folder", "pairs", "\0".join([*roberta, json.dumps(pairs), "#version: 0.2\no o\n"]).encode())


def jpeg(segments=b""):
    """8 x 8 grey pixels of one value: a DC table of one code, an AC table of the end of a block."""
    def segment(marker, content):
        return b"\xff" + bytes([marker]) + struct.pack(">H", len(content) + 2) + content

    table = segment(0xDB, b"\x00" + bytes([1] * 64))
    codes = segment(0xC4, b"\x00\x01" + bytes(15) + b"\x00") + segment(0xC4, b"\x10\x01" + bytes(15) + b"\x00")
    frame = segment(0xC0, struct.pack(">BHHB", 8, 8, 16, 1) + b"\x01\x11\x00")
    scan = segment(0xDA, b"\x01\x01\x00\x00\x3f\x00")
    return b"\xff\xd8" + segments + table + frame + codes + scan + b"\x0f" + b"\xff\xd9"


tiff_header = b"MM\0\x2a\0\0\0\x08"
orientation = tiff_header + b"\0\x01" + b"\x01\x12\0\x03\0\0\0\x01\0\x06\0\0" + bytes(4)
exif = b"Exif\0\0" + orientation
seed("images", "jpeg", jpeg())
seed("images", "jpeg_exif", jpeg(b"\xff\xe1" + struct.pack(">H", len(exif) + 2) + exif))
seed("images", "png", png(8, 2, b"", 2, [bytes([1, 2, 3, 0, 0, 255])]))
seed("images", "png_palette", png(2, 3, bytes(12), 3, [b"\x18", b"\x40"]))
seed("images", "png_large", png(8, 0, b"", 60000, [b"\x00"] * 3))
seed("images", "pgm", b"P5 3 2 255\n" + bytes(6))
seed("images", "ppm_text", b"P3 1 1 255\n1 2 3\n")
pixels = bytes(2 * 8)
seed("images", "bmp", b"BM" + struct.pack("<IIIIiiHHIIiiII", 54 + 16, 0, 54, 40, 2, 2, 1, 24, 0, 16, 0, 0, 0, 0) + pixels)
seed("images", "gif", b"GIF89a" + struct.pack("<HHBBB", 1, 1, 0x80, 0, 0) + bytes(6) + b",\0\0\0\0\x01\0\x01\0\0\x02\x02\x44\x01\0;")


def tiff():
    """2 x 1 grey pixels, one strip."""
    entries = [(256, 3, 2), (257, 3, 1), (258, 3, 8), (259, 3, 1), (262, 3, 1), (273, 4, 8), (277, 3, 1), (278, 3, 1), (279, 4, 2), (274, 3, 6)]
    entries.sort()
    content = b"II\x2a\0" + struct.pack("<I", 10) + b"\x01\x02" + struct.pack("<H", len(entries))
    for tag, kind, value in entries:
        content += struct.pack("<HHII", tag, kind, 1, value)
    return content + bytes(4)


seed("images", "tiff", tiff())
# lossless: a signature, 1 x 1, no transforms, no cache, no groups, five codes of one symbol each
lossless = b"\x2f" + bytes(4) + b"\x88\x88\x08" + bytes(4)
chunk = b"VP8L" + struct.pack("<I", len(lossless)) + lossless + (b"\0" if len(lossless) % 2 else b"")
seed("images", "webp", b"RIFF" + struct.pack("<I", 4 + len(chunk)) + b"WEBP" + chunk)
seed("images", "heic", struct.pack(">I", 24) + b"ftypheic" + bytes(12))
seed("images", "page", b"<!DOCTYPE html><html>404</html>")
rows = ["clean/a.png,cat", "clean/b.png,dog", "fog/1/a.png,cat", "fog/1/b.png,cat"]
seed("predictions", "classes", ("path,class\n" + "\n".join(rows)).encode())
seed("predictions", "probabilities", ("path,class,dog,cat\n" + "\n".join(row + (",.2,.8" if row.endswith("cat") else ",.9,.1") for row in rows)).encode())
