"""Telephone numbers are deleted by age: the law wants it, and the chain holds without them."""

from sqlalchemy import Connection, bindparam, or_, select, text, update

from accounting.tables import calls, journal

#: Records of one transaction, so that the journal's writer never waits long.
BATCH = 1000

DAY_NS = 86_400_000_000_000


def forget(connection: Connection, before_ns: int, most: int = BATCH) -> int:
    """Delete the numbers of callers and forwarding lines beside records that were written before ``before_ns``.

    Wall clock since 1970. At most ``most`` records: called again, each time in a transaction of its own, until it
    returns 0. What the chain has are salted digests; with the salt gone nobody can find the number by trying.
    The list of calls forgets with the record that ended the call, so a rebuild comes to the same.
    """
    if connection.dialect.name == "sqlite":
        # what is deleted is overwritten: a page that is free could be read for years
        connection.exec_driver_sql("PRAGMA secure_delete=ON")
    old = (
        select(journal.c.position, journal.c.kind, journal.c.call_id, journal.c.run)
        .where(text("personal <> ''"), journal.c.wall_ns < before_ns)
        .order_by(journal.c.wall_ns)
        .limit(most)
    )
    rows = connection.execute(old).all()
    if not rows:
        return 0
    connection.execute(
        update(journal).where(journal.c.position == bindparam("here")).values(personal=""),
        [{"here": row.position} for row in rows],
    )
    ended = [{"its_id": row.call_id, "its_run": row.run} for row in rows if row.kind == "ended"]
    if ended:
        mine = (calls.c.call_id == bindparam("its_id"), calls.c.run == bindparam("its_run"))
        known = or_(calls.c.caller != "", calls.c.forwarded_from != "")
        connection.execute(
            update(calls).where(*mine, known).values(caller="", forwarded_from="", forgotten=True), ended
        )  # fmt: skip
    return len(rows)
