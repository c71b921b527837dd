"""What probes tell, against pictures with known answers."""

import pytest
import torch

from cyclegan.watching import Watch, measure

LABELS = {"a": "apple", "b": "orange"}


def probes(count: int = 3) -> torch.Tensor:
    return torch.rand(count, 3, 8, 8) * 2 - 1


def test_measures_of_known_pictures():
    real = probes()
    found = measure(
        {"real_a": real, "fake_b": -real, "recovered_a": real + 0.2, "real_b": real,
         "fake_a": real, "recovered_b": real},
        ("a2b", "b2a"),
    )  # fmt: skip
    assert found["cycle_error"] == {"a": pytest.approx([0.1] * 3), "b": [0.0] * 3}
    assert found["luminance_correlation"] == pytest.approx({"a2b": -1.0, "b2a": 1.0}, abs=1e-4)
    assert found["diversity"] == {"a2b": 1.0, "b2a": 1.0}
    assert found["change"] == {"a2b": pytest.approx(real.abs().mean().item(), abs=1e-4), "b2a": 0.0}
    same = measure({"real_a": real, "fake_b": real[:1].expand(3, -1, -1, -1)}, ("a2b",))
    assert same["diversity"] == {"a2b": 0.0}
    one = measure({"real_a": real[:1], "fake_b": real[:1]}, ("a2b",))
    assert "diversity" not in one, "one picture differs from no other"


def test_pictures_of_other_channels_are_measured_too():
    found = measure({"real_a": probes(), "fake_b": torch.zeros(3, 1, 8, 8)}, ("a2b",))
    assert found["luminance_correlation"] == {"a2b": 0.0}


def test_an_alarm_needs_two_samples_in_a_row_and_ends():
    watch = Watch(LABELS)
    low, high = ({"luminance_correlation": {"a2b": value}} for value in (-0.9, 0.9))
    assert watch.update(low, 0) == []
    assert watch.update(high, 10) == []
    assert watch.update(low, 20) == []
    (line,) = watch.update(low, 30)
    assert (line["alarm"], line["direction"], line["active"]) == ("inversion", "a2b", True)
    assert line["message"].startswith("apple → orange comes out with light and dark exchanged")
    assert [(alarm["kind"], alarm["since"]) for alarm in watch.alarms] == [("inversion", 30)]
    assert watch.update(low, 40) == []
    again = Watch(LABELS)
    again.load_state(watch.state())
    (line,) = again.update(high, 50)
    assert (line["alarm"], line["active"]) == ("inversion", False)
    assert again.alarms == []


@pytest.mark.parametrize(
    ("measures", "kind"),
    [
        ({"diversity": {"b2a": 0.01}}, "collapse"),
        ({"change": {"b2a": 0.001}}, "identity"),
    ],
)
def test_collapse_and_identity_are_told_apart(measures, kind):
    watch = Watch(LABELS)
    watch.update(measures, 1)
    (line,) = watch.update(measures, 2)
    assert (line["alarm"], line["direction"]) == (kind, "b2a")
    assert line["message"].startswith("orange → apple")
