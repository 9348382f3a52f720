

def imagenet(args):
    """ResNet-50 (torchvision) and EfficientNet-Lite0 on 224 x 224 pixels: training and inference, in the faster memory format."""
    import torch
    import torch.nn.functional as F
    from torch import nn
    from torchvision.models import resnet50
    torch.set_num_threads(args.threads)

    class Same(nn.Conv2d):
        """Padded as TensorFlow's SAME for an even size: of an odd number of zeros the odd one comes last."""

        def forward(self, x):
            total = self.kernel_size[0] - self.stride[0]
            x = F.pad(x, 2 * (total // 2, total - total // 2)) if total % 2 else x
            return F.conv2d(x, self.weight, None, self.stride, 0 if total % 2 else total // 2, 1, self.groups)

    def unit(cin, cout, size=1, stride=1, groups=1, rectified=True):
        layers = [Same(cin, cout, size, stride, groups=groups, bias=False), nn.BatchNorm2d(cout, eps=1e-3, momentum=0.01)]
        return nn.Sequential(*layers, *([nn.ReLU6(inplace=True)] if rectified else []))

    class Inverted(nn.Module):
        def __init__(self, cin, cout, size, stride, expansion, rate):
            super().__init__()
            wide = cin * expansion
            expand = [unit(cin, wide)] if expansion > 1 else []
            self.branch = nn.Sequential(*expand, unit(wide, wide, size, stride, wide), unit(wide, cout, rectified=False))
            self.shortcut, self.rate = stride == 1 and cin == cout, rate

        def forward(self, x):
            y = self.branch(x)
            if not self.shortcut:
                return y
            if self.training and self.rate:
                y = y * (torch.rand(len(y), 1, 1, 1) >= self.rate) / (1 - self.rate)
            return x + y

    def efficientnet_lite0():
        plan = [(1, 3, 1, 1, 16), (2, 3, 2, 6, 24), (2, 5, 2, 6, 40), (3, 3, 2, 6, 80), (3, 5, 1, 6, 112), (4, 5, 2, 6, 192),
                (1, 3, 1, 6, 320)]
        layers, cin = [unit(3, 32, 3, 2)], 32
        for repeats, size, stride, expansion, cout in plan:
            for i in range(repeats):
                layers.append(Inverted(cin, cout, size, 1 if i else stride, expansion, 0.2 * (len(layers) - 1) / 16))
                cin = cout
        return nn.Sequential(*layers, unit(cin, 1280), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Dropout(0.2), nn.Linear(1280, 1000))

    for name, build, batch in [("resnet50", lambda: resnet50(weights=None), 8), ("efficientnet_lite0", efficientnet_lite0, 16)]:
        best = {}
        for memory in (torch.channels_last, torch.contiguous_format):
            net = build().to(memory_format=memory)
            xs, ys = torch.randn(batch, 3, 224, 224).to(memory_format=memory), torch.arange(batch) % 1000
            opt = torch.optim.SGD(net.parameters(), 0.01, momentum=0.9)

            def step():
                loss = F.cross_entropy(net(xs), ys)
                opt.zero_grad()
                loss.backward()
                opt.step()

            net.train()
            found = {f"train {batch}x224x224": median_milliseconds(step, args.runs)}
            net.eval()
            with torch.no_grad():
                found[f"inference {batch}x224x224"] = median_milliseconds(lambda: net(xs), args.runs)
            best = {what: min(value, best.get(what, value)) for what, value in found.items()}
        for what, value in best.items():
            emit(name, what, 1e3 * batch / value, "images/s")
