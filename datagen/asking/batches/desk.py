"""A teacher who is asked in paid batches: its seat, where it is, and the terms of the spec."""

from __future__ import annotations

from dataclasses import dataclass

from datagen.asking.ask import Seat
from datagen.asking.teachers.base import Batches
from datagen.spec.terms import Batch


@dataclass(frozen=True)
class Desk:
    """What a round needs to know of one teacher."""

    seat: Seat
    """Its price is that of batches already."""
    provider: str
    label: str
    model: str
    """As they stand in its requests."""
    terms: Batch
    patience: float = 900.0
    """Seconds that the batch API may be out of service."""
    simulated: bool = False

    @property
    def name(self) -> str:
        return self.seat.name

    @property
    def account(self) -> tuple[str, str]:
        """Teachers who share this share the provider's list of jobs."""
        return self.provider, self.label

    def batches(self) -> Batches:
        """Raises SetupError where the provider has no batch API."""
        return self.seat.teacher.batches()

    @property
    def serves(self) -> tuple[str, str, str]:
        """Whose jobs are this desk's, whatever the teacher was called then: the same model at the same address, so at the same price."""
        return self.provider, self.label, self.model
