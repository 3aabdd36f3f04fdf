"""The states of an INVITE session, and the one table that sets them (RFC 3261 sections 13 and 15)."""

from enum import Enum


class State(Enum):
    """Where an INVITE session stands."""

    INCOMING = "incoming"
    ANSWERED = "answered"
    ENDING = "ending"
    OUTGOING = "outgoing"
    CANCELLING = "cancelling"
    CONFIRMED = "confirmed"
    CLOSING = "closing"
    TERMINATED = "terminated"

    __hash__ = object.__hash__


class Input(Enum):
    """What can happen to a session: our own wishes, the peer's messages, and time."""

    ANSWER = "answer"
    REFUSE = "refuse"
    TURN_AWAY = "turn away"
    HANGUP = "hangup"
    CANCEL_RECEIVED = "CANCEL received"
    BYE_RECEIVED = "BYE received"
    ACK_RECEIVED = "ACK received"
    ACK_LOST = "no ACK in 64*T1"
    SUCCESS_RECEIVED = "2xx received"
    FAILURE_RECEIVED = "3xx-6xx or timeout"
    PEER_LOST = "peer lost or session expired"
    BYE_ANSWERED = "BYE answered or timed out"

    __hash__ = object.__hash__  # Enum's own is a Python function, and every step asks the table


TRANSITIONS: dict[tuple[State, Input], tuple[str, State]] = {
    (State.INCOMING, Input.ANSWER): ("send_success", State.ANSWERED),
    (State.INCOMING, Input.REFUSE): ("send_refusal", State.TERMINATED),
    (State.INCOMING, Input.TURN_AWAY): ("refuse_statelessly", State.TERMINATED),
    (State.INCOMING, Input.HANGUP): ("send_refusal", State.TERMINATED),
    (State.INCOMING, Input.CANCEL_RECEIVED): ("note_cancel", State.TERMINATED),
    # RFC 3261 15.1.2: a caller may also end its early dialog with BYE
    (State.INCOMING, Input.BYE_RECEIVED): ("take_early_bye", State.TERMINATED),
    (State.ANSWERED, Input.ACK_RECEIVED): ("note_ack", State.CONFIRMED),
    (State.ANSWERED, Input.ACK_LOST): ("end_without_ack", State.CLOSING),
    (State.ANSWERED, Input.BYE_RECEIVED): ("take_bye", State.TERMINATED),
    # RFC 3261 15: the callee must not send BYE before the ACK or the end of waiting for it
    (State.ANSWERED, Input.HANGUP): ("wait_for_ack", State.ENDING),
    (State.ENDING, Input.ACK_RECEIVED): ("send_bye", State.CLOSING),
    (State.ENDING, Input.ACK_LOST): ("send_bye", State.CLOSING),
    (State.ENDING, Input.BYE_RECEIVED): ("take_bye", State.TERMINATED),
    (State.OUTGOING, Input.SUCCESS_RECEIVED): ("confirm", State.CONFIRMED),
    (State.OUTGOING, Input.FAILURE_RECEIVED): ("note_failure", State.TERMINATED),
    (State.OUTGOING, Input.HANGUP): ("send_cancel", State.CANCELLING),
    # RFC 3261 15: the 2xx crossed our CANCEL: it is answered with ACK and BYE
    (State.CANCELLING, Input.SUCCESS_RECEIVED): ("refuse_success", State.CLOSING),
    (State.CANCELLING, Input.FAILURE_RECEIVED): ("note_cancelled", State.TERMINATED),
    (State.CONFIRMED, Input.BYE_RECEIVED): ("take_bye", State.TERMINATED),
    (State.CONFIRMED, Input.HANGUP): ("send_bye", State.CLOSING),
    (State.CONFIRMED, Input.PEER_LOST): ("end_lost_session", State.CLOSING),
    (State.CLOSING, Input.BYE_RECEIVED): ("take_crossing_bye", State.CLOSING),
    (State.CLOSING, Input.BYE_ANSWERED): ("forget", State.TERMINATED),
}
