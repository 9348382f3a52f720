

def linear(args):
    import torch
    import torch.nn.functional as F
    torch.set_num_threads(args.threads)
    for rows, cin, cout in [(4096, 256, 1024), (4096, 1024, 256), (4096, 256, 256)]:
        xs, weight, bias = (torch.randn(shape).requires_grad_() for shape in ((rows, cin), (cout, cin), (cout,)))
        g = torch.randn(rows, cout)
        name, shape = f"linear {cin}->{cout}", (rows, cin)
        emit(name, f"forward {shape}", median_milliseconds(lambda: F.linear(xs, weight, bias), args.runs), "ms")
        emit(name, f"forward+backward {shape}", median_milliseconds(lambda: F.linear(xs, weight, bias).backward(g), args.runs), "ms")


def memory(args):
    import resource, sys, torch
    import torch.nn.functional as F
    peer = load(args.peer)
    torch.set_num_threads(args.threads)
    net = peer.WideResNet().to(memory_format=torch.channels_last)
    xs = torch.randn(128, 3, 32, 32).to(memory_format=torch.channels_last)
    ys = torch.randint(0, 10, (128,))
    opt = torch.optim.SGD(net.parameters(), 0.1, momentum=0.9, weight_decay=5e-4, nesterov=True)
    for _ in range(3):
        loss = F.cross_entropy(net(xs, (3, 11)), ys)
        opt.zero_grad()
        loss.backward()
        opt.step()
    unit = 1 if sys.platform == "darwin" else 1024
    emit("wrn40_2", "peak memory", resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 2**20, "MB")


def versions(args):
    found = {"python": platform.python_version()}
    for package in ("torch", "torchvision", "onnx", "onnxruntime", "openvino", "numpy", "pillow", "imagecorruptions", "imagecorruptions-imaug"):
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            pass
    print(json.dumps(found))


parser = argparse.ArgumentParser()
cases = {"linear": linear, "memory": memory, "networks": networks, "imagenet": imagenet, "augmix": augmix, "corruptions": corruptions, "loading": loading,
         "photographs": photographs, "fixmatch": fixmatch,
         "versions": versions}
parser.add_argument("case", choices=cases)
parser.add_argument("peer", nargs="?")
parser.add_argument("--threads", type=int, default=1)
parser.add_argument("--runs", type=int, default=5)
options = parser.parse_args()
cases[options.case](options)
