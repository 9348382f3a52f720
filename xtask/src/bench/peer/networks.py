

def networks(args):
    """DenseNet (40, 12), ResNeXt-29 (4x32d), AllConvNet and PEER's WideResNet-40-2: SelfNorm and two CrossNorm sites active."""
    import torch
    import torch.nn.functional as F
    from torch import nn
    peer = load(args.peer)
    torch.set_num_threads(args.threads)

    def conv(cin, cout, size=3, stride=1, padding=None, groups=1, bias=False):
        return nn.Conv2d(cin, cout, size, stride, size // 2 if padding is None else padding, groups=groups, bias=bias)

    class Dense(nn.Module):
        def __init__(self, growth=12, layers=12):
            super().__init__()
            self.stem, width = conv(3, 2 * growth), 2 * growth
            self.gates, self.norms, self.convs = nn.ModuleList(), nn.ModuleList(), nn.ModuleList()
            self.down_norms, self.downs = nn.ModuleList(), nn.ModuleList()
            for block in range(3):
                for _ in range(layers):
                    self.gates.append(peer.SelfNorm(width))
                    self.norms.append(nn.BatchNorm2d(width))
                    self.convs.append(conv(width, growth))
                    width += growth
                if block < 2:
                    self.down_norms.append(nn.BatchNorm2d(width))
                    self.downs.append(conv(width, width, 1))
            self.layers, self.norm, self.fc = layers, nn.BatchNorm2d(width), nn.Linear(width, 10)

        def forward(self, x, active):
            x = self.stem(x)
            for i, (gate, norm, conv) in enumerate(zip(self.gates, self.norms, self.convs)):
                if i and i % self.layers == 0:
                    block = i // self.layers - 1
                    x = F.avg_pool2d(self.downs[block](F.relu(self.down_norms[block](x))), 2)
                x = gate(peer.crossnorm(x) if i in active else x)
                x = torch.cat([x, conv(F.relu(norm(x)))], 1)
            return self.fc(F.relu(self.norm(x)).mean((2, 3)))

    class Bottleneck(nn.Module):
        def __init__(self, cin, width, cout, stride):
            super().__init__()
            self.reduce, self.n1 = conv(cin, width, 1), nn.BatchNorm2d(width)
            self.conv, self.n2 = conv(width, width, 3, stride, groups=4), nn.BatchNorm2d(width)
            self.expand, self.n3 = conv(width, cout, 1), nn.BatchNorm2d(cout)
            self.short = nn.Sequential(conv(cin, cout, 1, stride), nn.BatchNorm2d(cout)) if cin != cout else None
            self.gate = peer.SelfNorm(cout)

        def forward(self, x, mix):
            y = F.relu(self.n2(self.conv(F.relu(self.n1(self.reduce(x))))))
            y = F.relu((self.short(x) if self.short else x) + self.n3(self.expand(y)))
            return self.gate(peer.crossnorm(y) if mix else y)

    class ResNeXt(nn.Module):
        def __init__(self):
            super().__init__()
            self.stem, self.norm = conv(3, 64), nn.BatchNorm2d(64)
            plan = [(64, 128, 256, 1), (256, 256, 512, 2), (512, 512, 1024, 2)]
            self.blocks = nn.ModuleList(
                Bottleneck(cin if i == 0 else cout, width, cout, stride if i == 0 else 1)
                for cin, width, cout, stride in plan for i in range(3))
            self.fc = nn.Linear(1024, 10)

        def forward(self, x, active):
            x = F.relu(self.norm(self.stem(x)))
            for i, block in enumerate(self.blocks):
                x = block(x, i in active)
            return self.fc(x.mean((2, 3)))

    class AllConv(nn.Module):
        def __init__(self):
            super().__init__()
            plan = [(3, 96, 3, 1), (96, 96, 3, 1), (96, 96, 3, 1), (96, 192, 3, 1), (192, 192, 3, 1), (192, 192, 3, 1),
                    (192, 192, 3, 0), (192, 192, 1, 1), (192, 192, 1, 1)]
            self.convs = nn.ModuleList(conv(cin, cout, size, 1, padding, bias=True) for cin, cout, size, padding in plan)
            self.gates = nn.ModuleList(peer.SelfNorm(cout) for _, cout, _, _ in plan)
            self.norms = nn.ModuleList(nn.BatchNorm2d(cout) for _, cout, _, _ in plan)
            self.fc = nn.Linear(192, 10)

        def forward(self, x, active):
            for i, (conv, gate, norm) in enumerate(zip(self.convs, self.gates, self.norms)):
                x = conv(x)
                x = norm(gate(peer.crossnorm(x) if i in active else x))
                x = x * torch.sigmoid(1.702 * x)
                if i in (2, 5):
                    x = F.dropout(F.max_pool2d(x, 2), 0.5, self.training)
            return self.fc(F.avg_pool2d(x, 8).flatten(1))

    xs = torch.randn(128, 3, 32, 32).to(memory_format=torch.channels_last)
    ys = torch.randint(0, 10, (128,))
    named = {"allconv": AllConv, "densenet40_12": Dense, "wrn40_2": peer.WideResNet, "resnext29_4x32": ResNeXt}
    for name, build in named.items():
        net = build().to(memory_format=torch.channels_last).train()
        opt = torch.optim.SGD(net.parameters(), 0.1, momentum=0.9, weight_decay=5e-4, nesterov=True)

        def step():
            loss = F.cross_entropy(net(xs, (3, 8)), ys)
            opt.zero_grad()
            loss.backward()
            opt.step()

        value = 128e3 / median_milliseconds(step, args.runs)
        emit(f"network {name}", "train, SelfNorm + 2 CrossNorm", value, "images/s")
