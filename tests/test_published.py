"""Training by a published loss: it is the loss of `stylize --preset`, and it trains."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from impasto.errors import OptionError
from impasto.losses.gram import gram
from impasto.losses.objective import Objective, content_term, style_term
from impasto.losses.presets import PRESETS
from impasto.losses.style.gram import GramLoss
from impasto.methods.matching import matched
from impasto.networks.encoder import Encoder
from impasto.networks.transform_net import TransformNetConfig
from impasto.pictures.samples import sample, sample_names, sample_style
from impasto.settings import Settings
from impasto.training.configs import BankConfig, JohnsonConfig, bank_config
from impasto.training.published import PublishedBank, PublishedCriterion
from impasto.training.run import train

PRESET = PRESETS["johnson2016"]


def small(picture: object) -> Tensor:
    return torch.from_numpy(np.array(picture)).permute(2, 0, 1).contiguous()


@pytest.fixture(scope="module")
def photos() -> list[Tensor]:
    return [small(sample(name).resize((96, 64))) for name in sample_names()]


def test_the_loss_is_the_one_that_stylize_lowers(tiny: Encoder, photos: list[Tensor]) -> None:
    """Term by term the optimiser's objective, picture by picture."""
    two, painted = (torch.stack(photos[i : i + 2]).float() / 255 for i in (0, 2))
    styles = torch.stack(
        [small(sample_style(name).resize((96, 64))) for name in ("waves", "mosaic")]
    )
    styles = styles.float() / 255
    criterion = PublishedCriterion(tiny, PRESET)
    found = criterion(painted, criterion.content(two), criterion.style(styles))
    weighted = PRESET.style_weight * found[0] + PRESET.content_weight * found[1]

    match = matched(tiny, PRESET, Settings(preset="johnson2016"))
    for place in range(2):
        photo, picture, style = (x[place, None] for x in (two, painted, styles))
        aims, held = (
            tiny.features(x, layers)
            for x, layers in (
                (style, match.recipe.style_layers),
                (photo, match.recipe.content_layers),
            )
        )
        loss = GramLoss(PRESET.style_scale)
        terms = [
            style_term(layer, gram(aims[layer]), weight, loss)
            for layer, weight in match.style_shares(photo).items()
        ]
        terms += [
            content_term(layer, held[layer], weight, PRESET.content_scale)
            for layer, weight in match.content_shares(photo).items()
        ]
        objective = Objective(terms)
        whole = objective(tiny.features(picture, objective.layers), picture).total
        assert weighted[place].item() == pytest.approx(whole.item(), rel=1e-4)


def test_a_network_learns_by_it(tiny: Encoder, photos: list[Tensor], tmp_path: Path) -> None:
    painting = small(sample_style("waves").resize((96, 96)))
    seen = torch.zeros(1, 96, 96, dtype=torch.uint8)
    seen[:, 16:] = 255
    painting = torch.cat([painting, seen])
    shape = TransformNetConfig(channels=(8, 8, 8), blocks=(1, 1, 1))
    config = JohnsonConfig(
        steps=12, batch=2, crop=64, style_size=96, learning_rate=1e-2, transform_net=shape
    )
    task = PublishedBank(tiny, photos, {"waves": painting}, config)

    def total() -> float:
        with torch.no_grad():
            found = [task(task.batch(step), step) for step in range(1000, 1004)]
        return sum(task.balance[name] * float(x) for each in found for name, x in each.items())

    before = total()
    list(train(task, checkpoint=tmp_path / "one.checkpoint", device="cpu"))
    assert total() < 0.8 * before
    recipe = task.painter().recipe
    assert recipe["preset"] == "johnson2016"
    assert set(recipe["layers"]) == {*PRESET.style_layers, *PRESET.content_layers}


def test_its_course_is_the_papers_and_what_it_has_no_place_for_is_refused() -> None:
    config = bank_config(preset="johnson2016", steps=7)
    assert isinstance(config, JohnsonConfig)
    assert (config.steps, config.batch, config.crop, config.learning_rate) == (7, 4, 256, 1e-3)
    assert bank_config(preset="johnson2016").steps == 40_000
    assert type(bank_config(steps=7)) is BankConfig
    for name in ("coarse", "shifted"):
        with pytest.raises(OptionError, match=name):
            bank_config(preset="johnson2016", **{name: 0.3})
    with pytest.raises(OptionError, match="preset"):
        bank_config(preset="gatys2015")
