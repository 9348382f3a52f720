

def fixmatch(args):
    """A step of FixMatch on WideResNet-28-2 with 64 labelled and 448 other images, whose views Pillow makes in as many processes as threads."""
    import copy, random
    import numpy as np
    import torch
    import torch.nn.functional as F
    from PIL import Image, ImageEnhance, ImageOps
    from torch import nn
    from torchvision import transforms

    class Unit(nn.Module):
        def __init__(self, cin, cout, stride, first):
            super().__init__()
            self.norm1, self.conv1 = nn.BatchNorm2d(cin, momentum=0.001), nn.Conv2d(cin, cout, 3, stride, 1, bias=False)
            self.norm2, self.conv2 = nn.BatchNorm2d(cout, momentum=0.001), nn.Conv2d(cout, cout, 3, 1, 1, bias=False)
            self.shortcut = None if cin == cout else nn.Conv2d(cin, cout, 1, stride, bias=False)
            self.first = first

        def forward(self, x):
            active = F.leaky_relu(self.norm1(x), 0.1)
            start = x if self.shortcut is not None and not self.first else active
            branch = self.conv2(F.leaky_relu(self.norm2(self.conv1(start)), 0.1))
            return branch + (x if self.shortcut is None else self.shortcut(start))

    class Network(nn.Module):
        def __init__(self):
            super().__init__()
            units, cin = [nn.Conv2d(3, 16, 3, 1, 1, bias=False)], 16
            for stage, cout in enumerate((32, 64, 128)):
                for index in range(4):
                    units.append(Unit(cin, cout, 2 if stage and not index else 1, not stage))
                    cin = cout
            self.body, self.norm, self.head = nn.Sequential(*units), nn.BatchNorm2d(128, momentum=0.001), nn.Linear(128, 10)

        def forward(self, x):
            return self.head(F.leaky_relu(self.norm(self.body(x)), 0.1).mean((2, 3)))

    def signed(v):
        return v if random.random() < 0.5 else -v

    def moved(image, a, b, c, d, e, f):
        return image.transform(image.size, Image.Transform.AFFINE, (a, b, c, d, e, f))

    def enhanced(kind):
        return lambda image, v: kind(image).enhance(0.09 * v + 0.05)

    operations = [
        lambda image, v: image,
        lambda image, v: ImageOps.autocontrast(image),
        lambda image, v: ImageOps.equalize(image),
        *(enhanced(kind) for kind in (ImageEnhance.Brightness, ImageEnhance.Color, ImageEnhance.Contrast, ImageEnhance.Sharpness)),
        lambda image, v: ImageOps.posterize(image, int(0.4 * v) + 4),
        lambda image, v: image.rotate(signed(int(3 * v))),
        lambda image, v: moved(image, 1, signed(0.03 * v), 0, 0, 1, 0),
        lambda image, v: moved(image, 1, 0, 0, signed(0.03 * v), 1, 0),
        lambda image, v: ImageOps.solarize(image, 256 - int(25.6 * v)),
        lambda image, v: moved(image, 1, 0, int(signed(0.03 * v) * 32), 0, 1, 0),
        lambda image, v: moved(image, 1, 0, 0, 0, 1, int(signed(0.03 * v) * 32)),
    ]

    def strengthened(image):
        for operation in random.choices(operations, k=2):
            strength = random.randint(1, 9)
            if random.random() < 0.5:
                image = operation(image, strength)
        x, y = random.uniform(0, 32), random.uniform(0, 32)
        left, top = int(max(0, x - 8)), int(max(0, y - 8))
        image = image.copy()
        image.paste((127, 127, 127), (left, top, min(32, left + 16), min(32, top + 16)))
        return image

    weak = [transforms.RandomHorizontalFlip(), transforms.RandomCrop(32, padding=4, padding_mode="reflect")]
    end = [transforms.ToTensor(), transforms.Normalize((0.4914, 0.4822, 0.4465), (0.2471, 0.2435, 0.2616))]
    weakly, strongly = transforms.Compose(weak + end), transforms.Compose(weak + [strengthened] + end)
    y, x, c = np.ogrid[:32, :32, :3]
    wave = [np.sin(x * (1 + i % 3) / 37 + c) + np.cos(y * (1 + i % 5) / 53 + c / 2) for i in range(1024)]
    images = [(128 + 45 * wave[i] + (x * 31 + y * 57 + x * y % 97 + i * 13) % 23 - 11).astype(np.uint8) for i in range(1024)]

    class Views(torch.utils.data.Dataset):
        def __init__(self, count, both):
            self.count, self.both = count, both

        def __len__(self):
            return self.count

        def __getitem__(self, index):
            image = Image.fromarray(images[index % 1024])
            return (weakly(image), strongly(image)) if self.both else (weakly(image), index % 10)

    def batches(size, both):
        loader = torch.utils.data.DataLoader(
            Views(size * (args.runs + 4), both), size, shuffle=True, num_workers=args.threads, drop_last=True)
        return iter(loader)

    torch.set_num_threads(args.threads)
    network = Network().to(memory_format=torch.channels_last)
    average = copy.deepcopy(network)
    plain = [p for n, p in network.named_parameters() if "norm" in n or "bias" in n]
    decayed = [p for n, p in network.named_parameters() if not ("norm" in n or "bias" in n)]
    optimizer = torch.optim.SGD(
        [{"params": decayed, "weight_decay": 5e-4}, {"params": plain, "weight_decay": 0}], 0.03, momentum=0.9, nesterov=True)
    labelled, others = batches(64, False), batches(448, True)

    def step():
        (own, labels), (soft, hard) = next(labelled), next(others)
        scores = network(torch.cat((own, soft, hard)).to(memory_format=torch.channels_last))
        probability, pseudo = torch.softmax(scores[64:512].detach(), 1).max(1)
        other = F.cross_entropy(scores[512:], pseudo, reduction="none") * (probability >= 0.95)
        loss = F.cross_entropy(scores[:64], labels) + other.mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        with torch.no_grad():
            for kept, new in zip(average.parameters(), network.parameters()):
                kept.mul_(0.999).add_(new, alpha=0.001)
            for kept, new in zip(average.buffers(), network.buffers()):
                kept.copy_(new)

    step()
    step()
    emit("fixmatch", "train, 64 + 448 images", 1e3 * 512 / median_milliseconds(step, args.runs), "images/s")
