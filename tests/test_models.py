"""The base tester: what every family promises. A new one in the registry is tested here unasked."""

import copy
import re
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import pytest
import torch
from accelerate import Accelerator
from hub_client import log_in
from hub_server import HubServer
from PIL import Image
from torch import nn
from trainings import assert_equal_runs, differing, state_of, stop_after

from cyclegan.cli import parse_training
from cyclegan.commands import main
from cyclegan.config import to_json
from cyclegan.errors import UserError
from cyclegan.export import export
from cyclegan.learner import Learner
from cyclegan.models import FAMILIES
from cyclegan.networks import Generator
from cyclegan.training import Trainer
from cyclegan.translator import Translator
from cyclegan.weights import WeightsConfig, load_weights, save_weights

SMALL = {
    "width": 4,
    "blocks": 1,
    "discriminator_width": 4,
    "encoder_width": 4,
    "discriminator_downsamplings": 2,
    "latent": 4,
    "patches": 16,
}
TINY = (
    "--image-size 32 --resize 1.1 --batch-size 2 --device cpu --log-every 1 --sample-every 2 "
    "--checkpoint-every 2 --seed 3 --steps 4"
).split()


def small(family):
    known = {field.name for field in fields(family.Config)}
    return family.Config(**{name: value for name, value in SMALL.items() if name in known})


def command(family, photos, out):
    known = {field.name for field in fields(family.Config)}
    flags = [
        word
        for name, value in SMALL.items()
        if name in known
        for word in (f"--{name.replace('_', '-')}", str(value))
    ]
    return parse_training([family.family, "--data", str(photos), "--out", str(out), *TINY, *flags])


@pytest.mark.parametrize("family", FAMILIES.values(), ids=FAMILIES)
class TestFamily:
    def build(self, family):
        return family(small(family), image_size=32)

    def batch(self, model, count=2, size=(32, 32)):
        sides = model.channels(model.config)
        return {f"real_{side}": torch.rand(count, c, *size) * 2 - 1 for side, c in sides.items()}

    def test_declares_networks_that_exist(self, family):
        model = self.build(family)
        names = set(model.networks)
        assert set(family.ships) <= names
        assert set(family.translators.values()) <= set(family.ships)
        assert {name for phase in model.phases() for name in phase.trains} == names

    def test_every_phase_gives_finite_losses_with_gradients_for_what_it_trains(self, family):
        model, cache = self.build(family), {}
        batch = self.batch(model)
        for phase in model.phases():
            model.zero_grad()
            sum(phase.losses(batch, cache).values()).backward()
            for name in phase.trains:
                parameters = list(model.networks[name].parameters())
                assert all(p.grad is not None and p.grad.isfinite().all() for p in parameters)

    def test_in_evaluation_mode_losses_repeat_and_leave_no_trace(self, family):
        model = self.build(family)
        photos = [self.batch(model) for _ in range(3)]

        @torch.no_grad()
        def losses():
            found = []
            for batch in photos:
                cache = {}
                for phase in model.phases():
                    found += [loss.item() for loss in phase.losses(batch, cache).values()]
            return found

        losses()
        model.eval()
        before, random = copy.deepcopy(model.state_dict()), torch.get_rng_state()
        assert losses() == losses()
        assert torch.equal(torch.get_rng_state(), random)
        assert differing(before, model.state_dict()) == []

    def test_samples_hold_what_the_rows_show(self, family):
        model = self.build(family).eval()
        batch = self.batch(model)
        pictures = model.sample(model.networks, batch)
        assert {name for row in family.rows for name in row} <= set(pictures)
        for name, images in pictures.items():
            assert images.shape == (2, 3, 32, 32), name
            assert images.abs().max() <= 1
        again = model.sample(model.networks, batch)
        assert all(torch.equal(pictures[name], again[name]) for name in pictures)

    def test_presets_change_settings_that_exist(self, family):
        from cyclegan.cli import parse_training

        for preset, parts in family.presets.items():
            config = parse_training([family.family, "--preset", preset, "--data", "x"])
            for part, values in parts.items():
                for key, value in values.items():
                    assert getattr(getattr(config, part), key) == value, (preset, key)

    def test_each_phase_changes_the_networks_that_it_trains_and_no_other(
        self, family, photos, tmp_path, monkeypatch
    ):
        config = command(family, photos, tmp_path)
        declared = family.phases
        for name in [phase.name for phase in self.build(family).phases()]:
            # A step of the others at a rate of 0 leaves every weight where it was.
            monkeypatch.setattr(
                family,
                "phases",
                lambda model, name=name: tuple(
                    replace(phase, rate=float(phase.name == name)) for phase in declared(model)
                ),
            )
            learner = Learner(config, Accelerator(cpu=True))
            before = copy.deepcopy(dict(learner.networks.named_parameters()))
            learner.step([self.batch(learner.model)])
            changed = {
                key.split(".")[0]
                for key, value in learner.networks.named_parameters()
                if not torch.equal(value, before[key])
            }
            (phase,) = [phase for phase in learner.phases if phase.name == name]
            assert changed == set(phase.trains)

    def test_two_steps_fit_a_tiny_batch_better(self, family):
        model = self.build(family)
        batch = self.batch(model)
        for phase in model.phases():
            networks = [model.networks[name] for name in phase.trains]
            optimizer = torch.optim.Adam(
                [p for network in networks for p in network.parameters()], lr=1e-3
            )

            def loss(phase=phase):
                # The same z, dropout and places every time.
                torch.manual_seed(0)
                cache = {}
                for before in model.phases():
                    losses = before.losses(batch, cache)
                    if before is phase or before.name == phase.name:
                        return sum(losses.values())

            first = loss()
            for _ in range(2):
                optimizer.zero_grad()
                loss().backward()
                optimizer.step()
            assert loss() < first

    def test_translators_take_every_size_that_they_say(self, family):
        model = self.build(family).eval()
        channels = model.channels(model.config)
        for direction, name in family.translators.items():
            network = model.networks[name]
            assert isinstance(network, Generator)
            for rows, columns in ((1, 1), (2, 1), (1, 3)):
                size = [max(network.minimum, n * network.multiple) for n in (rows, columns)]
                made = network(torch.rand(1, channels[direction[0]], *size))
                assert made.shape == (1, channels[direction[2]], *size)

    def test_weights_come_back_as_they_were(self, family, tmp_path):
        model = self.build(family).eval()
        shipped = nn.ModuleDict({name: model.networks[name] for name in family.ships})
        config = WeightsConfig(1, family.family, "disc", "square", 32, to_json(model.config))
        save_weights(tmp_path, config, shipped, torch.float32)
        weights = load_weights(tmp_path)
        assert weights.config == config and weights.settings == model.config
        back = nn.ModuleDict(weights.networks)
        assert differing(shipped.state_dict(), back.state_dict()) == []
        batch = self.batch(model)
        with torch.no_grad():
            pictures = [family.sample(networks, batch) for networks in (shipped, back)]
        assert differing(*pictures) == []

    def test_two_and_two_steps_equal_four(self, family, photos, tmp_path):
        Trainer(command(family, photos, tmp_path / "whole")).run()
        stop_after(Trainer(command(family, photos, tmp_path / "halves")), 2)
        torch.manual_seed(99)
        Trainer(command(family, photos, tmp_path / "halves")).run()
        assert_equal_runs(tmp_path / "whole", tmp_path / "halves")
        # The average of a run without --ema off ships; here it is looked at from outside.
        weights = load_weights(tmp_path / "whole" / "weights")
        averages = state_of(tmp_path / "whole")["learner"]["ema"]
        for key, value in nn.ModuleDict(weights.networks).state_dict().items():
            assert torch.allclose(value, averages[key], atol=1e-3, rtol=1e-3), key

    @pytest.mark.parametrize("format", ["onnx", "torchscript"])
    def test_every_network_that_ships_is_exported(self, family, format, tmp_path):
        model = self.build(family)
        shipped = {name: model.networks[name] for name in family.ships}
        config = WeightsConfig(1, family.family, "disc", "square", 32, to_json(model.config))
        save_weights(tmp_path / "weights", config, shipped)
        # The export itself compares what the files compute with the networks, at three sizes.
        files = export(load_weights(tmp_path / "weights"), format, tmp_path / "made")
        assert len(files) == len(family.ships) == len(list((tmp_path / "made").iterdir()))

    def test_what_its_model_card_on_the_hub_says_works(self, family, photos, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)
        Image.new("RGB", (40, 32), "teal").save("photo.jpg")
        with HubServer() as server:
            log_in(server, tmp_path, monkeypatch)
            config = command(family, photos, tmp_path / "run")
            pushed = replace(config.hub, push_to_hub="tester/made")
            Trainer(replace(config, hub=pushed)).run()
            self.follow(family, server.files("tester/made")["README.md"].decode())

    def follow(self, family, card):
        (python,) = re.findall(r"```python\n(.*?)```", card, re.DOTALL)
        found: dict[str, Any] = {}
        exec(python, found)
        if family.generator or family.encoder:
            assert len(found["pictures"]) == 16
        (shell,) = re.findall(r"```bash\n(.*?)```", card, re.DOTALL)
        for line in shell.splitlines()[:-1]:
            module, *words = line.removeprefix("python -m ").split()
            assert (module, main(words)) == ("cyclegan", 0), line
        if family.translators:
            with Image.open("translated.png") as translated:
                assert translated.size == (40, 32)
            assert Path("made/photo.jpg").is_file()

    def test_what_translates_keeps_the_pixels_and_what_does_not_says_so(self, family, tmp_path):
        model = self.build(family)
        shipped = {name: model.networks[name] for name in family.ships}
        config = WeightsConfig(1, family.family, "disc", "square", 32, to_json(model.config))
        save_weights(tmp_path, config, shipped)
        photo = Image.new("RGB", (83, 47), "teal")
        if not family.translators:
            with pytest.raises((UserError, ValueError), match="translate"):
                Translator.load(tmp_path, "cpu").translate(photo)
            return
        translator = Translator.load(tmp_path, "cpu")
        assert set(translator.directions) == set(family.translators)
        for direction in ("a2b", "b2a"):
            if direction in family.translators:
                assert translator.translate(photo, direction).size == photo.size
            else:
                with pytest.raises((UserError, ValueError), match="a2b"):
                    translator.translate(photo, direction)
