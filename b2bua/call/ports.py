"""What a call asks of the exchange around it."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

from accounting.journal import Activity
from b2bua.call.leg import Leg
from b2bua.call.phones import Phone
from b2bua.sip.timers import Timer
from media.engine import LegStatistics
from routing.floor import Floor

if TYPE_CHECKING:
    from b2bua.call.call import Call


class Ports(Protocol):
    """What the exchange does for its calls."""

    floor: Floor

    def turns(self, call: "Call", agent_id: str, at: int) -> tuple[list[list[Phone]], float]:
        """The agent's reachable phones, those that ring together in one list, and how many seconds each list rings."""

    def ring(self, call: "Call", agent_id: str, phones: list[Phone], at: int) -> list[Leg]:
        """Send INVITEs to these phones of the agent; an empty list if none can be sent."""

    def start_timer(self, when: float, action: Callable[[float], None]) -> Timer:
        """Call ``action(now)`` at this monotonic second."""

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
