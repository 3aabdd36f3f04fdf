"""What a call asks of the exchange around it."""

from typing import TYPE_CHECKING, Protocol

from accounting.journal import Activity
from b2bua.call.leg import Leg
from media.engine import LegStatistics
from routing.floor import Floor

if TYPE_CHECKING:
    from b2bua.call.call import Call


class Ports(Protocol):
    """What the exchange does for its calls."""

    floor: Floor

    def ring(self, call: "Call", agent_id: str, at: int) -> list[Leg]:
        """Send INVITEs to the agent's reachable phones; an empty list if there are none."""

    def connected(self, call: "Call", at: int) -> None:
        """The connected interval opens."""

    def turned(self, call: "Call", activity: Activity, at: int) -> None:
        """The connected interval goes on otherwise."""

    def disconnected(self, call: "Call", at: int) -> None:
        """The connected interval closes."""

    def dial(self, call: "Call", number: str, at: int) -> list[Leg]:
        """Send an INVITE to another number over the trunk; an empty list if there is no way there."""

    def record_message(self, call: "Call", mailbox: str, at: int) -> None:
        """Record what the caller says for this mailbox."""

    def callback_wanted(self, call: "Call") -> None:
        """The caller wants to be called back."""

    def ended(self, call: "Call", statistics: dict[str, LegStatistics]) -> None:
        """Write the record and forget the call."""
