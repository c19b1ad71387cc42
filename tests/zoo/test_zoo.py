"""The shipped networks load, compute what the index says, and can be captured."""

import importlib.util
import json
from types import ModuleType

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file
from sklearn.datasets import load_digits

from autolip import zoo
from autolip.errors import InputError
from autolip.zoo.networks import FACTORIES

every_network = pytest.mark.parametrize("name", zoo.names())


def accuracy(network: torch.nn.Module) -> float:
    images, labels = zoo.held_out()
    with torch.no_grad():
        return (network(images).argmax(1) == labels).double().mean().item()


@every_network
def test_loads_in_eval_mode_and_maps_a_digit_to_finite_logits(name: str) -> None:
    network, (image,) = zoo.load(name)
    assert not any(module.training for module in network.modules())
    assert not any(tensor.is_meta for tensor in network.state_dict().values())
    assert image.shape == (1, 1, 8, 8)
    assert network(image).shape == (1, 10)
    assert network(image).isfinite().all()


@every_network
def test_accuracy_is_what_the_index_claims(name: str) -> None:
    claimed = zoo.describe(name).accuracy
    assert claimed >= 0.95
    assert accuracy(zoo.load(name)[0]) == pytest.approx(claimed, abs=1.5 / 360)


@every_network
def test_description_counts_the_network(name: str) -> None:
    network, (image,) = zoo.load(name)
    description = zoo.describe(name)
    assert description.name == name
    assert description.parameters == sum(p.numel() for p in network.parameters())
    assert description.input_shape == tuple(image.shape)
    assert description.summary and "\n" not in description.summary
    assert "scripts/train_zoo.py" in description.source


@every_network
def test_module_built_by_hand_from_the_file_is_the_same(name: str) -> None:
    network, inputs = zoo.load(name)
    rebuilt = FACTORIES[name]()
    rebuilt.load_state_dict(load_file(zoo.FOLDER / f"{name}.safetensors"))
    torch.testing.assert_close(rebuilt.state_dict(), network.state_dict(), rtol=0, atol=0)
    torch.testing.assert_close(rebuilt.eval()(*inputs), network(*inputs))


@every_network
def test_weights_are_float32(name: str) -> None:
    with safe_open(zoo.FOLDER / f"{name}.safetensors", "pt") as stored:
        kinds = {key: stored.get_tensor(key).dtype for key in stored.keys()}  # noqa: SIM118
    counters = {key for key in kinds if key.endswith("num_batches_tracked")}
    assert {kinds[key] for key in kinds.keys() - counters} == {torch.float32}


@every_network
def test_float64_agrees_with_float32(name: str) -> None:
    network, (image,) = zoo.load(name)
    single = network(image)
    double = network.double()(image.double())
    assert double.dtype == torch.float64
    assert torch.allclose(single.double(), double, rtol=1e-4, atol=1e-4)


@every_network
def test_exports_to_a_functional_graph_that_agrees(name: str) -> None:
    network, inputs = zoo.load(name)
    program = torch.export.export(network, inputs).run_decompositions({})
    other = torch.rand(1, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    assert not program.graph_signature.buffers_to_mutate
    assert torch.allclose(program.module()(other), network(other), atol=1e-5)


def test_loading_twice_gives_independent_networks_and_leaves_the_random_state() -> None:
    before = torch.random.get_rng_state()
    first, inputs = zoo.load("digits-mlp")
    with torch.no_grad():
        first[1].weight.zero_()
    assert not torch.equal(zoo.load("digits-mlp")[0](*inputs), first(*inputs))
    assert torch.equal(torch.random.get_rng_state(), before)


@pytest.mark.parametrize("ask", [zoo.load, zoo.describe])
def test_unknown_name_is_refused_with_the_names(ask) -> None:
    with pytest.raises(InputError, match=r"'resnet50'.*digits-mlp, .*digits-attention"):
        ask("resnet50")


def test_index_names_exactly_the_networks_and_the_folder_is_small() -> None:
    index = json.loads((zoo.FOLDER / "index.json").read_text(encoding="utf-8"))
    shipped = {path.stem for path in zoo.FOLDER.glob("*.safetensors")}
    assert tuple(index["networks"]) == zoo.names()
    assert shipped == {*zoo.names(), "digits"}
    assert sum(path.stat().st_size for path in zoo.FOLDER.iterdir() if path.is_file()) < 1_000_000


def test_digits_are_real_distinct_images_in_the_unit_interval() -> None:
    images, labels = zoo.held_out()
    assert zoo.digits().shape == (50, 1, 8, 8)
    assert zoo.digits().dtype == torch.float32
    assert torch.equal(zoo.digits(), images[:50])
    assert (images.min(), images.max()) == (0.0, 1.0)
    assert set(labels[:50].tolist()) == set(range(10))
    data = load_digits()
    known = {
        (tuple(pixels), label)
        for pixels, label in zip(data.data.tolist(), data.target.tolist(), strict=True)
    }
    shipped = set(zip(map(tuple, (images.flatten(1) * 16).tolist()), labels.tolist(), strict=True))
    assert len(shipped) == len(images) == 360
    assert shipped <= known


@pytest.fixture(scope="module")
def train_zoo(request: pytest.FixtureRequest) -> ModuleType:
    spec = importlib.util.spec_from_file_location(
        "train_zoo", request.config.rootpath / "scripts/train_zoo.py"
    )
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_script_holds_out_the_shipped_images_and_trains_on_none_of_them(
    train_zoo: ModuleType,
) -> None:
    split = train_zoo.split_digits()
    images, labels = zoo.held_out()
    assert torch.equal(train_zoo.to_input(split.test_images), images)
    assert torch.equal(split.test_labels.long(), labels)
    trained_on = set(map(tuple, split.train_images.flatten(1).tolist()))
    assert trained_on.isdisjoint(map(tuple, split.test_images.flatten(1).tolist()))


@pytest.mark.slow
def test_script_reproduces_a_shipped_network(train_zoo: ModuleType) -> None:
    """Other processors round otherwise, so the weights may differ a little; the accuracy hardly."""
    with torch.random.fork_rng():
        network, entry = train_zoo.trained("digits-mlp", train_zoo.split_digits())
    assert entry["parameters"] == zoo.describe("digits-mlp").parameters
    assert entry["accuracy"] == pytest.approx(zoo.describe("digits-mlp").accuracy, abs=0.02)
    assert accuracy(network) == pytest.approx(entry["accuracy"], abs=1e-6)
