"""A topic type of one's own: a poll, in which everybody has one vote.

Two people who vote at once never conflict; two votes of one person do what they say, the later one
last. A server has to know the type too: `examples/own_type.rs` of the repository is its other half.
Here it is tried without one: `python own_type.py`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from topicsync_client import Composed, Invalid, Rebased, TopicType
from topicsync_client.replica import LocalChange, Replica
from topicsync_client.values import Fields

Votes = dict[str, str]


@dataclass(frozen=True)
class Vote:
    """Somebody's vote; None takes it back."""

    voter: str
    option: str | None


class Poll(TopicType[Votes, Vote]):
    """Who voted for what."""

    name = "poll"

    def initial(self) -> Votes:
        return {}

    def decode_value(self, plain: Any) -> Votes:
        if not isinstance(plain, dict) or not all(isinstance(it, str) for it in plain.values()):
            raise Invalid("votes are options by voter")
        return dict(plain)

    def encode_value(self, value: Votes) -> Votes:
        return value

    def decode_change(self, fields: Fields) -> Vote:
        match fields:
            case {"type": "vote", "voter": str(voter), "option": str() | None as option}:
                return Vote(voter, option)
        raise Invalid("a change of a poll is a vote")

    def encode_change(self, change: Vote) -> dict[str, Any]:
        return {"type": "vote", "voter": change.voter, "option": change.option}

    def apply(self, value: Votes, change: Vote) -> Votes:
        others = {voter: option for voter, option in value.items() if voter != change.voter}
        return others if change.option is None else others | {change.voter: change.option}

    def rebase(self, incoming: Vote, accepted: Vote) -> Rebased[Vote]:
        # The newcomer's vote stands: nothing is left of the other.
        same = incoming.voter == accepted.voter
        return Rebased(incoming, None if same else accepted)

    def invert(self, change: Vote, before: Votes) -> Vote:
        return Vote(change.voter, before.get(change.voter))

    def key(self, change: Vote) -> str:
        return change.voter

    def compose(self, first: Vote, second: Vote) -> Vote | Composed:
        return second if first.voter == second.voter else Composed.SEPARATE


def main() -> None:
    # With a server: `lunch = client.topic("lunch", Poll())`, then `lunch.change({"type": ...})`.
    replica = Replica()
    replica.subscribe("lunch", Poll())
    for voter, option in [("ann", "soup"), ("bob", "pizza"), ("ann", "pizza")]:
        vote = {"type": "vote", "voter": voter, "option": option}
        replica.local([LocalChange("lunch", vote)])
    lunch = replica.topic("lunch")
    assert lunch is not None
    print(f"after {len(lunch.pending)} votes that count: {lunch.view}")


if __name__ == "__main__":
    main()
