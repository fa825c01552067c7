"""Pending changes, and how they follow when the value below them moves."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import Enum
from typing import Any, TypeAlias

from ..errors import Conflict, Invalid
from ..types.base import Composed, TopicType
from ..values import same

Kind: TypeAlias = TopicType[Any, Any]

Fallen: TypeAlias = list[tuple[int, str]]
"""Batches of which a waiting change could not be carried, and why."""


class Footing(Enum):
    """What a change is meant on."""

    SEEN = "seen"
    """On what the author had seen. Others' changes carry it along, or reject it."""
    ANYTHING = "anything"
    """On whatever is there: it simply wins."""


@dataclass(slots=True, eq=False)
class Pending:
    """One change that is not confirmed."""

    batch: int
    footing: Footing
    made: Any
    """As it was made. What stands on anything is sent as this."""
    form: Any
    """As it stands in the view, exact; None if it does nothing there."""
    id: str | None = None
    """Given when it is sent: what has one is in flight."""
    hidden: bool = False
    """In flight and kept out of the view until it is answered."""

    def to_send(self) -> Any:
        """The change to send; None if nothing is left to do."""
        return self.form if self.footing is Footing.SEEN else self.made


def carry_one(kind: Kind, change: Any, accepted: Any) -> tuple[Any, Any]:
    """Carry two changes past each other, each of which may be None. Raises `Conflict`."""
    if change is None or accepted is None:
        return change, accepted
    rebased = kind.rebase(change, accepted)
    return rebased.incoming, rebased.accepted


def composed(kind: Kind, steps: Iterable[Any]) -> list[Any]:
    """Steps composed into as few as can be."""
    run: list[Any] = []
    for step in steps:
        one = kind.compose(run[-1], step) if run else Composed.SEPARATE
        if one is Composed.SEPARATE:
            run.append(step)
        elif one is Composed.NOTHING:
            run.pop()
        else:
            run[-1] = one
    return run


class Walk:
    """A walk along a run of pending changes whose ground moves from `old` to `new`.

    ```text
      old · bridge = new        holds before each step and after it
    ```

    At the end `new` is the view, and `bridge` is what the view was changed by.
    """

    def __init__(self, kind: Kind, old: Any, new: Any, bridge: list[Any]) -> None:
        self.kind = kind
        self.old = old
        self.new = new
        self.bridge = bridge

    def run(self, run: list[Pending], leaves: Callable[[Pending], bool]) -> Fallen:
        """Walk the whole run.

        What `leaves` says goes out of it; so does a waiting change that cannot be carried, which is
        reported. One in flight that cannot is hidden: the server will say so too.
        """
        fallen: Fallen = []
        stay = []
        for pending in run:
            if leaves(pending):
                self._leave(pending)
                continue
            try:
                self._follow(pending)
                stay.append(pending)
            except Conflict as conflict:
                self._leave(pending)
                pending.form, pending.hidden = None, True
                if pending.id is None:
                    fallen.append((pending.batch, str(conflict)))
                else:
                    stay.append(pending)
        run[:] = stay
        return fallen

    def _follow(self, pending: Pending) -> None:
        if pending.form is None and (pending.hidden or pending.footing is Footing.SEEN):
            return
        if pending.footing is Footing.SEEN:
            pending.form = self._carry(pending.form)
        else:
            self._reapply(pending)

    def _carry(self, form: Any) -> Any:
        """Carry a change over the bridge, and the bridge over it."""
        carried, bridge = self._carried(form)
        try:
            new = self._applied(self.new, carried)
            old = self._applied(self.old, form)
        except Invalid as invalid:
            raise Conflict(str(invalid)) from None
        # One step leads there by the laws.
        if len(bridge) >= 2 and not self._is_way_from(old, bridge):
            bridge = self._detour(form, carried)
        self.old, self.new, self.bridge = old, new, bridge
        return carried

    def _carried(self, form: Any) -> tuple[Any, list[Any]]:
        bridge = []
        for step in self.bridge:
            form, step = carry_one(self.kind, form, step)
            if step is not None:
                bridge.append(step)
        return form, bridge

    def _carried_as_first(self, form: Any) -> tuple[Any, list[Any]]:
        """As `_carried`, the bridge being the newcomer.

        What is put at the end of a list goes behind what others put there.
        """
        bridge = []
        for step in self.bridge:
            step, form = carry_one(self.kind, step, form)
            if step is not None:
                bridge.append(step)
        return form, bridge

    def _applied(self, to: Any, change: Any) -> Any:
        return to if change is None else self.kind.apply(to, change)

    def _reapply(self, pending: Pending) -> None:
        """Apply a change that stands on anything to the new ground."""
        try:
            form = self.kind.resolve(pending.made, self.new)
            new = self.kind.apply(self.new, form)
        except Invalid:
            form, new = None, self.new
        was, pending.form = pending.form, form
        try:
            old = self._applied(self.old, was)
        except Invalid:
            old, was = self.old, None
        self.old, self.new, self.bridge = old, new, self._bridge_between(was, form, old, new)

    def _bridge_between(self, was: Any, form: Any, old: Any, new: Any) -> list[Any]:
        """Give the bridge behind a change that was `was` on the old ground, giving `old`.

        On the new ground it is `form`, giving `new`.
        """
        bridge = self._kept_bridge(was, form)
        if bridge is not None and self._is_way_from(old, bridge):
            return bridge
        return [] if same(old, new) else self._detour(was, form)

    def _kept_bridge(self, was: Any, form: Any) -> list[Any] | None:
        if was is None or form is None:
            return None
        for carry in (self._carried, self._carried_as_first):
            try:
                carried, bridge = carry(was)
            except Conflict:
                continue
            if carried is not None and same(carried, form):
                return bridge
        return None

    def _is_way_from(self, value: Any, bridge: list[Any]) -> bool:
        """Tell whether a carried bridge can be walked.

        It cannot where a number would leave its range on the way, or was kept at the edge.
        """
        try:
            for step in bridge:
                value = self.kind.apply(value, step)
        except Invalid:
            return False
        return True

    def _detour(self, was: Any, form: Any) -> list[Any]:
        """Give the bridge behind a change by way of the ground below it.

        It takes back what was on the old one, and makes what is on the new one.
        """
        back = None if was is None else self.kind.invert(was, self.old)
        steps = [back, *self.bridge, form]
        return composed(self.kind, (step for step in steps if step is not None))

    def _leave(self, pending: Pending) -> None:
        """Go past a change that is not on the new ground by itself any more.

        It was taken back, or the bridge has it.
        """
        form = pending.form
        if form is None:
            return
        before = self.old
        try:
            self.old = self.kind.apply(before, form)
        except Invalid:
            return
        if self._is_predicted(form, before) or same(self.old, self.new):
            self.bridge = []
            return
        back = self.kind.invert(form, before)
        if back is not None:
            self.bridge = composed(self.kind, [back, *self.bridge])

    def _is_predicted(self, form: Any, before: Any) -> bool:
        if len(self.bridge) != 1:
            return False
        try:
            return same(self.bridge[0], self.kind.resolve(form, before))
        except Invalid:
            return False


def carry_all(kind: Kind, run: list[Pending], published: Any) -> tuple[list[Any], Any] | None:
    """Carry a run over one published change without looking at values.

    Gives the run's forms, and the change as it changes the view. None if that cannot be: then a
    `Walk` is needed.
    """
    accepted = published
    forms = []
    for pending in run:
        try:
            form, accepted = carry_one(kind, pending.form, accepted)
        except Conflict:
            return None
        if pending.footing is Footing.ANYTHING and not pending.hidden:
            if form is None or not same(form, pending.made):
                return None
        forms.append(form)
    return forms, accepted
