# Makes script.pt, module.pth and values.pth, which the tests of sncn_weights read (written with PyTorch 2.15, NumPy 2.4).
import argparse
import collections
import datetime
import enum
import pathlib
import random
import zipfile

import numpy
import torch


class Colour(enum.Enum):
    RED = 1


class Slots:
    __slots__ = ("a", "b")

    def __init__(self):
        self.a, self.b = 1, "x"


class Items(list):
    pass


class Block(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = torch.nn.Linear(3, 2, bias=False)

    def forward(self, x):
        return self.conv(x)


class Net(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.block = torch.nn.Sequential(Block())
        self.norm = torch.nn.BatchNorm1d(2)
        self.fc = torch.nn.Linear(2, 2)

    def forward(self, x):
        return self.fc(self.norm(self.block(x)))


torch.manual_seed(0)
net = Net().eval()
with torch.no_grad():
    net.block[0].conv.weight.copy_(torch.arange(6.0).view(2, 3))
    net.fc.bias.copy_(torch.tensor([1.5, -2.5]))
torch.save(net, "module.pth")
torch.jit.script(net).save("whole.pt")
with zipfile.ZipFile("whole.pt") as whole, zipfile.ZipFile("script.pt", "w") as script:
    for name in whole.namelist():
        # these hold paths of the machine
        if not name.endswith(".debug_pkl"):
            script.writestr(zipfile.ZipInfo(name), whole.read(name))
pathlib.Path("whole.pt").unlink()
items = Items([1, 2])
items.note = "attributes after items"
optimizer = torch.optim.SGD(net.parameters(), 0.1, momentum=0.9)
values = {
    "seed": 2**63 + 5, "negative": -(2**100), "deque": collections.deque([1], 3), "counts": collections.Counter("aab"),
    "defaults": collections.defaultdict(list, {"a": [1]}), "set": {1}, "frozen": frozenset([1]), "array": numpy.arange(3),
    "scalar": numpy.float64(2.5), "generator": numpy.random.default_rng(0).bit_generator.state, "python": random.Random(0).getstate()[:1],
    "args": argparse.Namespace(path=pathlib.PurePosixPath("/a"), lr=0.1), "date": datetime.datetime(2026, 1, 2), "enum": Colour.RED,
    "slots": Slots(), "items": items, "device": torch.device("cpu"), "size": torch.Size([1]), "type": torch.float32, "half": "\ud800",
    "complex": torch.ones(2, dtype=torch.complex64), "sparse": torch.eye(2).to_sparse(), "optimizer": optimizer, "best": torch.tensor(93.2),
    "schedule": torch.optim.lr_scheduler.StepLR(optimizer, 3).state_dict(), "state_dict": net.state_dict(),
}
torch.save(values, "values.pth")
