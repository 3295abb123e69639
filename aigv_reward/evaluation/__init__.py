"""How well scores agree with what is known about videos."""

from aigv_reward.evaluation.severity import SeverityResult, severity_agreement

__all__ = ["SeverityResult", "severity_agreement"]
