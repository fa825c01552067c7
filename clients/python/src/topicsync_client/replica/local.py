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
from .fate import Fates
from .pending import Footing, Pending
from .state import Batch
from .topic import Link, TopicReplica

_DEFAULTS = {"history": True, "presence": False, "delivery": "every"}
_OPTIONS = {*_DEFAULTS, "keep", "durability"}


@dataclass(slots=True, frozen=True)
class LocalChange:
    """One change of a local action.

    It goes with a base, unless it names "the end" or is `overwriting`: then it simply wins.
    """

    topic_name: str
    fields: Fields
    overwriting: bool = False


@dataclass(slots=True, eq=False)
class _Planned:
    topic_name: str
    made: Any
    form: Any
    footing: Footing
    view: Any


class Local(Fates):
    """The floor that takes what the program does."""

    def subscribe(
        self, topic_name: str, kind: TopicType[Any, Any], options: Fields | None = None
    ) -> bool:
        """Subscribe to a topic, and have it made if there is none.

        A topic that is subscribed stays so, with the type that it has; the answer tells whether
        that is `kind`. Until its value comes it has the initial one, and can be changed already.
        """
        self._stirred.add(topic_name)
        topic = self._topics.get(topic_name)
        if topic is None:
            topic = self._topics[topic_name] = TopicReplica(kind, _given(options or {}))
        topic.closing = False
        return topic.kind.name == kind.name

    def unsubscribe(self, topic_name: str) -> None:
        """End a subscription, once what is pending on the topic is answered."""
        topic = self._topics.get(topic_name)
        if topic is not None:
            topic.closing = True
            topic.presence = None
            self._stirred.add(topic_name)

    def local(self, changes: Sequence[LocalChange]) -> int:
        """Make changes that take effect together or not at all, each on top of those before it.

        They show at once. The ticket names them in the event that tells their fate. One change
        alone may be composed, or sent together, with its neighbours in time. Of an action, the
        changes of one topic all go with a base if one of them does.

        Raises `Invalid` if a change does not fit the view, `ClientClosed` if a topic is not
        subscribed; then none happened.
        """
        planned = self._plan(changes)
        self._batches_made += 1
        self._tickets += 1
        topics = sorted({it.topic_name for it in planned})
        action = len(planned) > 1
        self._batches[self._batches_made] = Batch([self._tickets], topics, action)
        batch, ticket = self._batches_made, self._tickets
        for it in planned:
            self._push(batch, it)
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
            footing = Footing.SEEN if seen else Footing.ANYTHING
            planned.append(_Planned(change.topic_name, made, form, footing, view))
        if len(planned) > 1:
            _give_one_footing(planned)
        return planned

    def _push(self, batch: int, planned: _Planned) -> None:
        topic = self._topics[planned.topic_name]
        pending = Pending(batch, planned.footing, planned.made, planned.form)
        before = topic.view
        joined = topic.push(pending, planned.view, self._joinable)
        self._stirred.add(planned.topic_name)
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
        if joined is not None:
            self._merge(batch, joined, planned.topic_name)

    def _joinable(self, batch: int) -> bool:
        return self.composes and batch in self._batches and not self._batches[batch].action

    def _merge(self, batch: int, into: int, topic_name: str) -> None:
        """Make one batch of two that wait on one topic."""
        tickets = self._batches.pop(batch).tickets
        if into in self._batches:
            self._batches[into].tickets += tickets
        if not self._holds(topic_name, into):
            self._confirm(into)

    def set_presence(self, topic_name: str, entry: Any) -> None:
        """Want this client's entry in a presence topic to be `entry`.

        It is put there again whenever the session or the topic begins a new life. The topic has to
        be subscribed. Raises `Invalid` if the entry is no value.
        """
        self._want_presence(topic_name, (checked(entry),))

    def remove_presence(self, topic_name: str) -> None:
        """Want this client to have no entry in a presence topic."""
        self._want_presence(topic_name, None)

    def _want_presence(self, topic_name: str, entry: tuple[Any] | None) -> None:
        topic = self._topics.get(topic_name)
        if topic is not None:
            topic.presence = entry
            self._stirred.add(topic_name)
            self._tend_presence(topic_name)

    def _tend_presence(self, topic_name: str) -> None:
        """Bring this client's entry in a presence topic to what the program wants."""
        topic = self._topics.get(topic_name)
        if self.client_id is None or topic is None:
            return
        if topic.link is not Link.LIVE or not topic.options.get("presence"):
            return
        entries = topic.kind.encode_value(topic.view)
        if not isinstance(entries, dict):
            return
        fields = _tending(str(self.client_id), entries, topic.presence)
        if fields is None:
            return
        try:
            self.local([LocalChange(topic_name, fields, overwriting=True)])
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


def _give_one_footing(planned: list[_Planned]) -> None:
    """Of one topic all changes bear a base, or none does.

    An action is as careful as its most careful change. In its exact form every change takes a base.
    """
    careful = {it.topic_name for it in planned if it.footing is Footing.SEEN}
    for it in planned:
        if it.topic_name in careful:
            it.footing = Footing.SEEN


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
