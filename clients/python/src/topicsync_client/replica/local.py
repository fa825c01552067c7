"""What the program does to a replica: subscribe, change, be present."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ..changes import Origin
from ..errors import ClientClosed, Invalid
from ..types.base import TopicType
from ..values import Fields, checked, checked_fields, same
from .events import Changed
from .orders import Order
from .pending import Base, Pending
from .queue import Queue
from .state import LocalAction
from .topic import Link, TopicReplica

_DEFAULTS = {"history": True, "presence": False, "delivery": "every"}
_OPTIONS = {*_DEFAULTS, "keep", "durability"}


@dataclass(slots=True, frozen=True)
class LocalChange:
    """One change of a local action.

    It goes with a base, unless it names "the end" or is `overwriting`: then it simply wins (R4).
    """

    topic_name: str
    fields: Fields
    overwriting: bool = False


@dataclass(slots=True, eq=False)
class _Planned:
    topic_name: str
    made: Any
    form: Any
    base: Base
    view: Any


class Local(Queue):
    """The floor that takes what the program does."""

    def subscribe(
        self, topic_name: str, kind: TopicType[Any, Any], options: Fields | None = None
    ) -> bool:
        """Subscribe to a topic, and have it made if there is none.

        A topic that is subscribed stays so, with the type that it has; the answer tells whether
        that is `kind`. Until its value comes it has the initial one, and can be changed already.
        """
        self._dirty.add(topic_name)
        topic = self._topics.get(topic_name)
        if topic is None:
            topic = self._topics[topic_name] = TopicReplica(kind, _given(options or {}))
        topic.closing = False
        return topic.kind.name == kind.name

    def unsubscribe(self, topic_name: str) -> None:
        """End a subscription, once what is pending on the topic is answered (R33)."""
        topic = self._topics.get(topic_name)
        if topic is not None:
            topic.closing = True
            topic.presence = None
            self._dirty.add(topic_name)

    def local(self, changes: Sequence[LocalChange]) -> int:
        """Make changes that take effect together or not at all, each on top of those before it.

        They show at once. The ticket names them in the event that tells their outcome (R25). One
        change alone may be composed, or sent together, with its neighbours in time. Of an action,
        the changes of one topic all go with a base if one of them does.

        Raises `Invalid` if a change does not fit the view, `ClientClosed` if a topic is not
        subscribed or the client was told to close; then none happened (R2).
        """
        if self._closed:
            raise ClientClosed("the client was closed")
        return self._make(changes)

    def _make(self, changes: Sequence[LocalChange]) -> int:
        planned = self._plan(changes)
        self._actions_made += 1
        self._tickets += 1
        order, ticket = self._actions_made, self._tickets
        topics = sorted({it.topic_name for it in planned})
        action = LocalAction([ticket], topics, len(planned) > 1, planned[0].base)
        # What it is composed with is looked for among those made before, so it comes in afterwards.
        joined = [self._push(order, action, it) for it in planned]
        if joined[0] is not None:
            self._merge(action, order, joined[0])
        else:
            self._actions[order] = action
            if not self._is_presence(topics):
                self._waiting.add(order)
        return ticket

    def _plan(self, changes: Sequence[LocalChange]) -> list[_Planned]:
        if not changes:
            raise Invalid("an action has at least one change")
        views: dict[str, Any] = {}
        planned = []
        for change in changes:
            topic = self._topics.get(change.topic_name)
            if topic is None:
                raise ClientClosed(f"topic {change.topic_name!r} is not subscribed")
            view = views.get(change.topic_name, topic.view)
            made, form, view = plan_one(topic.kind, change.fields, view)
            views[change.topic_name] = view
            seen = not change.overwriting and topic.kind.takes_base(made)
            base = Base.SEEN if seen else Base.LATEST
            planned.append(_Planned(change.topic_name, made, form, base, view))
        if len(planned) > 1:
            _give_one_base(planned)
        return planned

    def _push(self, order: Order, action: LocalAction, planned: _Planned) -> Order | None:
        """Put a planned change behind what is pending on its topic.

        Gives the earlier action that it was composed into, if it was.
        """
        topic = self._topics[planned.topic_name]
        pending = Pending(topic.kind, order, planned.base, planned.made, planned.form)
        before = topic.view
        joined = topic.push(pending, planned.view, lambda earlier: self._may_join(action, earlier))
        self._dirty.add(planned.topic_name)
        self._events.append(
            Changed(
                planned.topic_name,
                topic.kind,
                before,
                planned.view,
                [planned.form],
                Origin.LOCAL,
            )
        )
        return joined

    def _merge(self, action: LocalAction, order: Order, into: Order) -> None:
        """Make one action of two singles that were composed: they share their outcome (R8)."""
        self._actions[into].tickets += action.tickets
        (topic_name,) = action.topics
        if not self._topics[topic_name].of_action(into):
            # It took itself back.
            self._confirm_unsent(into)
        elif into in self._waiting and self._has_others_behind(into, topic_name):
            self._bound.bind(into, order)

    def set_presence(self, topic_name: str, entry: Any) -> None:
        """Want this client's entry in a presence topic to be `entry`.

        It is put there again whenever the session or the topic begins a new life (R37). The topic
        has to be subscribed. Raises `Invalid` if the entry is no value.
        """
        self._want_presence(topic_name, (checked(entry),))

    def remove_presence(self, topic_name: str) -> None:
        """Want this client to have no entry in a presence topic."""
        self._want_presence(topic_name, None)

    def _want_presence(self, topic_name: str, entry: tuple[Any] | None) -> None:
        topic = self._topics.get(topic_name)
        if topic is not None:
            topic.presence = entry
            self._dirty.add(topic_name)
            self._tend_presence(topic_name)

    def _tend_presence(self, topic_name: str) -> None:
        """Bring this client's entry in a presence topic to what the program wants."""
        topic = self._topics.get(topic_name)
        if self.client_id is None or topic is None:
            return
        if topic.link is not Link.LIVE or not topic.is_presence:
            return
        entries = topic.kind.encode_value(topic.view)
        if not isinstance(entries, dict):
            return
        fields = _tending(str(self.client_id), entries, topic.presence)
        if fields is None:
            return
        try:
            self._make([LocalChange(topic_name, fields, overwriting=True)])
        except Invalid:
            # What does not fit is wrong in itself, so it is not wanted a second time.
            topic.presence = None


def _tending(key: str, entries: dict[str, Any], wanted: tuple[Any] | None) -> Fields | None:
    if wanted is None:
        return {"type": "remove", "key": key} if key in entries else None
    (entry,) = wanted
    if key not in entries:
        return {"type": "add", "key": key, "value": entry}
    if same(entries[key], entry):
        return None
    return {"type": "change_value", "key": key, "value": entry}


def plan_one(kind: TopicType[Any, Any], fields: Fields, view: Any) -> tuple[Any, Any, Any]:
    """Read a change, and apply it to `view`: give it as made, in its exact form, and the view."""
    made = kind.decode_change(checked_fields(fields))
    form = kind.resolve(made, view)
    return made, form, kind.apply(view, form)


def _give_one_base(planned: list[_Planned]) -> None:
    """Of one topic all changes bear a base, or none does (R4).

    An action is as careful as its most careful change. In its exact form every change takes a base.
    """
    careful = {it.topic_name for it in planned if it.base is Base.SEEN}
    for it in planned:
        if it.topic_name in careful:
            it.base = Base.SEEN


def _given(options: Fields) -> dict[str, Any]:
    """The options that are not as by default."""
    for option in options:
        if option not in _OPTIONS:
            raise Invalid(f"there is no option {option!r}")
    return {
        option: checked(value)
        for option, value in options.items()
        if option not in _DEFAULTS or value != _DEFAULTS[option]
    }
