"""A teacher who comes when first asked: an SDK takes half a second to load, and a build that replays its ledger needs none."""

from __future__ import annotations

from datagen.asking.teachers import TEACHERS
from datagen.asking.teachers.base import Batches, Endpoint, HeaderLimits, Teacher
from datagen.records import Request, Response


class LateTeacher:
    """Stands for the adapter of an endpoint's provider."""

    def __init__(self, endpoint: Endpoint) -> None:
        self._endpoint = endpoint
        self._teacher: Teacher | None = None

    async def answer(self, request: Request) -> Response:
        return await self._come().answer(request)

    def limits(self) -> HeaderLimits:
        return self._teacher.limits() if self._teacher is not None else HeaderLimits()

    def batches(self) -> Batches:
        return self._come().batches()

    async def close(self) -> None:
        if self._teacher is not None:
            await self._teacher.close()

    def _come(self) -> Teacher:
        if self._teacher is None:
            adapter: Teacher = TEACHERS.get(self._endpoint.provider)(self._endpoint)
            self._teacher = adapter
        return self._teacher
