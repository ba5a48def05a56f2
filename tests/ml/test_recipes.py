"""The training loop does not know the networks: it trains anything with a recipe and any number of optimisers."""

from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from learning_toys import coco_folder, load_dataset
from safetensors.torch import load_file
from torch import Tensor, nn

from microscope_qc.cli import main
from microscope_qc.core.errors import ModelError
from microscope_qc.core.jobs import Job, Progress, run_job
from microscope_qc.ml.architectures.base import ARCHITECTURES, Architecture, NetworkSettings, build_network, trainable
from microscope_qc.ml.architectures.dense.recipe import parameter_groups
from microscope_qc.ml.architectures.recipe import Recipe, TrainSettings
from microscope_qc.ml.architectures.schedule import warm_up_and_cosine
from microscope_qc.ml.cards import WEIGHTS_NAME, ModelCard, read_card
from microscope_qc.ml.datasets import Dataset
from microscope_qc.ml.evaluation.report import Report
from microscope_qc.ml.training.checkpoint import NAME as CHECKPOINT
from microscope_qc.ml.training.loop import train_network


class Pair(nn.Module):
    """A generator and a critic with a random layer in between, or a memory."""

    def __init__(self) -> None:
        super().__init__()
        self.generator, self.critic = nn.Linear(4, 4), nn.Linear(4, 1)
        self.dropout = nn.Dropout(0.5)
        self.register_buffer("memory", torch.zeros(3))


class ToyRecipe(Recipe[Tensor]):
    """Base of the toys; ``scores`` are those of successive validations."""

    scores = (1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0)

    def __init__(self, settings: TrainSettings, dataset: Dataset) -> None:
        self.settings, self.dataset, self.steps_per_epoch = settings, dataset, 3
        self.validated = 0

    def batch(self, step: int) -> Tensor:
        return torch.randn(5, 4, generator=torch.Generator().manual_seed(step))

    def losses(self, network: nn.Module, batch: Tensor, turn: int) -> dict[str, Tensor]:
        raise AssertionError("no optimiser takes a turn")

    def optimisers(self, network: nn.Module) -> list[torch.optim.Optimizer]:
        return []

    def validate(self, network: nn.Module, dataset: Dataset) -> Job[Report]:
        yield Progress(0, 1)
        self.validated += 1
        return Report(0.25, {"goodness": self.scores[min(self.validated, len(self.scores)) - 1]})

    def score(self, report: Report) -> float:
        return report.figures["goodness"]

    def finish(self, network: nn.Module, dataset: Dataset) -> Job[ModelCard]:
        yield Progress(0, 1)
        return ModelCard(
            name="draft", task="anomaly", architecture=self.settings.network, classes=["A"], class_names=["A"],
            tile_px=64, overlap_px=0, mean=(0, 0, 0), std=(1, 1, 1), confidence=0.9, training={"own": 1},
        )  # fmt: skip


class Adversaries(ToyRecipe):
    """Two optimisers: each turn changes its own half."""

    def losses(self, network: nn.Module, batch: Tensor, turn: int) -> dict[str, Tensor]:
        assert isinstance(network, Pair)
        judged = network.critic(network.dropout(network.generator(batch)))
        if turn == 0:
            return {"fool": -judged.mean(), "size": 0.1 * judged.square().mean()}
        return {"judge": judged.mean() - network.critic(batch).mean()}

    def optimisers(self, network: nn.Module) -> list[torch.optim.Optimizer]:
        assert isinstance(network, Pair)
        return [
            torch.optim.Adam(network.generator.parameters(), lr=0.05),
            torch.optim.SGD(network.critic.parameters(), lr=0.01, momentum=0.9),
        ]


class Waning(Adversaries):
    """The second validation is the best."""

    scores = (1.0, 2.0, 1.5, 1.9, 1.8)


class Memory(ToyRecipe):
    """No optimiser: everything is learned before the first step."""

    def fit_once(self, network: nn.Module) -> Job[None]:
        yield Progress(0, 1, "pictures")
        network.get_buffer("memory").copy_(torch.tensor([1.0, 2.0, 3.0]))


class Toy(Architecture[NetworkSettings]):
    """A network for each of the recipes."""

    task, title, settings = "anomaly", "A toy", NetworkSettings

    def __init__(self, name: str, kind: type[ToyRecipe] | None) -> None:
        self.name, self.kind = name, kind

    def stride_px(self, settings: NetworkSettings) -> int:
        return 1

    def build(self, settings: NetworkSettings, classes: int) -> Pair:
        return Pair()

    def task_of(self, *args: Any, **kwargs: Any) -> Any:
        raise AssertionError("it is not run")

    def recipe(self, settings: TrainSettings, dataset: Dataset) -> ToyRecipe | None:
        return None if self.kind is None else self.kind(settings, dataset)


@pytest.fixture(autouse=True)
def toys(monkeypatch: pytest.MonkeyPatch) -> None:
    known = {"adversaries": Adversaries, "waning": Waning, "memory": Memory, "none": None}
    made = {name: Toy(name, kind) for name, kind in known.items()}
    monkeypatch.setattr(ARCHITECTURES, "_builtin", {**ARCHITECTURES._builtin, **dict.fromkeys(made, "")})
    monkeypatch.setattr(ARCHITECTURES, "_loaded", {**ARCHITECTURES._loaded, **made})


@pytest.fixture(scope="module")
def coco(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return coco_folder(tmp_path_factory.mktemp("coco"), pictures=3)


def trained(
    coco: Path, out: Path, network: str, *, end_now: Callable[[], bool] = lambda: False, **settings: Any
) -> Job[ModelCard]:
    chosen = TrainSettings(network=network, device="cpu", **{"epochs": 4, **settings})
    return train_network(load_dataset(coco), out, chosen, end_now=end_now)


def rows_of(out: Path) -> list[dict[str, str]]:
    with (out / "curve.csv").open() as file:
        return list(csv.DictReader(file))


def test_two_optimisers_take_turns_and_an_interrupted_training_ends_the_same(coco: Path, tmp_path: Path) -> None:
    card = run_job(trained(coco, tmp_path / "whole", "adversaries"))
    assert card == read_card(tmp_path / "whole") and card.name == "whole" and card.confidence == 0.25
    assert card.training["own"] == 1 and card.training["best_epoch"] == 4 and card.metrics["goodness"] == 5.0
    rows = rows_of(tmp_path / "whole")
    assert [float(row["epoch"]) for row in rows] == [1, 2, 3, 4]
    assert all({"loss", "fool", "size", "judge", "goodness"} <= set(row) for row in rows)

    job = trained(coco, tmp_path / "parts", "adversaries")
    while not (tmp_path / "parts" / CHECKPOINT).exists():
        next(job)
    next(job)  # a step after the checkpoint, which is lost
    job.close()
    run_job(trained(coco, tmp_path / "parts", "adversaries"))
    whole, parts = (load_file(tmp_path / name / WEIGHTS_NAME) for name in ("whole", "parts"))
    start = nn.Module.state_dict(Pair())
    for name, tensor in whole.items():
        assert torch.equal(tensor, parts[name]), "the same random numbers are drawn again"
        assert name == "memory" or not torch.equal(tensor.float(), start[name])


def test_each_turn_changes_only_its_own(coco: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[tuple[int, Tensor, Tensor]] = []
    losses = Adversaries.losses

    def looking(self: Adversaries, network: Pair, batch: Tensor, turn: int) -> dict[str, Tensor]:
        seen.append((turn, network.generator.weight.detach().clone(), network.critic.weight.detach().clone()))
        return losses(self, network, batch, turn)

    monkeypatch.setattr(Adversaries, "losses", looking)
    run_job(trained(coco, tmp_path, "adversaries", epochs=1))
    assert [turn for turn, _, _ in seen] == [0, 1] * 3
    for (turn, generator, critic), (_, next_generator, next_critic) in zip(seen, seen[1:], strict=False):
        assert torch.equal(generator, next_generator) == (turn == 1)
        assert torch.equal(critic, next_critic) == (turn == 0)


def test_a_network_without_optimisers_needs_no_steps(coco: Path, tmp_path: Path) -> None:
    card = run_job(trained(coco, tmp_path, "memory"))
    assert load_file(tmp_path / WEIGHTS_NAME)["memory"].tolist() == [1.0, 2.0, 3.0]
    assert card.confidence == 0.25 and not (tmp_path / "curve.csv").exists()


def test_the_best_weights_are_kept_and_patience_ends(
    coco: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    measured: list[Tensor] = []
    validate = Waning.validate

    def looking(self: Waning, network: Pair, dataset: Dataset) -> Job[Report]:
        measured.append(network.generator.weight.detach().half())
        return (yield from validate(self, network, dataset))

    monkeypatch.setattr(Waning, "validate", looking)
    card = run_job(trained(coco, tmp_path, "waning", epochs=50, patience=3))
    assert len(rows_of(tmp_path)) == 5 and card.training["best_epoch"] == 2
    kept = load_file(tmp_path / WEIGHTS_NAME)["generator.weight"]
    assert torch.equal(kept, measured[1]) and not torch.equal(kept, measured[4])
    assert torch.equal(kept, measured[5]), "measured again in their stored form"


def test_a_training_that_may_take_so_long(coco: Path, tmp_path: Path) -> None:
    card = run_job(trained(coco, tmp_path, "waning", epochs=1, minutes=0.02))
    assert card.training["steps"] > 3, "one pass has three"
    shares = [float(row["seconds"]) / 1.2 for row in rows_of(tmp_path)]
    assert shares == sorted(shares) and shares[-1] >= 0.8 and len(shares) <= 20


def test_stopped_it_keeps_the_best_so_far(coco: Path, tmp_path: Path) -> None:
    asked = []

    def stop() -> bool:
        asked.append(None)
        return len(asked) >= 4

    card = run_job(trained(coco, tmp_path, "waning", end_now=stop, epochs=50))
    assert card.training["steps"] == 3 and card.training["best_epoch"] == 1
    assert not (tmp_path / CHECKPOINT).exists() and (tmp_path / WEIGHTS_NAME).exists()


def test_the_next_batch_is_made_ahead(coco: Path, tmp_path: Path) -> None:
    from microscope_qc.ml.training.ahead import BatchesAhead

    made: list[int] = []

    class Counting(ToyRecipe):
        def batch(self, step: int) -> Tensor:
            made.append(step)
            return torch.tensor([step])

    batches = BatchesAhead(Counting(TrainSettings(), load_dataset(coco)))
    assert [int(batches.take(step)) for step in (0, 1, 2, 7, 3)] == [0, 1, 2, 7, 3]
    batches.close()
    assert made[:3] == [0, 1, 2] and {7, 3} <= set(made)


def test_patience_on_the_command_line(coco: Path, tmp_path: Path) -> None:
    small = "--crop 128 --tile 192 --overlap 32 --batch 2 --device cpu --progress none --network ssd-tiny"
    learns_nothing = "--learning-rate 1e-9 --epochs 12"
    for patience in (1, 2):
        out = tmp_path / str(patience)
        command = ["train", str(coco), "--out", str(out), *small.split(), *learns_nothing.split()]
        assert main([*command, "--validation", str(coco), "--patience", str(patience)]) == 0
        assert len(rows_of(out)) == 1 + patience


def test_a_network_without_a_recipe_is_not_trained(coco: Path, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="cannot train the network none"):
        run_job(trained(coco, tmp_path, "none"))
    known = {task: [kind.name for kind in kinds] for task, kinds in trainable().items()}
    assert known["detect"][:3] == ["lite0", "ssd", "ssd-tiny"] and known["classify"][0] == "lite0-classifier"


def test_weight_decay_is_for_filters_only() -> None:
    network = build_network("ssd-tiny", {}, classes=2)
    groups = parameter_groups(list(network.parameters()), rate=1e-3, weight_decay=0.05)
    decays = {id(parameter): group["weight_decay"] for group in groups for parameter in group["params"]}
    assert sum(len(group["params"]) for group in groups) == len(decays) == len(list(network.parameters()))
    for module in network.modules():
        for name, parameter in module.named_parameters(recurse=False):
            filters = isinstance(module, nn.Conv2d) and name == "weight"
            assert decays[id(parameter)] == (0.05 if filters else 0.0), f"{type(module).__name__} {name}"


def test_the_rate_rises_and_falls() -> None:
    rates = [2 * warm_up_and_cosine(step / 100) for step in range(101)]
    assert rates[0] == pytest.approx(0.1) and max(rates) == pytest.approx(2.0) and rates.index(max(rates)) == 6
    assert rates[-1] == pytest.approx(0.02) and rates[53] == pytest.approx(1.01, rel=0.05)
    assert rates[6:] == sorted(rates[6:], reverse=True)
