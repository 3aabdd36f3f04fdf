"""The states of a call and the one table that sets them."""

from enum import Enum


class State(Enum):
    """Where a call stands, seen from the exchange."""

    PREPARING = "preparing"
    SEEKING = "seeking an agent"
    JOINING = "joining"
    WHISPERING = "whispering to the agent"
    LEAVING = "going elsewhere"
    TALKING = "talking"
    CLOSING = "closing"
    ENDED = "ended"

    __hash__ = object.__hash__


class Input(Enum):
    """What can happen to a call."""

    DESCRIPTION_FOR_AGENT = "description for the agent"
    DESCRIPTION_FOR_CALLER = "description for the caller"
    MEDIA_FAILED = "media failed"
    MEDIA_TIMED_OUT = "no media"
    MEDIA_CLOSED = "media closed"
    OFFER_MADE = "floor offers to an agent"
    OFFER_WITHDRAWN = "floor withdraws an offer"
    AGENT_CONNECTED = "floor connects an agent"
    ANSWER_REFUSED = "floor refuses an answer"
    NOBODY_FOUND = "floor finds nobody"
    OVERFLOWED = "floor sends the caller elsewhere"
    FORWARDED = "line is forwarded to a contract"
    WHISPER_DUE = "whisper is due"
    SOUND_ENDED = "sound is over"
    RECORDED = "message is recorded"
    GONE_THROUGH = "nothing more to hear"
    PROGRESS = "agent's phone rings"
    LEG_ANSWERED = "agent's phone answers"
    LEG_FAILED = "agent's phone refuses"
    CALLER_GONE = "caller gone"
    AGENT_GONE = "agent gone"
    AGENT_LOST = "agent lost before the caller was joined"
    SHUTDOWN = "shutdown"

    __hash__ = object.__hash__


#: (state, input) -> (action of Call, next state). Inputs that are not here change nothing: they come late.
TRANSITIONS: dict[tuple[State, Input], tuple[str, State]] = {
    (State.PREPARING, Input.DESCRIPTION_FOR_AGENT): ("seek_agent", State.SEEKING),
    # who is answered at once waits for an agent with our music in the ear
    (State.PREPARING, Input.DESCRIPTION_FOR_CALLER): ("accept_caller", State.PREPARING),
    (State.PREPARING, Input.MEDIA_FAILED): ("refuse_for_media", State.CLOSING),
    (State.PREPARING, Input.CALLER_GONE): ("abandon", State.CLOSING),
    (State.PREPARING, Input.SHUTDOWN): ("refuse_for_shutdown", State.CLOSING),
    (State.SEEKING, Input.OFFER_MADE): ("ring_agent", State.SEEKING),
    (State.SEEKING, Input.OFFER_WITHDRAWN): ("stop_ringing", State.SEEKING),
    (State.SEEKING, Input.PROGRESS): ("pass_progress", State.SEEKING),
    (State.SEEKING, Input.DESCRIPTION_FOR_CALLER): ("pass_early_media", State.SEEKING),
    (State.SEEKING, Input.LEG_FAILED): ("note_leg_failure", State.SEEKING),
    (State.SEEKING, Input.LEG_ANSWERED): ("report_answer", State.SEEKING),
    (State.SEEKING, Input.AGENT_CONNECTED): ("join", State.JOINING),
    (State.SEEKING, Input.ANSWER_REFUSED): ("stop_ringing", State.SEEKING),
    (State.SEEKING, Input.NOBODY_FOUND): ("refuse_for_nobody", State.CLOSING),
    (State.SEEKING, Input.OVERFLOWED): ("leave_queue", State.LEAVING),
    # a call to a line of ours, which becomes a contract's
    (State.SEEKING, Input.FORWARDED): ("enter_contract", State.PREPARING),
    (State.SEEKING, Input.SOUND_ENDED): ("hear_on", State.SEEKING),
    (State.SEEKING, Input.CALLER_GONE): ("abandon", State.CLOSING),
    (State.SEEKING, Input.SHUTDOWN): ("refuse_for_shutdown", State.CLOSING),
    (State.JOINING, Input.DESCRIPTION_FOR_CALLER): ("connect", State.TALKING),
    (State.JOINING, Input.WHISPER_DUE): ("whisper", State.WHISPERING),
    (State.JOINING, Input.MEDIA_FAILED): ("fail_to_join", State.CLOSING),
    (State.JOINING, Input.OFFER_WITHDRAWN): ("stop_ringing", State.JOINING),
    (State.JOINING, Input.ANSWER_REFUSED): ("stop_ringing", State.JOINING),
    (State.JOINING, Input.LEG_ANSWERED): ("report_answer", State.JOINING),
    (State.JOINING, Input.LEG_FAILED): ("note_leg_failure", State.JOINING),
    (State.JOINING, Input.CALLER_GONE): ("abandon", State.CLOSING),
    (State.JOINING, Input.AGENT_GONE): ("lose_agent", State.CLOSING),
    # somebody else takes the call: what an agent does never drops a caller
    (State.JOINING, Input.AGENT_LOST): ("seek_another", State.PREPARING),
    (State.JOINING, Input.SHUTDOWN): ("refuse_for_shutdown", State.CLOSING),
    (State.WHISPERING, Input.SOUND_ENDED): ("connect_after_whisper", State.TALKING),
    (State.WHISPERING, Input.OFFER_WITHDRAWN): ("stop_ringing", State.WHISPERING),
    (State.WHISPERING, Input.ANSWER_REFUSED): ("stop_ringing", State.WHISPERING),
    (State.WHISPERING, Input.LEG_ANSWERED): ("report_answer", State.WHISPERING),
    (State.WHISPERING, Input.LEG_FAILED): ("note_leg_failure", State.WHISPERING),
    (State.WHISPERING, Input.CALLER_GONE): ("abandon", State.CLOSING),
    (State.WHISPERING, Input.AGENT_LOST): ("seek_another", State.PREPARING),
    (State.WHISPERING, Input.SHUTDOWN): ("refuse_for_shutdown", State.CLOSING),
    (State.LEAVING, Input.DESCRIPTION_FOR_CALLER): ("accept_to_leave", State.LEAVING),
    (State.LEAVING, Input.SOUND_ENDED): ("depart_on", State.LEAVING),
    (State.LEAVING, Input.RECORDED): ("thank", State.LEAVING),
    (State.LEAVING, Input.GONE_THROUGH): ("say_goodbye", State.CLOSING),
    (State.LEAVING, Input.PROGRESS): ("pass_progress", State.LEAVING),
    (State.LEAVING, Input.LEG_ANSWERED): ("join_other", State.JOINING),
    (State.LEAVING, Input.LEG_FAILED): ("fail_other", State.LEAVING),
    (State.LEAVING, Input.OFFER_WITHDRAWN): ("stop_ringing", State.LEAVING),
    (State.LEAVING, Input.ANSWER_REFUSED): ("stop_ringing", State.LEAVING),
    (State.LEAVING, Input.MEDIA_FAILED): ("refuse_for_media", State.CLOSING),
    (State.LEAVING, Input.CALLER_GONE): ("abandon", State.CLOSING),
    (State.LEAVING, Input.SHUTDOWN): ("refuse_for_shutdown", State.CLOSING),
    (State.TALKING, Input.CALLER_GONE): ("disconnect", State.CLOSING),
    (State.TALKING, Input.AGENT_GONE): ("disconnect", State.CLOSING),
    (State.TALKING, Input.MEDIA_TIMED_OUT): ("disconnect", State.CLOSING),
    (State.TALKING, Input.SHUTDOWN): ("disconnect", State.CLOSING),
    # the others of a ring-all, who answered or were called off in the same instant
    (State.TALKING, Input.OFFER_WITHDRAWN): ("stop_ringing", State.TALKING),
    (State.TALKING, Input.ANSWER_REFUSED): ("stop_ringing", State.TALKING),
    (State.TALKING, Input.LEG_ANSWERED): ("report_answer", State.TALKING),
    (State.TALKING, Input.LEG_FAILED): ("note_leg_failure", State.TALKING),
    (State.CLOSING, Input.OFFER_WITHDRAWN): ("stop_ringing", State.CLOSING),
    (State.CLOSING, Input.ANSWER_REFUSED): ("stop_ringing", State.CLOSING),
    (State.CLOSING, Input.LEG_ANSWERED): ("hang_up_late_answer", State.CLOSING),
    (State.CLOSING, Input.MEDIA_CLOSED): ("write_record", State.ENDED),
}
