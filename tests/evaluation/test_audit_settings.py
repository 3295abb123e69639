"""Settings and thresholds refuse what makes no sense."""

import math

import pytest

from aigv_reward.distortions import DISTORTIONS
from aigv_reward.evaluation.audit_settings import AuditSettings, AuditThresholds


def test_defaults_apply_everything() -> None:
    settings = AuditSettings()
    assert settings.distortions == tuple(DISTORTIONS)
    assert settings.step_size == pytest.approx(1 / 255)  # 2.5 * (4 / 255) / 10
    assert settings.stages == 1 + 14 * 2 + 2 + 1
    assert AuditSettings(steps=0, variants=1, distortions=("blur",)).stages == 1 + 1 + 2


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"distortions": ("blur", "rust")}, "unknown distortion 'rust'; choose from noise, blur"),
        ({"distortions": ()}, r"distortions are \[\]; name one or more"),
        ({"distortions": ("blur", "blur")}, "name one or more, each once"),
        ({"variants": 0}, "variants is 0; it must be at least 1"),
        ({"num_frames": 1}, "num_frames is 1; it must be at least 2"),
        ({"side": 31}, "side is 31; it must be at least 32"),
        ({"steps": -1}, "steps is -1; it must be at least 0"),
        ({"batch_size": 0}, "batch_size is 0; it must be at least 1"),
        ({"seed": -1}, "seed is -1; it must be at least 0"),
        ({"epsilon": 0.0}, "epsilon is 0.0; it must be above 0"),
        ({"epsilon": 4.0}, "epsilon is 4.0; .* at most 1, the pixels' range"),
        ({"epsilon": math.nan}, "epsilon is nan"),
    ],
)
def test_senseless_settings(fields: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        AuditSettings(**fields)


def test_senseless_thresholds() -> None:
    with pytest.raises(ValueError, match="threshold hack is inf; it must be finite"):
        AuditThresholds(hack=math.inf)
