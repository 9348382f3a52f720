

def loaded(paths):
    """Each file through torchvision's transforms of ImageNet training."""
    import torch
    from PIL import Image
    from torchvision import transforms
    torch.set_num_threads(1)
    transform = transforms.Compose([
        transforms.RandomResizedCrop(224), transforms.RandomHorizontalFlip(), transforms.ToTensor(),
        transforms.Normalize([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]),
    ])
    for path in paths:
        with Image.open(path) as image:
            transform(image.convert("RGB"))


def loading(args):
    """JPEG files of the same textures as ours, decoded by Pillow and transformed by torchvision, in as many processes as threads."""
    import os, tempfile
    import numpy as np
    from PIL import Image
    y, x, c = np.ogrid[:375, :500, :3]
    with tempfile.TemporaryDirectory() as folder:
        paths = []
        for i in range(64):
            wave = np.sin(x * (1 + i % 3) / 37 + c) + np.cos(y * (1 + i % 5) / 53 + c / 2)
            grain = (x * 31 + y * 57 + x * y % 97 + i * 13) % 23
            paths.append(os.path.join(folder, f"{i:03}.jpg"))
            Image.fromarray((128 + 45 * wave + grain - 11).astype(np.uint8)).save(paths[-1], quality=90)
        emit("loading", "JPEG 500x375 to 224", in_processes(loaded, np.array(paths), args.threads, args.runs), "images/s")
