"""An interpreter's teacher: what another interpreter makes of the same pictures and prompts.

Distributions are learned, not answers: of places, presence, words and the text's tokens (Hinton et al., arXiv
1503.02531). The plan's hidden states are matched through a linear map, which is dropped afterwards (FitNets,
Romero et al., arXiv 1412.6550, section 2.1): a student's are narrower. Both have one tokenizer.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn

from ideomotor.train.parallel import global_count
from ideomotor.train.scenes.objective import SceneBatch, SceneObjective, SceneWeights
from ideomotor.vla.interpreter.interpreter import Interpreter
from ideomotor.vla.interpreter.output import InterpreterOutput

PLAN = 0.5  # weight of the plan's hidden states; the others weigh as they do in the data's loss


class TaughtSceneObjective(nn.Module):
    """The data's losses and a teacher's behind one forward call.

    Args:
        scene: the student's, of the data.
        teacher: with the same tokenizer, cameras and names.
        weight: share of the teacher's loss, in [0, 1]; the rest is the data's.
    """

    def __init__(self, scene: SceneObjective, teacher: Interpreter, weight: float):
        super().__init__()
        self.scene, self.weight = scene, weight
        self.teacher = SceneTeacher(teacher, scene.interpreter.hidden_dim)

    def forward(self, batch: SceneBatch) -> dict[str, torch.Tensor]:
        """`loss`, the data's parts, and the teacher's, called `taught_…`."""
        reading = self.scene.interpreter(batch.pixels, batch.prompts)
        parts = self.scene.losses(batch, reading)
        taught = self.teacher.losses(batch, reading, self.scene.weights)
        loss = (1 - self.weight) * parts.pop("loss") + self.weight * taught.pop("taught")
        return {"loss": loss, **parts, **taught}


class SceneTeacher(nn.Module):
    """A frozen interpreter, and the map that a student's plan is compared through, which learns.

    Args:
        interpreter: the teacher's; does not learn.
        student_dim: width of the student's hidden states.
    """

    def __init__(self, interpreter: Interpreter, student_dim: int):
        super().__init__()
        self.interpreter = interpreter.requires_grad_(False).eval()
        self.plan_map = nn.Linear(student_dim, interpreter.hidden_dim)

    def train(self, mode: bool = True) -> SceneTeacher:
        """As every module's; a teacher always only evaluates."""
        super().train(mode)
        self.interpreter.eval()
        return self

    def losses(
        self, batch: SceneBatch, reading: InterpreterOutput, weights: SceneWeights
    ) -> dict[str, torch.Tensor]:
        """The teacher's parts of the loss, each called `taught_…`, and `taught`, their weighted sum."""
        with torch.no_grad():
            taught = self.interpreter(batch.pixels, batch.prompts)
        size, known = self.interpreter.config.image_size, batch.known.unsqueeze(-1)
        own, pointing = reading.pointing, taught.pointing
        presence = pointing.presence.float().sigmoid()
        there = presence * known
        count = global_count(there.sum())
        heat = _cross_entropy(own.logits, pointing.logits)
        near = F.smooth_l1_loss(own.points * size, pointing.points * size, reduction="none").sum(-1)
        right = F.binary_cross_entropy_with_logits(own.presence.float(), presence, reduction="none")
        words = F.binary_cross_entropy_with_logits(
            reading.words.float(), taught.words.float().sigmoid(), reduction="none"
        ).sum(-1)
        hidden = F.layer_norm(taught.hidden.float(), taught.hidden.shape[-1:])
        plan = (self.plan_map(reading.hidden).float() - hidden).square().mean((-1, -2))
        asked = batch.is_instruction
        parts = {
            "heat": (heat * there).sum() / count,
            "pixel": (near.clamp_max(20.0) * there).sum() / count,
            "presence": (right * known).sum() / global_count(known.expand_as(right).sum()),
            "words": (words * asked).sum() / global_count(asked.sum()),
            "text": heat.sum() * 0.0,
        }
        if reading.logits is not None and taught.logits is not None:
            spelled = _cross_entropy(reading.logits, taught.logits)
            parts["text"] = spelled.sum() / global_count(torch.ones_like(spelled).sum())
        plan = (plan * asked).sum() / global_count(asked.sum())
        total = sum((getattr(weights, name) * part for name, part in parts.items()), PLAN * plan)
        named = {f"taught_{name}": part.detach() for name, part in (parts | {"plan": plan}).items()}
        return {"taught": torch.as_tensor(total), **named}


def _cross_entropy(student: torch.Tensor, teacher: torch.Tensor) -> torch.Tensor:
    """Of the teacher's distribution over the last axis and the student's, in nats."""
    return -(teacher.float().softmax(-1) * student.float().log_softmax(-1)).sum(-1)
