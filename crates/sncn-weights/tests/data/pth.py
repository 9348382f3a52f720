# Makes zip.pth, legacy.pth and nested.pth, which the tests of sncn_weights::pth read (written with PyTorch 2.15).
import collections

import torch

torch.manual_seed(0)
base = torch.arange(24, dtype=torch.float32)
state = collections.OrderedDict(
    w=base.view(2, 3, 4).permute(2, 0, 1),
    slice=base[5:11:2],
    p=torch.nn.Parameter(torch.tensor([1.5, -2.25])),
    double=torch.tensor([[0.1, -0.2]], dtype=torch.float64),
    half=torch.tensor([0.5, -1.75, 65504.0], dtype=torch.float16),
    bf16=torch.tensor([0.5, -3.0], dtype=torch.bfloat16),
    long=torch.tensor(7),
    int=torch.tensor([-1, 2147483647], dtype=torch.int32),
    short=torch.tensor([-300], dtype=torch.int16),
    char=torch.tensor([-5, 5], dtype=torch.int8),
    byte=torch.tensor([0, 255], dtype=torch.uint8),
    bool=torch.tensor([True, False]),
    u16=torch.tensor([1, 65535], dtype=torch.uint16),
    empty=torch.zeros(0, 3),
)
torch.save(state, "zip.pth")
torch.save(state, "legacy.pth", _use_new_zipfile_serialization=False)
model = torch.nn.DataParallel(torch.nn.Sequential(torch.nn.Linear(2, 1), torch.nn.BatchNorm1d(1)))
torch.save({"epoch": 3, "state_dict": model.state_dict(), "optimizer": {"lr": 0.1}}, "nested.pth")
