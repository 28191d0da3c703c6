"""Table `[train]`: steps, phases, schedules, optimizer."""

from __future__ import annotations

from typing import Literal

from pydantic import (
    Field,
    NonNegativeFloat,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
    field_validator,
    model_validator,
)

from aerepr.spec.base import Table

Part = Literal["encoder", "posterior", "prior", "decoder", "likelihood", "objective", "regularizers"]


class OptimizerSpec(Table):
    """Table `[train.optimizer]`, and the `optimizer` of a regularizer with an adversary."""

    name: Literal["adam", "adamw", "sgd"] = Field("adam", description="the optimizer, as PyTorch has it")
    lr: PositiveFloat = Field(5e-4, description="learning rate", json_schema_extra={"schedulable": True})
    betas: tuple[NonNegativeFloat, NonNegativeFloat] = Field(
        (0.9, 0.999), description="Adam's decay rates; the first is SGD's momentum"
    )
    eps: PositiveFloat = Field(1e-8, description="added to the root of the second moment")
    weight_decay: NonNegativeFloat = Field(0.0, description="pull of the weights towards zero")
    amsgrad: bool = Field(False, description="keep the largest second moment seen")


class ScheduleSpec(Table):
    """One `[[train.schedules]]` item: a value that follows the step number."""

    target: str = Field(description='dotted path of the field, such as "model.regularizers.kl.weight"')
    kind: Literal["constant", "linear", "cosine", "cyclic", "exponential"] = Field("linear", description="its course")
    from_: float = Field(alias="from", description="value at `start` and before")
    to: float | None = Field(
        None, description="value at `end` and after (linear, cosine); the peak of a cycle (cyclic)"
    )
    start: NonNegativeInt = Field(0, description="step at which the value begins to move")
    end: PositiveInt | None = Field(None, description="step at which it stops; the last step when left out")
    period: PositiveInt | None = Field(None, description="steps of one cycle (cyclic): half up, half down")
    rate: PositiveFloat | None = Field(None, description="exponential: value = from * exp(-rate * (step - start))")
    floor: float | None = Field(None, description="exponential: the value never falls below this")
    every: PositiveInt = Field(1, description="steps between two changes of the value")

    @model_validator(mode="after")
    def _has_what_its_kind_needs(self) -> ScheduleSpec:
        needs = {"linear": ("to",), "cosine": ("to",), "cyclic": ("to", "period"), "exponential": ("rate",)}
        missing = [key for key in needs.get(self.kind, ()) if getattr(self, key) is None]
        if missing:
            raise ValueError(f"a {self.kind} schedule needs {' and '.join(missing)}")
        if self.end is not None and self.end <= self.start:
            raise ValueError(f"end must be after start, got start = {self.start} and end = {self.end}")
        return self


class PhaseSpec(Table):
    """One `[[train.phases]]` item: how long, which parts learn, on which rows."""

    id: str | None = Field(
        None,
        pattern=r"^[A-Za-z][A-Za-z0-9_-]*$",
        description="how --set addresses this phase; else by position, from 0",
    )
    steps: PositiveInt = Field(description="updates of this phase")
    learn: list[Part] | None = Field(
        None, description="parts that learn; all when left out", json_schema_extra={"minItems": 1}
    )
    subset: dict[str, list[NonNegativeInt]] | None = Field(
        None, description="replaces data.subset for this phase's training rows"
    )

    @field_validator("learn")
    @classmethod
    def _something_learns(cls, learn: list[Part] | None) -> list[Part] | None:
        if learn == []:
            raise ValueError("a phase in which nothing learns: name parts, or leave `learn` out for all of them")
        return learn


class TrainSpec(Table):
    """Table `[train]`."""

    steps: PositiveInt | None = Field(None, description="optimizer updates; with phases: absent, or their sum")
    batch_size: PositiveInt = Field(128, description="examples in a batch, over all processes")
    device: str = Field("auto", description="auto (cuda, mps, cpu), or a torch device such as cuda:1")
    precision: Literal["auto", "fp32", "tf32", "bf16"] = Field(
        "auto",
        description="auto: tf32 on CUDA devices that have it and pass a check against fp32, else fp32; see env.json",
    )
    compile: Literal["auto", "on", "off"] = Field("auto", description="torch.compile of encoder and decoder; auto: off")
    clip_norm: NonNegativeFloat = Field(0.0, description="largest norm of the gradient; 0: no clipping")
    accumulate: PositiveInt = Field(1, description="micro-batches per update; batch_size is the size of each")
    ema: float = Field(
        0.0, ge=0, lt=1, description="decay of the averaged weights that are validated and exported; 0: none"
    )
    log_every: PositiveInt = Field(50, description="steps between two records of the training losses")
    validate_every: PositiveInt = Field(1000, description="steps between two validations")
    checkpoint_every: PositiveInt = Field(500, description="steps between two checkpoints")
    optimizer: OptimizerSpec = Field(OptimizerSpec(), description="of everything but adversaries")
    schedules: list[ScheduleSpec] = Field([], description="values that follow the step number")
    phases: list[PhaseSpec] = Field([], description="instead of steps: one after the other")

    @model_validator(mode="after")
    def _steps_are_known(self) -> TrainSpec:
        total = sum(phase.steps for phase in self.phases)
        if self.phases and self.steps is not None and self.steps != total:
            raise ValueError(f"steps = {self.steps} but the phases sum to {total}: leave steps out, or make them agree")
        if not self.phases and self.steps is None:
            raise ValueError("give steps, or phases with steps of their own")
        targets = [schedule.target for schedule in self.schedules]
        twice = sorted({target for target in targets if targets.count(target) > 1})
        if twice:
            raise ValueError(f"two schedules drive {twice[0]}: keep one")
        ids = [phase.id for phase in self.phases if phase.id is not None]
        if len(set(ids)) < len(ids):
            raise ValueError(f"two phases have one id, of {', '.join(ids)}: give each another")
        return self

    @property
    def total_steps(self) -> int:
        """Updates in all, whether given as steps or as phases."""
        return sum(phase.steps for phase in self.phases) if self.phases else int(self.steps or 0)
