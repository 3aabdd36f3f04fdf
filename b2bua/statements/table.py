"""A statement for the terminal."""

from rich.markup import escape
from rich.table import Table

from accounting.statement import StatementContent, StatementLine
from b2bua.statements.language import Language


def statement_table(content: StatementContent, language: Language) -> Table:
    """The statement as people read it."""
    name = content["number"] or f"{content['contract']} {content['month']} ({language['draft']})"
    table = Table(title=plain(f"{language['title']} {name}  {content['customer']}".rstrip()), show_footer=True)
    lines = content["lines"]
    table.add_column(language["date"], footer=language.count("n_calls", len(lines)), no_wrap=True)
    table.add_column(language["time"], no_wrap=True)
    for heading in ("caller", "forwarded_from", "kind", "agent"):
        table.add_column(language[heading], overflow="fold")
    table.add_column(language["talked"], justify="right", footer=f"{language.seconds(content['talked_seconds'])} s")
    table.add_column(language["billed"], justify="right", footer=f"{language.number(content['billed_seconds'])} s")
    table.add_column(language["units"], justify="right")
    table.add_column(
        language["price"],
        justify="right",
        no_wrap=True,
        footer=language.money(content["calls_net"], content["currency"]),
    )
    for line in lines:
        table.add_row(
            language.day(line["answered_at"]), language.time(line["answered_at"]), plain(caller_text(line, language)),
            plain(forwarding_line(line, language)), plain(language.kind(line["forwarding_kind"])), plain(line["agent"]),
            f"{language.seconds(line['talked_seconds'])} s{marks(line)}",
            f"{language.number(line['billed_seconds'])} s", language.number(line["units"]),
            language.number(line["amount"]),
        )  # fmt: skip
    table.caption = "\n".join([*sums(content, language), *notes(content, language)])
    return table


def plain(text: str) -> str:
    """A caller chooses his name: the terminal must not take it for colours or commands."""
    shown = (character if character.isprintable() else " " if character.isspace() else "?" for character in text)
    return escape("".join(shown))


def caller_text(line: StatementLine, language: Language) -> str:
    """Who called, as far as it is known still."""
    return line["caller"] or language["forgotten" if line["forgotten"] else "anonymous"]


def forwarding_line(line: StatementLine, language: Language) -> str:
    """The customer's line that forwarded the call."""
    if not line["forwarded_from"] and line["forgotten"] and line["forwarding_kind"]:
        return language["forgotten"]
    return line["forwarded_from"]


def marks(line: StatementLine) -> str:
    """What :func:`notes` explains."""
    return (" *" if line["recovered"] else "") + (" †" if line["corrected"] else "")


def sums(content: StatementContent, language: Language) -> list[str]:
    """Base fee, net, VAT and gross, a line each."""
    currency = content["currency"]
    shown = [(language["base_fee"], content["base_fee"])] if content["base_fee"].strip("0.") else []
    shown.append((language["net"], content["net"]))
    shown += [(vat_text(tax["rate"], tax["net"], currency, language), tax["vat"]) for tax in content["taxes"]]
    shown.append((language["gross"], content["gross"]))
    return [f"{name}: {language.money(amount, currency)}" for name, amount in shown]


def vat_text(rate: str, net: str, currency: str, language: Language) -> str:
    """How much of what is taxed."""
    return language["vat"].format(rate=language.percent(rate), net=language.money(net, currency))


def notes(content: StatementContent, language: Language) -> list[str]:
    """Everything that must be said of a statement besides its figures."""
    said = []
    if content["replaces"]:
        said.append(language["replaces"].format(number=content["replaces"]))
    if granted := content["included_seconds_granted"]:
        used = language.minutes(content["included_seconds"])
        said.append(language["included"].format(used=used, granted=language.number(granted // 60)))
    if granted := content["free_calls_granted"]:
        used = language.number(content["free_calls"])
        said.append(language["free_calls"].format(used=used, granted=language.number(granted)))
    if content["unanswered"]:
        said.append(language.count("unanswered", content["unanswered"]))
    if content["not_billable"]:
        said.append(language.count("not_billable", content["not_billable"]))
    said += [language[mark] for mark in ("recovered", "corrected") if any(line[mark] for line in content["lines"])]
    return said
