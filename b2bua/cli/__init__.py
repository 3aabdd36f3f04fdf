"""The command line. Each module holds the commands of one kind of user."""

import typer

from b2bua.cli import (
    agents,
    business,
    figures,
    forwarding,
    invoices,
    journal,
    lines,
    messages,
    money,
    phone,
    proof,
    reports,
    server,
)

app = typer.Typer(
    help="The exchange of a telephone answering service: takes forwarded calls from a carrier's trunk, rings the "
    "agents, relays the sound and keeps the books.\n\nStart with: b2bua import examples/contracts.toml; b2bua run",
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)
app.command("run")(server.run)
app.command("check")(server.check)
app.command("explain")(business.explain_call)
app.command("import")(business.import_file)
app.command("export")(business.export_file)
app.command("forwarding")(forwarding.forwarding)
app.command("lines")(lines.show_lines)
app.command("agents")(agents.agents)
app.command("queue")(agents.queue)
app.command("messages")(messages.messages)
app.command("calls")(money.list_calls)
app.command("statement")(money.make_statement)
app.command("invoice-run")(invoices.run_invoices)
app.command("reconcile")(reports.reconcile)
app.command("figures")(figures.show_figures)
app.command("audit")(proof.audit_books)
app.add_typer(journal.accounting, name="accounting")
journal.accounting.command("export")(proof.export_journal)
journal.accounting.command("checkpoint")(proof.sign_checkpoint)
journal.accounting.command("public-key")(proof.show_public_key)
journal.accounting.command("forget")(proof.forget_numbers)
app.command("call")(phone.place_call)
app.command("answer")(phone.answer_calls)


def main() -> None:
    """The console script."""
    app()
