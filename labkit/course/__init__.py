"""What makes a notebook a lab: panel, prediction, exercise, claim, figures, set-up."""

from labkit.course import claims, figures
from labkit.course.extras import extra
from labkit.course.panel import Panel, choice, slider, toggle
from labkit.course.predictions import predict
from labkit.course.quiz import Exercise, check
from labkit.course.setup import ready
from labkit.progress import progress

__all__ = ["Exercise", "Panel", "check", "choice", "claims", "extra", "figures", "predict", "progress",
           "ready", "slider", "toggle"]
