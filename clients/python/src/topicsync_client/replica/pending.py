"""Pending changes, and how they are rebased when the value below them changes."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from enum import Enum
from typing import Any, TypeAlias

from ..errors import Conflict, Invalid
from ..types.base import Composed, TopicType
from ..values import same
from .orders import Order

Kind: TypeAlias = TopicType[Any, Any]

DroppedOrders: TypeAlias = list[tuple[Order, str]]
"""Actions of which a waiting change conflicts, and why."""


class Base(Enum):
    """The value that a change is meant for (R4)."""

    SEEN = "seen"
    """What its author saw: others' changes carry it along, or reject it. It is sent with a base."""
    LATEST = "latest"
    """Whatever is there when it is accepted: it simply wins. It is sent without a base."""


PART_CHANGES = 64
"""How many changes are composed one by one, before the next ones are composed by themselves."""


class Pending:
    """One change that is not confirmed."""

    __slots__ = ("_parts", "base", "hidden", "id", "kind", "made", "order")

    def __init__(self, kind: Kind, order: Order, base: Base, made: Any, form: Any) -> None:
        self.kind = kind
        self.order = order
        """The action that it is of."""
        self.base = base
        self.made = made
        """As it was made. With `Base.LATEST` it is sent as this."""
        self.id: str | None = None
        """Given when it is sent: a change that has one is in flight."""
        self.hidden = False
        """In flight, and kept out of the view until it is answered."""
        # What `form` is composed of, in order, each with how many changes it was.
        self._parts: list[tuple[Any, int]] = []
        self.form = form

    @property
    def form(self) -> Any:
        """As it stands in the view, exact; None if it does nothing there."""
        while len(self._parts) > 1:
            # The last ones are the smallest.
            self._compose_last_two()
        return self._parts[0][0] if self._parts else None

    @form.setter
    def form(self, form: Any) -> None:
        self._parts = [] if form is None else [(form, 1)]

    @property
    def last_part(self) -> Any:
        """The last of the changes that `form` is composed of; None if it does nothing."""
        return self._parts[-1][0] if self._parts else None

    def extend(self, change: Any) -> bool:
        """Compose with a change made on top, for a type that composes any two.

        To compose it with all that was typed since the line was lost would cost more with each key.
        So it is composed with the last part, as long as that holds few changes, and parts of equal
        size with each other (R46). Gives whether anything is left to do, as far as that shows.
        """
        count = self._parts[-1][1]
        self._parts.append((change, 1))
        if count < PART_CHANGES:
            self._compose_last_two()
        while len(self._parts) > 1 and self._parts[-1][1] >= PART_CHANGES:
            if self._parts[-1][1] != self._parts[-2][1]:
                break
            self._compose_last_two()
        return bool(self._parts)

    def _compose_last_two(self) -> None:
        (second, count), (first, before) = self._parts.pop(), self._parts.pop()
        one = self.kind.compose(first, second)
        if one is Composed.SEPARATE:
            raise TypeError(
                f"type {self.kind.name!r} says that it composes any two changes: it did not"
            )
        if one is not Composed.NOTHING:
            self._parts.append((one, before + count))

    def to_send(self) -> Any:
        """The change to send; None if nothing is left to do."""
        return self.form if self.base is Base.SEEN else self.made


def rebase_one(kind: Kind, change: Any, accepted: Any) -> tuple[Any, Any]:
    """Rebase two changes over each other, each of which may be None. Raises `Conflict`."""
    if change is None or accepted is None:
        return change, accepted
    rebased = kind.rebase(change, accepted)
    return rebased.incoming, rebased.accepted


def composed(kind: Kind, changes: Iterable[Any]) -> list[Any]:
    """Changes composed into as few as can be."""
    run: list[Any] = []
    for change in changes:
        one = kind.compose(run[-1], change) if run else Composed.SEPARATE
        if one is Composed.SEPARATE:
            run.append(change)
        elif one is Composed.NOTHING:
            run.pop()
        else:
            run[-1] = one
    return run


def composed_in_pairs(kind: Kind, changes: list[Any]) -> list[Any]:
    """As `composed`, in pairs: n changes cost n log n, and not n squared."""
    if len(changes) < 2:
        return changes
    half = len(changes) // 2
    left = composed_in_pairs(kind, changes[:half])
    return composed(kind, left + composed_in_pairs(kind, changes[half:]))


class BaseChange:
    """Rebases pending changes, one after the other, when the value below changes (R21).

    ```text
      old · transition = new        holds before each pending change and behind it
    ```

    Behind the last one `new` is the view, and `transition` is what changed the view.
    """

    def __init__(self, kind: Kind, old: Any, new: Any, transition: list[Any]) -> None:
        self.kind = kind
        self.old = old
        self.new = new
        self.transition = transition

    def rebase_all(self, run: list[Pending], leaves: Callable[[Pending], bool]) -> DroppedOrders:
        """Rebase all of `run`, and take out of it what `leaves` says.

        A waiting change that conflicts is dropped and reported; one in flight is hidden instead, as
        the server will reject it too.
        """
        dropped: DroppedOrders = []
        stay = []
        for pending in run:
            if leaves(pending):
                self._leave(pending)
                continue
            try:
                self._rebase_pending(pending)
                stay.append(pending)
            except Conflict as conflict:
                self._leave(pending)
                pending.form, pending.hidden = None, True
                if pending.id is None:
                    dropped.append((pending.order, str(conflict)))
                else:
                    stay.append(pending)
        run[:] = stay
        return dropped

    def _rebase_pending(self, pending: Pending) -> None:
        if pending.form is None and (pending.hidden or pending.base is Base.SEEN):
            return
        if pending.base is Base.SEEN:
            pending.form = self._rebase(pending.form)
        else:
            self._make_again(pending)

    def _rebase(self, form: Any) -> Any:
        """Rebase a change over the transition, and the transition over it."""
        rebased, transition = self._rebased(form)
        try:
            new = self._applied(self.new, rebased)
            old = self._applied(self.old, form)
        except Invalid as invalid:
            raise Conflict(str(invalid)) from None
        # A transition of one change applies, by the laws of types.
        if len(transition) >= 2 and not self._leads_on(old, transition):
            transition = self._around(form, rebased)
        self.old, self.new, self.transition = old, new, transition
        return rebased

    def _rebased(self, form: Any) -> tuple[Any, list[Any]]:
        transition = []
        for step in self.transition:
            form, step = rebase_one(self.kind, form, step)
            if step is not None:
                transition.append(step)
        return form, transition

    def _rebased_as_first(self, form: Any) -> tuple[Any, list[Any]]:
        """As `_rebased`, the transition being the newcomer.

        What is put at the end of a list goes behind what others put there.
        """
        transition = []
        for step in self.transition:
            step, form = rebase_one(self.kind, step, form)
            if step is not None:
                transition.append(step)
        return form, transition

    def _applied(self, to: Any, change: Any) -> Any:
        return to if change is None else self.kind.apply(to, change)

    def _make_again(self, pending: Pending) -> None:
        """Make an overwriting change once more, on the new value."""
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
        transition = self._transition_behind(was, form, old, new)
        self.old, self.new, self.transition = old, new, transition

    def _transition_behind(self, was: Any, form: Any, old: Any, new: Any) -> list[Any]:
        """Give the transition behind a change that was `was` on the old value, giving `old`.

        On the new value it is `form`, giving `new`.
        """
        transition = self._kept_transition(was, form)
        if transition is not None and self._leads_on(old, transition):
            return transition
        return [] if same(old, new) else self._around(was, form)

    def _kept_transition(self, was: Any, form: Any) -> list[Any] | None:
        if was is None or form is None:
            return None
        for rebase in (self._rebased, self._rebased_as_first):
            try:
                rebased, transition = rebase(was)
            except Conflict:
                continue
            if rebased is not None and same(rebased, form):
                return transition
        return None

    def _leads_on(self, value: Any, transition: list[Any]) -> bool:
        """Tell whether a rebased transition applies to `value`.

        It does not where a number would leave its range on the way, or was kept at the edge.
        """
        try:
            for step in transition:
                value = self.kind.apply(value, step)
        except Invalid:
            return False
        return True

    def _around(self, was: Any, form: Any) -> list[Any]:
        """Give the transition behind a change by way of the value before it.

        It takes back what the change was on the old value, and makes what it is on the new one.
        """
        back = None if was is None else self.kind.invert(was, self.old)
        steps = [back, *self.transition, form]
        return composed(self.kind, (step for step in steps if step is not None))

    def _leave(self, pending: Pending) -> None:
        """Go past a change that is not made on the new value any more.

        It was taken back, or the transition has it.
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
            self.transition = []
            return
        back = self.kind.invert(form, before)
        if back is not None:
            self.transition = composed(self.kind, [back, *self.transition])

    def _is_predicted(self, form: Any, before: Any) -> bool:
        if len(self.transition) != 1:
            return False
        try:
            return same(self.transition[0], self.kind.resolve(form, before))
        except Invalid:
            return False


def rebase_run(kind: Kind, run: list[Pending], published: Any) -> tuple[list[Any], Any] | None:
    """Rebase a run over one published change without looking at values.

    Gives the run's forms, and the change as it changes the view. None if that cannot be: then a
    `BaseChange` is needed.
    """
    accepted = published
    forms = []
    for pending in run:
        try:
            form, accepted = rebase_one(kind, pending.form, accepted)
        except Conflict:
            return None
        if pending.base is Base.LATEST and not pending.hidden:
            if form is None or not same(form, pending.made):
                return None
        forms.append(form)
    return forms, accepted
