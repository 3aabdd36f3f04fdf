"""Records of every kind, as hypothesis draws them."""

from hypothesis import strategies as st

from accounting.journal import Activity, CallEnded, Declaration, Item, JournalEntry
from tests.accounting.ledger import HandLedger, call_ended

_TEXT = st.text(max_size=12)
#: From the wire: bytes that were no UTF-8 stand as lone surrogates.
_WIRE = st.text(st.characters(codec=None), max_size=12)


@st.composite
def journals(draw: st.DrawFn, runs: int = 3) -> list[Item]:
    """The journal of some lives of the process: calls that connect, turn, hang up and end, in any legal order."""
    items: list[Item] = []
    for run in range(draw(st.integers(1, runs))):
        hand = HandLedger(run=f"run-{run}", append=items.append)
        at = 1.0
        living: list[str] = []
        for step in draw(st.lists(st.sampled_from(("connect", "turn", "beat", "hang up", "end")), max_size=15)):
            at += draw(st.floats(0.001, 5.0))
            if step == "connect" or not living:
                living.append(f"{run}-{len(items)}")
                hand.connected(at, living[-1], agent=draw(st.sampled_from(("anna", "bert"))))
            elif step == "beat":
                hand.heartbeat(at)
            else:
                call_id = draw(st.sampled_from(living))
                activities: tuple[Activity, ...] = ("talk", "hold", "consultation")
                if step == "turn":
                    hand.turned(at, call_id, activity=draw(st.sampled_from(activities)))
                elif step == "hang up":
                    hand.hung_up(at, call_id)
                else:
                    hand.ended(call_ended(call_id, ended=at))
                    living.remove(call_id)
    return items


def any_item() -> st.SearchStrategy[Item]:
    """One record with anything in its fields."""
    facts = st.dictionaries(_TEXT, st.one_of(_WIRE, st.integers(-(2**80), 2**80)), max_size=4)
    entry = st.builds(JournalEntry, run=_TEXT, call_id=_WIRE, facts=facts)
    ended = st.builds(CallEnded, caller=_WIRE, dialled=_WIRE, media=st.dictionaries(_TEXT, facts, max_size=2))
    declaration = st.builds(Declaration, subject=_TEXT, content=st.dictionaries(_TEXT, _TEXT, max_size=3))
    return st.one_of(entry, ended, declaration)
